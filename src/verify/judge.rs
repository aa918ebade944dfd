//! Whether one expectation holds: three outcomes, each with what was read.

use super::Verdict;
use super::scene::Scene;
use crate::check::Evidence;
use crate::config::cmdline::{Cmdline, Parameter};
use crate::host::Observed;
use crate::host::booted::VFIO_NODES;
use crate::host::iommu::GROUPS;
use crate::host::pci::{DEVICES, PciAddress, PciDevice};
use crate::plan::{Expectation, ids_of};

/// What looking gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It holds.
    Met(Vec<Evidence>),
    /// It does not.
    Unmet(Vec<Evidence>),
    /// This path could not be read, for this reason.
    Unknown(String, String),
}

impl Judgement {
    fn of(met: bool, path: impl Into<String>, found: impl Into<String>) -> Self {
        let evidence = vec![Evidence::new(path, found)];
        if met { Self::Met(evidence) } else { Self::Unmet(evidence) }
    }

    /// Its word.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Met(_) => Verdict::Met,
            Self::Unmet(_) => Verdict::Unmet,
            Self::Unknown(..) => Verdict::Unknown,
        }
    }
}

/// Looks.
pub fn judge(scene: &Scene<'_>, expectation: &Expectation) -> Judgement {
    match expectation {
        Expectation::Parameter(word) => parameter(scene, word),
        Expectation::NoParameter(word) => no_parameter(scene, word),
        Expectation::IommuOn => iommu_on(scene),
        Expectation::Identity(address, ids) => identity(scene, *address, ids),
        Expectation::OnVfio(address) => on_vfio(scene, *address),
        Expectation::NotOnVfio(address) => not_on_vfio(scene, *address),
        Expectation::Keeps(address, driver) => keeps(scene, *address, driver),
        Expectation::VfioGroup(group) => vfio_group(scene, *group),
        Expectation::NothingElseTaken => nothing_else(scene),
    }
}

const CMDLINE: &str = "proc/cmdline";

fn command_line<'a>(scene: &'a Scene<'_>) -> Result<&'a Cmdline, Judgement> {
    match &scene.host.kernel.command_line {
        Observed::Present(_) => Ok(&scene.case.active),
        Observed::Absent => Err(Judgement::Unknown(CMDLINE.into(), "it is not there".into())),
        Observed::Unreadable(reason) => Err(Judgement::Unknown(CMDLINE.into(), reason.clone())),
    }
}

fn parameter(scene: &Scene<'_>, word: &str) -> Judgement {
    let active = match command_line(scene) {
        Ok(active) => active,
        Err(unknown) => return unknown,
    };
    Judgement::of(is_in_effect(active, word), CMDLINE, found_of(active, word))
}

fn no_parameter(scene: &Scene<'_>, word: &str) -> Judgement {
    let active = match command_line(scene) {
        Ok(active) => active,
        Err(unknown) => return unknown,
    };
    let there = active.parameters().any(|p| says(&p, &Parameter::parse(word)));
    Judgement::of(!there, CMDLINE, found_of(active, word))
}

/// Words of the same name, or that there is none.
fn found_of(active: &Cmdline, word: &str) -> String {
    let key = Parameter::parse(word).key;
    let same: Vec<&str> =
        active.parameters().filter(|p| p.is(key)).map(|parameter| parameter.word).collect();
    if same.is_empty() { format!("no {key}") } else { same.join(" ") }
}

/// Values of these are lists, each part of which counts (drivers/iommu/intel/iommu.c
/// `intel_iommu_setup`, drivers/iommu/amd/init.c `parse_amd_iommu_options`).
const LISTS: [&str; 2] = ["intel_iommu", "amd_iommu"];

/// Of a module's parameter the last value counts (kernel/params.c); so does the last
/// `passthru.bind=`.
pub fn is_in_effect(active: &Cmdline, word: &str) -> bool {
    let wanted = Parameter::parse(word);
    if wanted.key.contains('.') {
        return active.last(wanted.key).is_some_and(|last| says(&last, &wanted));
    }
    active.parameters().any(|parameter| says(&parameter, &wanted))
}

fn says(parameter: &Parameter<'_>, wanted: &Parameter<'_>) -> bool {
    if !parameter.is(wanted.key) {
        return false;
    }
    let parts = |value: &str, part: &str| value.split(',').any(|one| one == part);
    match (parameter.value, wanted.value) {
        (Some(value), Some(part)) if LISTS.iter().any(|list| wanted.is(list)) => {
            value == part || parts(value, part)
        }
        (value, wanted) => value == wanted,
    }
}

fn iommu_on(scene: &Scene<'_>) -> Judgement {
    // Without /sys there are no groups to be seen, which says nothing.
    if let Some(unknown) = no_sysfs(scene) {
        return unknown;
    }
    match (&scene.host.iommu.groups, scene.host.iommu.enabled()) {
        (Observed::Present(groups), Some(true)) => {
            Judgement::of(true, GROUPS, format!("{} groups", groups.len()))
        }
        (_, Some(_)) => Judgement::of(false, GROUPS, "no groups"),
        (Observed::Unreadable(reason), None) => Judgement::Unknown(GROUPS.into(), reason.clone()),
        (_, None) => Judgement::Unknown(GROUPS.into(), "it was not looked at".into()),
    }
}

fn no_sysfs(scene: &Scene<'_>) -> Option<Judgement> {
    let reason = match &scene.host.devices {
        Observed::Present(_) => return None,
        Observed::Absent => "it is not there",
        Observed::Unreadable(reason) => reason,
    };
    Some(Judgement::Unknown(DEVICES.to_owned(), reason.to_owned()))
}

fn path_of(address: PciAddress) -> String {
    format!("/{DEVICES}/{address}")
}

fn identity(scene: &Scene<'_>, address: PciAddress, ids: &str) -> Judgement {
    let device = match scene.device(address) {
        Observed::Present(device) => device,
        Observed::Absent => return Judgement::of(false, path_of(address), "not there"),
        Observed::Unreadable(reason) => return Judgement::Unknown(path_of(address), reason),
    };
    let halves = ["/uevent", "/subsystem_vendor", "/subsystem_device"];
    let unread = || halves.iter().find_map(|half| Some((half, scene.unread(address, half)?)));
    if device.subsystem.is_none()
        && let Some((half, reason)) = unread()
    {
        return Judgement::Unknown(format!("{}{half}", path_of(address)), reason);
    }
    let found = ids_of(device);
    Judgement::of(found == ids, format!("{}/uevent", path_of(address)), found)
}

/// A function as it is, with its driver.
enum Held<'a> {
    /// There, with this driver or none.
    By(&'a PciDevice, Option<&'a str>),
    Gone,
    Unknown(Judgement),
}

fn held<'a>(scene: &Scene<'a>, address: PciAddress) -> Held<'a> {
    let device = match scene.device(address) {
        Observed::Present(device) => device,
        Observed::Absent => return Held::Gone,
        Observed::Unreadable(reason) => {
            return Held::Unknown(Judgement::Unknown(path_of(address), reason));
        }
    };
    match scene.driver(device) {
        Observed::Present(driver) => Held::By(device, Some(driver)),
        Observed::Absent => Held::By(device, None),
        Observed::Unreadable(reason) => {
            Held::Unknown(Judgement::Unknown(format!("{}/driver", path_of(address)), reason))
        }
    }
}

fn driver_word(driver: Option<&str>) -> &str {
    driver.unwrap_or("no driver")
}

/// vfio-pci on another device at the address is no success.
fn on_vfio(scene: &Scene<'_>, address: PciAddress) -> Judgement {
    let path = format!("{}/driver", path_of(address));
    match held(scene, address) {
        Held::Unknown(unknown) => unknown,
        Held::Gone => Judgement::of(false, path_of(address), "not there"),
        Held::By(device, driver) => {
            let met = device.on_vfio() && scene.displaced(address).is_none();
            Judgement::of(met, path, driver_word(driver))
        }
    }
}

fn not_on_vfio(scene: &Scene<'_>, address: PciAddress) -> Judgement {
    match held(scene, address) {
        Held::Unknown(unknown) => unknown,
        Held::Gone => Judgement::of(true, path_of(address), "not there"),
        Held::By(device, driver) => {
            let path = format!("{}/driver", path_of(address));
            Judgement::of(!device.on_vfio(), path, driver_word(driver))
        }
    }
}

fn keeps(scene: &Scene<'_>, address: PciAddress, wanted: &str) -> Judgement {
    match held(scene, address) {
        Held::Unknown(unknown) => unknown,
        Held::Gone => Judgement::of(false, path_of(address), "not there"),
        Held::By(_, driver) => {
            let path = format!("{}/driver", path_of(address));
            Judgement::of(driver == Some(wanted), path, driver_word(driver))
        }
    }
}

/// The node must be there, and be that of the card's functions: numbers are given anew at every
/// boot, in the order in which devices are found.
fn vfio_group(scene: &Scene<'_>, group: u32) -> Judgement {
    let path = format!("/{VFIO_NODES}/{group}");
    let nodes = match &scene.facts.vfio_nodes {
        Observed::Present(nodes) => nodes.as_slice(),
        Observed::Absent => &[],
        Observed::Unreadable(reason) => {
            return Judgement::Unknown(VFIO_NODES.to_owned(), reason.clone());
        }
    };
    if !nodes.contains(&group.to_string()) {
        return Judgement::of(false, path, "not there");
    }
    let mut own = scene.to_bind().filter_map(|address| scene.host.device(address)).peekable();
    if own.peek().is_some() && own.all(|function| function.iommu_group != Some(group)) {
        return Judgement::of(false, path, "the node of another group than the card's");
    }
    Judgement::of(true, path, "there")
}

fn nothing_else(scene: &Scene<'_>) -> Judgement {
    if let Some(unknown) = no_sysfs(scene) {
        return unknown;
    }
    let taken = foreign(scene);
    if !taken.is_empty() {
        let evidence = |device: &&PciDevice| {
            Evidence::new(
                format!("{}/driver", device.path()),
                driver_word(device.driver.as_deref()),
            )
        };
        return Judgement::Unmet(taken.iter().map(evidence).collect());
    }
    match scene.hidden_function() {
        Some((path, reason)) => Judgement::Unknown(path, reason),
        None => Judgement::of(true, "sys/bus/pci/drivers/vfio-pci", "nothing else"),
    }
}

/// What a VFIO driver holds without having been meant to: not selected by this transaction, and
/// not held before it.
pub fn foreign<'a>(scene: &Scene<'a>) -> Vec<&'a PciDevice> {
    let bound = scene.host.devices().iter().filter(|device| device.on_vfio());
    bound.filter(|device| !is_meant(scene, device)).collect()
}

fn is_meant(scene: &Scene<'_>, device: &PciDevice) -> bool {
    let ids = ids_of(device);
    let expected = scene.to_bind().map(|address| (address, scene.identity(address)));
    let before = scene.then.functions.iter().filter(|function| function.was_on_vfio());
    let known = expected.chain(before.map(|one| (one.address, Some(one.ids.as_str()))));
    // At its place, or moved away from it.
    let mut here = known.filter(|(address, known)| match known {
        Some(known) if *known == ids => {
            *address == device.address || scene.displaced(*address).is_some()
        }
        Some(_) => false,
        None => *address == device.address,
    });
    here.next().is_some() || is_lent(scene, device)
}

/// libvirt and driverctl write an override for a device that they lend to a guest. Ours is
/// written by the script in the image, for what the kernel command line names.
fn is_lent(scene: &Scene<'_>, device: &PciDevice) -> bool {
    let seen = scene.facts.overrides.get(&device.address);
    let name = seen.and_then(Observed::present);
    let ours = super::cause::selected_by(scene, device).is_some();
    name.is_some_and(|name| device.driver.as_ref() == Some(name)) && !ours
}
