//! The IOMMU: units, groups, their type and reserved regions.

use std::collections::BTreeMap;

use super::pci::PciDevice;
use crate::sys::{Observed, Sysroot, parallel};

/// Where the groups are.
pub const GROUPS: &str = "sys/kernel/iommu_groups";
/// Where the remapping units register.
pub const UNITS: &str = "sys/class/iommu";

/// One IOMMU group.
#[derive(Debug, Clone, PartialEq)]
pub struct IommuGroup {
    /// Its number.
    pub id: u32,
    /// Type of its default domain: `identity`, `DMA`, `DMA-FQ` and others
    /// (drivers/iommu/iommu.c iommu_group_show_type); not there before Linux 4.16.
    pub domain_type: Observed<String>,
    /// Regions that firmware wants mapped one to one; with one of type `direct` the kernel
    /// refuses VFIO (Documentation/ABI/testing/sysfs-kernel-iommu_groups).
    pub direct_regions: Observed<Vec<String>>,
}

/// What the kernel shows of the IOMMU.
#[derive(Debug, Clone, PartialEq)]
pub struct Iommu {
    /// Remapping units: `dmar0`, `ivhd0`.
    pub units: Observed<Vec<String>>,
    /// Groups by number, without those of the unsafe no-IOMMU mode.
    pub groups: Observed<BTreeMap<u32, IommuGroup>>,
    /// Interrupt chips that remap were seen in /proc/interrupts.
    pub interrupt_remapping: Observed<bool>,
}

impl Iommu {
    /// DMA remapping is active: there are groups. `None` where the directory could not be read.
    pub fn enabled(&self) -> Option<bool> {
        match &self.groups {
            Observed::Present(groups) => Some(!groups.is_empty()),
            Observed::Absent => Some(false),
            Observed::Unreadable(_) => None,
        }
    }
}

/// Reads units and groups.
pub fn read(root: &Sysroot, devices: &[PciDevice]) -> Iommu {
    Iommu {
        units: root.list(UNITS),
        groups: groups(root, devices),
        interrupt_remapping: interrupt_remapping(root),
    }
}

fn groups(root: &Sysroot, devices: &[PciDevice]) -> Observed<BTreeMap<u32, IommuGroup>> {
    let needed: std::collections::BTreeSet<u32> = devices
        .iter()
        .filter(|device| device.class.base() == 3 || device.on_vfio())
        .filter_map(|d| d.iommu_group)
        .collect();
    root.list(GROUPS).map(|names| {
        let numbers: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
        let read = |id: &u32| Some((*id, read_group(root, *id, needed.contains(id))?));
        parallel::filter_map(&numbers, read).into_iter().collect()
    })
}

/// `None` for a group of the no-IOMMU mode (drivers/vfio/group.c names it `vfio-noiommu`).
fn read_group(root: &Sysroot, id: u32, with_name: bool) -> Option<IommuGroup> {
    let dir = root.dir(&format!("{GROUPS}/{id}")).into_present()?;
    if with_name && dir.line("name").present().is_some_and(|name| name == "vfio-noiommu") {
        return None;
    }
    let direct = |bytes: Vec<u8>| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let is_direct = |line: &&str| line.split_whitespace().nth(2) == Some("direct");
        text.lines().filter(is_direct).map(str::to_owned).collect()
    };
    Some(IommuGroup {
        id,
        domain_type: dir.line("type"),
        direct_regions: dir.read("reserved_regions").map(direct),
    })
}

/// Chip names of remapped interrupts begin with `IR-` (drivers/iommu/intel/irq_remapping.c,
/// drivers/iommu/amd/iommu.c). Only a list that names chips without it says that they are not.
fn interrupt_remapping(root: &Sysroot) -> Observed<bool> {
    const INTERRUPTS: &str = "proc/interrupts";
    let has = |line: &[u8], word: &str| memchr::memmem::find(line, word.as_bytes()).is_some();
    let (mut remapped, mut plain) = (0, 0);
    let text = root.lines(INTERRUPTS, |line| {
        let count = if has(line, " IR-") {
            &mut remapped
        } else if has(line, " IO-APIC") || has(line, " PCI-MSI") {
            &mut plain
        } else {
            return false;
        };
        *count += 1;
        *count <= 2
    });
    text.and_then(|text| {
        if text.is_empty() {
            let reason = "it names no interrupt chip";
            root.note_unreadable(INTERRUPTS, reason);
            return Observed::Unreadable(reason.to_owned());
        }
        Observed::Present(text.contains(" IR-"))
    })
}
