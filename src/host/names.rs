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
    /// Names of the host's own list alone, where it has one.
    own: Option<Box<Names>>,
    vendors: BTreeMap<u16, String>,
    devices: BTreeMap<PciId, String>,
    bases: BTreeMap<u8, String>,
    classes: BTreeMap<u16, String>,
}

impl Names {
    /// Reads them for these devices.
    pub fn read(root: &Sysroot, devices: &[PciDevice]) -> Self {
        let mut names = Self::default();
        for path in LISTS {
            if root.extract(path, |list| names.take(list, devices)).is_present() {
                names.own = Some(Box::new(names.clone()));
                break;
            }
        }
        if devices.iter().any(|device| names.lacks(device)) {
            names.take(COMPILED.as_bytes(), devices);
        }
        names
    }

    fn lacks(&self, device: &PciDevice) -> bool {
        !self.devices.contains_key(&device.id) || !self.classes.contains_key(&device.class.code())
    }

    /// Takes the names that are still missing from a list, and returns the lines used.
    fn take(&mut self, list: &[u8], devices: &[PciDevice]) -> Vec<u8> {
        let missing = || devices.iter().filter(|device| !self.devices.contains_key(&device.id));
        let ids: BTreeSet<PciId> = missing().map(|device| device.id).collect();
        let vendors: BTreeSet<u16> = ids.iter().map(|id| id.vendor).collect();
        let codes: BTreeSet<u16> = devices.iter().map(|device| device.class.code()).collect();
        let bases: BTreeSet<u8> = codes.iter().map(|code| code.to_be_bytes()[0]).collect();
        let mut lines = Lines { list, at: 0, used: Vec::new() };
        for vendor in vendors {
            let Some(name) = lines.heading(&format!("{vendor:04x}")) else { continue };
            self.vendors.entry(vendor).or_insert(name);
            for (device, name) in lines.entries(4, |device| ids.contains(&PciId { vendor, device }))
            {
                self.devices.insert(PciId { vendor, device }, name);
            }
        }
        for base in bases {
            let Some(name) = lines.heading(&format!("C {base:02x}")) else { continue };
            self.bases.entry(base).or_insert(name);
            let code = |sub: u16| u16::from(base) << 8 | sub;
            for (sub, name) in lines.entries(2, |sub| codes.contains(&code(sub))) {
                self.classes.entry(code(sub)).or_insert(name);
            }
        }
        lines.used
    }

    /// The names that lspci on this host would show: it knows its own list only.
    pub fn as_lspci(&self) -> &Self {
        self.own.as_deref().unwrap_or(self)
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
        let named = self.classes.get(&class.code()).or_else(|| self.bases.get(&class.base()));
        named.cloned().unwrap_or_else(|| "Class".to_owned())
    }
}

/// A list in the form of pci.ids(5): headings, and entries below them indented by one tab.
struct Lines<'a> {
    list: &'a [u8],
    /// Behind the last heading: lists are sorted, so the next one is further on.
    at: usize,
    used: Vec<u8>,
}

impl<'a> Lines<'a> {
    /// Finds a heading, and its name.
    fn heading(&mut self, number: &str) -> Option<String> {
        let start = format!("{number}  ");
        let found = if self.list.starts_with(start.as_bytes()) {
            0
        } else {
            let line = format!("\n{start}");
            let from =
                |at: usize| Some(at + memchr::memmem::find(&self.list[at..], line.as_bytes())? + 1);
            from(self.at).or_else(|| from(0))?
        };
        let line = line_at(self.list, found);
        self.at = (found + line.len()).min(self.list.len());
        self.keep(line);
        Some(text(&line[start.len()..]))
    }

    /// Entries below the last heading that are wanted, as number and name.
    fn entries(&mut self, digits: usize, wanted: impl Fn(u16) -> bool) -> Vec<(u16, String)> {
        let mut found = Vec::new();
        let mut at = self.at + 1;
        while at < self.list.len() {
            let line = line_at(self.list, at);
            at += line.len() + 1;
            match line {
                [b'\t', b'\t', ..] | [b'#', ..] | [] => {}
                [b'\t', entry @ ..] => {
                    if let Some((number, name)) =
                        numbered(entry, digits).filter(|(number, _)| wanted(*number))
                    {
                        self.keep(line);
                        found.push((number, name));
                    }
                }
                _ => break,
            }
        }
        found
    }

    fn keep(&mut self, line: &[u8]) {
        self.used.extend_from_slice(line);
        self.used.push(b'\n');
    }
}

fn line_at(list: &[u8], start: usize) -> &[u8] {
    let rest = list.get(start..).unwrap_or_default();
    &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())]
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// `HEX  name` with that many hex digits.
fn numbered(line: &[u8], digits: usize) -> Option<(u16, String)> {
    let (number, name) = line.split_at_checked(digits)?;
    let name = name.strip_prefix(b"  ")?;
    let number = u16::from_str_radix(std::str::from_utf8(number).ok()?, 16).ok()?;
    Some((number, text(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# a list\n0001  One\n\t0002  Two\n\t\t0003 0004  Board\n# nee Three\n\t0005  Five\n\
                        1002  AMD\n\t73ff  Navi 23\nC 03  Display controller\n\t00  VGA\n\t\t00  VGA controller\n";

    fn device(vendor: u16, device: u16, class: u32) -> PciDevice {
        PciDevice {
            address: "00:00.0".parse().unwrap(),
            id: PciId { vendor, device },
            subsystem: None,
            class: PciClass(class),
            driver: None,
            modalias: String::new(),
            iommu_group: None,
            upstream: Vec::new(),
            reset_methods: crate::sys::Observed::Absent,
            power_state: crate::sys::Observed::Absent,
            numa_node: None,
            bars: Vec::new(),
            driver_override: None,
            boot_vga: crate::sys::Observed::Absent,
            virtual_function: false,
        }
    }

    #[test]
    fn takes_what_is_wanted_and_no_more() {
        let devices =
            [device(1, 5, 0x03_0000), device(0x1002, 0x73fe, 0x03_8000), device(9, 9, 0xff_0000)];
        let mut names = Names::default();
        let used = names.take(LIST.as_bytes(), &devices);
        assert_eq!(
            String::from_utf8_lossy(&used),
            "0001  One\n\t0005  Five\n1002  AMD\nC 03  Display controller\n\t00  VGA\n"
        );
        assert_eq!(names.device(devices[0].id), "One Five");
        assert_eq!(names.device(devices[1].id), "AMD Device");
        assert_eq!(names.device(devices[2].id), "Device");
        assert_eq!(names.class(devices[0].class), "VGA");
        assert_eq!(names.class(devices[1].class), "Display controller");
        assert_eq!(names.class(devices[2].class), "Class");
        let mut again = Names::default();
        assert_eq!(again.take(&used, &devices), used, "a recording gives the same");
    }
}
