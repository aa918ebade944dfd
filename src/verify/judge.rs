//! Whether one expectation holds: three outcomes, each with what was read.

mod foreign;
mod group;
mod words;

pub use foreign::foreign;
pub use group::holders;
pub use words::is_in_effect;

use super::Verdict;
use super::scene::Scene;
use crate::check::Evidence;
use crate::host::Observed;
use crate::host::iommu::GROUPS;
use crate::host::pci::{DEVICES, PciAddress, PciDevice};
use crate::plan::Expectation;

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
        Expectation::Parameter(word) => words::parameter(scene, word),
        Expectation::NoParameter(word) => words::no_parameter(scene, word),
        Expectation::IommuOn => iommu_on(scene),
        Expectation::Identity(address, ids) => identity(scene, *address, ids),
        Expectation::OnVfio(address) => on_vfio(scene, *address),
        Expectation::NotOnVfio(address) => not_on_vfio(scene, *address),
        Expectation::Keeps(address, driver) => keeps(scene, *address, driver),
        Expectation::VfioGroup(group) => group::viable(scene, *group),
        Expectation::NothingElseTaken => nothing_else(scene),
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
    match scene.ids(device) {
        Ok(found) => Judgement::of(found == ids, format!("{}/uevent", path_of(address)), found),
        Err((path, reason)) => Judgement::Unknown(path, reason),
    }
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
