//! The IOMMU: offered, switched on, and by whom it was switched off.

use super::case::Case;
use super::finding::{Evidence, Found};
use crate::host::cpu::CpuVendor;
use crate::host::firmware::IommuTable;
use crate::host::iommu::GROUPS;
use crate::host::pci::PciDevice;

const TABLES: &str = "sys/firmware/acpi/tables";

fn no_groups() -> Evidence {
    Evidence::new(GROUPS, "no groups")
}

/// Looked at, and not on.
fn is_off(case: &Case<'_>) -> bool {
    case.host.iommu.enabled() == Some(false)
}

/// Words on the running kernel's command line that switch this machine's IOMMU off; the
/// driver of the other maker's does not run here.
pub fn off_words(case: &Case<'_>) -> Vec<String> {
    let table = case.host.firmware.iommu_table.present();
    let off = |word: &str| match word {
        "iommu=off" => true,
        "intel_iommu=off" => table != Some(&IommuTable::Ivrs),
        "amd_iommu=off" => table != Some(&IommuTable::Dmar),
        _ => false,
    };
    case.active.parameters().map(|p| p.word.to_owned()).filter(|word| off(word)).collect()
}

/// `iommu-off-firmware`: The firmware does not offer an IOMMU.
pub fn off_firmware(case: &Case<'_>) -> Vec<Found> {
    if !is_off(case) || !case.host.firmware.iommu_table.is_absent() {
        return Vec::new();
    }
    let vendor = case.host.cpu.present().map(|cpu| cpu.vendor);
    let (table, menu) = match vendor {
        Some(CpuVendor::Amd) => {
            ("IVRS", "IOMMU (under AMD CBS, NBIO, or Advanced; `Enabled`, not `Auto`)")
        }
        Some(CpuVendor::Intel) => {
            ("DMAR", "VT-d (Intel Virtualization Technology for Directed I/O)")
        }
        _ => ("DMAR or IVRS", "the IOMMU (VT-d, AMD-Vi)"),
    };
    let asked = case.active.parameters().any(|p| p.is("intel_iommu") || p.is("amd_iommu"));
    let asked = if asked {
        " The kernel parameter for it is set already; another one would not help."
    } else {
        ""
    };
    let detail = format!(
        "The firmware describes no IOMMU: there is no ACPI table {table}, and the kernel made no groups.{asked}"
    );
    vec![Found::blocker(detail, Evidence::new(TABLES, format!("no {table}")))
        .and(no_groups())
        .manual(match case.host.hypervisor() {
            Some(_) => "Have the outer hypervisor give this machine a virtual IOMMU.".to_owned(),
            None => format!("Switch on {menu} in the firmware setup. Where there is no such item, the machine has none."),
        })]
}

/// `iommu-off-argument`: A kernel argument switches the IOMMU off.
pub fn off_argument(case: &Case<'_>) -> Vec<Found> {
    let words = off_words(case);
    if !is_off(case) || words.is_empty() || case.host.firmware.iommu_table.is_absent() {
        return Vec::new();
    }
    let places: Vec<Evidence> = words
        .iter()
        .filter_map(|word| Some((case.configured.source_of(word)?, word)))
        .map(|(source, word)| Evidence::new(source.path.clone(), word.clone()))
        .collect();
    let found = Found::blocker(
        format!("The kernel command line switches the IOMMU off: {}.", words.join(" ")),
        Evidence::new("proc/cmdline", words.join(" ")),
    );
    vec![if places.is_empty() {
        found.and(no_groups()).manual("Remove it where it is set, and reboot.")
    } else {
        found.and_all(places).planned("The plan removes it where it is configured.")
    }]
}

/// `iommu-off-kernel`: The kernel leaves the Intel IOMMU off by default.
pub fn off_kernel(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    let dmar = host.firmware.iommu_table.present() == Some(&IommuTable::Dmar);
    let asked = case.active.list_value("intel_iommu").contains(&"on");
    if !is_off(case) || !dmar || asked || !off_words(case).is_empty() {
        return Vec::new();
    }
    let evidence = match host.kernel.config.present() {
        Some(config) if config.intel_iommu_default_on() => return Vec::new(),
        Some(config) if config.value("INTEL_IOMMU") == "n" => return Vec::new(),
        Some(config) => {
            Evidence::new(config.path.clone(), "CONFIG_INTEL_IOMMU_DEFAULT_ON is not set")
        }
        None => Evidence::new(
            "proc/cmdline",
            "no intel_iommu=on; the kernel's configuration could not be read",
        ),
    };
    vec![
        Found::blocker(
            "The firmware offers the IOMMU, but this kernel leaves it off unless it is asked. \
         Groups, and so the isolation of the card, can be judged only after a reboot with it on.",
            Evidence::new(format!("{TABLES}/DMAR"), "present"),
        )
        .and(no_groups())
        .and(evidence)
        .planned("The plan adds intel_iommu=on. Look at the groups again after the reboot."),
    ]
}

/// `iommu-driver-failed`: The IOMMU is offered and wanted, but did not start.
pub fn driver_failed(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    let Some(table) = host.firmware.iommu_table.present() else {
        return Vec::new();
    };
    if !is_off(case) || !off_words(case).is_empty() {
        return Vec::new();
    }
    let config = host.kernel.config.present();
    let wanted = match table {
        IommuTable::Ivrs => true,
        IommuTable::Dmar => {
            case.active.list_value("intel_iommu").contains(&"on")
                || config.is_some_and(|config| {
                    config.intel_iommu_default_on() || config.value("INTEL_IOMMU") == "n"
                })
        }
    };
    if !wanted {
        return Vec::new();
    }
    let option = if *table == IommuTable::Dmar { "INTEL_IOMMU" } else { "AMD_IOMMU" };
    let left_out = config
        .filter(|config| config.value(option) == "n")
        .map(|config| Evidence::new(config.path.clone(), format!("CONFIG_{option} is not set")));
    let log = if *table == IommuTable::Dmar { "DMAR" } else { "AMD-Vi" };
    vec![Found::blocker("The firmware offers the IOMMU and nothing switches it off, but the kernel made no groups: its driver failed, or is not built in.", Evidence::new(table.path(), "present"))
        .and(no_groups())
        .and_all(left_out)
        .manual(format!("Read why in the kernel log: `sudo dmesg | grep -i {log}`. A firmware update often helps."))]
}

/// `amd-iommu-on`: amd_iommu=on is not a value that the kernel knows.
pub fn amd_iommu_on(case: &Case<'_>) -> Vec<Found> {
    let word = case.active.parameters().find(|p| p.is("amd_iommu") && p.value == Some("on"));
    let Some(word) = word else { return Vec::new() };
    vec![Found::note("The kernel knows no such value and goes on without it: the AMD IOMMU is on whenever the firmware offers it.", Evidence::new("proc/cmdline", word.word))
        .manual("It is harmless and can go.")]
}

/// `iommu=pt` or its long form.
pub fn is_passthrough_word(word: &str) -> bool {
    matches!(word, "iommu=pt" | "iommu.passthrough=1" | "iommu.passthrough=on")
}

/// `iommu-passthrough`: iommu=pt is set.
pub fn iommu_passthrough(case: &Case<'_>) -> Vec<Found> {
    let word =
        case.active.parameters().map(|p| p.word.to_owned()).find(|word| is_passthrough_word(word));
    let Some(word) = word else { return Vec::new() };
    vec![Found::note(
        "Host devices use the IOMMU's identity mapping, which is a choice of speed for the host. Devices given to a guest are translated either way.",
        Evidence::new("proc/cmdline", word),
    )]
}

fn override_word(case: &Case<'_>) -> Option<String> {
    case.active.parameters().find(|p| p.is("pcie_acs_override")).map(|p| p.word.to_owned())
}

/// Endpoints below different ports in one group: what the override would have split.
fn still_joined(case: &Case<'_>) -> Vec<String> {
    let functions = case.functions();
    let below = |device: &PciDevice| device.upstream.last().copied();
    let mates = case.foreign_endpoints();
    let joined = mates.iter().filter(|mate| functions.iter().all(|own| below(own) != below(mate)));
    joined.map(|mate| mate.address.to_string()).collect()
}

/// `acs-override-active`: The IOMMU groups are split by an override.
pub fn acs_override_active(case: &Case<'_>) -> Vec<Found> {
    let Some(word) = override_word(case) else {
        return Vec::new();
    };
    if !still_joined(case).is_empty() || case.host.iommu.enabled() != Some(true) {
        return Vec::new();
    }
    vec![Found::warning("A patched kernel splits the groups on request. The hardware does not promise the isolation that they now show: devices may reach each other's memory past the IOMMU.", Evidence::new("proc/cmdline", word))
        .manual("Prefer a slot whose group is clean without the override; keep it only if you accept that a guest could reach devices beside the card.")]
}

/// `acs-override-ineffective`: The ACS override is asked for, but the kernel ignores it.
pub fn acs_override_ineffective(case: &Case<'_>) -> Vec<Found> {
    let Some(word) = override_word(case) else {
        return Vec::new();
    };
    let joined = still_joined(case);
    if joined.is_empty() {
        return Vec::new();
    }
    vec![Found::warning("The override is asked for, but devices below other ports are still in the card's group. The mainline kernel does not know this parameter and ignores it.", Evidence::new("proc/cmdline", word))
        .and(Evidence::new(GROUPS, format!("still together: {}", joined.join(", "))))
        .manual("Use another slot, or a kernel that carries the patch, knowing what it gives up.")]
}

/// `igpu-not-translated`: The integrated graphics is not behind the IOMMU.
pub fn igpu_not_translated(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    if host.iommu.enabled() != Some(true) {
        return Vec::new();
    }
    let integrated = host.gpus.cards.iter().filter(|gpu| gpu.integrated);
    let without =
        integrated.filter_map(|gpu| host.device(gpu.address)).filter(|d| d.iommu_group.is_none());
    let found = without.map(|device| {
        let detail = format!("{} is not behind the IOMMU.", host.describe(device));
        let evidence = Evidence::new(format!("{}/iommu_group", device.path()), "not there");
        if case.is_own(device) {
            Found::blocker(format!("{detail} It cannot go to a guest like this."), evidence)
                .manual("Add intel_iommu=on and remove igfx_off to have it translated.")
        } else {
            Found::note(format!("{detail} That is fine while it stays with the host."), evidence)
        }
    });
    found.collect()
}

/// A function of a discrete card without a group, although there are groups: VFIO has nothing
/// to open for it (drivers/vfio/group.c vfio_group_find_or_alloc).
pub fn gpu_not_translated(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    if host.iommu.enabled() != Some(true) || case.gpu().is_none_or(|gpu| gpu.integrated) {
        return Vec::new();
    }
    let without = case.functions().into_iter().filter(|function| function.iommu_group.is_none());
    let path = |function: &PciDevice| format!("{}/iommu_group", function.path());
    let looked = without.filter(|function| {
        let path = path(function);
        !host.unreadable.iter().any(|(other, _)| *other == path.trim_start_matches('/'))
    });
    let found = looked.map(|function| {
        Found::blocker(
            format!("{} is not behind the IOMMU. It cannot go to a guest like this.", host.describe(function)),
            Evidence::new(path(function), "not there"),
        )
        .manual("Use another slot, and look in the firmware setup for settings of the IOMMU (VT-d, AMD-Vi) that leave devices out.")
    });
    found.collect()
}
