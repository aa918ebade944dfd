//! How a card is told apart from everything else: by id, by subsystem id, by address.

use serde::Serialize;

use crate::check::Case;
use crate::host::pci::{PciAddress, PciDevice};
use crate::host::selected::{self, BIND, IDS};

/// The ladder of methods; the first that takes nothing else is used, for all functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// `vendor:device`.
    Id,
    /// `vendor:device:subvendor:subdevice`, which vfio-pci takes too
    /// (drivers/vfio/pci/vfio_pci.c vfio_pci_fill_ids).
    SubsystemId,
    /// `driver_override` written in the initramfs, where address and ids match.
    Address,
}

impl Method {
    /// The word of the JSON contract.
    pub fn word(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::SubsystemId => "subsystem-id",
            Self::Address => "address",
        }
    }
}

/// How the chosen card is selected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Binding {
    /// Which rung of the ladder.
    pub method: Method,
    /// Ids as the method writes them.
    pub ids: Vec<String>,
    /// The functions that it is meant to take.
    pub addresses: Vec<PciAddress>,
}

impl Binding {
    /// Chooses the method for the card of a case; `None` without a card.
    pub fn choose(case: &Case<'_>) -> Option<Self> {
        let functions = case.functions();
        if functions.is_empty() {
            return None;
        }
        let addresses = functions.iter().map(|function| function.address).collect();
        let method = if is_selected_by_ids(case, &functions) {
            Method::Id
        } else {
            method(case, &functions)
        };
        let mut ids: Vec<String> = Vec::new();
        for function in functions {
            let id = id_text(function, method);
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Some(Self { method, ids, addresses })
    }

    /// The word that selects the card on the kernel command line. Ids of other devices that
    /// are selected already stay in the list.
    pub fn word(&self, case: &Case<'_>) -> String {
        match self.method {
            Method::Address => {
                let entries = case.functions().into_iter().map(|function| {
                    format!("{}@{}", id_text(function, Method::Address), function.address)
                });
                format!("{BIND}={}", entries.collect::<Vec<_>>().join(","))
            }
            Method::Id | Method::SubsystemId => {
                format!("{IDS}={}", self.merged_ids(case).join(","))
            }
        }
    }

    /// Ids that the list has already, then those of the card that are missing. A short id of
    /// the card would take other devices too where the method is the long form.
    pub fn merged_ids(&self, case: &Case<'_>) -> Vec<String> {
        let known = selected::configured_ids(case.host, &case.configured);
        let own = case.functions();
        let too_short = |id: &str| {
            self.method == Method::SubsystemId
                && own.iter().any(|function| id.eq_ignore_ascii_case(&function.id.to_string()))
        };
        let mut merged: Vec<String> = known
            .map(|list| {
                let kept = list.text.split(',').filter(|id| !id.is_empty() && !too_short(id));
                kept.map(str::to_owned).collect()
            })
            .unwrap_or_default();
        for id in &self.ids {
            if !merged.iter().any(|known| known.eq_ignore_ascii_case(id)) {
                merged.push(id.clone());
            }
        }
        merged
    }
}

/// The machine is set up already: a list of ids holds all functions, and they are on vfio-pci.
fn is_selected_by_ids(case: &Case<'_>, functions: &[&PciDevice]) -> bool {
    let list = selected::configured_ids(case.host, &case.configured);
    list.is_some_and(|list| {
        functions.iter().all(|function| function.on_vfio() && list.takes(function))
    })
}

fn method(case: &Case<'_>, functions: &[&PciDevice]) -> Method {
    let others = || case.host.devices().iter().filter(|device| !case.is_own(device));
    let shared = |same: &dyn Fn(&PciDevice, &PciDevice) -> bool| {
        functions.iter().any(|function| others().any(|other| same(function, other)))
    };
    if !shared(&|function, other| function.id == other.id) {
        Method::Id
    } else if functions.iter().all(|function| function.subsystem.is_some())
        && !shared(&|function, other| {
            function.id == other.id && function.subsystem == other.subsystem
        })
    {
        Method::SubsystemId
    } else {
        Method::Address
    }
}

fn id_text(function: &PciDevice, method: Method) -> String {
    match method {
        Method::Id => function.id.to_string(),
        Method::SubsystemId | Method::Address => function.identity(),
    }
}
