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
        if let Some(vcpu) = &self.vcpu {
            noted = noted.with("vcpu", vcpu);
        }
        for (parent, had) in &self.had {
            noted = noted.with(parent, had);
        }
        noted.and_all(self.topology.as_ref().map(|text| Written::text("passthru:topology", text)))
    }
}
