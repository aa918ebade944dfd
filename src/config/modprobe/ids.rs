//! The `ids` parameter of vfio-pci.
//!
//! Reads as `vfio_pci_fill_ids` in the kernel's drivers/vfio/pci/vfio_pci.c and
//! matches as `pci_match_one_device` in drivers/pci/pci.h (6.12).

use thiserror::Error;

/// `PCI_ANY_ID`: stands for every value.
pub const ANY_ID: u32 = u32::MAX;

/// What a PCI function is compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionIds {
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
    /// Subsystem vendor.
    pub subvendor: u16,
    /// Subsystem device.
    pub subdevice: u16,
    /// Base class, subclass and programming interface, 24 bits.
    pub class: u32,
}

/// One entry; absent sub-IDs are [`ANY_ID`], absent class and mask 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdEntry {
    /// Vendor.
    pub vendor: u32,
    /// Device.
    pub device: u32,
    /// Subsystem vendor.
    pub subvendor: u32,
    /// Subsystem device.
    pub subdevice: u32,
    /// Class, compared where the mask has bits.
    pub class: u32,
    /// Bits of the class that are compared.
    pub class_mask: u32,
}

/// An entry the kernel would skip or not read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not vendor:device[:subvendor[:subdevice[:class[:mask]]]] in hexadecimal")]
pub struct MalformedId {
    /// The entry as written.
    pub text: String,
}

impl IdEntry {
    /// Whether vfio-pci with this entry claims the function.
    pub fn matches(&self, function: FunctionIds) -> bool {
        let is = |own: u32, other: u16| own == ANY_ID || own == u32::from(other);
        is(self.vendor, function.vendor)
            && is(self.device, function.device)
            && is(self.subvendor, function.subvendor)
            && is(self.subdevice, function.subdevice)
            && (self.class ^ function.class) & self.class_mask == 0
    }
}

/// Reads a comma-separated list; empty entries are skipped.
///
/// Stricter than the kernel's `sscanf`, which ignores whatever follows the part it
/// can read: such an entry is surely not what was meant.
pub fn parse_ids(text: &str) -> Vec<Result<IdEntry, MalformedId>> {
    let entries = text.split(',').filter(|entry| !entry.is_empty());
    entries
        .map(|entry| id_entry(entry).ok_or_else(|| MalformedId { text: entry.to_owned() }))
        .collect()
}

fn id_entry(text: &str) -> Option<IdEntry> {
    let mut fields = text.split(':').map(number);
    let mut next = |default: Option<u32>| fields.next().map_or(default, |field| field);
    let entry = IdEntry {
        vendor: next(None)?,
        device: next(None)?,
        subvendor: next(Some(ANY_ID))?,
        subdevice: next(Some(ANY_ID))?,
        class: next(Some(0))?,
        class_mask: next(Some(0))?,
    };
    fields.next().is_none().then_some(entry)
}

fn number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or(text);
    let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: FunctionIds = FunctionIds {
        vendor: 0x10de,
        device: 0x2684,
        subvendor: 0x1043,
        subdevice: 0x889a,
        class: 0x03_0000,
    };

    fn claims(text: &str) -> bool {
        parse_ids(text).into_iter().flatten().any(|entry| entry.matches(CARD))
    }

    #[test]
    fn entries_match_as_the_kernel_matches_them() {
        for text in [
            "10de:2684",
            "0x10DE:2684,",
            "1:2,,10de:2684:1043:889a",
            "10de:2684:ffffffff:889a",
            "ffffffff:ffffffff:ffffffff:ffffffff:030000:ff0000",
            "10de:2684:1043:889a:020000",
        ] {
            assert!(claims(text), "{text}");
        }
        for text in [
            "10de:2685",
            "10de:2684:1044",
            "10de:2684:1043:889b",
            "10de:2684:1043:889a:020000:ff0000",
            "ffff:ffff",
            "110de:2684",
            "",
        ] {
            assert!(!claims(text), "{text}");
        }
    }

    #[test]
    fn malformed_entries_are_kept_with_their_text() {
        for text in [
            "10de",
            "10de:",
            ":1",
            "10de:2684x",
            "10de:+684",
            "1:2:3:4:5:6:7",
            " 10de:2684",
            "1ffffffff:2",
        ] {
            let expected = Err(MalformedId { text: text.into() });
            assert_eq!(parse_ids(text), [expected], "{text}");
        }
    }
}
