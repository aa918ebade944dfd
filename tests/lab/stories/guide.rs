//! What guides set out to do: of two cards, whose sound functions share an id, one goes to a
//! guest and the other stays. Then everything is taken back, and is as it was.

use super::BOUND;
use crate::guest::{same, with};
use crate::image::Variant;
use crate::machine::Machine;
use crate::topology::Topology;

const NORMAL: [(&str, &str); 4] = [
    ("01:00.0", "virtio-pci"),
    ("01:00.1", "snd_hda_intel"),
    ("02:00.0", "bochs-drm"),
    ("02:00.1", "snd_hda_intel"),
];

fn story(variant: Variant) {
    let Some(mut host) = Machine::start(variant, Topology::TwoCards) else { return };
    let drivers = host.drivers();
    assert_eq!(drivers, with(&drivers, &NORMAL));
    let (files, menu) = (host.files(), host.menu());

    let (code, check) = host.json(&["check", "02:00.0"]);
    assert_eq!((code, check["verdict"].as_str()), (0, Some("configurable")), "{check:#}");
    let (code, plan) = host.json(&["plan", "02:00.0"]);
    assert_eq!((code, plan["binding"]["method"].as_str()), (0, Some("address")), "{plan:#}");
    same("files that only looking left", &files, &host.files());
    let _ = host.apply(&["02:00.0"]);
    host.reboot();

    assert_eq!(host.drivers(), with(&drivers, &BOUND));
    let said = ["passthru: 0000:02:00.0 is on vfio-pci", "passthru: 0000:02:00.1 is on vfio-pci"];
    assert_eq!(host.log(&["passthru: "]), said);
    host.is_met();

    let _ = host.undo(&[]);
    host.reboot();
    assert_eq!(host.drivers(), drivers);
    same("files", &files, &host.files());
    same("boot entries", &menu, &host.menu());
    host.images_are_plain();
    assert!(!host.cmdline().contains("passthru"), "{}", host.cmdline());
}

#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn grub_and_initramfs_tools() {
    story(Variant::Grub);
}

#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn grub_and_dracut() {
    story(Variant::Dracut);
}

#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn systemd_boot() {
    story(Variant::SystemdBoot);
}
