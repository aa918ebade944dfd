//! IOMMU groups: who else is in them, and what the host would lose.

use super::case::Case;
use super::finding::{Evidence, Found};
use crate::host::pci::PciDevice;
use crate::host::uses::Use;

fn group_path(device: &PciDevice) -> String {
    let group = device.iommu_group.map_or_else(|| "?".to_owned(), |id| id.to_string());
    format!("/{}/{group}/devices/{}", crate::host::iommu::GROUPS, device.address)
}

fn holder(device: &PciDevice) -> String {
    device
        .driver
        .as_ref()
        .map_or_else(|| "no driver".to_owned(), |driver| format!("driver {driver}"))
}

fn member(case: &Case<'_>, device: &PciDevice) -> Evidence {
    Evidence::new(
        group_path(device),
        format!("{}, {}", case.host.names.device(device.id), holder(device)),
    )
}

/// Display functions of other cards in the card's groups.
fn other_displays<'a>(case: &Case<'a>) -> Vec<&'a PciDevice> {
    case.foreign_endpoints().into_iter().filter(|device| device.class.is_gpu()).collect()
}

/// `group-two-gpus`: The host's card and the guest's card share one group.
pub fn group_two_gpus(case: &Case<'_>) -> Vec<Found> {
    let displays = other_displays(case);
    let Some(first) = displays.first() else {
        return Vec::new();
    };
    let detail = format!(
        "{} is in the same IOMMU group. Cards of one group can only go to one guest together.",
        case.host.describe(first)
    );
    vec![
        Found::blocker(detail, member(case, first))
            .and_all(displays.iter().skip(1).map(|device| member(case, device)))
            .manual("Put one of the cards into another slot."),
    ]
}

/// `group-shared`: Other devices share the card's IOMMU group.
pub fn group_shared(case: &Case<'_>) -> Vec<Found> {
    let mates = case.foreign_endpoints();
    let displays = other_displays(case);
    let strangers: Vec<_> = mates
        .into_iter()
        .filter(|mate| !displays.iter().any(|display| display.address.same_slot(mate.address)))
        .collect();
    let Some(first) = strangers.first() else {
        return Vec::new();
    };
    let names: Vec<String> = strangers.iter().map(|device| case.host.describe(device)).collect();
    let detail = format!(
        "The card's IOMMU group also holds {}. A group goes to a guest as a whole or not at all.",
        names.join("; ")
    );
    let found = Found::blocker(detail, member(case, first))
        .and_all(strangers.iter().skip(1).map(|device| member(case, device)))
        .manual("Try another slot, best one at the processor. Give the other devices away too only if the host can do without them.");
    let viable = strangers.iter().all(|device| device.leaves_group_viable());
    vec![if viable { found.liftable() } else { found }]
}

/// `group-bridge-driver`: A bridge in the group has a driver that VFIO does not accept.
pub fn group_bridge_driver(case: &Case<'_>) -> Vec<Found> {
    let bridges = case.group_mates().into_iter().filter(|device| device.class.is_infrastructure());
    let odd = bridges.filter(|bridge| !bridge.leaves_group_viable());
    let found = odd.map(|bridge| {
        let detail = format!(
            "{} has {}. VFIO opens a group only if its bridges have no driver or pcieport.",
            case.host.describe(bridge),
            holder(bridge)
        );
        Found::blocker(detail, Evidence::new(format!("{}/driver", bridge.path()), holder(bridge)))
            .manual("Keep that driver from loading, or use another slot.")
    });
    found.collect()
}

/// `reserved-region-direct`: The firmware keeps a memory window of the device for itself.
pub fn reserved_region_direct(case: &Case<'_>) -> Vec<Found> {
    let groups = case.host.iommu.groups.present();
    let functions = case.functions();
    let own = functions.iter().filter_map(|f| groups?.get(&f.iommu_group?));
    let mut seen = std::collections::BTreeSet::new();
    let found = own.filter(|group| seen.insert(group.id)).filter_map(|group| {
        let regions = group.direct_regions.present().filter(|regions| !regions.is_empty())?;
        let path = format!("{}/{}/reserved_regions", crate::host::iommu::GROUPS, group.id);
        Some(
            Found::blocker("The firmware wants memory of a device in the card's group mapped one to one. The kernel refuses to give such a device to a guest.", Evidence::new(path, regions.join("; ")))
                .manual("Look for a firmware update or a setting of the vendor, or use another slot."),
        )
    });
    found.collect()
}

/// `functions-in-several-groups`: The card's functions are in different IOMMU groups.
pub fn functions_in_several_groups(case: &Case<'_>) -> Vec<Found> {
    let functions = case.functions();
    let groups: std::collections::BTreeSet<u32> =
        functions.iter().filter_map(|f| f.iommu_group).collect();
    if groups.len() < 2 {
        return Vec::new();
    }
    let evidence =
        functions.iter().map(|f| Evidence::new(group_path(f), case.host.names.device(f.id)));
    let list: Vec<String> = groups.iter().map(u32::to_string).collect();
    let mut evidence = evidence.collect::<Vec<_>>().into_iter();
    let Some(first) = evidence.next() else {
        return Vec::new();
    };
    vec![Found::note(format!("The card's functions are in groups {}. That is well: all of them go together all the same.", list.join(" and ")), first).and_all(evidence)]
}

/// `bridges-stay`: The bridges in the group stay with the host.
pub fn bridges_stay(case: &Case<'_>) -> Vec<Found> {
    let bridges: Vec<_> =
        case.group_mates().into_iter().filter(|d| d.class.is_infrastructure()).collect();
    let Some(first) = bridges.first() else {
        return Vec::new();
    };
    let list: Vec<String> = bridges.iter().map(|bridge| bridge.address.to_string()).collect();
    vec![Found::note(format!("The bridges {} share the card's group. They are neither bound nor passed to the guest, although some guides say so: vfio-pci refuses bridges, and the group works without.", list.join(", ")), member(case, first))
        .and_all(bridges.iter().skip(1).map(|bridge| member(case, bridge)))]
}

/// A card behind the chipset: below an Intel PCH root port (00:1b to 00:1d), or below the
/// switch that AMD's chipsets are to the processor.
pub fn gpu_behind_chipset(case: &Case<'_>) -> Vec<Found> {
    let Some(display) = case.display() else { return Vec::new() };
    let ports: Vec<_> =
        display.upstream.iter().filter_map(|address| case.host.device(*address)).collect();
    let pch = |port: &PciDevice| {
        port.id.vendor == 0x8086
            && port.address.bus == 0
            && matches!(port.address.device, 0x1b..=0x1d)
    };
    let amd = ports.iter().filter(|port| port.id.vendor == 0x1022).count();
    if !ports.first().is_some_and(|port| pch(port)) && amd < 3 {
        return Vec::new();
    }
    let list: Vec<String> = ports.iter().map(|port| port.address.to_string()).collect();
    vec![Found::note(
        "The card hangs behind the chipset, which it shares with other devices in bandwidth and sometimes in groups. A slot at the processor is faster.",
        Evidence::new(display.path(), format!("behind {}", list.join(", "))),
    )]
}

/// `host-disk-in-group`: A disk of the host is in the card's group.
pub fn host_disk_in_group(case: &Case<'_>) -> Vec<Found> {
    lost(case, |device, one| match one {
        Use::Disk { name, mounted } if !mounted.is_empty() => Some((
            format!(
                "The host's disk {name} ({}) hangs on {}, in the card's group.",
                mounted.join(", "),
                device.address
            ),
            format!("{name}: {}", mounted.join(", ")),
        )),
        Use::Disk { name, .. } if !case.host.uses.unplaced.is_empty() => Some((
            format!(
                "The disk {name} is in the card's group, and it could not be told which disk holds {}.",
                case.host.uses.unplaced.join(", ")
            ),
            name.clone(),
        )),
        _ => None,
    })
}

/// `host-network-in-group`: The host's only network is in the card's group.
pub fn host_network_in_group(case: &Case<'_>) -> Vec<Found> {
    let up = |one: &Use| matches!(one, Use::Network { up: true, .. });
    let mates: Vec<_> = leaving(case).iter().map(|device| device.address).collect();
    if case.host.uses.all().any(|(address, one)| up(one) && !mates.contains(&address)) {
        return Vec::new(); // another way to the network stays
    }
    lost(case, |device, one| match one {
        Use::Network { name, up: true } => Some((
            format!(
                "The host's only live network, {name}, is {} in the card's group.",
                device.address
            ),
            format!("{name}: up"),
        )),
        _ => None,
    })
}

/// `host-input-in-group`: A USB controller of the host is in the card's group.
pub fn host_input_in_group(case: &Case<'_>) -> Vec<Found> {
    let keyboards_known = case.host.uses.all().any(|(_, one)| *one == Use::Keyboard);
    let usb = |device: &&PciDevice| device.class.code() == 0x0c03;
    let mates = leaving(case);
    let elsewhere = case.host.uses.all().any(|(address, one)| {
        *one == Use::Keyboard && !mates.iter().any(|mate| mate.address == address)
    });
    if elsewhere {
        return Vec::new();
    }
    let concerned = mates.iter().copied().filter(usb).filter(|device| {
        let keyboard = case.host.uses.of(device.address).contains(&Use::Keyboard);
        // Few plug a keyboard into a graphics card: without a trace of one there, none is.
        keyboard || (!keyboards_known && !case.is_own(device))
    });
    let found = concerned.map(|device| {
        let detail = if keyboards_known {
            format!("The host's keyboard hangs on {}, in the card's group.", case.host.describe(device))
        } else {
            format!("{} is in the card's group; whether the host's keyboard hangs on it could not be told.", case.host.describe(device))
        };
        Found::blocker(detail, member(case, device)).manual("Move the keyboard to a port of another controller, or the card to another slot.")
    });
    found.collect()
}

/// Everything that leaves the host with the card. A card's own USB controller goes too, and
/// what is plugged into the card with it.
fn leaving<'a>(case: &Case<'a>) -> Vec<&'a PciDevice> {
    case.foreign_endpoints().into_iter().chain(case.functions()).collect()
}

fn lost(
    case: &Case<'_>,
    look: impl Fn(&PciDevice, &Use) -> Option<(String, String)>,
) -> Vec<Found> {
    let mates = leaving(case);
    let uses = mates
        .iter()
        .flat_map(|mate| case.host.uses.of(mate.address).iter().map(|one| (*mate, one)));
    let found = uses.filter_map(|(mate, one)| {
        let (detail, found) = look(mate, one)?;
        Some(Found::blocker(detail, Evidence::new(mate.path(), found)).manual(
            "The host needs it; passthru never gives it away. Use another slot for the card.",
        ))
    });
    found.collect()
}
