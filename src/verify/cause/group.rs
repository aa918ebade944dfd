//! A VFIO group that cannot be given to a guest.

use super::{Cause, binding};
use crate::check::Evidence;
use crate::host::Observed;
use crate::host::booted::VFIO_NODES;
use crate::host::iommu::GROUPS;
use crate::host::pci::{DEVICES, PciAddress, PciDevice};
use crate::plan::Expectation;
use crate::verify::judge;
use crate::verify::scene::Scene;

/// Its node is missing, or a member keeps it from being viable.
pub fn not_viable(scene: &Scene<'_>, group: u32) -> Cause {
    let nodes = scene.facts.vfio_nodes.present().map_or(&[][..], Vec::as_slice);
    let asked = scene.facts.vfio_groups.get(&group);
    let there = nodes.contains(&group.to_string()) || scene.facts.only_devices().is_some();
    let own = |at: &PciAddress| scene.host.device(*at).and_then(|d| d.iommu_group) == Some(group);
    if !there || asked.is_some_and(Observed::is_absent) || !scene.to_bind().any(|at| own(&at)) {
        return missing(scene, group);
    }
    let on_host = |at: &PciAddress| !scene.host.device(*at).is_some_and(PciDevice::on_vfio);
    if let Some(address) = scene.to_bind().find(|at| own(at) && on_host(at)) {
        return binding::not_bound(scene, address);
    }
    held(scene, group)
}

/// DMA of a group belongs to VFIO, or to drivers of the host (drivers/iommu/iommu.c,
/// iommu_group_dma_owner_claimed).
fn held(scene: &Scene<'_>, group: u32) -> Cause {
    let holders = judge::holders(scene, group);
    if holders.is_empty() {
        let text = format!(
            "VFIO says that group {group} is not viable, and no driver of the host is to be seen \
             in it: a member that is no PCI device, or another user of the IOMMU, holds it."
        );
        return Cause::new(text, format!("Look at what is in /{GROUPS}/{group}/devices."));
    }
    let driver = |device: &PciDevice| device.driver.clone().unwrap_or_default();
    let names: Vec<String> = holders
        .iter()
        .map(|device| format!("{} ({})", scene.host.describe(device), driver(device)))
        .collect();
    let text = format!(
        "In the card's group {group}, drivers of the host still hold {}. A group goes to a guest \
         as a whole or not at all.",
        names.join("; ")
    );
    let hint = if holders.iter().all(|device| device.class.is_infrastructure()) {
        "Keep that driver from loading, or put the card into another slot."
    } else {
        "Put the card into another slot, best one at the processor. Give the other devices away \
         too only if the host can do without them."
    };
    let evidence = holders.iter().map(|d| Evidence::new(format!("{}/driver", d.path()), driver(d)));
    Cause::new(text, hint).and_all(evidence)
}

/// A group has a node while VFIO drivers hold functions of it.
fn missing(scene: &Scene<'_>, group: u32) -> Cause {
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
    Cause::new(
        "vfio-pci holds the card's functions, but the node of their group is missing: /dev is not \
         what the kernel keeps, or something removed it.",
        "Check that /dev is a devtmpfs (`findmnt /dev`), and reboot.",
    )
}
