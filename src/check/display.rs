//! Who shows the host's picture now, and who could after the change.

use super::case::Case;
use super::finding::{Evidence, Found};
use super::gpu::{driver, list};
use crate::host::gpu::{Gpu, Role};
use crate::host::pci::PciDevice;

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
