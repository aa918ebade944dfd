//! What must hold after the reboot; the same facts that the plan was made from.

use serde::Serialize;

use super::binding::Binding;
use super::kernel_parameters::wanted;
use crate::check::Case;
use crate::host::gpu::Role;
use crate::host::pci::PciAddress;

/// One fact that must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// The kernel got this parameter.
    Parameter(String),
    /// There are IOMMU groups.
    IommuOn,
    /// A function of the card is on vfio-pci.
    OnVfio(PciAddress),
    /// A function of the host's cards keeps its driver.
    Keeps(PciAddress, String),
    /// The group can be opened: /dev/vfio/N is there.
    VfioGroup(u32),
    /// vfio-pci holds nothing that belongs to a card of the host.
    NothingElseTaken,
}

impl Expectation {
    /// Stable name.
    pub fn id(&self) -> String {
        match self {
            Self::Parameter(word) => format!("parameter:{word}"),
            Self::IommuOn => "iommu:on".to_owned(),
            Self::OnVfio(address) => format!("vfio:{address}"),
            Self::Keeps(address, driver) => format!("driver:{address}={driver}"),
            Self::VfioGroup(group) => format!("group:{group}"),
            Self::NothingElseTaken => "vfio:nothing-else".to_owned(),
        }
    }

    /// One sentence.
    pub fn text(&self) -> String {
        match self {
            Self::Parameter(word) => format!("The kernel was started with {word}."),
            Self::IommuOn => "The IOMMU is on: there are groups.".to_owned(),
            Self::OnVfio(address) => format!("{address} is on vfio-pci."),
            Self::Keeps(address, driver) => format!("{address} stays with the host, on {driver}."),
            Self::VfioGroup(group) => format!("/dev/vfio/{group} is there."),
            Self::NothingElseTaken => {
                "vfio-pci holds no function of another card of the host.".to_owned()
            }
        }
    }
}

impl Serialize for Expectation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut fields = serializer.serialize_struct("Expectation", 2)?;
        fields.serialize_field("id", &self.id())?;
        fields.serialize_field("text", &self.text())?;
        fields.end()
    }
}

/// All of them for one card; never empty, since a card has a function.
pub fn all(case: &Case<'_>, binding: &Binding) -> Vec<Expectation> {
    let host = case.host;
    let mut expected: Vec<Expectation> =
        wanted(case, binding).into_iter().map(Expectation::Parameter).collect();
    expected.push(Expectation::IommuOn);
    expected.extend(binding.addresses.iter().map(|address| Expectation::OnVfio(*address)));
    let groups: std::collections::BTreeSet<u32> =
        case.functions().iter().filter_map(|f| f.iommu_group).collect();
    expected.extend(groups.into_iter().map(Expectation::VfioGroup));
    let kept = case
        .other_cards()
        .filter(|gpu| gpu.role != Role::Assigned)
        .flat_map(|gpu| host.functions(gpu));
    for function in kept.filter(|function| !function.on_vfio()) {
        if let Some(driver) = &function.driver {
            expected.push(Expectation::Keeps(function.address, driver.clone()));
        }
    }
    expected.push(Expectation::NothingElseTaken);
    expected
}
