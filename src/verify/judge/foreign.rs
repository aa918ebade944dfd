//! What is on vfio-pci without having been meant to.

use crate::host::Observed;
use crate::host::pci::PciDevice;
use crate::plan::Expectation;
use crate::verify::cause::selected_by;
use crate::verify::scene::Scene;

/// What a VFIO driver holds without having been meant to: not selected by this transaction, and
/// not held before it.
pub fn foreign<'a>(scene: &Scene<'a>) -> Vec<&'a PciDevice> {
    let bound = scene.host.devices().iter().filter(|device| device.on_vfio());
    // Of those that an undo gives back, an expectation of their own tells.
    let undone =
        |device: &PciDevice| scene.expected.contains(&Expectation::NotOnVfio(device.address));
    bound.filter(|device| !is_meant(scene, device) && !undone(device)).collect()
}

fn is_meant(scene: &Scene<'_>, device: &PciDevice) -> bool {
    let ids = device.identity();
    let expected = scene.to_bind().map(|address| (address, scene.identity(address)));
    let before = scene.then.functions.iter().filter(|function| function.was_on_vfio());
    let known = expected.chain(before.map(|one| (one.address, Some(one.ids.as_str()))));
    // At its place, or moved away from it.
    let mut here = known.filter(|(address, known)| match known {
        Some(known) if *known == ids => {
            *address == device.address || scene.displaced(*address).is_some()
        }
        Some(_) => false,
        None => *address == device.address,
    });
    here.next().is_some() || is_lent(scene, device)
}

/// libvirt and driverctl write an override for a device that they lend to a guest. Ours is
/// written by the script in the image, for what the kernel command line names.
fn is_lent(scene: &Scene<'_>, device: &PciDevice) -> bool {
    let seen = scene.facts.overrides.get(&device.address);
    let name = seen.and_then(Observed::present);
    let ours = selected_by(scene, device).is_some();
    name.is_some_and(|name| device.driver.as_ref() == Some(name)) && !ours
}
