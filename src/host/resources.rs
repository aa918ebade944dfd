//! What a guest takes of the host: memory, processors with their places, firmware for guests.
//!
//! Read only where a guest is asked about.

use std::collections::BTreeSet;

use crate::sys::{Observed, Sysroot};

const MEMINFO: &str = "proc/meminfo";
const CPUS: &str = "sys/devices/system/cpu";
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
    /// Pages that are not in use.
    pub free: u64,
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
        let efficient = root.line("sys/devices/cpu_atom/cpus").into_present().unwrap_or_default();
        let efficient = numbers(&efficient);
        let processors = list("online").map(|online| {
            numbers(&online).into_iter().map(|cpu| processor(root, cpu, &efficient)).collect()
        });
        Self {
            available: field("MemAvailable:"),
            memory: field("MemTotal:"),
            processors,
            isolated: numbers(&list("isolated").into_present().unwrap_or_default()),
            huge_pages: huge_pages(root),
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

fn processor(root: &Sysroot, number: u32, efficient: &[u32]) -> Processor {
    let at = |name: &str| root.line(&format!("{CPUS}/cpu{number}/{name}")).into_present();
    let listed = |name: &str| {
        let listed = numbers(&at(name).unwrap_or_default());
        if listed.contains(&number) { listed } else { vec![number] }
    };
    let dir = root.list(&format!("{CPUS}/cpu{number}")).into_present().unwrap_or_default();
    let node = dir.iter().find_map(|name| name.strip_prefix("node")?.parse().ok());
    let cache = ["3", "2"].into_iter().map(|index| format!("cache/index{index}/shared_cpu_list"));
    let cache = cache.into_iter().find(|path| at(path).is_some());
    Processor {
        number,
        siblings: listed("topology/thread_siblings_list"),
        cache: cache.map_or_else(|| vec![number], |path| listed(&path)),
        node,
        efficient: efficient.contains(&number),
    }
}

fn huge_pages(root: &Sysroot) -> Vec<HugePages> {
    const DIR: &str = "sys/kernel/mm/hugepages";
    let names = root.list(DIR).into_present().unwrap_or_default();
    let found = names.iter().filter_map(|name| {
        let kibibytes = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let free = root.line(&format!("{DIR}/{name}/free_hugepages")).into_present()?;
        Some(HugePages { kibibytes, free: free.trim().parse().ok()? })
    });
    found.collect()
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
