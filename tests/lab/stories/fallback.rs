//! The entry "as before passthru" gives the card back to its normal drivers for one boot, with the
//! same image and the same modprobe.d.

use super::BOUND;
use crate::guest::with;
use crate::image::Variant;
use crate::machine::Machine;
use crate::topology::Topology;

const SAME: &str = "cat /boot/initrd.img* /etc/modprobe.d/* | sha256sum";

fn story(variant: Variant, prepare: &str, choose_once: &str, cause: &str) {
    let Some(mut host) = Machine::start(variant, Topology::TwoCards) else { return };
    let _ = host.read(prepare);
    let drivers = host.drivers();
    let _ = host.apply(&["02:00.0"]);
    host.reboot();
    assert_eq!(host.drivers(), with(&drivers, &BOUND));

    let image = host.read(SAME);
    let _ = host.read(choose_once);
    host.reboot();
    assert_eq!(host.drivers(), drivers);
    assert!(!host.cmdline().contains("passthru.bind"), "{}", host.cmdline());
    assert_eq!(host.read(SAME), image);
    let unmet = host.unmet();
    let bound = |(text, _): &(String, String)| text == "0000:02:00.0 is on vfio-pci.";
    assert!(unmet.iter().any(bound), "{unmet:#?}");
    assert!(unmet.iter().all(|(_, because)| because.contains(cause)), "{unmet:#?}");

    host.reboot();
    assert_eq!(host.drivers(), with(&drivers, &BOUND));
    host.is_met();
}

#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn grub() {
    // A recovery entry of GRUB would be the way back, and ends in a shell without network.
    let prepare = "echo GRUB_DISABLE_RECOVERY=true >>/etc/default/grub && update-grub";
    let choose_once = "grep -q -- '--id passthru-stock' /boot/grub/grub.cfg && \
        grub-reboot 'passthru-stock>0'";
    story(Variant::Grub, prepare, choose_once, "an entry without it was started");
}

#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn systemd_boot() {
    let ours = "$(basename $(grep -l '^# Written by passthru' /boot/efi/loader/entries/*.conf))";
    let choose_once = format!("bootctl set-oneshot {ours}");
    story(Variant::SystemdBoot, "true", &choose_once, "from another entry");
}
