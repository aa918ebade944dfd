//! The card itself, the host's other cards, and who shows the picture.

use super::case::Case;
use super::finding::{Evidence, Found};
use super::select::Selection;
use crate::host::Observed;
use crate::host::gpu::{Gpu, Role};
use crate::host::pci::{DEVICES, PciDevice};

fn driver(device: &PciDevice) -> Evidence {
    let path = format!("{}/driver", device.path());
    Evidence::new(path, device.driver.clone().unwrap_or_else(|| "no driver".to_owned()))
}

fn list(case: &Case<'_>, cards: &[&Gpu]) -> Vec<String> {
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

/// No display remains for the host: no other card with or without a driver, no BMC.
fn is_last_display(case: &Case<'_>) -> bool {
    let bound = case.display().is_some_and(PciDevice::on_vfio);
    let others = case.other_cards().any(|gpu| gpu.role != Role::Assigned);
    case.gpu().is_some() && !bound && !others && case.host.gpus.management.is_empty()
}

/// `only-gpu`: This is the only display device of the machine.
pub fn only_gpu(case: &Case<'_>) -> Vec<Found> {
    let (true, Some(display)) = (is_last_display(case), case.display()) else {
        return Vec::new();
    };
    vec![Found::blocker(
        format!("{} is the only display device that the host has. With it given away, the host shows nothing any more.", case.host.describe(display)),
        driver(display),
    )
    .manual("Add a second card or switch the integrated graphics on. On a host that is used over the network only, lift this with --allow only-gpu.")
    .liftable()]
}

/// `headless-host`: The host will have no display left.
pub fn headless_host(case: &Case<'_>) -> Vec<Found> {
    let (true, Some(display)) = (is_last_display(case), case.display()) else {
        return Vec::new();
    };
    vec![Found::warning("After the change the host has no screen: be sure to reach it over the network before you reboot.", driver(display))
        .manual("Test a login over SSH from another machine first.")]
}

/// `gpu-drives-display`: The host's picture comes from the chosen card.
pub fn gpu_drives_display(case: &Case<'_>) -> Vec<Found> {
    let (Some(gpu), Some(display)) = (case.gpu(), case.display()) else {
        return Vec::new();
    };
    let other_shows = case.other_cards().any(|other| other.connected().next().is_some());
    let alone = gpu.connected().next().is_some() && !other_shows;
    let console = gpu.boot_framebuffer.is_some() || !gpu.framebuffers.is_empty();
    // The only card with a driver is the host's display, whatever its driver tells of monitors.
    let lights = |other: &Gpu| {
        let driver = case.host.device(other.address).is_some_and(|d| d.driver.is_some());
        other.role != Role::Assigned && (driver || other.shows_picture())
    };
    let sole = display.driver.is_some()
        && case.host.gpus.management.is_empty()
        && !case.other_cards().any(lights);
    if is_last_display(case) || display.on_vfio() || !(alone || console || sole) {
        return Vec::new();
    }
    let connected: Vec<&str> = gpu.connected().collect();
    let evidence = match (connected.is_empty(), &gpu.boot_framebuffer) {
        (false, _) => Evidence::new(
            format!("sys/class/drm/{}-*", gpu.drm_cards.join(",")),
            format!("connected: {}", connected.join(", ")),
        ),
        (true, Some(name)) => Evidence::new(format!("sys/bus/platform/devices/{name}"), "in use"),
        (true, None) if gpu.framebuffers.is_empty() => driver(display),
        (true, None) => Evidence::new(
            format!("sys/class/graphics/{}", gpu.framebuffers.join(",")),
            "console on it",
        ),
    };
    let keeper = case.host_cards().next().and_then(|gpu| case.host.device(gpu.address));
    vec![match keeper {
        Some(keeper) => Found::warning(
            format!("The chosen card shows a picture of the host now. {} has a driver and can take over.", case.host.describe(keeper)),
            evidence,
        )
        .manual("Plug the host's monitor into the other card, and make that the primary display in the firmware setup."),
        None => Found::blocker("The chosen card shows the host's picture, and no other card has a driver that could take over.", evidence)
            .manual("Give another card a driver first, or lift this with --allow gpu-drives-display if the host is used without a screen.")
            .liftable(),
    }]
}

/// `gpu-boot-display`: The firmware shows its picture on the guest's card.
pub fn gpu_boot_display(case: &Case<'_>) -> Vec<Found> {
    let (Some(gpu), Some(display)) = (case.gpu(), case.display()) else {
        return Vec::new();
    };
    if !gpu.boot_display {
        return Vec::new();
    }
    let found = Found::warning(
        "The firmware starts with its picture on this card, so its ROM was run at boot and everything before the host's driver shows there.",
        Evidence::new(format!("{}/boot_vga", display.path()), "1"),
    );
    vec![if case.other_cards().next().is_some() {
        found.manual("Choose the other card as primary display in the firmware setup.")
    } else {
        found
    }]
}

/// `framebuffer-on-gpu`: The boot framebuffer or the console sits on the guest's card.
pub fn framebuffer_on_gpu(case: &Case<'_>) -> Vec<Found> {
    let Some(gpu) = case.gpu() else {
        return Vec::new();
    };
    let evidence = match (&gpu.boot_framebuffer, gpu.framebuffers.first()) {
        (Some(name), _) => {
            Evidence::new(format!("sys/bus/platform/devices/{name}"), "in use on this card")
        }
        (None, Some(name)) => Evidence::new(format!("sys/class/graphics/{name}"), "on this card"),
        (None, None) => return Vec::new(),
    };
    let found = Found::warning(
        "The console draws on this card. vfio-pci takes a VGA card from the firmware's frame buffer by itself on kernels from 6.0 on; older ones need the primary display moved.",
        evidence,
    );
    vec![if case.other_cards().next().is_some() {
        found.manual("Move the primary display to the other card in the firmware setup.")
    } else {
        found
    }]
}

/// `host-gpu-no-monitor`: No monitor is connected to the host's card.
pub fn host_gpu_no_monitor(case: &Case<'_>) -> Vec<Found> {
    let hosts: Vec<&Gpu> = case.host_cards().collect();
    let mut connectors = hosts.iter().flat_map(|gpu| &gpu.connectors).peekable();
    let none = connectors.peek().is_some() && connectors.all(|c| c.connected == Some(false));
    if case.gpu().is_none() || !none {
        return Vec::new();
    }
    let nodes: Vec<&str> =
        hosts.iter().flat_map(|gpu| gpu.drm_cards.iter().map(String::as_str)).collect();
    let detail = format!(
        "No monitor is connected to what stays with the host: {}.",
        list(case, &hosts).join("; ")
    );
    vec![
        Found::warning(
            detail,
            Evidence::new(
                format!("sys/class/drm/{}-*/status", nodes.join(",")),
                "none is `connected`",
            ),
        )
        .manual("Plug a monitor into it before the reboot."),
    ]
}

/// `gpu-no-outputs`: The card has no display outputs.
pub fn gpu_no_outputs(case: &Case<'_>) -> Vec<Found> {
    let (Some(gpu), Some(display)) = (case.gpu(), case.display()) else {
        return Vec::new();
    };
    let class = format!("{}/class", display.path());
    if display.class.code() == 0x0302 {
        return vec![Found::warning("The card is a 3D controller: it has no outputs of its own. On a laptop the picture goes through the integrated graphics; on a server that is normal.", Evidence::new(class, "0x030200"))
            .manual("In the guest use a virtual display with remote desktop or Looking Glass.")];
    }
    if gpu.drm_cards.is_empty() || !gpu.connectors.is_empty() {
        return Vec::new();
    }
    vec![
        Found::warning(
            "The card's driver shows no connectors.",
            Evidence::new(format!("sys/class/drm/{}", gpu.drm_cards.join(",")), "no connectors"),
        )
        .manual("In the guest use a virtual display with remote desktop or Looking Glass."),
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

/// `bmc-boot-display`: The boot display is the server's management chip.
pub fn bmc_boot_display(case: &Case<'_>) -> Vec<Found> {
    let management =
        case.host.gpus.management.iter().filter_map(|address| case.host.device(*address));
    let boot = management.filter(|device| device.boot_vga.present() == Some(&true));
    let found = boot.map(|device| {
        Found::note("The firmware shows its picture on the server's management chip, which stays with the host. That is what one wants.", Evidence::new(format!("{}/boot_vga", device.path()), "1"))
    });
    found.collect()
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
