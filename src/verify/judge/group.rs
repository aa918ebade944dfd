//! A VFIO group: its node, what VFIO says of it, and where it says nothing, what sysfs shows.

use super::Judgement;
use crate::check::Evidence;
use crate::host::Observed;
use crate::host::booted::{VFIO_DEVICES, VFIO_NODES, VfioGroup};
use crate::host::pci::PciDevice;
use crate::verify::scene::Scene;

/// The node must be there, and be that of the card's functions: numbers are given anew at every
/// boot, in the order in which devices are found.
pub fn viable(scene: &Scene<'_>, group: u32) -> Judgement {
    let path = format!("/{VFIO_NODES}/{group}");
    let of_node = |found: &str| Evidence::new(path.clone(), found);
    let nodes = match &scene.facts.vfio_nodes {
        Observed::Present(nodes) => nodes.as_slice(),
        Observed::Absent => &[],
        Observed::Unreadable(reason) => {
            return Judgement::Unknown(VFIO_NODES.to_owned(), reason.clone());
        }
    };
    let own = scene.to_bind().filter_map(|address| scene.host.device(address)?.iommu_group);
    let own: Vec<u32> = own.collect();
    let is_own = own.is_empty() || own.contains(&group);
    if !nodes.contains(&group.to_string()) {
        let Some(devices) = scene.facts.only_devices().filter(|_| is_own) else {
            return Judgement::Unmet(vec![of_node("not there")]);
        };
        let named = Evidence::new(VFIO_DEVICES, devices.join(", "));
        return by_sysfs(scene, group, vec![of_node("no node for groups"), named]);
    }
    if !is_own {
        return Judgement::Unmet(vec![of_node("the node of another group than the card's")]);
    }
    match scene.facts.vfio_groups.get(&group) {
        None => by_sysfs(scene, group, vec![of_node("there")]),
        Some(Observed::Absent) => Judgement::Unmet(vec![of_node("no group of VFIO is behind it")]),
        Some(Observed::Unreadable(reason)) => {
            let unasked = of_node(&format!("there, VFIO could not be asked: {reason}"));
            by_sysfs(scene, group, vec![unasked])
        }
        Some(Observed::Present(VfioGroup::Viable)) => Judgement::Met(vec![of_node("viable")]),
        Some(Observed::Present(VfioGroup::ContainerSet)) => {
            Judgement::Met(vec![of_node("viable, in use: a container is set")])
        }
        Some(Observed::Present(VfioGroup::Open)) => {
            by_sysfs(scene, group, vec![of_node("in use: another process has it open")])
        }
        Some(Observed::Present(VfioGroup::NotViable)) => {
            Judgement::Unmet(vec![of_node("not viable")])
        }
    }
}

/// Drivers of all members, as sysfs shows them, decide what VFIO would say.
fn by_sysfs(scene: &Scene<'_>, group: u32, evidence: Vec<Evidence>) -> Judgement {
    if !holders(scene, group).is_empty() {
        return Judgement::Unmet(evidence);
    }
    match scene.hidden_function() {
        Some((path, reason)) => Judgement::Unknown(path, reason),
        None => Judgement::Met(evidence),
    }
}

/// Members with a driver of the host, for which VFIO does not open the group.
pub fn holders<'a>(scene: &Scene<'a>, group: u32) -> Vec<&'a PciDevice> {
    let members = scene.host.devices().iter().filter(|device| device.iommu_group == Some(group));
    members.filter(|member| !member.leaves_group_viable()).collect()
}
