//! A kernel that is installed between apply and reboot, or after it, boots with the same card on
//! vfio-pci: its image and its entry are made by the hooks of the distribution.

use super::BOUND;
use crate::guest::with;
use crate::image::{UPDATE, Variant};
use crate::machine::Machine;
use crate::progress::timed;
use crate::topology::Topology;

/// Installs the newer kernel, whose release this is.
fn update(host: &Machine) -> String {
    let package = format!("{UPDATE}/linux-image.deb");
    let name = host.read(&format!("dpkg-deb --field {package} Package"));
    timed("installation of a kernel", || host.read(&format!("dpkg --install {package}")));
    name.trim().strip_prefix("linux-image-").expect("a kernel").to_owned()
}

#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn before_the_reboot_with_grub() {
    let Some(mut host) = Machine::start(Variant::Grub, Topology::TwoCards) else { return };
    let drivers = host.drivers();
    let _ = host.apply(&["02:00.0"]);
    let release = update(&host);
    host.reboot();
    assert_eq!(host.read("uname -r").trim(), release);
    assert_eq!(host.drivers(), with(&drivers, &BOUND));
    host.is_met();
    let _ = host.undo(&[]);
    host.images_are_plain();
    host.reboot();
    assert_eq!(host.read("uname -r").trim(), release);
    assert_eq!(host.drivers(), drivers);
}

#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn after_the_reboot_with_systemd_boot() {
    let Some(mut host) = Machine::start(Variant::SystemdBoot, Topology::TwoCards) else { return };
    let drivers = host.drivers();
    let _ = host.apply(&["02:00.0"]);
    host.reboot();
    host.is_met();
    let release = update(&host);
    host.reboot();
    assert_eq!(host.read("uname -r").trim(), release);
    assert_eq!(host.drivers(), with(&drivers, &BOUND));
    host.is_met();
}
