//! The processor: vendor, model, topology, virtualization flag; and whether this is a guest.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::sys::{Observed, Sysroot};

/// Who made the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CpuVendor {
    /// Intel: VT-x, VT-d.
    Intel,
    /// AMD and Hygon: AMD-V, AMD-Vi.
    Amd,
    /// Any other.
    Other,
}

/// Hardware virtualization as the kernel offers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub enum Virtualization {
    /// Intel VT-x (`vmx`).
    #[serde(rename = "vt-x")]
    VtX,
    /// AMD-V (`svm`).
    #[serde(rename = "amd-v")]
    AmdV,
}

/// What `/proc/cpuinfo` tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Cpu {
    /// Who made it.
    pub vendor: CpuVendor,
    /// Model name as the processor gives it.
    pub model: Option<String>,
    /// Flag `vmx` or `svm`. The kernel clears `vmx` where firmware locked it off
    /// (arch/x86/kernel/cpu/feat_ctl.c).
    pub virtualization: Option<Virtualization>,
    /// Physical cores of all sockets.
    pub cores: Option<u32>,
    /// Logical processors.
    pub threads: Option<u32>,
    /// Flag `hypervisor`: this kernel is a guest.
    #[serde(skip)]
    pub hypervisor: bool,
}

/// Where it stands.
pub const CPUINFO: &str = "proc/cpuinfo";

/// Reads the processor.
pub fn read(root: &Sysroot) -> Observed<Cpu> {
    // The same for every processor; one copy is enough.
    let mut seen = Vec::new();
    let keep = |line: &[u8]| {
        let key = line.split(|b| matches!(b, b'\t' | b':')).next().unwrap_or_default();
        match key {
            b"flags" | b"vendor_id" | b"model name" => {
                let new = !seen.contains(&key.to_vec());
                seen.push(key.to_vec());
                new
            }
            b"processor" | b"physical id" | b"cpu cores" => true,
            _ => false,
        }
    };
    root.lines(CPUINFO, keep).and_then(|text| {
        if text.lines().any(|line| line.starts_with("flags")) {
            return Observed::Present(parse(&text));
        }
        let reason = "it has no line with the processor's flags";
        root.note_unreadable(CPUINFO, reason);
        Observed::Unreadable(reason.to_owned())
    })
}

fn parse(text: &str) -> Cpu {
    let (mut vendor, mut model, mut flags) = (None, None, "");
    let (mut threads, mut package) = (0_u32, 0_u32);
    let mut cores = BTreeMap::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        match key.trim() {
            "processor" => threads += 1,
            "vendor_id" => vendor = vendor.or(Some(value)),
            "model name" => model = model.or(Some(value.to_owned())),
            "flags" => flags = value,
            "physical id" => package = value.parse().unwrap_or(0),
            "cpu cores" => {
                cores.insert(package, value.parse::<u32>().unwrap_or(0));
            }
            _ => {}
        }
    }
    let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
    Cpu {
        vendor: match vendor {
            Some("GenuineIntel") => CpuVendor::Intel,
            Some("AuthenticAMD" | "HygonGenuine") => CpuVendor::Amd,
            _ => CpuVendor::Other,
        },
        model,
        virtualization: if has("vmx") {
            Some(Virtualization::VtX)
        } else {
            has("svm").then_some(Virtualization::AmdV)
        },
        cores: Some(cores.values().sum()).filter(|n| *n > 0),
        threads: Some(threads).filter(|n| *n > 0),
        hypervisor: has("hypervisor"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_cores_of_all_sockets() {
        let one = |cpu: u32, socket: u32| {
            format!(
                "processor\t: {cpu}\nvendor_id\t: GenuineIntel\nphysical id\t: {socket}\ncpu cores\t: 2\n\n"
            )
        };
        let text: String =
            [one(0, 0), one(1, 0), one(2, 1), one(3, 1)].concat() + "flags\t\t: fpu vmx\n";
        let cpu = parse(&text);
        assert_eq!((cpu.cores, cpu.threads), (Some(4), Some(4)));
        assert_eq!(cpu.virtualization, Some(Virtualization::VtX));
        assert!(!cpu.hypervisor);
    }
}
