//! Host and domain against each other: what would keep the next start from working, as findings.

mod memory;
mod slot;

use super::card::source_of;
use super::domain::Domain;
use super::note::{Attached, Note};
use crate::check::{Evidence, Finding, Found};
use crate::host::resources::Resources;
use crate::host::{Host, Observed};

/// How a file that QEMU opens looks to the user that QEMU runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSeen {
    /// What it is to the guest: `disk`, `cdrom`, `option ROM`.
    pub what: String,
    /// Absolute path.
    pub path: String,
    /// Why QEMU cannot open it, if it cannot.
    pub problem: Observed<Option<String>>,
}

/// A hook script of libvirt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Absolute path.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
}

/// Both sides, as they were read.
pub struct Sides<'a> {
    /// The domain.
    pub domain: &'a Domain<'a>,
    /// What passthru noted in it.
    pub note: &'a Note,
    /// The host.
    pub host: &'a Host,
    /// Its memory and processors.
    pub resources: &'a Resources,
    /// libvirt starts the domain with the host.
    pub autostart: bool,
    /// The domain runs: its memory is taken already.
    pub running: bool,
    /// Files that it names.
    pub files: &'a [FileSeen],
    /// Its networks of libvirt, and whether they are active; nothing where there is none of that
    /// name.
    pub networks: &'a [(String, Option<bool>)],
    /// Other domains that run with a function of its cards.
    pub taken: &'a [String],
    /// libvirt's hook scripts.
    pub hooks: &'a [Hook],
}

/// One check.
pub struct Check {
    /// The code of everything that it finds.
    pub code: &'static str,
    /// What holds where it finds nothing.
    pub holds: &'static str,
    /// The look.
    pub run: fn(&Sides<'_>) -> Vec<Found>,
}

macro_rules! checks {
    ($($code:literal => $run:path, $holds:literal;)*) => {
        /// Every check, in the order in which findings of one severity are shown.
        pub const CHECKS: &[Check] = &[$(Check { code: $code, holds: $holds, run: $run }),*];
    };
}

checks! {
    "vm-unfit" => unfit, "The machine is Q35 with UEFI.";
    "vm-card-differs" => card_differs, "Every card is the one that was attached, at its address.";
    "vm-functions-missing" => functions_missing, "All functions of every card are in the machine.";
    "vm-card-slot" => slot::card_slot, "The functions of every card stand in one slot.";
    "vm-group-not-viable" => group_not_viable, "No other device of the cards' groups is on a driver of the host.";
    "vm-card-not-bound" => card_not_bound, "Every card is bound as the machine expects it.";
    "vm-card-taken" => card_taken, "No other machine runs with a card of this one.";
    "vm-file-unreadable" => file_unreadable, "QEMU can open every file.";
    "vm-memory-short" => memory::memory_short, "The host has the memory that the machine locks.";
    "vm-network-inactive" => network_inactive, "Its networks are active.";
    "vm-autostart" => autostart, "The machine does not start with the host before its card is bound at boot.";
    "vm-hook-not-executable" => hook_not_executable, "libvirt can run its hooks.";
    "vm-large-bar" => large_bar, "The cards' memory fits the window that the firmware gives by itself.";
}

/// What was found, the worst first, and what holds.
pub fn run(sides: &Sides<'_>) -> (Vec<Finding>, Vec<String>) {
    let (mut findings, mut holds) = (Vec::new(), Vec::new());
    for check in CHECKS {
        let found = (check.run)(sides);
        if found.is_empty() {
            holds.push(check.holds.to_owned());
        }
        findings.extend(found.into_iter().map(|found| found.into_finding(check.code)));
    }
    findings.sort_by_key(|finding| finding.severity);
    (findings, holds)
}

/// What decides and could not be looked at.
pub fn unknown(sides: &Sides<'_>) -> Vec<String> {
    let files = sides.files.iter().filter_map(|file| match &file.problem {
        Observed::Unreadable(reason) => Some(format!("{} {}: {reason}", file.what, file.path)),
        _ => None,
    });
    let memory = match &sides.resources.available {
        Observed::Present(_) => None,
        _ => Some("/proc/meminfo: the free memory".to_owned()),
    };
    files.chain(memory).collect()
}

fn xml(found: impl Into<String>) -> Evidence {
    Evidence::new("/domain", found)
}

fn unfit(sides: &Sides<'_>) -> Vec<Found> {
    let Err(unfit) = sides.domain.fit() else { return Vec::new() };
    let detail = format!("A GPU does not work in this machine: {unfit}.");
    let remedy = "Make a new machine with `passthru vm create`. Windows does not survive a change of machine type or firmware.";
    vec![Found::blocker(detail, xml(unfit.to_string())).manual(remedy)]
}

fn card_differs(sides: &Sides<'_>) -> Vec<Found> {
    let differing = sides.note.attached.iter().filter_map(|attached| {
        let differs = attached.card.differs_on(sides.host)?;
        let address = attached.card.display;
        let detail = format!("The card that was attached is not on this host as it was: {differs}.");
        let path = format!("/sys/bus/pci/devices/{address}");
        let remedy = "Addresses move when cards are added or removed. Take it out with `passthru vm detach`, then attach the card where it is now.";
        Some(Found::blocker(detail, Evidence::new(path, differs)).manual(remedy))
    });
    differing.collect()
}

fn functions_missing(sides: &Sides<'_>) -> Vec<Found> {
    let sources: Vec<_> = sides.domain.devices().iter().filter_map(source_of).collect();
    let lacking = sides.host.gpus.cards.iter().filter_map(|gpu| {
        let has = |address: &&_| sources.contains(*address);
        let missing: Vec<String> =
            gpu.functions.iter().filter(|a| !has(a)).map(ToString::to_string).collect();
        let partly = missing.len() < gpu.functions.len() && !missing.is_empty();
        partly.then(|| {
            let missing = missing.join(", ");
            let detail = format!("The machine has a part of the card {}, and not {missing}.", gpu.address);
            let remedy = "Drivers of companion functions look for their sibling. Take the card out, and attach it whole with `passthru vm attach`.";
            Found::blocker(detail, xml(format!("no <hostdev> for {missing}"))).manual(remedy)
        })
    });
    lacking.collect()
}

fn group_not_viable(sides: &Sides<'_>) -> Vec<Found> {
    let host = sides.host;
    let sources: Vec<_> = sides.domain.sources().collect();
    let groups: std::collections::BTreeSet<u32> =
        sources.iter().filter_map(|address| host.device(*address)?.iommu_group).collect();
    let blocking = host.devices().iter().filter(|device| {
        device.iommu_group.is_some_and(|group| groups.contains(&group))
            && !sources.contains(&device.address)
            && !device.class.is_infrastructure()
            && !device.leaves_group_viable()
    });
    let found = blocking.map(|device| {
        let driver = device.driver.as_deref().unwrap_or_default();
        let detail = format!("{} shares the card's IOMMU group and is on {driver}.", host.describe(device));
        let remedy = "Everything in the group goes to the guest or to no driver: `passthru check` says what can be done.";
        Found::blocker(detail, Evidence::new(device.path() + "/driver", driver)).manual(remedy)
    });
    found.collect()
}

/// The elements of a card, and whether the host binds it.
fn managed(sides: &Sides<'_>, attached: &Attached) -> Option<bool> {
    let mut hostdevs = sides.domain.devices().iter();
    let own = hostdevs.find(|device| source_of(device).is_some_and(|s| attached.card.has(s)))?;
    Some(own.attribute("managed") == Some("yes"))
}

fn card_not_bound(sides: &Sides<'_>) -> Vec<Found> {
    let unbound = sides.note.attached.iter().filter_map(|attached| {
        let functions = attached.card.functions.iter();
        let mut devices = functions.filter_map(|function| sides.host.device(function.address));
        let device = devices.find(|device| !device.on_vfio())?;
        let driver = device.driver.as_deref().unwrap_or("no driver");
        let evidence = Evidence::new(device.path() + "/driver", driver);
        let name = sides.host.describe(device);
        Some(match managed(sides, attached)? {
            false if sides.running => return None,
            false => Found::blocker(
                format!("{name} is on {driver}, and the machine expects the host to bind it at boot."),
                evidence,
            )
            .manual("Boot the entry that binds it, or see what `passthru verify` says about this boot."),
            true => Found::warning(
                format!("{name} is on {driver}: libvirt takes it from there when the guest starts, and not every driver survives that."),
                evidence,
            )
            .manual("`passthru apply` binds it at boot; then detach and attach it once, so that the machine knows."),
        })
    });
    unbound.collect()
}

fn card_taken(sides: &Sides<'_>) -> Vec<Found> {
    let taken = sides.taken.iter().map(|other| {
        let detail = format!("The domain {other} runs with a card of this machine.");
        Found::blocker(detail, xml(format!("{other} is running")))
            .manual(format!("Shut it down first: `virsh shutdown {other}`."))
    });
    taken.collect()
}

fn file_unreadable(sides: &Sides<'_>) -> Vec<Found> {
    let unreadable = sides.files.iter().filter_map(|file| {
        let problem = file.problem.present()?.as_ref()?;
        let detail = format!("QEMU cannot open the {} {}: {problem}.", file.what, file.path);
        let remedy = "QEMU runs as a user of its own. Files in /var/lib/libvirt/images can always be opened, option ROMs in /usr/share/vgabios also under AppArmor.";
        Some(Found::blocker(detail, Evidence::new(&file.path, problem)).manual(remedy))
    });
    unreadable.collect()
}

fn network_inactive(sides: &Sides<'_>) -> Vec<Found> {
    let inactive = sides.networks.iter().filter(|(_, active)| *active != Some(true));
    let found = inactive.map(|(name, active)| {
        let (detail, remedy) = match active {
            None => (format!("There is no libvirt network {name}."), "Define it, or give the machine another: `virsh net-list --all` names those that are there.".to_owned()),
            Some(_) => (format!("The libvirt network {name} is not active."), format!("`virsh net-start {name}` starts it now, `virsh net-autostart {name}` with the host.")),
        };
        Found::blocker(detail, xml(format!("<source network='{name}'/>"))).manual(remedy)
    });
    found.collect()
}

fn autostart(sides: &Sides<'_>) -> Vec<Found> {
    let by_libvirt = sides.note.attached.iter().any(|one| managed(sides, one) == Some(true));
    if !sides.autostart || !by_libvirt {
        return Vec::new();
    }
    let detail = "The machine starts with the host and takes a card from the host's driver then: if that hangs, it hangs at every boot.";
    vec![
        Found::warning(detail, xml("autostart, managed='yes'"))
            .manual("`virsh autostart --disable NAME`, until `passthru verify` says that the card is bound at boot."),
    ]
}

fn hook_not_executable(sides: &Sides<'_>) -> Vec<Found> {
    let broken = sides.hooks.iter().filter(|hook| hook.mode & 0o111 == 0);
    let found = broken.map(|hook| {
        let detail = format!("libvirt skips the hook {}, which is not executable.", hook.path);
        Found::warning(detail, Evidence::new(&hook.path, format!("mode {:04o}", hook.mode)))
            .manual(format!("`chmod +x {}`, if it is meant to run.", hook.path))
    });
    found.collect()
}

/// OVMF gives devices a window of 32 GiB above 4 GiB unless it knows how many address bits the
/// processor has (edk2, OvmfPkg/Library/PlatformInitLib/MemDetect.c).
fn large_bar(sides: &Sides<'_>) -> Vec<Found> {
    const WINDOW: u64 = 32 << 30;
    let knows = sides.domain.root.at(&["cpu", "maxphysaddr"]).is_some();
    let devices = sides.domain.sources().filter_map(|address| sides.host.device(address));
    let large = devices.filter(|device| {
        let largest = device.bars.iter().filter(|bar| bar.memory).map(|bar| bar.size).max();
        largest.is_some_and(|size| size >= WINDOW) && !knows
    });
    let found = large.map(|device| {
        let size = device.bars.iter().map(|bar| bar.size).max().unwrap_or(0) >> 30;
        let detail = format!("{} has {size} GiB of memory in one piece, more than the guest's firmware leaves room for.", sides.host.describe(device));
        Found::warning(detail, Evidence::new(device.path() + "/resource", format!("{size} GiB")))
            .manual("Add <maxphysaddr mode='passthrough'/> to <cpu> (libvirt 8.7 or newer): then the firmware makes the window as large as the processor allows.")
    });
    found.collect()
}

#[cfg(test)]
mod tests;
