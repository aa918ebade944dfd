//! What selects functions for vfio-pci now: ids and addresses, wherever they are written.

use super::Host;
use super::parameters::Configured;
use super::pci::{PciAddress, PciDevice};
use crate::config::cmdline::Cmdline;
use crate::config::modprobe::{FunctionIds, IdEntry, parse_ids};

/// Our own word on the kernel command line: `ids@address,…`.
pub const BIND: &str = "passthru.bind";
/// The kernel's own: `vendor:device[:subvendor:subdevice],…`.
pub const IDS: &str = "vfio-pci.ids";

/// One list of ids, with the place where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdList {
    /// File, without leading slash.
    pub path: String,
    /// Line, where the file has several.
    pub line: Option<usize>,
    /// As written.
    pub text: String,
    entries: Vec<IdEntry>,
}

impl IdList {
    fn new(path: &str, line: Option<usize>, text: &str) -> Self {
        let entries = parse_ids(text).into_iter().flatten().collect();
        Self { path: path.to_owned(), line, text: text.to_owned(), entries }
    }

    /// Whether vfio-pci with this list takes the function.
    pub fn takes(&self, device: &PciDevice) -> bool {
        self.entries.iter().any(|entry| entry.matches(function_ids(device)))
    }
}

fn function_ids(device: &PciDevice) -> FunctionIds {
    let sub = device.subsystem;
    FunctionIds {
        vendor: device.id.vendor,
        device: device.id.device,
        subvendor: sub.map_or(0, |id| id.vendor),
        subdevice: sub.map_or(0, |id| id.device),
        class: device.class.0,
    }
}

/// Ids that vfio-pci got at this boot, as far as files tell: the command line's last list
/// comes after modprobe.d and replaces it (kernel/params.c param_set_copystring).
pub fn active_ids(host: &Host, active: &Cmdline) -> Option<IdList> {
    let word = active.last(IDS).and_then(|parameter| parameter.value);
    match word {
        Some(text) => Some(IdList::new("proc/cmdline", None, text)),
        None => modprobe_ids(host),
    }
}

/// Ids that the next boot will give vfio-pci.
pub fn configured_ids(host: &Host, configured: &Configured) -> Option<IdList> {
    let source = configured.sources.iter().rev().find_map(|source| {
        let word = source.words.iter().rev().find_map(|word| {
            let parameter = crate::config::cmdline::Parameter::parse(word);
            if parameter.is(IDS) { parameter.value } else { None }
        })?;
        Some(IdList::new(&source.path, None, word))
    });
    source.or_else(|| modprobe_ids(host))
}

/// The list in modprobe.d that counts; none for a built-in vfio-pci, which reads no modprobe.d.
pub fn modprobe_ids(host: &Host) -> Option<IdList> {
    if host.kernel.vfio_pci.present() == Some(&super::kernel::ModuleState::BuiltIn) {
        return None;
    }
    let ids = host.modprobe.vfio_ids();
    let placed = ids.effective()?;
    Some(IdList::new(placed.path, Some(placed.line), placed.what))
}

/// Addresses in a `passthru.bind=` value; malformed entries are left out.
pub fn bound_addresses(value: &str) -> Vec<PciAddress> {
    value.split(',').filter_map(|entry| entry.split_once('@')?.1.parse().ok()).collect()
}
