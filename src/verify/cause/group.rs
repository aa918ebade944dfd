//! The node of a VFIO group is not there.

use super::{Cause, binding};
use crate::host::booted::VFIO_NODES;
use crate::host::pci::{DEVICES, PciDevice};
use crate::plan::Expectation;
use crate::verify::scene::Scene;

/// A group has a node while VFIO drivers hold functions of it.
pub fn missing(scene: &Scene<'_>, group: u32) -> Cause {
    let on_vfio =
        |device: &&PciDevice| device.on_vfio() && scene.displaced(device.address).is_none();
    if let Some(address) =
        scene.to_bind().find(|at| scene.host.device(*at).as_ref().is_none_or(|d| !on_vfio(d)))
    {
        return binding::not_bound(scene, address);
    }
    let functions: Vec<&PciDevice> =
        scene.to_bind().filter_map(|at| scene.host.device(at)).collect();
    let nodes = scene.facts.vfio_nodes.present().map_or(&[][..], Vec::as_slice);
    // The functions of a card may be in several groups, each of which is expected.
    let expected = |now: u32| scene.expected.contains(&Expectation::VfioGroup(now));
    let other = functions.iter().find_map(|function| {
        let now = function.iommu_group.filter(|now| *now != group && !expected(*now))?;
        nodes.contains(&now.to_string()).then_some((function, now))
    });
    if let Some((function, now)) = other {
        let text = format!(
            "The card's group has another number in this boot: {} is in group {now}, and \
             /{VFIO_NODES}/{now} is there. Numbers change with the devices of the machine.",
            function.address
        );
        let hint = "Nothing is wrong with the card. Run `passthru apply` again to have the new \
                    number expected.";
        return Cause::new(text, hint)
            .and(format!("{DEVICES}/{}/iommu_group", function.address), now.to_string());
    }
    if nodes.iter().any(|name| name == "devices") {
        return Cause::new(
            "This kernel offers VFIO devices only one by one, below /dev/vfio/devices: it was built \
             without CONFIG_VFIO_GROUP.",
            "Use a kernel with CONFIG_VFIO_GROUP, which libvirt and QEMU open by default.",
        )
        .and(format!("{VFIO_NODES}/devices"), "there");
    }
    Cause::new(
        "vfio-pci holds the card's functions, but the node of their group is missing: /dev is not \
         what the kernel keeps, or something removed it.",
        "Check that /dev is a devtmpfs (`findmnt /dev`), and reboot.",
    )
}
