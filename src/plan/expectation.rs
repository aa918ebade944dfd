//! What must hold after the reboot; the same facts that the plan was made from.

mod text;

use std::collections::BTreeSet;

use super::binding::Binding;
use super::kernel_parameters::{ParameterChange, wanted};
use crate::check::Case;
use crate::config::cmdline::Parameter;
use crate::host::gpu::Role;
use crate::host::pci::{PciAddress, PciDevice};
use crate::host::selected::{self, BIND, IDS};

/// One fact that must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// The kernel got this parameter.
    Parameter(String),
    /// The kernel did not get this parameter.
    NoParameter(String),
    /// There are IOMMU groups.
    IommuOn,
    /// At this address is still the same device: `vendor:device:subvendor:subdevice`.
    Identity(PciAddress, String),
    /// A function of the card is on vfio-pci.
    OnVfio(PciAddress),
    /// vfio-pci does not hold this function.
    NotOnVfio(PciAddress),
    /// A function of the host's cards keeps its driver.
    Keeps(PciAddress, String),
    /// The group can be given to a guest: /dev/vfio/N is there, and VFIO says that it is viable.
    VfioGroup(u32),
    /// vfio-pci holds nothing that belongs to a card of the host.
    NothingElseTaken,
}

/// All of them for one card; never empty, since a card has a function.
pub fn all(case: &Case<'_>, binding: &Binding) -> Vec<Expectation> {
    let functions = case.functions();
    let mut expected: Vec<Expectation> =
        wanted(case, binding).into_iter().map(Expectation::Parameter).collect();
    expected.push(Expectation::IommuOn);
    expected.extend(functions.iter().map(|function| identity(function)));
    expected.extend(binding.addresses.iter().map(|address| Expectation::OnVfio(*address)));
    let groups: BTreeSet<u32> = functions.iter().filter_map(|f| f.iommu_group).collect();
    expected.extend(groups.into_iter().map(Expectation::VfioGroup));
    expected.extend(kept(case));
    expected.push(Expectation::NothingElseTaken);
    expected
}

/// What a boot owes a machine whose configuration selects this card for vfio-pci by its ids, and
/// the file that does; `None` where none selects all of it. The parameters are those of the IOMMU
/// and of vfio-pci that are configured.
pub fn of_setup(case: &Case<'_>) -> Option<(Vec<Expectation>, String)> {
    let ids = selected::configured_ids(case.host, &case.configured)?;
    if !case.functions().iter().all(|function| ids.takes(function)) {
        return None;
    }
    let binding = Binding::choose(case)?;
    let concerns = |word: &&str| {
        let parameter = Parameter::parse(word);
        ["intel_iommu", "amd_iommu", "iommu", "iommu.passthrough", IDS]
            .iter()
            .any(|key| parameter.is(key))
    };
    // Of a module's parameter the last value counts (kernel/params.c).
    let counts = |word: &&str| {
        let key = Parameter::parse(word).key;
        let last = || case.configured.parameters().rfind(|parameter| parameter.is(key));
        !key.contains('.') || last().is_some_and(|last| last.word == *word)
    };
    let words = case.configured.words().filter(concerns).filter(counts);
    let mut expected: Vec<_> = words.map(|word| Expectation::Parameter(word.to_owned())).collect();
    let rest = all(case, &binding).into_iter();
    expected.extend(rest.filter(|one| !matches!(one, Expectation::Parameter(_))));
    Some((expected, format!("in /{}", ids.path)))
}

/// What holds again once the plan for this case is undone and the machine rebooted: the words it
/// adds are gone, and every function is where it is now. It is asked before the plan is carried
/// out, and kept with it. Never empty.
pub fn before(case: &Case<'_>) -> Vec<Expectation> {
    let mut expected = Vec::new();
    if let Some(binding) = Binding::choose(case) {
        let change = ParameterChange::of(case, &binding);
        // A word that is there though nothing configured has it may stay, or be gone by itself.
        let new = change.add.into_iter().filter(|word| !case.active.contains_word(word));
        expected.extend(new.map(Expectation::NoParameter));
        // A word that the plan takes out, and that the running kernel got, comes back.
        let back = change.remove.into_iter().filter(|word| case.active.contains_word(word));
        expected.extend(back.map(Expectation::Parameter));
    }
    let functions = case.functions();
    expected.extend(functions.iter().map(|function| identity(function)));
    for function in functions {
        let address = function.address;
        if !function.on_vfio() {
            expected.push(Expectation::NotOnVfio(address));
            let driver = function.driver.clone();
            expected.extend(driver.map(|driver| Expectation::Keeps(address, driver)));
        } else if is_selected_now(case, function) {
            expected.push(Expectation::OnVfio(address));
        }
        // Otherwise a running guest has it, and nobody can say who has it after a reboot.
    }
    expected.extend(kept(case));
    expected.push(Expectation::NothingElseTaken);
    expected
}

fn identity(function: &PciDevice) -> Expectation {
    Expectation::Identity(function.address, function.identity())
}

/// Drivers of the other cards, which stay.
fn kept(case: &Case<'_>) -> Vec<Expectation> {
    let host = case.host;
    let cards = case.other_cards().filter(|gpu| gpu.role != Role::Assigned);
    let functions =
        cards.flat_map(|gpu| host.functions(gpu)).filter(|function| !function.on_vfio());
    let keeps = functions.filter_map(|function| {
        Some(Expectation::Keeps(function.address, function.driver.clone()?))
    });
    keeps.collect()
}

/// What the running kernel was started with selects this function for vfio-pci.
fn is_selected_now(case: &Case<'_>, function: &PciDevice) -> bool {
    let value = |word: Parameter<'_>| word.value.map(selected::bound_addresses);
    let bound = case.active.last(BIND).and_then(value).unwrap_or_default();
    let ids = selected::active_ids(case.host, &case.active);
    bound.contains(&function.address) || ids.is_some_and(|list| list.takes(function))
}

#[cfg(test)]
mod tests;
