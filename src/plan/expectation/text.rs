//! How an expectation is written: its stable name, and the sentence for people.

use serde::{Deserialize, Serialize};

use super::Expectation;
use crate::host::pci::{PciAddress, PciId};

impl Expectation {
    /// Stable name.
    pub fn id(&self) -> String {
        match self {
            Self::Parameter(word) => format!("parameter:{word}"),
            Self::NoParameter(word) => format!("no-parameter:{word}"),
            Self::IommuOn => "iommu:on".to_owned(),
            Self::Identity(address, ids) => format!("identity:{address}={ids}"),
            Self::OnVfio(address) => format!("vfio:{address}"),
            Self::NotOnVfio(address) => format!("not-vfio:{address}"),
            Self::Keeps(address, driver) => format!("driver:{address}={driver}"),
            Self::VfioGroup(group) => format!("group:{group}"),
            Self::NothingElseTaken => "vfio:nothing-else".to_owned(),
        }
    }

    /// The expectation of that name; `None` for text that [`Expectation::id`] does not write.
    pub fn from_id(id: &str) -> Option<Self> {
        let (kind, rest) = id.split_once(':')?;
        let pair = || rest.split_once('=').filter(|(_, value)| !value.is_empty());
        let word = || Some(rest.to_owned()).filter(|word| !word.is_empty());
        let address = |text: &str| text.parse::<PciAddress>().ok();
        let found = match kind {
            "parameter" => Self::Parameter(word()?),
            "no-parameter" => Self::NoParameter(word()?),
            "iommu" if rest == "on" => Self::IommuOn,
            "identity" => {
                let (at, ids) = pair().filter(|(_, ids)| is_identity(ids))?;
                Self::Identity(address(at)?, ids.to_owned())
            }
            "vfio" if rest == "nothing-else" => Self::NothingElseTaken,
            "vfio" => Self::OnVfio(address(rest)?),
            "not-vfio" => Self::NotOnVfio(address(rest)?),
            "driver" => {
                let (at, driver) = pair()?;
                Self::Keeps(address(at)?, driver.to_owned())
            }
            "group" => Self::VfioGroup(rest.parse().ok()?),
            _ => return None,
        };
        // Short or upper-case addresses and leading zeros are read elsewhere; a name is exact.
        (found.id() == id).then_some(found)
    }

    /// One sentence.
    pub fn text(&self) -> String {
        match self {
            Self::Parameter(word) => format!("The kernel was started with {word}."),
            Self::NoParameter(word) => format!("The kernel was started without {word}."),
            Self::IommuOn => "The IOMMU is on: there are groups.".to_owned(),
            Self::Identity(address, ids) => format!("{address} is still the device {ids}."),
            Self::OnVfio(address) => format!("{address} is on vfio-pci."),
            Self::NotOnVfio(address) => format!("{address} is not on vfio-pci."),
            Self::Keeps(address, driver) => format!("{address} stays with the host, on {driver}."),
            Self::VfioGroup(group) => {
                format!("IOMMU group {group} is viable for VFIO (/dev/vfio/{group}).")
            }
            Self::NothingElseTaken => {
                "vfio-pci holds no function of another card of the host.".to_owned()
            }
        }
    }
}

/// `vendor:device:subvendor:subdevice`, in lower-case hex.
fn is_identity(ids: &str) -> bool {
    let half = |text: &str| text.parse::<PciId>().is_ok_and(|id| id.to_string() == text);
    ids.split_at_checked(9)
        .is_some_and(|(device, rest)| half(device) && rest.strip_prefix(':').is_some_and(half))
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

impl<'de> Deserialize<'de> for Expectation {
    /// The sentence is made anew from the name.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Written {
            id: String,
        }
        let Written { id } = Written::deserialize(deserializer)?;
        let unknown = || serde::de::Error::custom(format!("no expectation is called `{id}`"));
        Self::from_id(&id).ok_or_else(unknown)
    }
}
