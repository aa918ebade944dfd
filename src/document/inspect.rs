//! `inspect`: what this machine is.

use serde::Serialize;

use super::{Schema, Unreadable};
use crate::host::Host;
use crate::host::boot::Clue;
use crate::host::cpu::{Cpu, CpuVendor};
use crate::host::firmware::{BootMode, IommuTable};
use crate::host::gpu::{Connector, Role};
use crate::host::kernel::ModuleState;
use crate::host::pci::{Bar, PciAddress, PciClass, PciDevice, PciId};

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
    /// The one driver that may bind it.
    pub driver_override: Option<String>,
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

impl InspectDocument {
    /// Builds the answer from what was read.
    pub fn of(host: &Host) -> Self {
        Self {
            schema: Schema { name: "inspect", version: 1 },
            os: Os { id: host.os.id.clone(), name: host.os.name.clone() },
            kernel: kernel(host),
            firmware: Firmware {
                boot: host.firmware.boot.present().copied(),
                secure_boot: host.firmware.secure_boot.present().copied(),
                vendor: host.firmware.vendor.clone(),
                board: host.firmware.board.clone(),
            },
            cpu: host.cpu.present().cloned(),
            hypervisor: host.hypervisor(),
            iommu: iommu(host),
            gpus: host.gpus.cards.iter().filter_map(|gpu| card(host, gpu)).collect(),
            management_displays: host.gpus.management.clone(),
            devices: host.devices().iter().map(|d| device(host, d)).collect(),
            bootloader: Bootloader {
                kind: host.bootloader.kind.word(),
                files: host.bootloader.files.clone(),
                evidence: host.bootloader.clues.clone(),
            },
            initramfs: Initramfs {
                kind: host.initramfs.kind.word(),
                files: host.initramfs.files.clone(),
            },
            vfio_configuration: vfio_configuration(host),
            unreadable: super::unreadable(host),
        }
    }
}

fn kernel(host: &Host) -> Kernel {
    Kernel {
        release: host.kernel.release.clone(),
        command_line: host.command_line().map(str::to_owned),
        vfio_pci: host.kernel.vfio_pci.present().copied(),
        intel_iommu_default_on: host
            .kernel
            .config
            .present()
            .map(|config| config.intel_iommu_default_on()),
        kvm: if host.kernel.kvm.is_unreadable() {
            None
        } else {
            Some(host.kernel.kvm.is_present())
        },
    }
}

fn iommu(host: &Host) -> Iommu {
    let table = host.firmware.iommu_table.present().copied();
    let unit = |prefix: &str| {
        host.iommu
            .units
            .present()
            .is_some_and(|units| units.iter().any(|unit| unit.starts_with(prefix)))
    };
    let kind = match table {
        Some(IommuTable::Dmar) => Some("vt-d"),
        Some(IommuTable::Ivrs) => Some("amd-vi"),
        None if unit("dmar") => Some("vt-d"),
        None if unit("ivhd") => Some("amd-vi"),
        None if host.iommu.enabled() == Some(true) => Some("other"),
        None => None,
    };
    Iommu {
        kind,
        firmware_table: table,
        enabled: host.iommu.enabled(),
        off_because: off_because(host, table),
        units: host.iommu.units.present().cloned().unwrap_or_default(),
        interrupt_remapping: host.iommu.interrupt_remapping.present().copied(),
        groups: groups(host),
    }
}

/// Why there are no groups: `firmware`, `argument`, `kernel-default`, `driver`, or not known.
fn off_because(host: &Host, table: Option<IommuTable>) -> Option<&'static str> {
    if host.iommu.enabled() != Some(false) {
        return None;
    }
    if host.firmware.iommu_table.is_absent() {
        return Some(if host.hypervisor().is_some() { "no-such-hardware" } else { "firmware" });
    }
    let words = host.command_line()?;
    let has = |wanted: &[&str]| words.split_whitespace().any(|word| wanted.contains(&word));
    if has(&["intel_iommu=off", "amd_iommu=off", "iommu=off"]) {
        return Some("argument");
    }
    let asked = words
        .split_whitespace()
        .any(|word| word.starts_with("intel_iommu=") && word.contains("on"));
    let default_on = host.kernel.config.present().map(|config| config.intel_iommu_default_on());
    let intel = host.cpu.present().is_some_and(|cpu| cpu.vendor == CpuVendor::Intel);
    match (table?, asked, default_on) {
        (IommuTable::Dmar, false, Some(false)) if intel => Some("kernel-default"),
        (IommuTable::Dmar, false, None) => None,
        _ => Some("driver"),
    }
}

fn groups(host: &Host) -> Vec<Group> {
    let Some(groups) = host.iommu.groups.present() else { return Vec::new() };
    let mut all: Vec<Group> = groups
        .values()
        .map(|group| Group {
            id: group.id,
            domain_type: group.domain_type.present().cloned(),
            direct_regions: group.direct_regions.present().cloned().unwrap_or_default(),
            devices: Vec::new(),
        })
        .collect();
    for member in host.devices() {
        let Some(id) = member.iommu_group else { continue };
        if let Ok(index) = all.binary_search_by_key(&id, |group| group.id) {
            all[index].devices.push(GroupDevice {
                address: member.address,
                id: member.id,
                class: member.class,
                class_name: host.names.class(member.class),
                name: host.names.device(member.id),
                revision: member.revision.present().copied(),
                driver: member.driver.clone(),
                lspci: (
                    host.names.as_lspci().class(member.class),
                    host.names.as_lspci().device(member.id),
                ),
            });
        }
    }
    all
}

fn card(host: &Host, gpu: &crate::host::gpu::Gpu) -> Option<Gpu> {
    let display = host.device(gpu.address)?;
    Some(Gpu {
        address: gpu.address,
        id: display.id,
        subsystem_id: display.subsystem,
        name: host.names.device(display.id),
        driver: display.driver.clone(),
        boot_display: gpu.boot_display,
        connected_outputs: gpu.connected().map(str::to_owned).collect(),
        connectors: gpu.connectors.clone(),
        framebuffers: gpu.framebuffers.iter().chain(&gpu.boot_framebuffer).cloned().collect(),
        efi_rom: gpu.efi_rom.present().copied(),
        integrated: gpu.integrated,
        role: gpu.role,
        functions: host.functions(gpu).map(|function| function_of(host, function)).collect(),
    })
}

fn function_of(host: &Host, function: &PciDevice) -> Function {
    let claimants = host.kernel.claimants.get(&function.address);
    Function {
        address: function.address,
        id: function.id,
        subsystem_id: function.subsystem,
        class: function.class,
        name: host.names.device(function.id),
        driver: function.driver.clone(),
        iommu_group: function.iommu_group,
        modules: claimants.into_iter().flatten().map(|claimant| claimant.module.clone()).collect(),
    }
}

fn device(host: &Host, device: &PciDevice) -> Device {
    Device {
        address: device.address,
        id: device.id,
        subsystem_id: device.subsystem,
        class: device.class,
        name: host.names.device(device.id),
        driver: device.driver.clone(),
        iommu_group: device.iommu_group,
        upstream: device.upstream.clone(),
        reset_methods: device.reset_methods.present().cloned(),
        power_state: device.power_state.present().cloned(),
        numa_node: device.numa_node,
        bars: device.bars.clone(),
        driver_override: device.driver_override.clone(),
    }
}

/// Lines of modprobe.d and modules-load.d, and words of the command line, that touch vfio.
fn vfio_configuration(host: &Host) -> Vec<ConfigLine> {
    let touches = |text: &str| text.contains("vfio") || text.contains("passthru");
    let dirs = crate::host::MODPROBE_DIRS.iter().chain(&crate::host::MODULES_LOAD_DIRS);
    let files = dirs.flat_map(|dir| host.files.below(dir));
    let modules = host.files.text("etc/modules").map(|text| ("etc/modules", text));
    let texts = files.map(|(path, file)| (path, file.text.as_str())).chain(modules);
    let mut found = Vec::new();
    for (path, text) in texts {
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| touches(line) && !line.trim_start().starts_with('#'));
        found.extend(lines.map(|(index, line)| ConfigLine {
            path: format!("/{path}"),
            line: index + 1,
            text: line.trim().to_owned(),
        }));
    }
    let words =
        host.command_line().unwrap_or_default().split_whitespace().filter(|word| touches(word));
    found.extend(words.map(|word| ConfigLine {
        path: "/proc/cmdline".to_owned(),
        line: 1,
        text: word.to_owned(),
    }));
    found
}
