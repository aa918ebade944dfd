//! Where the programs of the distribution say that all went well and it did not, `apply` says so
//! and takes back what it did.

use crate::guest::same;
use crate::image::Variant;
use crate::machine::Machine;
use crate::topology::Topology;

/// update-initramfs(8) then does nothing and ends with 0.
const OFF: &str = "sed -i s/^update_initramfs=.*/update_initramfs=no/ \
    /etc/initramfs-tools/update-initramfs.conf";

#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn images_that_are_not_built() {
    let Some(host) = Machine::start(Variant::Grub, Topology::TwoCards) else { return };
    let _ = host.read(OFF);
    let drivers = host.drivers();
    let (files, menu) = (host.files(), host.menu());
    let apply = host.passthru(&["apply", "--yes", "02:00.0"]);
    assert_eq!(apply.code, 2, "{}{}", apply.stdout, apply.stderr);
    let image = "because: /boot/initrd.img-";
    let missing = "The image must hold scripts/init-top/00-passthru, and does not.";
    let said = apply.stderr.lines().any(|line| line.contains(image) && line.ends_with(missing));
    assert!(said, "{}", apply.stderr);
    let back = "Hint: Everything was taken back: all files are as before.\n";
    assert!(apply.stderr.ends_with(back), "{}", apply.stderr);
    same("files", &files, &host.files());
    same("boot entries", &menu, &host.menu());
    assert_eq!(host.drivers(), drivers);
    host.images_are_plain();
}
