//! Modules of the running kernel: which exist, and which claim a function.

use std::collections::{BTreeMap, BTreeSet};

use super::pci::{PciAddress, PciDevice};
use crate::sys::{Observed, Sysroot};

/// A module whose aliases match a function, so that udev loads it for that function.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claimant {
    /// Module name with underscores.
    pub module: String,
    /// Built in, so that no softdep can order it.
    pub built_in: bool,
}

/// What depmod's lists say (modules.dep(5), modules.builtin, modules.alias).
pub struct Modules {
    /// VFIO modules that are files.
    pub files: Observed<BTreeSet<String>>,
    /// Modules of interest that are part of the kernel image.
    pub built_in: Observed<BTreeSet<String>>,
    /// Modules that claim each function asked about.
    pub claimants: BTreeMap<PciAddress, Vec<Claimant>>,
}

impl Modules {
    /// Reads the lists below a modules directory.
    pub fn read(root: &Sysroot, dir: &str, functions: &[&PciDevice]) -> Self {
        let vfio = |line: &[u8]| memchr::memmem::find(line, b"/vfio").is_some();
        let aliases = aliases(root, dir, functions);
        let named: BTreeSet<String> = aliases
            .values()
            .flatten()
            .chain(functions.iter().filter_map(|f| f.driver.as_ref()))
            .cloned()
            .collect();
        let built_in = root.lines(&format!("{dir}/modules.builtin"), |line| {
            vfio(line) || named.contains(&module_name(line)) || is_host_controller(line)
        });
        let names = |text: String| -> BTreeSet<String> {
            text.lines().map(|line| module_name(line.as_bytes())).collect()
        };
        let built_in = built_in.map(names);
        let files = root.lines(&format!("{dir}/modules.dep"), |line| {
            let end = memchr::memchr(b':', line).unwrap_or(line.len());
            vfio(&line[..end])
        });
        let none = BTreeSet::new();
        let known = built_in.present().unwrap_or(&none);
        let claimants = functions.iter().map(|function| {
            let modules = aliases.get(&function.address).cloned().unwrap_or_default();
            let found = modules.into_iter().map(|module| {
                let built_in = known.contains(&module);
                Claimant { module, built_in }
            });
            let mut found: Vec<Claimant> = found.collect();
            if found.is_empty()
                && let Some(module) = built_in_claimant(function, known)
            {
                found.push(Claimant { module, built_in: true });
            }
            (function.address, found)
        });
        Self { claimants: claimants.collect(), files: files.map(names), built_in }
    }
}

/// Modules for each function, in the order of modules.alias.
fn aliases(
    root: &Sysroot,
    dir: &str,
    functions: &[&PciDevice],
) -> BTreeMap<PciAddress, Vec<String>> {
    let mut found: BTreeMap<PciAddress, Vec<String>> = BTreeMap::new();
    if functions.is_empty() {
        return found;
    }
    root.lines(&format!("{dir}/modules.alias"), |line| {
        let Some((pattern, module)) = pci_alias(line) else {
            return false;
        };
        let mut wanted = false;
        for function in functions.iter().filter(|f| matches(pattern, f.modalias.as_bytes())) {
            wanted = true;
            let modules = found.entry(function.address).or_default();
            let module = String::from_utf8_lossy(module).replace('-', "_");
            if !modules.contains(&module) {
                modules.push(module);
            }
        }
        wanted
    });
    found
}

fn pci_alias(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.strip_prefix(b"alias ")?;
    if !rest.starts_with(b"pci:") {
        return None;
    }
    let space = memchr::memchr(b' ', rest)?;
    Some((&rest[..space], rest[space + 1..].trim_ascii()))
}

/// fnmatch(3) with `*` only, which is all that depmod writes for PCI aliases.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut pieces = pattern.split(|byte| *byte == b'*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut last_empty = true;
    for piece in pieces {
        last_empty = piece.is_empty();
        if piece.is_empty() {
            continue;
        }
        let Some(at) = memchr::memmem::find(rest, piece) else {
            return false;
        };
        rest = &rest[at + piece.len()..];
    }
    rest.is_empty() || (pattern.contains(&b'*') && last_empty)
}

/// Module name of a path like `kernel/drivers/vfio/pci/vfio-pci.ko.zst`.
fn module_name(line: &[u8]) -> String {
    let path = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let stem = file.split(|byte| *byte == b'.').next().unwrap_or_default();
    String::from_utf8_lossy(stem).replace('-', "_")
}

fn is_host_controller(line: &[u8]) -> bool {
    matches!(
        module_name(line).as_str(),
        "xhci_pci" | "snd_hda_intel" | "i2c_nvidia_gpu" | "simpledrm"
    )
}

/// Built-in drivers have no line in modules.alias; these are known by the class they match.
fn built_in_claimant(function: &PciDevice, built_in: &BTreeSet<String>) -> Option<String> {
    let module = match function.class.code() {
        0x0c03 => "xhci_pci",
        0x0403 => "snd_hda_intel",
        0x0c80 => "i2c_nvidia_gpu",
        _ => {
            return function
                .driver
                .as_ref()
                .map(|d| d.replace('-', "_"))
                .filter(|d| built_in.contains(d));
        }
    };
    built_in.contains(module).then(|| module.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_match_as_fnmatch_does() {
        let alias = b"pci:v00001002d000073FFsv00001462sd00005022bc03sc00i00";
        assert!(matches(b"pci:v00001002d*sv*sd*bc03sc00i00*", alias));
        assert!(matches(b"pci:v00001002d000073FFsv*sd*bc*sc*i*", alias));
        assert!(!matches(b"pci:v000010DEd*sv*sd*bc03sc00i00*", alias));
        assert!(!matches(b"pci:v00001002d*sv*sd*bc03sc80i00*", alias));
        assert!(!matches(b"pci:v00001002", alias));
        assert!(matches(b"pci:v00001002*", alias));
        assert!(!matches(b"", alias));
    }

    #[test]
    fn names_of_module_files() {
        assert_eq!(
            module_name(b"kernel/drivers/vfio/pci/vfio-pci.ko.zst: kernel/x.ko"),
            "vfio_pci"
        );
        assert_eq!(module_name(b"kernel/drivers/vfio/vfio_iommu_type1.ko"), "vfio_iommu_type1");
        assert_eq!(module_name(b""), "");
    }
}
