//! Builds the answer of `inspect` from what was read.

use super::{
    Bootloader, ConfigLine, Device, Firmware, Function, Gpu, Group, GroupDevice, Initramfs,
    InspectDocument, Iommu, Kernel, Os,
};
use crate::document::Schema;
use crate::host::Host;
use crate::host::cpu::CpuVendor;
use crate::host::firmware::IommuTable;
use crate::host::pci::PciDevice;

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
            unreadable: crate::document::unreadable(host),
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
                revision: host.revisions.get(&member.address).copied(),
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
