//! A person's words about a recorded host (`tests/truth/HOST.toml`), and the only place where
//! they are matched with the codes of findings.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::harness::project;

/// For each word, codes of which one at least must be raised.
pub type Words = &'static [(&'static str, &'static [&'static str])];

/// What stands in the way.
pub const BLOCKERS: Words = &[
    ("vm-guest", &["inside-vm"]),
    ("no-gpu", &["no-gpu"]),
    ("no-cpu-virt", &["cpu-virtualization-off"]),
    ("no-vfio-module", &["vfio-missing"]),
    ("no-iommu-groups", &["iommu-off-firmware", "iommu-driver-failed"]),
    ("no-iommu-firmware", &["iommu-off-firmware"]),
    ("iommu-off-in-kernel", &["iommu-off-kernel"]),
    ("group-not-isolated", &["group-shared", "group-two-gpus"]),
];

/// What has a price, or is good to know.
pub const WARNINGS: Words = &[
    ("acs-override-active", &["acs-override-active"]),
    ("apu", &["apu-assigned"]),
    ("bmc-is-boot-vga", &["bmc-boot-display"]),
    ("disk-controller-in-group", &["group-shared"]), // `dirty_members` has its address
    ("extra-functions-must-follow", &["companion-functions"]),
    ("framebuffer-on-guest-gpu", &["framebuffer-on-gpu"]),
    ("gpu-3d-controller-no-outputs", &["gpu-no-outputs"]),
    ("gpu-behind-chipset", &["gpu-behind-chipset"]),
    ("gpu-driver-in-initramfs", &["gpu-driver-in-initramfs"]),
    ("guest-gpu-is-boot-vga", &["gpu-boot-display"]),
    ("headless-after-bind", &["headless-host"]),
    ("host-gpu-not-primary", &["gpu-boot-display"]),
    ("id-also-matches-host-device", &["id-shared"]),
    ("identical-gpus", &["identical-gpus"]),
    ("laptop", &["hybrid-laptop"]),
    ("legacy-bios-host", &["legacy-bios-host"]),
    ("many-gpus", &["many-gpus"]),
    ("misspelt-parameter", &["parameter-misspelt"]),
    ("multifunction-split-over-groups", &["functions-in-several-groups"]),
    ("nic-in-group", &["host-network-in-group"]),
    ("no-hypervisor-installed", &["hypervisor-missing"]),
    ("no-monitor-on-host-gpu", &["host-gpu-no-monitor"]),
    ("numa-locality", &["numa-locality"]),
    ("nvswitch-fabric", &["nvswitch-fabric"]),
    ("old-kernel", &["old-kernel"]),
    ("proprietary-driver-loaded", &["proprietary-driver"]),
    ("reset-unreliable", &["reset-missing"]),
    ("rom-missing", &["rom-absent"]),
    ("root-disk-in-group", &["host-disk-in-group"]),
    ("same-driver-on-host-and-guest", &["same-driver"]),
    ("single-gpu", &["only-gpu"]),
    ("usb-in-group", &["host-input-in-group"]),
    ("vfio-already-configured", &["already-configured"]),
    ("vfio-built-in", &["vfio-built-in"]),
    ("vfio-ids-name-host-device", &["ids-name-host-device"]),
];

/// What the host would lose with a group that is not clean: more than the person's one word.
pub const LOST_WITH_THE_GROUP: [&str; 3] =
    ["host-disk-in-group", "host-network-in-group", "host-input-in-group"];

/// What a person says about a machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truth {
    pub state: State,
    pub iommu: Iommu,
    pub gpus: Vec<String>,
    /// The card to give away.
    pub guest_gpu: Option<String>,
    /// The card that its owner would like to give away, where none can go.
    pub wanted_gpu: Option<String>,
    /// Cards that would do as well as `guest_gpu`, itself among them.
    #[serde(default)]
    pub guest_candidates: Vec<String>,
    #[serde(default)]
    pub guest_functions: Vec<String>,
    pub host_gpu: Option<String>,
    /// For any display function: how its group is.
    #[serde(default)]
    pub groups: BTreeMap<String, Group>,
    #[serde(default)]
    pub dirty_members: BTreeMap<String, BTreeSet<String>>,
    #[serde(default)]
    pub ids: Vec<String>,
    /// What is bound, where that is more than the functions of `guest_gpu`.
    #[serde(default)]
    pub bind: Vec<String>,
    #[serde(default)]
    pub by_id_grabs_host: Vec<String>,
    #[serde(default)]
    pub by_id_grabs_other: Vec<String>,
    pub method: Option<Method>,
    #[serde(default)]
    pub parameters_present: Vec<String>,
    #[serde(default)]
    pub parameters_missing: Vec<String>,
    #[serde(default)]
    pub parameters_optional: Vec<String>,
    pub bootloader: String,
    pub initramfs: String,
    pub blockers: Vec<String>,
    pub warnings: Vec<String>,
    /// For the reader.
    #[serde(rename = "notes")]
    pub _notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    NeedsConfig,
    Configured,
    SingleGpu,
    Blocked,
    NotAHost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Iommu {
    On,
    OffInKernel,
    OffInFirmware,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    Clean,
    CleanWithBridges,
    CleanByOverride,
    Dirty,
    SharedWithGpu,
    UnknownUntilIommuOn,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    ById,
    ByAddress,
    /// Not at boot at all; the program makes no such plan unless it is told to.
    AtVmStart,
}

impl Truth {
    /// What is written about a recorded host.
    pub fn of(host: &str) -> Self {
        let path = project().join(format!("tests/truth/{host}.toml"));
        let text = std::fs::read_to_string(&path).unwrap();
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The card that the questions are about.
    pub fn card(&self) -> Option<&str> {
        self.guest_gpu.as_deref().or(self.wanted_gpu.as_deref())
    }

    /// What is meant to be bound.
    pub fn bound(&self) -> BTreeSet<String> {
        self.guest_functions.iter().chain(&self.bind).cloned().collect()
    }
}

/// Codes for each of the words; a word that the table does not know is a fault of the table.
pub fn codes_for(table: Words, words: &[String]) -> Vec<&'static [&'static str]> {
    let codes = words.iter().map(|word| {
        let known = table.iter().find(|(known, _)| known == word);
        known.unwrap_or_else(|| panic!("no code is mapped to the word `{word}`")).1
    });
    codes.collect()
}
