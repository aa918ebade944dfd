//! What VFIO says of a group, and what sysfs shows where it says nothing.

use std::collections::BTreeSet;

use super::lab::{Lab, after, before, expected, holds};
use crate::host::Observed::{Absent, Present, Unreadable};
use crate::host::booted::VfioGroup::{self, ContainerSet, NotViable, Open, Viable};
use crate::verify::Verdict::{Met, Unknown, Unmet};
use crate::verify::{Verdict, groups_to_ask};

const ID: &str = "group:18";
const NIC: &str = "PCI_SLOT_NAME=0000:08:00.0";
const SHARED: &str = "In the card's group 18, drivers of the host still hold 0000:08:00.0 Realtek \
                      Semiconductor Co., Ltd. RTL8125 2.5GbE Controller (r8169). A group goes to \
                      a guest as a whole or not at all.";

/// The network card is in the group of the card's display function.
fn shared() -> Lab {
    let link = "08:00.0/iommu_group -> ../../../../kernel/iommu_groups/";
    after().swap(&format!("{link}20"), &format!("{link}18"))
}

fn says(said: VfioGroup) -> Lab {
    after().vfio_says(18, Present(said))
}

/// What was read of the group.
fn found(lab: &Lab) -> Vec<(String, String)> {
    let outcome = lab.outcome(&expected(), ID);
    outcome.evidence.into_iter().map(|one| (one.path, one.found)).collect()
}

fn is(lab: &Lab, verdict: Verdict, node: &str, cause: &str) {
    holds(lab, &expected(), ID, verdict, cause);
    assert_eq!(found(lab)[0], ("/dev/vfio/18".to_owned(), node.to_owned()));
}

#[test]
fn what_vfio_says_of_the_group_counts() {
    is(&says(Viable), Met, "viable", "");
    // Though sysfs, which was read a moment before, shows something else.
    is(&shared().vfio_says(18, Present(Viable)), Met, "viable", "");
    is(&says(ContainerSet), Met, "viable, in use: a container is set", "");
    is(&shared().vfio_says(18, Present(NotViable)), Unmet, "not viable", SHARED);
    let cause = "VFIO says that group 18 is not viable, and no driver of the host is to be seen in \
                 it: a member that is no PCI device, or another user of the IOMMU, holds it.";
    is(&says(NotViable), Unmet, "not viable", cause);
    let cause = "vfio-pci holds the card's functions, but the node of their group is missing: /dev \
                 is not what the kernel keeps, or something removed it.";
    is(&after().vfio_says(18, Absent), Unmet, "no group of VFIO is behind it", cause);
}

#[test]
fn who_holds_the_group_is_said() {
    let read = |path: &str, found: &str| (path.to_owned(), found.to_owned());
    let shared = shared().vfio_says(18, Present(NotViable));
    let nic = read("/sys/bus/pci/devices/0000:08:00.0/driver", "r8169");
    assert_eq!(found(&shared), [read("/dev/vfio/18", "not viable"), nic]);
    let hint = |lab: &Lab| lab.outcome(&expected(), ID).hint.unwrap();
    assert!(hint(&shared).starts_with("Put the card into another slot"), "{}", hint(&shared));
    // A bridge with a driver of its own, which no slot of the user's own choice has.
    let bridge = after()
        .swap(
            "06:00.0/iommu_group -> ../../../../../kernel/iommu_groups/17",
            "06:00.0/iommu_group -> ../../../../../kernel/iommu_groups/18",
        )
        .vfio_says(18, Present(NotViable))
        .driver("pcieport", "PCI_SLOT_NAME=0000:06:00.0", "shpchp");
    assert!(hint(&bridge).starts_with("Keep that driver from loading"), "{}", hint(&bridge));
}

/// A function of the card that is not bound is why, whatever else is in its group.
#[test]
fn an_unbound_function_of_the_card_comes_first() {
    let half = after().vfio_says(18, Present(NotViable)).driver("vfio-pci", "PCI_ID=1002:73FF", "");
    let [group, function] =
        [ID, "vfio:0000:07:00.0"].map(|id| half.outcome(&expected(), id).cause.unwrap());
    assert_eq!(group, function);
}

/// EBUSY says only that the group is in use, EACCES nothing at all.
#[test]
fn where_vfio_says_nothing_sysfs_decides() {
    let denied = || Unreadable("permission denied (root may read it)".to_owned());
    let unasked = "there, VFIO could not be asked: permission denied (root may read it)";
    let in_use = "in use: another process has it open";
    is(&after(), Met, "there", "");
    is(&shared(), Unmet, "there", SHARED);
    is(&says(Open), Met, in_use, "");
    is(&shared().vfio_says(18, Present(Open)), Unmet, in_use, SHARED);
    is(&after().vfio_says(18, denied()), Met, unasked, "");
    is(&shared().vfio_says(18, denied()), Unmet, unasked, SHARED);
    // A free member leaves it viable.
    is(&shared().driver("r8169", NIC, ""), Met, "there", "");
}

#[test]
fn a_member_whose_driver_is_hidden_makes_it_unknown() {
    let nic = "sys/devices/pci0000:00/0000:00:1c.0/0000:08:00.0";
    let hidden = shared().without(&format!("{nic}/")).unreadable(nic);
    let read = |lab: &Lab| lab.outcome(&expected(), ID).verdict;
    assert_eq!(read(&hidden), Unknown, "{:?}", found(&hidden));
    assert_eq!(read(&hidden.vfio_says(18, Present(Viable))), Met);
}

/// A kernel without CONFIG_VFIO_GROUP.
#[test]
fn without_nodes_for_groups_sysfs_decides() {
    let only_devices = |lab: Lab| lab.without("dev/vfio/").present("dev/vfio/devices/vfio0");
    is(&only_devices(after()), Met, "no node for groups", "");
    is(&only_devices(shared()), Unmet, "no node for groups", SHARED);
    let devices = ("dev/vfio/devices".to_owned(), "vfio0".to_owned());
    assert!(
        found(&only_devices(after()))
            .iter()
            .any(|(path, found)| { path.ends_with(&devices.0) && *found == devices.1 })
    );
    // With the container's node, or that of another group, this one is missing.
    for other in ["dev/vfio/vfio", "dev/vfio/3"] {
        let cause = "vfio-pci holds the card's functions, but the node of their group is missing: \
                     /dev is not what the kernel keeps, or something removed it.";
        is(&only_devices(after()).present(other), Unmet, "not there", cause);
    }
}

#[test]
fn only_the_cards_groups_are_asked_after_the_reboot() {
    let asked = |lab: &Lab| {
        let (host, facts) = lab.read();
        groups_to_ask(&expected(), &before().then(), &host, &facts)
    };
    assert_eq!(asked(&after()), BTreeSet::from([18, 19]));
    assert_eq!(asked(&before()), BTreeSet::new());
    let renumbered = after().swap("iommu_groups/18", "iommu_groups/28");
    assert_eq!(asked(&renumbered), BTreeSet::from([19]));
}
