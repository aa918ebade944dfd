//! The inventory of one machine: a plain value, read once, judged by nobody here.

pub mod boot;
pub mod booted;
pub mod cpu;
pub mod files;
pub mod firmware;
pub mod gpu;
pub mod image;
pub mod initramfs;
pub mod intent;
pub mod iommu;
pub mod kernel;
pub mod libvirt;
pub mod menu;
mod modules;
pub mod names;
pub mod once;
pub mod os;
pub mod parameters;
pub mod pci;
pub mod resources;
pub mod rom;
pub mod selected;
pub mod uses;

use crate::config::modprobe::ModprobeConfig;
use std::collections::BTreeMap;

pub use crate::sys::Observed;
use crate::sys::Sysroot;

use boot::Bootloader;
use cpu::Cpu;
use files::Files;
use firmware::Firmware;
use gpu::{Gpu, Gpus};
use initramfs::Initramfs;
use iommu::Iommu;
use kernel::Kernel;
use libvirt::Domain;
use names::Names;
use os::Os;
use pci::{PciAddress, PciDevice};
use uses::Uses;

/// Everything that was read of one machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Distribution and programs.
    pub os: Os,
    /// Firmware.
    pub firmware: Firmware,
    /// Processor.
    pub cpu: Observed<Cpu>,
    /// Kernel.
    pub kernel: Kernel,
    /// IOMMU.
    pub iommu: Iommu,
    /// PCI functions in address order.
    pub devices: Observed<Vec<PciDevice>>,
    /// Their revisions, where [`Host::read_revisions`] was asked for them.
    pub revisions: BTreeMap<PciAddress, u8>,
    /// Their names.
    pub names: Names,
    /// Cards.
    pub gpus: Gpus,
    /// What the host uses its devices for.
    pub uses: Uses,
    /// Boot loader.
    pub bootloader: Bootloader,
    /// Initramfs generator.
    pub initramfs: Initramfs,
    /// modprobe.d.
    pub modprobe: ModprobeConfig,
    /// Configuration files.
    pub files: Files,
    /// Virtual machines that libvirt starts by itself.
    pub autostart: Observed<Vec<Domain>>,
    /// Free space of /boot and the boot partitions, by mount point.
    pub boot_space: Vec<(String, crate::sys::Space)>,
    /// What could not be read, with the reason, in order of reading.
    pub unreadable: Vec<(String, String)>,
}

/// modprobe.d(5): directories in order of precedence.
pub const MODPROBE_DIRS: [&str; 5] = [
    "etc/modprobe.d",
    "run/modprobe.d",
    "usr/local/lib/modprobe.d",
    "usr/lib/modprobe.d",
    "lib/modprobe.d",
];
/// modules-load.d(5), likewise.
pub const MODULES_LOAD_DIRS: [&str; 3] =
    ["etc/modules-load.d", "run/modules-load.d", "usr/lib/modules-load.d"];

/// Who may open the memory that a guest shares for Looking Glass. It belongs to a virtual machine
/// and not to a plan.
pub const TMPFILES: &str = "etc/tmpfiles.d/passthru-looking-glass.conf";

/// Files that passthru may own; their state belongs to every plan.
pub const OWNED: [&str; 15] = [
    intent::INTENT,
    "etc/modprobe.d/00-passthru.conf",
    "etc/modules-load.d/passthru.conf",
    "etc/default/grub.d/passthru.cfg",
    boot::GRUB_ENTRIES,
    "etc/mkinitcpio.conf.d/passthru.conf",
    "etc/initcpio/install/passthru",
    "etc/initcpio/hooks/passthru",
    "etc/initramfs-tools/hooks/passthru",
    "etc/initramfs-tools/scripts/init-top/00-passthru",
    "etc/dracut.conf.d/passthru.conf",
    "usr/lib/dracut/modules.d/91passthru/module-setup.sh",
    "usr/lib/dracut/modules.d/91passthru/passthru.sh",
    once::UNIT,
    once::WANTS,
];

impl Host {
    /// Reads the machine below a root. Never fails: what cannot be read is said so.
    pub fn read(root: &Sysroot, probe: rom::Probe) -> Self {
        let devices = pci::read(root);
        let all: &[PciDevice] = devices.present().map_or(&[], Vec::as_slice);
        let functions: Vec<&PciDevice> = gpu::card_functions(all).into_iter().flatten().collect();
        let os = os::read(root);
        let firmware = firmware::read(root);
        let kernel = kernel::read(root, &functions);
        let uses = uses::read(root);
        let (files, modprobe) = read_files(root);
        let cmdline = kernel.command_line.present().map(String::as_str);
        let mut host = Self {
            bootloader: boot::detect(root, &files, &firmware, cmdline, &os),
            initramfs: initramfs::detect(root, &files, &os),
            iommu: iommu::read(root, all),
            names: Names::read(root, all),
            gpus: gpu::read(root, all, probe),
            cpu: cpu::read(root),
            autostart: libvirt::read_autostart(root),
            boot_space: boot_space(root, &uses),
            revisions: BTreeMap::new(),
            unreadable: Vec::new(),
            os,
            firmware,
            kernel,
            uses,
            modprobe,
            files,
            devices,
        };
        host.unreadable = root.unreadable();
        host
    }

    /// Reads the revisions of all functions, which only listings show.
    pub fn read_revisions(&mut self, root: &Sysroot) {
        self.revisions = pci::revisions(root, self.devices());
        self.unreadable = root.unreadable();
    }

    /// All functions; empty where they could not be read.
    pub fn devices(&self) -> &[PciDevice] {
        self.devices.present().map_or(&[], Vec::as_slice)
    }

    /// The function at an address.
    pub fn device(&self, address: PciAddress) -> Option<&PciDevice> {
        let all = self.devices();
        all.binary_search_by_key(&address, |device| device.address).ok().map(|index| &all[index])
    }

    /// Functions of a card, the display function first.
    pub fn functions<'a>(&'a self, gpu: &'a Gpu) -> impl Iterator<Item = &'a PciDevice> {
        gpu.functions.iter().filter_map(|address| self.device(*address))
    }

    /// Name of a function, with its address in front, as messages show it.
    pub fn describe(&self, device: &PciDevice) -> String {
        format!("{} {}", device.address, self.named(device))
    }

    /// Name of a function; one that no list names is told by its id.
    pub fn named(&self, device: &PciDevice) -> String {
        let name = self.names.device(device.id);
        if name.ends_with("Device") { format!("{name} [{}]", device.id) } else { name }
    }

    /// The kernel command line, if it was read.
    pub fn command_line(&self) -> Option<&str> {
        self.kernel.command_line.present().map(String::as_str)
    }

    /// This kernel is a guest of a hypervisor: the processor's flag, or the board's name.
    pub fn hypervisor(&self) -> Option<String> {
        let vendors =
            ["QEMU", "VMware", "innotek", "Xen", "Microsoft Corporation", "Bochs", "Parallels"];
        let dmi = [&self.firmware.system_vendor, &self.firmware.product].into_iter().flatten();
        let virtual_board = |text: &&String| match text.as_str() {
            "Microsoft Corporation" => self.firmware.product.as_deref() == Some("Virtual Machine"),
            text => vendors.iter().any(|vendor| text.starts_with(vendor)),
        };
        let named = dmi.into_iter().find(virtual_board).cloned();
        let flag = self.cpu.present().is_some_and(|cpu| cpu.hypervisor);
        named.or_else(|| flag.then(|| "unknown".to_owned()))
    }
}

fn read_files(root: &Sysroot) -> (Files, ModprobeConfig) {
    let mut files = Files::default();
    boot::read_files(root, &mut files);
    initramfs::read_files(root, &mut files);
    for path in OWNED {
        files.read(root, path);
    }
    // On merged-/usr systems /lib is a link and its files would be seen twice.
    let merged = root.link("lib").is_present();
    let dirs = |all: &'static [&'static str]| {
        all.iter().copied().filter(move |dir| !(merged && dir.starts_with("lib/")))
    };
    for dir in dirs(&MODPROBE_DIRS).chain(dirs(&MODULES_LOAD_DIRS)) {
        files.read_dir(root, dir, "");
    }
    let order = MODPROBE_DIRS.iter().flat_map(|dir| files.below(dir));
    let texts = order.map(|(path, file)| (path.to_owned(), file.text.clone())).collect();
    let modprobe = ModprobeConfig::from_files(texts);
    (files, modprobe)
}

fn boot_space(root: &Sysroot, uses: &Uses) -> Vec<(String, crate::sys::Space)> {
    let points = ["/boot", "/efi", "/boot/efi", "/"];
    let mounted = points.iter().filter(|point| uses.mounted_at(point).is_some());
    let measured = mounted.filter_map(|point| {
        Some(((*point).to_owned(), root.space(point.trim_start_matches('/')).into_present()?))
    });
    measured.collect()
}
