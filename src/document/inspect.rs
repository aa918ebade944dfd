//! `inspect`: what this machine is.

mod build;

use serde::Serialize;

use super::{Schema, Unreadable};
use crate::host::boot::Clue;
use crate::host::cpu::Cpu;
use crate::host::firmware::{BootMode, IommuTable};
use crate::host::gpu::{Connector, Role};
use crate::host::kernel::ModuleState;
use crate::host::pci::{Bar, PciAddress, PciClass, PciId};

/// The whole answer.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct InspectDocument {
    /// Name and version of this form.
    schema: Schema,
    /// Distribution.
    pub os: Os,
    /// The running kernel.
    pub kernel: Kernel,
    /// Firmware and board.
    pub firmware: Firmware,
    /// Processor.
    pub cpu: Option<Cpu>,
    /// The hypervisor below this system, where there is one.
    pub hypervisor: Option<String>,
    /// IOMMU and its groups.
    pub iommu: Iommu,
    /// Cards, in address order.
    pub gpus: Vec<Gpu>,
    /// Displays of management controllers, which are no candidates.
    pub management_displays: Vec<PciAddress>,
    /// All PCI functions, in address order.
    pub devices: Vec<Device>,
    /// What starts the kernel.
    pub bootloader: Bootloader,
    /// What builds the initramfs.
    pub initramfs: Initramfs,
    /// Everything in the configuration that touches vfio.
    pub vfio_configuration: Vec<ConfigLine>,
    /// What could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// Distribution.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Os {
    /// ID of os-release.
    pub id: Option<String>,
    /// PRETTY_NAME of os-release.
    pub name: Option<String>,
}

/// The running kernel.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Kernel {
    /// As `uname -r` says.
    pub release: Option<String>,
    /// As the boot loader passed it.
    pub command_line: Option<String>,
    /// How the kernel has the vfio-pci driver.
    pub vfio_pci: Option<ModuleState>,
    /// CONFIG_INTEL_IOMMU_DEFAULT_ON of this kernel.
    pub intel_iommu_default_on: Option<bool>,
    /// /dev/kvm is there.
    pub kvm: Option<bool>,
}

/// Firmware and board.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Firmware {
    /// How this system was booted.
    pub boot: Option<BootMode>,
    /// Secure Boot is on.
    pub secure_boot: Option<bool>,
    /// Maker of the board.
    pub vendor: Option<String>,
    /// Name of the board.
    pub board: Option<String>,
}

/// IOMMU and its groups.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Iommu {
    /// `vt-d`, `amd-vi` or `other`.
    pub kind: Option<&'static str>,
    /// The ACPI table that describes it.
    pub firmware_table: Option<IommuTable>,
    /// There are groups, or there are none.
    pub enabled: Option<bool>,
    /// Why there are no groups, as far as it can be told.
    pub off_because: Option<&'static str>,
    /// Names of the translation units.
    pub units: Vec<String>,
    /// Interrupts are remapped.
    pub interrupt_remapping: Option<bool>,
    /// In the order of their numbers.
    pub groups: Vec<Group>,
}

/// One IOMMU group with its members.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Group {
    /// Its number.
    pub id: u32,
    /// Type of its default domain.
    #[serde(rename = "type")]
    pub domain_type: Option<String>,
    /// Memory windows that the firmware keeps mapped for a member.
    pub direct_regions: Vec<String>,
    /// Its members, in address order.
    pub devices: Vec<GroupDevice>,
}

/// A member of a group.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct GroupDevice {
    /// Its address.
    pub address: PciAddress,
    /// Vendor and device.
    pub id: PciId,
    /// Base class and subclass.
    pub class: PciClass,
    /// In words.
    pub class_name: String,
    /// Vendor and device in words.
    pub name: String,
    /// Hardware revision.
    #[serde(skip)]
    pub revision: Option<u8>,
    /// The driver that has it.
    pub driver: Option<String>,
    /// Class and name as lspci on this host has them.
    #[serde(skip)]
    pub lspci: (String, String),
}

/// A card.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Gpu {
    /// Its display function.
    pub address: PciAddress,
    /// Vendor and device.
    pub id: PciId,
    /// Maker of the card and model.
    pub subsystem_id: Option<PciId>,
    /// In words.
    pub name: String,
    /// The driver that has the display function.
    pub driver: Option<String>,
    /// The firmware showed its picture here.
    pub boot_display: bool,
    /// Connectors with a monitor.
    pub connected_outputs: Vec<String>,
    /// All connectors.
    pub connectors: Vec<Connector>,
    /// Framebuffers that live on it.
    pub framebuffers: Vec<String>,
    /// Its option ROM has an EFI image.
    pub efi_rom: Option<bool>,
    /// It is part of the processor or chipset.
    pub integrated: bool,
    /// What it is to this host.
    pub role: Role,
    /// All functions of its slot, the display function first.
    pub functions: Vec<Function>,
}

/// A function of a card.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Function {
    /// Its address.
    pub address: PciAddress,
    /// Vendor and device.
    pub id: PciId,
    /// Maker of the card and model.
    pub subsystem_id: Option<PciId>,
    /// Base class and subclass.
    pub class: PciClass,
    /// In words.
    pub name: String,
    /// The driver that has it.
    pub driver: Option<String>,
    /// Number of its group.
    pub iommu_group: Option<u32>,
    /// Modules that would claim it.
    pub modules: Vec<String>,
}

/// Any PCI function, with what is known beyond its group.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Device {
    /// Its address.
    pub address: PciAddress,
    /// Vendor and device.
    pub id: PciId,
    /// Maker of the card and model.
    pub subsystem_id: Option<PciId>,
    /// Base class and subclass.
    pub class: PciClass,
    /// In words.
    pub name: String,
    /// The driver that has it.
    pub driver: Option<String>,
    /// Number of its group.
    pub iommu_group: Option<u32>,
    /// Bridges on the way to it, from the root.
    pub upstream: Vec<PciAddress>,
    /// Ways to reset it, in the order of preference.
    pub reset_methods: Option<Vec<String>>,
    /// D0 to D3cold.
    pub power_state: Option<String>,
    /// The NUMA node it is attached to.
    pub numa_node: Option<u32>,
    /// Its registers.
    pub bars: Vec<Bar>,
}

/// What starts the kernel.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Bootloader {
    /// One word of the contract.
    #[cfg_attr(feature = "docs", schemars(with = "crate::host::boot::BootloaderKind"))]
    pub kind: &'static str,
    /// Files that hold kernel parameters.
    pub files: Vec<String>,
    /// The signs by which it was told.
    pub evidence: Vec<Clue>,
}

/// What builds the initramfs.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Initramfs {
    /// One word of the contract.
    #[cfg_attr(feature = "docs", schemars(with = "crate::host::initramfs::InitramfsKind"))]
    pub kind: &'static str,
    /// Files that configure it.
    pub files: Vec<String>,
}

/// A line of configuration that touches vfio.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct ConfigLine {
    /// Absolute path.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// The line, or the word of the command line.
    pub text: String,
}
