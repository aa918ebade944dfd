//! What tuning notes in the metadata of a domain.

use super::parts::Had;
use super::pins::{Pin, Pinned};
use crate::config::xml::{Element, Written};
use crate::host::resources::{listed, numbers};

/// Elements that may have been there before.
const PARENTS: [&str; 4] = ["cputune", "numatune", "memoryBacking", "cpu"];

/// What was written, and what stood there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuned {
    /// Processors of the host, that of the first virtual processor first.
    pub cpus: Vec<u32>,
    /// Processors of the emulator and the iothreads.
    pub host: Vec<u32>,
    /// Threads of each of the guest's cores.
    pub(super) threads: Option<u32>,
    /// NUMA node that memory was taken from.
    pub(super) node: Option<u32>,
    /// Size in KiB of its huge pages.
    pub(super) pages: Option<u64>,
    /// Number of virtual processors before, as it was written.
    pub vcpu: Option<String>,
    /// The topology before, as it was written.
    pub topology: Option<String>,
    /// Elements that something was put into.
    pub(super) had: Vec<(String, Had)>,
}

impl Tuned {
    /// Of pins.
    pub(super) fn new(pins: &[Pin], host: &[u32]) -> Self {
        let vcpus = pins.iter().filter(|pin| matches!(pin.what, Pinned::Vcpu(_)));
        Self {
            cpus: vcpus.flat_map(|pin| pin.cpus.iter().copied()).collect(),
            host: host.to_vec(),
            threads: None,
            node: None,
            pages: None,
            vcpu: None,
            topology: None,
            had: Vec::new(),
        }
    }

    /// Notes what was in the place of a parent.
    pub(super) fn had(&mut self, parent: &str, had: Had) {
        self.had.push((parent.to_owned(), had));
    }

    /// What was in the place of a parent.
    pub(super) fn place(&self, parent: &str) -> Option<Had> {
        self.had.iter().find(|(name, _)| name == parent).map(|(_, had)| *had)
    }

    /// Whether a pin of the domain is as it was written.
    pub(super) fn has(&self, pin: &Element) -> bool {
        let number = |name: &str| pin.attribute(name)?.parse::<usize>().ok();
        let wanted = match pin.name.as_str() {
            "vcpupin" => {
                number("vcpu").and_then(|vcpu| self.cpus.get(vcpu)).map(std::slice::from_ref)
            }
            _ => Some(self.host.as_slice()),
        };
        pin.attribute("cpuset").map(numbers).as_deref() == wanted
    }

    /// Whether a topology, a choice of memory or huge pages are as they were written.
    pub(super) fn wrote(&self, element: &Element) -> bool {
        let is = |element: &Element, name: &str, value: Option<String>| {
            value.is_some() && element.attribute(name).map(str::to_owned) == value
        };
        let text = |number: Option<u64>| number.map(|number| number.to_string());
        match element.name.as_str() {
            "topology" => {
                let threads = self.threads.filter(|threads| *threads > 0);
                let cores = threads.map(|threads| self.cpus.len() as u64 / u64::from(threads));
                is(element, "threads", text(threads.map(u64::from)))
                    && is(element, "cores", text(cores))
                    && is(element, "sockets", Some("1".to_owned()))
            }
            "memory" => {
                is(element, "mode", Some("strict".to_owned()))
                    && is(element, "nodeset", text(self.node.map(u64::from)))
            }
            "hugepages" => match element.children.as_slice() {
                [page] => is(page, "size", text(self.pages)),
                _ => false,
            },
            _ => false,
        }
    }

    /// Reads it; nothing where the element is something else.
    pub fn read(element: &Element) -> Option<Self> {
        if element.local_name() != "tuned" {
            return None;
        }
        let child = |name: &str| element.children.iter().find(|e| e.local_name() == name);
        let had = PARENTS.into_iter().filter_map(|parent| {
            let had = element.attribute(parent)?.parse().ok()?;
            Some((parent.to_owned(), had))
        });
        Some(Self {
            cpus: numbers(element.attribute("cpus")?),
            host: numbers(element.attribute("host")?),
            threads: element.attribute("threads").and_then(|text| text.parse().ok()),
            node: element.attribute("node").and_then(|text| text.parse().ok()),
            pages: element.attribute("pages").and_then(|text| text.parse().ok()),
            vcpu: element.attribute("vcpu").map(str::to_owned),
            topology: child("topology").map(|topology| topology.text.clone()),
            had: had.collect(),
        })
    }

    /// As it is noted.
    pub(super) fn written(&self) -> Written {
        let cpus: Vec<String> = self.cpus.iter().map(ToString::to_string).collect();
        let mut noted = Written::new("passthru:tuned")
            .with("cpus", cpus.join(","))
            .with("host", listed(&self.host));
        let numbers = [
            ("threads", self.threads.map(u64::from)),
            ("node", self.node.map(u64::from)),
            ("pages", self.pages),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                noted = noted.with(name, number);
            }
        }
        if let Some(vcpu) = &self.vcpu {
            noted = noted.with("vcpu", vcpu);
        }
        for (parent, had) in &self.had {
            noted = noted.with(parent, had);
        }
        noted.and_all(self.topology.as_ref().map(|text| Written::text("passthru:topology", text)))
    }
}
