//! A kernel that is installed between apply and reboot, or after it, boots with the same card on
//! vfio-pci: its image and its entry are made by the hooks of the distribution. Where something
//! keeps them from it, `verify` says what.

use super::BOUND;
use crate::guest::with;
use crate::image::{UPDATE, Variant};
use crate::machine::Machine;
use crate::progress::{say, timed};
use crate::topology::Topology;

const SCRIPT: &str = "/etc/initramfs-tools/scripts/init-top/00-passthru";

fn package() -> String {
    format!("{UPDATE}/linux-image.deb")
}

/// Starts a host that has a newer kernel to install.
fn start(variant: Variant) -> Option<Machine> {
    let host = Machine::start(variant, Topology::TwoCards)?;
    if host.run(&format!("test -e {}", package())).code == 0 {
        return Some(host);
    }
    say("SKIPPED: an update of the kernel: the package manager has one release of it only");
    None
}

/// Installs the newer kernel, whose release this is.
fn update(host: &Machine) -> String {
    let package = package();
    let name = host.read(&format!("dpkg-deb --field {package} Package"));
    timed("installation of a kernel", || host.read(&format!("dpkg --install {package}")));
    name.trim().strip_prefix("linux-image-").expect("a kernel").to_owned()
}

#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn before_the_reboot_with_grub() {
    let Some(mut host) = start(Variant::Grub) else { return };
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
    let Some(mut host) = start(Variant::SystemdBoot) else { return };
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

/// update-initramfs leaves out what it may not execute.
#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn without_the_script_that_binds() {
    let Some(mut host) = start(Variant::Grub) else { return };
    let drivers = host.drivers();
    let _ = host.apply(&["02:00.0"]);
    let _ = host.read(&format!("chmod a-x {SCRIPT}"));
    let release = update(&host);
    host.reboot();
    assert_eq!(host.read("uname -r").trim(), release);
    assert_eq!(host.drivers(), drivers, "the host keeps the card");
    let image = format!("The image /boot/initrd.img-{release} does not do what passthru set up: ");
    let since = format!(" Since then {SCRIPT} is not executable any more.");
    for (text, cause) in host.unmet() {
        assert!(cause.starts_with(&image) && cause.ends_with(&since), "{text} {cause}");
    }
}
