//! Which kernel parameters this host needs, and which have to go.

use serde::{Deserialize, Serialize};

use super::binding::{Binding, Method};
use crate::check::{Case, IdsIn};
use crate::config::cmdline::Parameter;
use crate::host::cpu::CpuVendor;
use crate::host::kernel::ModuleState;
use crate::host::selected::{BIND, IDS};

/// Words that change on the kernel command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct ParameterChange {
    /// Added at the end, in this order.
    pub add: Vec<String>,
    /// Taken out wherever they are configured.
    pub remove: Vec<String>,
}

impl ParameterChange {
    /// What takes this change back.
    pub fn reversed(&self) -> Self {
        Self { add: self.remove.clone(), remove: self.add.clone() }
    }

    /// Nothing changes.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    /// Compares what is wanted with what the boot loader's files have.
    pub fn of(case: &Case<'_>, binding: &Binding) -> Self {
        let mut change = Self::default();
        for word in wanted(case, binding) {
            let key = Parameter::parse(&word).key.to_owned();
            let replaces = [IDS, BIND].iter().any(|own| Parameter::parse(own).is(&key));
            if replaces {
                let stale = case.configured.parameters().filter(|p| p.is(&key) && p.word != word);
                change.remove.extend(stale.map(|parameter| parameter.word.to_owned()));
            }
            if !case.configured.contains_word(&word) {
                change.add.push(word);
            }
        }
        let off = ["intel_iommu=off", "amd_iommu=off", "iommu=off"];
        change.remove.extend(
            off.iter()
                .filter(|word| case.configured.contains_word(word))
                .map(|word| (*word).to_owned()),
        );
        let other = if binding.method == Method::Address { IDS } else { BIND };
        change.remove.extend(stale_selection(case, binding, other));
        change.remove.dedup();
        change
    }
}

/// A word of the other method that selects the same card: methods are never mixed.
fn stale_selection(case: &Case<'_>, binding: &Binding, key: &str) -> Vec<String> {
    let selects = |parameter: &Parameter<'_>| {
        let value = parameter.value.unwrap_or_default();
        match key {
            BIND => binding.addresses.iter().any(|address| value.contains(&address.to_string())),
            _ => value
                .split(',')
                .all(|id| case.functions().iter().any(|f| id.starts_with(&f.id.to_string()))),
        }
    };
    let stale = case.configured.parameters().filter(|p| p.is(key) && selects(p));
    stale.map(|parameter| parameter.word.to_owned()).collect()
}

/// Every parameter that should be configured, in order.
pub fn wanted(case: &Case<'_>, binding: &Binding) -> Vec<String> {
    let mut words = Vec::new();
    if needs_intel_iommu(case) {
        words.push("intel_iommu=on".to_owned());
    }
    let passthrough = |p: Parameter<'_>| {
        matches!(p.word, "iommu=pt" | "iommu.passthrough=1" | "iommu.passthrough=on")
    };
    if !case.configured.parameters().any(passthrough) {
        words.push("iommu=pt".to_owned());
    }
    let built_in = case.host.kernel.vfio_pci.present() == Some(&ModuleState::BuiltIn);
    let in_modprobe = ids_in_modprobe(case, binding);
    if built_in || !in_modprobe {
        words.push(binding.word(case));
    }
    words
}

/// The ids stay in, or go to, modprobe.d: asked for, or there already and sufficient.
pub fn ids_in_modprobe(case: &Case<'_>, binding: &Binding) -> bool {
    if binding.method == Method::Address {
        return false;
    }
    let on_command_line = case.configured.last_value(IDS).is_some();
    let sufficient = crate::host::selected::modprobe_ids(case.host)
        .is_some_and(|list| case.functions().iter().all(|function| list.takes(function)));
    (case.desired.ids_in == IdsIn::Modprobe || sufficient) && !on_command_line
}

/// The kernel leaves the Intel IOMMU off unless it is asked; where its configuration cannot be
/// read, groups that are there without the word say that it is not needed.
fn needs_intel_iommu(case: &Case<'_>) -> bool {
    let host = case.host;
    let intel = host.cpu.present().is_some_and(|cpu| cpu.vendor == CpuVendor::Intel);
    let offered = host.firmware.iommu_table.is_present();
    let configured = case.configured.list_value("intel_iommu").contains(&"on");
    let active = case.active.list_value("intel_iommu").contains(&"on");
    let on_by_default = match host.kernel.config.present() {
        Some(config) => config.intel_iommu_default_on(),
        None => host.iommu.enabled() == Some(true) && !active,
    };
    let on_without = host.iommu.enabled() == Some(true) && !active;
    intel && offered && !configured && !on_by_default && !on_without
}
