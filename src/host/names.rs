//! Vendor, device and class names: the host's own pci.ids if present, else compiled in.
//!
//! Names are for showing only; every decision uses numbers.

use std::collections::{BTreeMap, BTreeSet};

use super::pci::{PciClass, PciDevice, PciId};
use crate::sys::Sysroot;

/// Where distributions keep the list (pci.ids(5), pciutils and hwdata packages).
const LISTS: [&str; 4] = [
    "usr/share/misc/pci.ids",
    "usr/share/hwdata/pci.ids",
    "usr/share/pci.ids",
    "usr/local/share/pci.ids",
];

/// The list that is compiled in, without subsystems.
const COMPILED: &str = include_str!(concat!(env!("OUT_DIR"), "/pci.ids"));

/// The names that the functions of one host need.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Names {
    vendors: BTreeMap<u16, String>,
    devices: BTreeMap<PciId, String>,
    classes: BTreeMap<u16, String>,
}

impl Names {
    /// Reads them for these devices.
    pub fn read(root: &Sysroot, devices: &[PciDevice]) -> Self {
        let wanted = Wanted::of(devices);
        let mut names = Self::default();
        for path in LISTS {
            let mut state = Section::None;
            if root.lines(path, |line| names.take(line, &mut state, &wanted)).is_present() {
                break;
            }
        }
        let missing = wanted.without(&names);
        let mut state = Section::None;
        for line in COMPILED.as_bytes().split(|byte| *byte == b'\n').filter(|_| !missing.is_empty())
        {
            names.take(line, &mut state, &missing);
        }
        names
    }

    /// Takes one line of a list; true where it was one of the wanted.
    fn take(&mut self, line: &[u8], state: &mut Section, wanted: &Wanted) -> bool {
        match line.first() {
            Some(b'\t') => self.take_entry(&line[1..], *state, wanted),
            Some(b'C') if line.get(1) == Some(&b' ') => {
                let base = field(&line[2..], 2).map(|(n, name)| ((n & 0xff) as u8, name));
                *state = base.as_ref().map_or(Section::None, |(base, _)| Section::Class(*base));
                base.is_some_and(|(base, name)| {
                    let wanted = wanted.classes.iter().any(|class| class >> 8 == u16::from(base));
                    if wanted {
                        self.classes.insert(u16::from(base) << 8 | 0x00ff, name);
                    }
                    wanted
                })
            }
            _ => {
                *state = Section::None;
                let Some((vendor, name)) = field(line, 4) else {
                    return false;
                };
                let wanted = wanted.vendors.contains(&vendor);
                if wanted {
                    *state = Section::Vendor(vendor);
                    self.vendors.entry(vendor).or_insert(name);
                }
                wanted
            }
        }
    }

    fn take_entry(&mut self, line: &[u8], state: Section, wanted: &Wanted) -> bool {
        match state {
            Section::None => false,
            _ if line.first() == Some(&b'\t') => false, // subsystem or programming interface
            Section::Vendor(vendor) => {
                let Some((device, name)) = field(line, 4) else {
                    return false;
                };
                let id = PciId { vendor, device };
                let wanted = wanted.devices.contains(&id);
                if wanted {
                    self.devices.insert(id, name);
                }
                wanted
            }
            Section::Class(base) => {
                let Some((sub, name)) = field(line, 2) else {
                    return false;
                };
                let class = u16::from(base) << 8 | sub;
                let wanted = wanted.classes.contains(&class);
                if wanted {
                    self.classes.insert(class, name);
                }
                wanted
            }
        }
    }

    /// Vendor and device, as lspci writes them: `Vendor Device name`.
    pub fn device(&self, id: PciId) -> String {
        match (self.vendors.get(&id.vendor), self.devices.get(&id)) {
            (Some(vendor), Some(device)) => format!("{vendor} {device}"),
            (Some(vendor), None) => format!("{vendor} Device"),
            _ => "Device".to_owned(),
        }
    }

    /// The class, as lspci writes it.
    pub fn class(&self, class: PciClass) -> String {
        let code = class.code();
        match (self.classes.get(&code), self.classes.get(&(code | 0x00ff))) {
            (Some(name), _) | (None, Some(name)) => name.clone(),
            (None, None) => "Class".to_owned(),
        }
    }
}

#[derive(Clone, Copy)]
enum Section {
    None,
    Vendor(u16),
    Class(u8),
}

struct Wanted {
    vendors: BTreeSet<u16>,
    devices: BTreeSet<PciId>,
    classes: BTreeSet<u16>,
}

impl Wanted {
    fn of(devices: &[PciDevice]) -> Self {
        Self {
            vendors: devices.iter().map(|device| device.id.vendor).collect(),
            devices: devices.iter().map(|device| device.id).collect(),
            classes: devices.iter().map(|device| device.class.code()).collect(),
        }
    }

    /// What names do not have yet; names that are there already are not looked for again.
    fn without(&self, names: &Names) -> Self {
        let device = |id: &&PciId| !names.devices.contains_key(*id);
        let class = |class: &&u16| !names.classes.contains_key(*class);
        let devices: BTreeSet<PciId> = self.devices.iter().filter(device).copied().collect();
        let unnamed =
            self.vendors.iter().filter(|vendor| !names.vendors.contains_key(*vendor)).copied();
        Self {
            vendors: devices.iter().map(|id| id.vendor).chain(unnamed).collect(),
            classes: self.classes.iter().filter(class).copied().collect(),
            devices,
        }
    }

    fn is_empty(&self) -> bool {
        self.vendors.is_empty() && self.classes.is_empty()
    }
}

/// `HEX  name` with that many hex digits.
fn field(line: &[u8], digits: usize) -> Option<(u16, String)> {
    let (number, name) = line.split_at_checked(digits)?;
    let name = name.strip_prefix(b"  ")?;
    let number = u16::from_str_radix(std::str::from_utf8(number).ok()?, 16).ok()?;
    Some((number, String::from_utf8_lossy(name).trim().to_owned()))
}
