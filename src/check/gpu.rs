//! The card itself, the host's other cards, and who shows the picture.

use super::case::Case;
use super::finding::{Evidence, Found};
use super::select::Selection;
use crate::host::Observed;
use crate::host::gpu::Gpu;
use crate::host::pci::{DEVICES, PciDevice};

/// The driver link of a function, as evidence.
pub fn driver(device: &PciDevice) -> Evidence {
    let path = format!("{}/driver", device.path());
    Evidence::new(path, device.driver.clone().unwrap_or_else(|| "no driver".to_owned()))
}

/// Cards by address and name.
pub fn list(case: &Case<'_>, cards: &[&Gpu]) -> Vec<String> {
    cards
        .iter()
        .filter_map(|gpu| case.host.device(gpu.address))
        .map(|d| case.host.describe(d))
        .collect()
}

/// `no-gpu`: No display controller found on the PCI bus.
pub fn no_gpu(case: &Case<'_>) -> Vec<Found> {
    if case.selection != Selection::NoGpu || !case.host.devices.is_present() {
        return Vec::new();
    }
    let evidence = Evidence::new(
        DEVICES,
        format!("{} functions, none of a display class", case.host.devices().len()),
    );
    vec![Found::blocker("The PCI bus shows no graphics card.", evidence)
        .manual(match case.host.hypervisor() {
            Some(_) => "Have the outer hypervisor pass a card to this machine.",
            None => "Check that the card sits well and has power, and that the firmware has its slot switched on.",
        })]
}

/// `gpu-ambiguous`: Several cards would do equally well.
pub fn gpu_ambiguous(case: &Case<'_>) -> Vec<Found> {
    let Selection::Several(cards) = &case.selection else {
        return Vec::new();
    };
    let names = list(case, cards);
    let detail = format!("Each of these could be meant: {}.", names.join("; "));
    let example = cards.first().map(|gpu| gpu.address.to_string()).unwrap_or_default();
    vec![
        Found::blocker(detail, Evidence::new(DEVICES, names.join("; ")))
            .manual(format!("Name one: for example `passthru check {example}`.")),
    ]
}

/// `hybrid-laptop`: A laptop with two graphics chips.
pub fn hybrid_laptop(case: &Case<'_>) -> Vec<Found> {
    let integrated = case.other_cards().any(|gpu| gpu.integrated);
    if !case.host.firmware.is_portable()
        || case.gpu().is_none_or(|gpu| gpu.integrated)
        || !integrated
    {
        return Vec::new();
    }
    let code = case.host.firmware.chassis.map_or_else(String::new, |code| code.to_string());
    vec![Found::warning("This is a laptop with two graphics chips. Many have no path from the second chip to a screen, no option ROM, and drivers in the guest that look for a battery.", Evidence::new("sys/class/dmi/id/chassis_type", code))
        .manual("Expect the guest's driver to need more work than on a desktop.")]
}

/// `apu-assigned`: The card for the guest is integrated graphics.
pub fn apu_assigned(case: &Case<'_>) -> Vec<Found> {
    let (Some(gpu), Some(display)) = (case.gpu(), case.display()) else {
        return Vec::new();
    };
    if !gpu.integrated {
        return Vec::new();
    }
    vec![Found::warning("This is graphics inside the processor. It often cannot be reset between two starts of a guest, and it has no option ROM; other functions of its slot stay with the host.", Evidence::new(display.path(), case.host.names.device(display.id)))
        .manual("Prefer a discrete card for the guest.")]
}

/// Everything else on the card's bus belongs to the card, so that VFIO can reset the bus for
/// it (drivers/vfio/pci/vfio_pci_core.c, hot reset).
fn alone_on_its_bus(case: &Case<'_>, display: &PciDevice) -> bool {
    let same_bus = |d: &&PciDevice| {
        (d.address.domain, d.address.bus) == (display.address.domain, display.address.bus)
    };
    !display.upstream.is_empty()
        && case.host.devices().iter().filter(same_bus).all(|device| case.is_own(device))
}

/// `reset-missing`: The card has no good way to be reset.
pub fn reset_missing(case: &Case<'_>) -> Vec<Found> {
    let Some(display) = case.display() else {
        return Vec::new();
    };
    let known = case.host.kernel.version().is_some_and(|version| version >= (5, 15));
    let path = format!("{}/reset_method", display.path());
    let found = match &display.reset_methods {
        Observed::Absent if known => "not there".to_owned(),
        Observed::Present(methods) if methods.iter().all(|method| method == "pm") => {
            methods.join(" ")
        }
        _ => return Vec::new(),
    };
    if alone_on_its_bus(case, display) {
        return Vec::new();
    }
    vec![Found::warning("The card has no reset of its own, and its bus cannot be reset without other devices. A second start of the guest may fail until the host is rebooted.", Evidence::new(path, found))
        .manual("Test it before you rely on it: start, stop and start the guest.")]
}

/// `rom-no-efi`: The card's option ROM has no EFI image.
pub fn rom_no_efi(case: &Case<'_>) -> Vec<Found> {
    let (Some(gpu), Some(display)) = (case.gpu(), case.display()) else {
        return Vec::new();
    };
    if gpu.efi_rom.present() != Some(&false) {
        return Vec::new();
    }
    vec![Found::warning("The card's option ROM holds no EFI image, so a guest with UEFI shows nothing before its driver is loaded.", Evidence::new(format!("{}/rom", display.path()), "no image of code type 3"))
        .manual("Look for a firmware update of the card; else use a guest with legacy BIOS.")]
}

/// `rom-absent`: The card has no option ROM that could be read.
pub fn rom_absent(case: &Case<'_>) -> Vec<Found> {
    let (Some(gpu), Some(display)) = (case.gpu(), case.display()) else { return Vec::new() };
    // Graphics inside the processor has no ROM BAR; what `rom` shows there is the shadow copy.
    let found = match (&gpu.efi_rom, gpu.integrated) {
        (Observed::Absent, _) => "not there",
        (Observed::Unreadable(_), true) => "the firmware's shadow copy only",
        _ => return Vec::new(),
    };
    vec![Found::warning("The card has no option ROM of its own; its firmware came with the board's. The guest's driver may ask for it.", Evidence::new(format!("{}/rom", display.path()), found))
        .manual("If the guest's driver fails, a ROM taken from the board's firmware may be needed.")]
}

/// `proprietary-driver`: The closed NVIDIA driver is in use.
pub fn proprietary_driver(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    let mut held = host
        .devices()
        .iter()
        .filter(|device| device.class.is_gpu() && device.driver.as_deref() == Some("nvidia"));
    let Some(first) = held.next() else {
        return Vec::new();
    };
    if case.gpu().is_none() {
        return Vec::new();
    }
    vec![Found::warning(format!("{} is on NVIDIA's own driver, which does not let go of a card while anything uses it.", host.describe(first)), driver(first))
        .and_all(held.map(driver))
        .planned("The plan binds the card before that driver loads, so nothing has to be taken from it.")]
}

/// `device-dead`: The card does not answer any more.
pub fn device_dead(case: &Case<'_>) -> Vec<Found> {
    let dead = case.functions().into_iter().filter_map(|function| {
        let state = function.power_state.present().map(String::as_str);
        if function.is_dead() {
            Some((function, Evidence::new(format!("{}/uevent", function.path()), "ffff:ffff")))
        } else {
            (state == Some("error")).then(|| {
                (function, Evidence::new(format!("{}/power_state", function.path()), "error"))
            })
        }
    });
    let found = dead.map(|(function, evidence)| {
        Found::blocker(format!("{} does not answer any more.", case.host.describe(function)), evidence)
            .manual("Switch the machine off and take its power away for a few seconds; a reboot is often not enough.")
    });
    found.collect()
}

/// `companion-functions`: Sound, USB or USB-C go with the card.
pub fn companion_functions(case: &Case<'_>) -> Vec<Found> {
    let functions = case.functions();
    let Some((_, companions)) = functions.split_first() else {
        return Vec::new();
    };
    let Some(first) = companions.first() else {
        return Vec::new();
    };
    let names: Vec<String> = companions
        .iter()
        .map(|f| format!("{} ({})", f.address, case.host.names.class(f.class)))
        .collect();
    vec![
        Found::note(
            format!(
                "With the display function go {}: a card is reset and given away as a whole.",
                names.join(", ")
            ),
            driver(first),
        )
        .and_all(companions.iter().skip(1).map(|f| driver(f))),
    ]
}

/// `same-driver`: The host's card and the guest's card use the same driver.
pub fn same_driver(case: &Case<'_>) -> Vec<Found> {
    let Some(display) = case.display() else {
        return Vec::new();
    };
    let own = case.host.kernel.claimants.get(&display.address);
    let shares = |device: &&PciDevice| {
        let module = device.driver.as_deref().unwrap_or_default().replace('-', "_");
        let claimed =
            own.is_some_and(|claimants| claimants.iter().any(|claimant| claimant.module == module));
        device.driver.is_some() && (device.driver == display.driver || claimed)
    };
    let host = case.host_cards().filter_map(|gpu| case.host.device(gpu.address)).find(shares);
    let Some(host) = host else { return Vec::new() };
    let name = host.driver.as_deref().unwrap_or_default();
    vec![Found::note(
        format!(
            "The host's {} needs the driver {name} too. It must never be blacklisted; the guest's card is taken before the driver probes it.",
            case.host.describe(host)
        ),
        driver(host),
    )]
}

/// `identical-gpus`: Two cards of exactly one model.
pub fn identical_gpus(case: &Case<'_>) -> Vec<Found> {
    let named = match &case.selection {
        Selection::One(gpu) => case.host.device(gpu.address),
        Selection::Several(cards) => cards.first().and_then(|gpu| case.host.device(gpu.address)),
        _ => None,
    };
    let Some(display) = named else {
        return Vec::new();
    };
    let same = case.host.gpus.cards.iter().filter_map(|gpu| case.host.device(gpu.address));
    let twins: Vec<_> = same
        .filter(|d| {
            d.address != display.address && d.id == display.id && d.subsystem == display.subsystem
        })
        .collect();
    let Some(first) = twins.first() else {
        return Vec::new();
    };
    let addresses: Vec<String> = twins.iter().map(|d| d.address.to_string()).collect();
    let evidence = |d: &PciDevice| Evidence::new(format!("{}/uevent", d.path()), d.id.to_string());
    vec![
        Found::note(
            format!(
                "{} is the same model from the same maker: only addresses tell them apart.",
                addresses.join(", ")
            ),
            evidence(first),
        )
        .and_all(twins.iter().skip(1).map(|d| evidence(d))),
    ]
}

/// `numa-locality`: The card belongs to one NUMA node.
pub fn numa_locality(case: &Case<'_>) -> Vec<Found> {
    let Some(display) = case.display() else {
        return Vec::new();
    };
    let nodes: std::collections::BTreeSet<u32> =
        case.host.devices().iter().filter_map(|d| d.numa_node).collect();
    let (Some(node), true) = (display.numa_node, nodes.len() > 1) else {
        return Vec::new();
    };
    vec![Found::note(
        format!(
            "The card belongs to NUMA node {node}. A guest runs fastest with processors and memory of that node."
        ),
        Evidence::new(format!("{}/numa_node", display.path()), node.to_string()),
    )]
}

/// `nvswitch-fabric`: These GPUs are joined by NVSwitch.
pub fn nvswitch_fabric(case: &Case<'_>) -> Vec<Found> {
    let switch = |device: &&PciDevice| device.id.vendor == 0x10de && device.class.code() == 0x0680;
    let count = case.host.devices().iter().filter(switch).count();
    let Some(first) = case.host.devices().iter().find(switch) else {
        return Vec::new();
    };
    vec![Found::note(
        format!(
            "{count} NVSwitches join the GPUs. A guest with some of the GPUs has NVLink only where the host's fabric manager shares it."
        ),
        Evidence::new(first.path(), case.host.names.device(first.id)),
    )]
}

/// `many-gpus`: This machine has many GPUs.
pub fn many_gpus(case: &Case<'_>) -> Vec<Found> {
    let count = case.host.gpus.cards.len();
    if count < 4 {
        return Vec::new();
    }
    vec![Found::note(
        format!("This machine has {count} GPUs. Plans are made for one at a time."),
        Evidence::new(DEVICES, format!("{count} display functions")),
    )]
}
