//! What is bound to vfio-pci now, what selects it, and what that would take besides.

use super::case::Case;
use super::finding::{Evidence, Found};
use crate::host::gpu::Role;
use crate::host::pci::PciDevice;
use crate::host::selected::{self, BIND, IdList};
use crate::host::uses::Use;

fn driver_of(device: &PciDevice) -> String {
    device.driver.clone().unwrap_or_else(|| "no driver".to_owned())
}

fn driver(device: &PciDevice) -> Evidence {
    Evidence::new(format!("{}/driver", device.path()), driver_of(device))
}

fn at(list: &IdList) -> Evidence {
    let line = list.line.map_or_else(String::new, |line| format!("line {line}: "));
    Evidence::new(list.path.clone(), format!("{line}ids={}", list.text))
}

/// Functions outside the card that carry an id of it.
pub fn sharing<'a>(case: &Case<'a>) -> Vec<(&'a PciDevice, &'a PciDevice)> {
    let mut pairs = Vec::new();
    for own in case.functions() {
        let others =
            case.host.devices().iter().filter(|other| other.id == own.id && !case.is_own(other));
        pairs.extend(others.map(|other| (own, other)));
    }
    pairs
}

/// `id-shared`: An id of the card also stands on another device.
pub fn id_shared(case: &Case<'_>) -> Vec<Found> {
    let pairs = sharing(case);
    let Some((own, first)) = pairs.first() else {
        return Vec::new();
    };
    let names: Vec<String> = pairs
        .iter()
        .map(|(own, other)| format!("{} ({})", case.host.describe(other), own.id))
        .collect();
    let evidence =
        |other: &PciDevice| Evidence::new(format!("{}/uevent", other.path()), other.id.to_string());
    let all_on_vfio = pairs.iter().all(|(_, other)| other.on_vfio());
    let detail = if all_on_vfio {
        format!("Ids of the card also stand on {}, which vfio-pci holds as well.", names.join("; "))
    } else {
        format!("Binding by id would take these too: {}.", names.join("; "))
    };
    let found = if all_on_vfio {
        Found::note(detail, evidence(own))
    } else {
        Found::warning(detail, evidence(own))
    };
    let found =
        found.and(evidence(first)).and_all(pairs.iter().skip(1).map(|(_, other)| evidence(other)));
    vec![if all_on_vfio {
        found
    } else {
        found.planned("The plan selects the card by subsystem ids or by address instead.")
    }]
}

/// A function of a card that the host uses has been taken by vfio-pci.
pub fn foreign_device_on_vfio(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    let torn = host.gpus.cards.iter().filter(|gpu| {
        gpu.role != Role::Assigned && host.device(gpu.address).is_some_and(|d| d.driver.is_some())
    });
    let taken = torn.flat_map(|gpu| host.functions(gpu)).filter(|function| function.on_vfio());
    let ids = selected::active_ids(host, &case.active);
    let found = taken.filter(|function| !case.is_own(function)).map(|function| {
        let place = ids.as_ref().filter(|list| list.takes(function));
        let found = Found::blocker(
            format!("{} belongs to a card of the host, but vfio-pci holds it.", host.describe(function)),
            driver(function),
        );
        match place {
            Some(list) => found.and(at(list)).manual(format!(
                "Take {} out of `ids={}` in /{}, and reboot. The plan can then select the guest's card by address.",
                function.id, list.text, list.path
            )),
            None => found.manual("Find out what bound it, and give it back to its driver."),
        }
    });
    found.collect()
}

/// Ids match something that the host uses: no part of a graphics card, or a part of the one
/// that shows its picture.
pub fn ids_name_host_device(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    let active = selected::active_ids(host, &case.active);
    let lists = [
        (selected::configured_ids(host, &case.configured), NextBoot::Gets),
        (active.clone(), NextBoot::MayNot),
    ];
    let card_of =
        |d: &PciDevice| host.gpus.cards.iter().find(|gpu| gpu.functions.contains(&d.address));
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for (list, next_boot) in lists {
        let Some(list) = list.filter(|list| !is_replaced(case, list)) else { continue };
        for device in host.devices() {
            let card = card_of(device);
            let used = !device.on_vfio()
                && device.driver.is_some()
                && !case.is_own(device)
                && card.is_none_or(|gpu| gpu.role == Role::Host);
            if !used || !list.takes(device) || seen.contains(&device.address) {
                continue;
            }
            seen.push(device.address);
            let detail = format!(
                "The ids given to vfio-pci name {}, which the host uses. Where vfio-pci loads early enough, the host loses it.",
                host.describe(device)
            );
            // Without an IOMMU vfio-pci binds nothing. Where there is one, the plan has
            // vfio-pci load first, so that what was a slip without consequences takes the device.
            let no_iommu =
                host.firmware.iommu_table.is_absent() && host.iommu.enabled() == Some(false);
            let vital = card.is_some() || is_vital(case, device, &list);
            let blocks = vital && next_boot == NextBoot::Gets && case.gpu().is_some() && !no_iommu;
            let one = if blocks {
                Found::blocker(detail, at(&list))
            } else {
                Found::warning(detail, at(&list))
            };
            let also = active.as_ref().filter(|also| also.path != list.path && also.takes(device));
            let one = one.and_all(also.map(at)).and(driver(device));
            found.push(one.manual(format!(
                "Take {} out of `ids={}` in /{} unless it is meant for a guest.",
                device.id, list.text, list.path
            )));
        }
    }
    found
}

/// What the host cannot do without: a mounted disk, its only live network, its last USB
/// controller with a driver.
fn is_vital(case: &Case<'_>, device: &PciDevice, list: &IdList) -> bool {
    let host = case.host;
    let stays = |other: &PciDevice| {
        !list.takes(other) && !case.is_own(other) && !other.on_vfio() && other.driver.is_some()
    };
    let is_up = |one: &Use| matches!(one, Use::Network { up: true, .. });
    let stays_up = || {
        host.uses.all().any(|(address, one)| is_up(one) && host.device(address).is_some_and(stays))
    };
    let usb = |one: &PciDevice| one.class.code() == 0x0c03;
    let lost = |one: &Use| match one {
        Use::Disk { mounted, .. } => !mounted.is_empty(),
        Use::Network { up, .. } => *up && !stays_up(),
        Use::Keyboard => false, // known only with its controller, which counts below
    };
    host.uses.of(device.address).iter().any(lost)
        || (usb(device) && !host.devices().iter().any(|other| usb(other) && stays(other)))
}

/// Whether a list is what the next boot will give vfio-pci.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NextBoot {
    Gets,
    MayNot,
}

/// A list of the card's own ids on the command line: the plan puts its own selection there
/// instead. Lists in modprobe.d belong to the user and stay.
fn is_replaced(case: &Case<'_>, list: &IdList) -> bool {
    let functions = case.functions();
    let own = |id: &str| functions.iter().any(|function| id.starts_with(&function.id.to_string()));
    list.line.is_none()
        && list.text.to_lowercase().split(',').all(own)
        && !functions.iter().all(|function| function.on_vfio())
}

/// Selected for vfio-pci at this boot.
fn is_selected(case: &Case<'_>, device: &PciDevice) -> Option<Evidence> {
    let word = case.active.last(BIND);
    if let Some(word) = word
        && selected::bound_addresses(word.value.unwrap_or_default()).contains(&device.address)
    {
        return Some(Evidence::new("proc/cmdline", word.word));
    }
    let list = selected::active_ids(case.host, &case.active)?;
    list.takes(device).then(|| at(&list))
}

/// `function-wrong-driver`: A function is set to go to vfio-pci, but another driver has it.
pub fn function_wrong_driver(case: &Case<'_>) -> Vec<Found> {
    let wrong = case.functions().into_iter().filter(|function| !function.on_vfio());
    let found = wrong.filter_map(|function| {
        let place = is_selected(case, function)?;
        let detail = format!(
            "{} is selected for vfio-pci, but has {}.",
            case.host.describe(function),
            driver_of(function)
        );
        Some(
            Found::warning(detail, driver(function))
                .and(place)
                .planned("The plan makes vfio-pci come before the drivers that claim the card."),
        )
    });
    found.collect()
}

/// `card-partly-bound`: Only some functions of the card are on vfio-pci.
pub fn card_partly_bound(case: &Case<'_>) -> Vec<Found> {
    let functions = case.functions();
    let (bound, others): (Vec<&PciDevice>, Vec<&PciDevice>) =
        functions.iter().copied().partition(|function| function.on_vfio());
    if bound.is_empty() || others.is_empty() {
        return Vec::new();
    }
    let Some(first) = others.first() else {
        return Vec::new();
    };
    let names: Vec<String> = others.iter().map(|f| f.address.to_string()).collect();
    vec![
        Found::warning(
            format!("Only a part of the card is on vfio-pci; {} is not.", names.join(", ")),
            driver(first),
        )
        .and_all(others.iter().skip(1).map(|f| driver(f)))
        .and_all(bound.iter().map(|f| driver(f)))
        .planned("The plan binds all functions of the card."),
    ]
}

/// `claimant-built-in`: A driver that claims the card is built into the kernel.
pub fn claimant_built_in(case: &Case<'_>) -> Vec<Found> {
    let claimants = &case.host.kernel.claimants;
    // Where vfio-pci has the function, it won in spite of that.
    let open = case.functions().into_iter().filter(|function| !function.on_vfio());
    let found = open.filter_map(|function| {
        let built_in = claimants.get(&function.address)?.iter().find(|claimant| claimant.built_in)?;
        let dir = case.host.kernel.modules_dir.present()?;
        Some(Found::warning(
            format!("The driver {} for {} is part of the kernel image and cannot be told to wait for vfio-pci.", built_in.module, function.address),
            Evidence::new(format!("{dir}/modules.builtin"), built_in.module.clone()),
        )
        .manual("After the reboot check which driver holds it; libvirt can move it to vfio-pci when the guest starts (managed='yes')."))
    });
    found.collect()
}

/// `driver-override-left`: A driver_override is set on a device.
pub fn driver_override_left(case: &Case<'_>) -> Vec<Found> {
    let ours = case
        .active
        .last(BIND)
        .and_then(|word| word.value)
        .map(selected::bound_addresses)
        .unwrap_or_default();
    let left = case
        .host
        .devices()
        .iter()
        .filter_map(|device| Some((device, device.driver_override.as_ref()?)));
    // libvirt writes it for the time that a guest has the device: then that driver holds it.
    let left = left.filter(|(device, name)| device.driver.as_ref() != Some(name));
    let found = left.filter(|(device, _)| !ours.contains(&device.address)).map(|(device, name)| {
        Found::warning(
            format!("{} may only be bound by the driver `{name}`, although nothing on the kernel command line asks for that.", case.host.describe(device)),
            Evidence::new(format!("{}/driver_override", device.path()), name.clone()),
        )
        .manual("It goes away with the next reboot, unless something writes it again.")
    });
    found.collect()
}

/// `vm-autostart-host-gpu`: A VM that starts with the host would take a device of the host.
pub fn vm_autostart_host_gpu(case: &Case<'_>) -> Vec<Found> {
    let host_card = |address| {
        case.host
            .gpus
            .cards
            .iter()
            .any(|gpu| gpu.role == Role::Host && gpu.functions.contains(&address))
    };
    let domains = case.host.autostart.present().map_or(&[][..], Vec::as_slice);
    let found = domains.iter().filter_map(|domain| {
        let taken = domain.hostdevs.iter().find(|address| host_card(**address))?;
        Some(Found::warning(
            format!("The virtual machine `{}` starts with the host and takes {taken}, which belongs to the host's display.", domain.name),
            Evidence::new(domain.path.clone(), taken.to_string()),
        )
        .manual(format!("Switch autostart off until the set-up is proven: `virsh autostart --disable {}`.", domain.name)))
    });
    found.collect()
}

/// `card-on-host-driver`: The card is not on vfio-pci yet.
pub fn card_on_host_driver(case: &Case<'_>) -> Vec<Found> {
    let free: Vec<&PciDevice> =
        case.functions().into_iter().filter(|function| !function.on_vfio()).collect();
    let Some(first) = free.first() else { return Vec::new() };
    let names: Vec<String> =
        free.iter().map(|f| format!("{} ({})", f.address, driver_of(f))).collect();
    let detail =
        format!("vfio-pci has to take {} at boot, before other drivers do.", names.join(", "));
    vec![
        Found::note(detail, driver(first))
            .and_all(free.iter().skip(1).map(|f| driver(f)))
            .planned("The plan selects the card at boot."),
    ]
}

/// `already-configured`: Passthrough is already set up for this card.
pub fn already_configured(case: &Case<'_>) -> Vec<Found> {
    let functions = case.functions();
    let Some(first) = functions.first().filter(|_| functions.iter().all(|f| f.on_vfio())) else {
        return Vec::new();
    };
    let place = is_selected(case, first);
    let detail = match &place {
        Some(_) => "All functions of the card are on vfio-pci, and the configuration selects them.",
        None => {
            "All functions of the card are on vfio-pci, but no configuration was found that selects them at boot."
        }
    };
    vec![
        Found::note(detail, driver(first))
            .and_all(functions.iter().skip(1).map(|f| driver(f)))
            .and_all(place),
    ]
}
