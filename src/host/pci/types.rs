//! Addresses, ids and classes of PCI functions, strict in reading and exact in writing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

/// A PCI function's address, as sysfs writes it: `0000:07:00.0`.
///
/// The domain is wider than 16 bits: Intel VMD numbers its domains from 0x10000
/// (drivers/pci/controller/vmd.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    /// PCI domain (segment).
    pub domain: u32,
    /// Bus in the domain.
    pub bus: u8,
    /// Device (slot) on the bus, 0 to 31.
    pub device: u8,
    /// Function of the device, 0 to 7.
    pub function: u8,
}

impl PciAddress {
    /// True for functions of one slot.
    pub fn same_slot(self, other: Self) -> bool {
        (self.domain, self.bus, self.device) == (other.domain, other.bus, other.device)
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{}", self.domain, self.bus, self.device, self.function)
    }
}

/// Text that is no PCI address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no PCI address: write it as 0000:01:00.0 or 01:00.0")]
pub struct BadAddress(pub String);

impl FromStr for PciAddress {
    type Err = BadAddress;

    /// Reads `dddd:bb:dd.f` or `bb:dd.f`, in lower- or upper-case hex.
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        parse_address(text).ok_or_else(|| BadAddress(text.chars().take(40).collect()))
    }
}

fn parse_address(text: &str) -> Option<PciAddress> {
    let (rest, function) = text.split_once('.')?;
    let (rest, device) = rest.rsplit_once(':')?;
    let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0000", rest));
    let address = PciAddress {
        domain: hex(domain, 4..=8)?,
        bus: u8::try_from(hex(bus, 2..=2)?).ok()?,
        device: u8::try_from(hex(device, 2..=2)?).ok()?,
        function: u8::try_from(hex(function, 1..=1)?).ok()?,
    };
    (address.device < 32 && address.function < 8).then_some(address)
}

/// Hex digits without sign or prefix, as many as the range allows.
pub(super) fn hex(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let plain = digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

impl Serialize for PciAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PciAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Vendor and device, or subsystem vendor and device: `1002:73ff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciId {
    /// Vendor half.
    pub vendor: u16,
    /// Device half.
    pub device: u16,
}

impl fmt::Display for PciId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.device)
    }
}

impl FromStr for PciId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (vendor, device) = text.split_once(':').ok_or(())?;
        let half = |text| hex(text, 4..=4).and_then(|n| u16::try_from(n).ok()).ok_or(());
        Ok(Self { vendor: half(vendor)?, device: half(device)? })
    }
}

impl Serialize for PciId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PciId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| serde::de::Error::custom("an id is written vvvv:dddd"))
    }
}

/// Base class, subclass and programming interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PciClass(pub u32);

impl PciClass {
    /// Base class and subclass: 0x0300 is a VGA controller.
    pub fn code(self) -> u16 {
        (self.0 >> 8 & 0xffff) as u16
    }

    /// Base class: 0x03 is a display controller.
    pub fn base(self) -> u8 {
        (self.0 >> 16 & 0xff) as u8
    }

    /// Display controllers (03xx) and processing accelerators (1200), which amdgpu
    /// drives too (drivers/gpu/drm/amd/amdgpu/amdgpu_drv.c).
    pub fn is_gpu(self) -> bool {
        self.base() == 0x03 || self.code() == 0x1200
    }

    /// Bridges and host bridges: never bound to vfio-pci, never passed.
    pub fn is_infrastructure(self) -> bool {
        matches!(self.code(), 0x0600 | 0x0604)
    }
}

impl fmt::Display for PciClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.code())
    }
}

impl Serialize for PciClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_strict() {
        let wide: PciAddress = "10000:e0:06.0".parse().unwrap();
        assert_eq!((wide.domain, wide.bus, wide.device), (0x10000, 0xe0, 6));
        assert_eq!("07:00.1".parse::<PciAddress>().unwrap().to_string(), "0000:07:00.1");
        for bad in [
            "",
            "07:00",
            "0000:07:00",
            "0000:07:20.0",
            "0000:07:00.8",
            "+000:07:00.0",
            "0000:7:00.0",
            "0000:07:00.0 ",
            "0x00:07:00.0",
            "000000000:07:00.0",
            "0000:07:00.00",
            "0000-07-00.0",
        ] {
            assert!(bad.parse::<PciAddress>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn display_and_parse_are_inverse(domain: u32, bus: u8, device in 0_u8..32, function in 0_u8..8) {
            let address = PciAddress { domain, bus, device, function };
            prop_assert_eq!(address.to_string().parse::<PciAddress>(), Ok(address));
        }

        #[test]
        fn nothing_malformed_is_accepted(text in "[0-9a-fA-F:. x+-]{0,16}") {
            if let Ok(address) = text.parse::<PciAddress>() {
                let lower = text.to_lowercase();
                prop_assert!(address.to_string().trim_start_matches('0').ends_with(
                    lower.trim_start_matches('0')), "{} from {}", address, text);
            }
        }
    }
}
