//! The running kernel: release, command line, configuration, and what its modules claim.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use super::modules::Claimant;
use super::modules::Modules;
use super::pci::{PciAddress, PciDevice};
use crate::sys::{Observed, Sysroot};

/// How this kernel has vfio-pci.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ModuleState {
    /// A loadable module.
    Module,
    /// Built in: modprobe.d has no effect on it.
    BuiltIn,
    /// Neither.
    Missing,
}

/// Values of the kernel's configuration that matter here; an option that the file does not
/// set is `n`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KernelConfig {
    /// Which file was read.
    pub path: String,
    values: BTreeMap<String, String>,
}

impl KernelConfig {
    /// `y`, `m` or `n` of an option of interest.
    pub fn value(&self, option: &str) -> &str {
        self.values.get(option).map_or("n", String::as_str)
    }

    /// The kernel turns the Intel IOMMU on without being asked. `…_INTGPU_OFF` is Debian's
    /// variant, which leaves the integrated GPU untranslated.
    pub fn intel_iommu_default_on(&self) -> bool {
        self.value("INTEL_IOMMU_DEFAULT_ON") == "y" || self.intel_iommu_on_but_igpu()
    }

    /// Debian's variant of the default.
    pub fn intel_iommu_on_but_igpu(&self) -> bool {
        self.value("INTEL_IOMMU_DEFAULT_ON_INTGPU_OFF") == "y"
    }
}

/// The running kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernel {
    /// `uname -r`.
    pub release: Option<String>,
    /// What it was started with.
    pub command_line: Observed<String>,
    /// Its configuration.
    pub config: Observed<KernelConfig>,
    /// Directory of its modules; absent after a kernel update without reboot.
    pub modules_dir: Observed<String>,
    /// How it has vfio-pci.
    pub vfio_pci: Observed<ModuleState>,
    /// It has `vfio_virqfd` as a module of its own (before Linux 6.2); `None` where the list of
    /// modules could not be read.
    pub virqfd_module: Option<bool>,
    /// Loaded modules.
    pub loaded: BTreeSet<String>,
    /// Modules that claim each function of the cards.
    pub claimants: BTreeMap<PciAddress, Vec<Claimant>>,
    /// Releases that have a modules directory, as installed.
    pub installed: Vec<String>,
    /// `vfio_iommu_type1.allow_unsafe_interrupts` and `vfio.enable_unsafe_noiommu_mode`, where on.
    pub unsafe_options: Vec<String>,
    /// /dev/kvm is there.
    pub kvm: Observed<()>,
}

impl Kernel {
    /// Major and minor version of the release.
    pub fn version(&self) -> Option<(u32, u32)> {
        let mut parts = self.release.as_deref()?.split(|c: char| !c.is_ascii_digit());
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }
}

const OPTIONS: [&str; 8] = [
    "INTEL_IOMMU",
    "INTEL_IOMMU_DEFAULT_ON",
    "INTEL_IOMMU_DEFAULT_ON_INTGPU_OFF",
    "AMD_IOMMU",
    "IOMMU_DEFAULT_PASSTHROUGH",
    "VFIO",
    "VFIO_PCI",
    "SYSFB_SIMPLEFB",
];

/// Reads the kernel; claimants are looked up for `functions`.
pub fn read(root: &Sysroot, functions: &[&PciDevice]) -> Kernel {
    let release = release(root);
    let config = match &release {
        Some(release) => config(root, release),
        None => Observed::Unreadable("the kernel's release is not known".to_owned()),
    };
    let modules_dir = match &release {
        Some(release) => modules_dir(root, release),
        None => Observed::Unreadable("the kernel's release is not known".to_owned()),
    };
    let modules = modules_dir.present().map(|dir| Modules::read(root, dir, functions));
    let vfio_pci = vfio_state(&modules_dir, modules.as_ref(), &config);
    let files = modules.as_ref().and_then(|modules| modules.files.present());
    Kernel {
        virqfd_module: files.map(|files| files.contains("vfio_virqfd")),
        claimants: modules.map(|modules| modules.claimants).unwrap_or_default(),
        installed: installed(root),
        unsafe_options: unsafe_options(root),
        kvm: root.exists("dev/kvm").map(|_| ()),
        loaded: loaded(root),
        command_line: root.line("proc/cmdline"),
        release,
        config,
        modules_dir,
        vfio_pci,
    }
}

fn release(root: &Sysroot) -> Option<String> {
    root.line("proc/sys/kernel/osrelease").into_present().or_else(|| {
        let version = root.line("proc/version").into_present()?;
        Some(version.strip_prefix("Linux version ")?.split_whitespace().next()?.to_owned())
    })
}

fn config(root: &Sysroot, release: &str) -> Observed<KernelConfig> {
    let places = [
        format!("boot/config-{release}"),
        format!("usr/lib/modules/{release}/config"),
        format!("lib/modules/{release}/config"),
        "proc/config.gz".to_owned(),
        format!("usr/lib/modules/{release}/build/.config"),
    ];
    let mut last = Observed::Absent;
    for path in places {
        let keep = |line: &[u8]| option(line).is_some_and(|(name, _)| OPTIONS.contains(&name));
        match root.lines(&path, keep) {
            Observed::Present(text) => {
                let values = text.lines().filter_map(|line| option(line.as_bytes()));
                let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
                return Observed::Present(KernelConfig { path, values: values.collect() });
            }
            Observed::Unreadable(reason) => last = Observed::Unreadable(reason),
            Observed::Absent => {}
        }
    }
    last
}

/// `CONFIG_NAME=value`.
fn option(line: &[u8]) -> Option<(&str, &str)> {
    let line = std::str::from_utf8(line.strip_prefix(b"CONFIG_")?).ok()?;
    line.split_once('=')
}

fn modules_dir(root: &Sysroot, release: &str) -> Observed<String> {
    let mut last = Observed::Absent;
    for dir in [format!("usr/lib/modules/{release}"), format!("lib/modules/{release}")] {
        match root.exists(&format!("{dir}/modules.dep")) {
            Observed::Present(_) => return Observed::Present(dir),
            Observed::Unreadable(reason) => last = Observed::Unreadable(reason),
            Observed::Absent => {}
        }
    }
    last
}

fn vfio_state(
    dir: &Observed<String>,
    modules: Option<&Modules>,
    config: &Observed<KernelConfig>,
) -> Observed<ModuleState> {
    if let Some(modules) = modules {
        let named =
            |list: &Observed<BTreeSet<String>>| list.as_ref().map(|l| l.contains("vfio_pci"));
        return match (named(&modules.built_in), named(&modules.files)) {
            (Observed::Present(true), _) => Observed::Present(ModuleState::BuiltIn),
            (_, Observed::Present(true)) => Observed::Present(ModuleState::Module),
            (Observed::Unreadable(reason), _) | (_, Observed::Unreadable(reason)) => {
                Observed::Unreadable(reason)
            }
            _ => Observed::Present(ModuleState::Missing),
        };
    }
    match (dir, config.present().map(|config| config.value("VFIO_PCI"))) {
        (_, Some("y")) => Observed::Present(ModuleState::BuiltIn),
        (_, Some("n")) => Observed::Present(ModuleState::Missing),
        (Observed::Unreadable(reason), _) => Observed::Unreadable(reason.clone()),
        _ => Observed::Unreadable("the running kernel has no modules directory".to_owned()),
    }
}

fn loaded(root: &Sysroot) -> BTreeSet<String> {
    let text = root.text("proc/modules").into_present().unwrap_or_default();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn installed(root: &Sysroot) -> Vec<String> {
    for dir in ["usr/lib/modules", "lib/modules"] {
        if let Some(names) = root.list(dir).into_present() {
            let has_modules =
                |name: &String| root.exists(&format!("{dir}/{name}/modules.dep")).is_present();
            return names.into_iter().filter(has_modules).collect();
        }
    }
    Vec::new()
}

fn unsafe_options(root: &Sysroot) -> Vec<String> {
    [
        "vfio_iommu_type1/parameters/allow_unsafe_interrupts",
        "vfio/parameters/enable_unsafe_noiommu_mode",
    ]
    .into_iter()
    .map(|name| format!("sys/module/{name}"))
    .filter(|path| root.line(path).present().is_some_and(|value| value == "Y"))
    .collect()
}
