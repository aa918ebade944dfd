//! Of two identical cards the chosen one is bound by its address, before its driver is there.

use super::BOUND;
use crate::guest::with;
use crate::image::Variant;
use crate::machine::Machine;
use crate::topology::Topology;

fn story(variant: Variant) {
    let Some(mut host) = Machine::start(variant, Topology::TwinIgpu) else { return };
    let drivers = host.drivers();
    let _ = host.apply(&["02:00.0"]);
    host.reboot();
    assert_eq!(host.drivers(), with(&drivers, &BOUND));
    host.is_met();
    let log = host.log(&["passthru: ", "Initialized bochs-drm"]);
    let said = ["passthru: 0000:02:00.0 is on vfio-pci", "passthru: 0000:02:00.1 is on vfio-pci"];
    assert_eq!(log[..2], said, "{log:#?}");
    let of_twin = |line: &String| line.contains("for 0000:01:00.0 ");
    assert!(log.len() == 3 && of_twin(&log[2]), "{log:#?}");
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
