//! What a guest takes of the host: memory, processors with their places, firmware for guests.
//!
//! Read only where a guest is asked about.

use std::collections::BTreeSet;

use crate::sys::{Observed, Sysroot};

const MEMINFO: &str = "proc/meminfo";
const CPUS: &str = "sys/devices/system/cpu";
const NODES: &str = "sys/devices/system/node";
/// The PMUs of the smaller cores of a hybrid processor (Linux, arch/x86/events/intel/core.c).
const EFFICIENT: [&str; 2] = ["cpu_atom", "cpu_lowpower"];
/// Descriptors of firmware images (QEMU, docs/interop/firmware.json). An image of the
/// administrator comes before one of the distribution, and hides one of the same name.
const FIRMWARE: [&str; 2] = ["etc/qemu/firmware", "usr/share/qemu/firmware"];

/// One logical processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processor {
    /// Its number.
    pub number: u32,
    /// Numbers of the threads of its core, itself included, in order.
    pub siblings: Vec<u32>,
    /// Numbers of those that share its last-level cache, itself included, in order.
    pub cache: Vec<u32>,
    /// Size of that cache in KiB.
    pub cache_size: Option<u64>,
    /// NUMA node.
    pub node: Option<u32>,
    /// An efficiency core of a hybrid processor.
    pub efficient: bool,
}

/// Huge pages of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HugePages {
    /// Size of a page in KiB.
    pub kibibytes: u64,
    /// Pages that are reserved.
    pub all: u64,
    /// Those of them that are not in use.
    pub free: u64,
}

/// The memory of one NUMA node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryNode {
    /// Its number.
    pub number: u32,
    /// Memory in bytes.
    pub memory: Observed<u64>,
    /// Huge pages in it, a size each.
    pub huge_pages: Vec<HugePages>,
}

/// What a firmware image for guests can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestFirmware {
    /// Its descriptor.
    pub path: String,
    /// Words of its descriptor: `secure-boot`, `enrolled-keys`, `requires-smm`, ….
    pub features: BTreeSet<String>,
}

/// The resources of a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Resources {
    /// Memory in bytes.
    pub memory: Observed<u64>,
    /// Memory that can be had without swapping, in bytes.
    pub available: Observed<u64>,
    /// Processors that are online, in order.
    pub processors: Observed<Vec<Processor>>,
    /// Processors that the scheduler leaves alone (`isolcpus=`).
    pub isolated: Vec<u32>,
    /// Huge pages, a size each.
    pub huge_pages: Vec<HugePages>,
    /// NUMA nodes, in order.
    pub nodes: Vec<MemoryNode>,
    /// UEFI images for Q35 machines.
    pub firmware: Observed<Vec<GuestFirmware>>,
}

impl Resources {
    /// Reads them.
    pub fn read(root: &Sysroot) -> Self {
        let memory = root.text(MEMINFO);
        let field = |name: &str| match &memory {
            Observed::Present(text) => match kibibytes(text, name) {
                Some(amount) => Observed::Present(amount << 10),
                None => Observed::Unreadable(format!("it has no line {name}")),
            },
            Observed::Absent => Observed::Absent,
            Observed::Unreadable(reason) => Observed::Unreadable(reason.clone()),
        };
        let list = |name: &str| root.line(&format!("{CPUS}/{name}"));
        let efficient = EFFICIENT.iter().flat_map(|pmu| {
            let cpus = root.line(&format!("sys/devices/{pmu}/cpus"));
            numbers(&cpus.into_present().unwrap_or_default())
        });
        let efficient: Vec<u32> = efficient.collect();
        let processors = list("online").map(|online| {
            numbers(&online).into_iter().map(|cpu| processor(root, cpu, &efficient)).collect()
        });
        Self {
            available: field("MemAvailable:"),
            memory: field("MemTotal:"),
            processors,
            isolated: numbers(&list("isolated").into_present().unwrap_or_default()),
            huge_pages: huge_pages(root, "sys/kernel/mm/hugepages"),
            nodes: nodes(root),
            firmware: firmware(root),
        }
    }

    /// Processors that are online; none where they could not be read.
    pub fn online(&self) -> &[Processor] {
        self.processors.present().map_or(&[], Vec::as_slice)
    }
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A list as the kernel writes it: `0-3,8`.
pub fn numbers(text: &str) -> Vec<u32> {
    let parts = text.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        Some(first..=last.min(first.saturating_add(1 << 16)))
    });
    parts.flatten().collect()
}

/// The same, written as the kernel does. They are in order.
pub fn listed(numbers: &[u32]) -> String {
    let runs = numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let runs = runs.map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        run => run.iter().map(ToString::to_string).collect(),
    });
    runs.collect::<Vec<_>>().join(",")
}

fn processor(root: &Sysroot, number: u32, efficient: &[u32]) -> Processor {
    let at = |name: &str| root.line(&format!("{CPUS}/cpu{number}/{name}")).into_present();
    let listed = |name: &str| {
        let listed = numbers(&at(name).unwrap_or_default());
        if listed.contains(&number) { listed } else { vec![number] }
    };
    let dir = root.list(&format!("{CPUS}/cpu{number}")).into_present().unwrap_or_default();
    let node = dir.iter().find_map(|name| name.strip_prefix("node")?.parse().ok());
    let last = ["cache/index3", "cache/index2"]
        .into_iter()
        .find(|cache| at(&format!("{cache}/shared_cpu_list")).is_some());
    let size = last.and_then(|cache| at(&format!("{cache}/size")));
    Processor {
        number,
        siblings: listed("topology/thread_siblings_list"),
        cache: last.map_or_else(|| vec![number], |at| listed(&format!("{at}/shared_cpu_list"))),
        cache_size: size.and_then(|size| size.trim().strip_suffix('K')?.parse().ok()),
        node,
        efficient: efficient.contains(&number),
    }
}

fn huge_pages(root: &Sysroot, dir: &str) -> Vec<HugePages> {
    let names = root.list(dir).into_present().unwrap_or_default();
    let found = names.iter().filter_map(|name| {
        let kibibytes = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let pages = |of: &str| {
            let count = root.line(&format!("{dir}/{name}/{of}_hugepages")).into_present()?;
            count.trim().parse::<u64>().ok()
        };
        let free = pages("free")?;
        Some(HugePages { kibibytes, all: pages("nr").unwrap_or(free), free })
    });
    found.collect()
}

fn nodes(root: &Sysroot) -> Vec<MemoryNode> {
    let names = root.list(NODES).into_present().unwrap_or_default();
    let found = names.iter().filter_map(|name| {
        let number = name.strip_prefix("node")?.parse().ok()?;
        let memory = root.text(&format!("{NODES}/{name}/meminfo")).and_then(|text| {
            let total = text.lines().find_map(|line| line.split_once("MemTotal:"));
            let total = total.and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
            match total {
                Some(kibibytes) => Observed::Present(u64::saturating_mul(kibibytes, 1 << 10)),
                _ => Observed::Unreadable("it has no line MemTotal:".to_owned()),
            }
        });
        let huge_pages = huge_pages(root, &format!("{NODES}/{name}/hugepages"));
        Some(MemoryNode { number, memory, huge_pages })
    });
    let mut found: Vec<MemoryNode> = found.collect();
    found.sort_by_key(|node| node.number);
    found
}

fn firmware(root: &Sysroot) -> Observed<Vec<GuestFirmware>> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let mut any = Observed::Absent;
    for dir in FIRMWARE {
        let names = match root.list(dir) {
            Observed::Present(names) => names,
            Observed::Absent => continue,
            Observed::Unreadable(reason) => return Observed::Unreadable(reason),
        };
        any = Observed::Present(());
        for name in names.into_iter().filter(|name| name.ends_with(".json")) {
            let path = format!("{dir}/{name}");
            if seen.insert(name) {
                let text = root.text(&path).into_present().unwrap_or_default();
                found.extend(descriptor(path, &text));
            }
        }
    }
    any.map(|()| found)
}

/// A UEFI image for x86_64 Q35 machines; an empty file hides one of the same name.
fn descriptor(path: String, text: &str) -> Option<GuestFirmware> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let list = |name: &str| value.get(name).and_then(|list| list.as_array()).cloned();
    let is = |value: &serde_json::Value, word: &str| value.as_str() == Some(word);
    let uefi = list("interface-types")?.iter().any(|kind| is(kind, "uefi"));
    let q35 = list("targets")?.iter().any(|target| {
        let machines = target.get("machines").and_then(|list| list.as_array());
        let fits = |name: &serde_json::Value| {
            name.as_str().is_some_and(|name| name == "*" || name.starts_with("pc-q35"))
        };
        target.get("architecture").is_some_and(|arch| is(arch, "x86_64"))
            && machines.is_some_and(|machines| machines.iter().any(fits))
    });
    let features = list("features")?;
    let features = features.iter().filter_map(|word| word.as_str()).map(str::to_owned).collect();
    (uefi && q35).then_some(GuestFirmware { path, features })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kernel_are_read() {
        assert_eq!(numbers("0-2,5,7-8\n"), [0, 1, 2, 5, 7, 8]);
        assert_eq!(numbers(""), [0; 0]);
        assert_eq!(numbers("x,3-1,4"), [4]);
        assert_eq!(listed(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(listed(&[]), "");
    }

    #[test]
    fn descriptors_tell_what_an_image_can_do() {
        let text = r#"{"interface-types":["uefi"],"targets":[{"architecture":"x86_64",
            "machines":["pc-q35-*"]}],"features":["secure-boot","requires-smm"]}"#;
        let features = |text: &str| descriptor("x".to_owned(), text).map(|found| found.features);
        let expected = ["requires-smm", "secure-boot"].map(str::to_owned).into();
        assert_eq!(features(text), Some(expected));
        assert_eq!(features(&text.replace("uefi", "bios")), None);
        assert_eq!(features(&text.replace("pc-q35", "pc-i440fx")), None);
        assert_eq!(features(""), None);
    }
}
