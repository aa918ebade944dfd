//! Pins, topology and huge pages of a machine as its host is made, and all of it out again.
//!
//! What is written is noted with what stood there before, so that tuning again begins from the
//! machine as it was.

pub mod cores;
mod noted;
mod off;
pub mod pages;
mod parts;
pub mod pins;

use serde::Serialize;

pub use noted::Tuned;
pub use off::off;

use self::cores::Cores;
use self::off::PINS;
use self::parts::put;
use self::pins::{Pin, Pinned};
use super::domain::{Domain, NoDomain};
use super::note;
use crate::config::xml::{Edits, Written};
use crate::host::cpu::CpuVendor;
use crate::host::resources::{Resources, listed};

/// As many iothreads are pinned; nobody has more disks.
const IOTHREADS: u32 = 256;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// Another number of virtual processors.
    pub cpus: Option<u32>,
    /// Memory as huge pages.
    pub huge_pages: bool,
}

/// What it is tuned to.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Processors and memory of the host.
    pub resources: &'a Resources,
    /// NUMA node of the card, where the host has several.
    pub card: Option<u32>,
    /// Who made the processor.
    pub vendor: CpuVendor,
}

/// What a machine is tuned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Tuning {
    /// Every pin.
    pub pins: Vec<Pin>,
    /// Threads of each of the guest's cores.
    pub threads: u32,
    /// NUMA node that its memory is taken from, where the host has several.
    pub node: Option<u32>,
    /// Size in KiB of the huge pages that its memory is taken from.
    pub huge_pages: Option<u64>,
}

/// A domain after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its text.
    pub text: String,
    /// What it is tuned to now.
    pub tuning: Option<Tuning>,
    /// What should be known about it.
    pub remarks: Vec<String>,
}

/// Why a domain is not tuned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No cores.
    #[error(transparent)]
    Cores(#[from] cores::Refused),
    /// No huge pages.
    #[error(transparent)]
    Pages(#[from] pages::Refused),
    /// Somebody arranged it already.
    #[error("it has {0} that passthru did not put there")]
    ByHand(&'static str),
    /// Its pins are other ones than those that were noted.
    #[error("its pins were changed after passthru wrote them")]
    Edited,
    /// Some of its processors are not there at its start.
    #[error("it starts with fewer virtual processors than it may have (<vcpu current='…'>)")]
    Hotplug,
    /// It does not say how many there are.
    #[error("it has no number of virtual processors (<vcpu>)")]
    NoCount,
    /// It does not say how much there is.
    #[error("it has no amount of memory (<memory>)")]
    NoMemory,
    /// There is nothing to take out.
    #[error("passthru did not tune it")]
    NotTuned,
    /// What is left of it is no domain.
    #[error(transparent)]
    NoDomain(#[from] NoDomain),
}

/// The domain, tuned to a host.
///
/// # Errors
/// Why not.
pub fn tune(domain: &Domain<'_>, wish: Wish, target: &Target<'_>) -> Result<Changed, Refused> {
    let count = match wish.cpus {
        Some(count) => count,
        None => vcpus(domain)?,
    };
    match off(domain) {
        Ok(bare) => {
            let mut changed = fresh(&Domain::parse(&bare.text)?, (count, wish), target)?;
            changed.remarks.splice(0..0, bare.remarks);
            Ok(changed)
        }
        Err(Refused::NotTuned) => fresh(domain, (count, wish), target),
        Err(other) => Err(other),
    }
}

fn vcpus(domain: &Domain<'_>) -> Result<u32, Refused> {
    domain.root.text_at(&["vcpu"]).and_then(|text| text.parse().ok()).ok_or(Refused::NoCount)
}

/// What somebody arranged, which is not for this to change.
fn by_hand(domain: &Domain<'_>, nodes: bool) -> Result<(), Refused> {
    let has = |path: &[&str]| domain.root.at(path).is_some();
    if PINS.iter().any(|pin| has(&["cputune", pin])) {
        return Err(Refused::ByHand("pins (<cputune>)"));
    }
    let vcpu = |name: &str| domain.root.attribute_at(&["vcpu"], name);
    if vcpu("cpuset").is_some() || vcpu("placement") == Some("auto") {
        return Err(Refused::ByHand("a choice of processors (<vcpu>)"));
    }
    let all = domain.root.text_at(&["vcpu"]);
    if vcpu("current").is_some_and(|current| Some(current) != all) {
        return Err(Refused::Hotplug);
    }
    if nodes && has(&["numatune", "memory"]) {
        return Err(Refused::ByHand("a choice of memory (<numatune>)"));
    }
    Ok(())
}

fn fresh(
    domain: &Domain<'_>,
    (count, wish): (u32, Wish),
    target: &Target<'_>,
) -> Result<Changed, Refused> {
    let Target { resources, card, vendor } = *target;
    let vcpu = domain.root.child("vcpu").ok_or(Refused::NoCount)?;
    let cores = Cores::of(resources, card)?;
    by_hand(domain, cores.several_nodes())?;
    let choice = cores.choose(count)?;
    let memory = domain.memory().ok_or(Refused::NoMemory)?;
    let mut remarks = pins::remarks(&choice, &cores, card);
    let has_pages = domain.root.at(&["memoryBacking", "hugepages"]).is_some();
    let paged = wish.huge_pages || has_pages;
    let node = choice.node.filter(|node| paged || holds(*node, memory, resources, &mut remarks));
    if wish.huge_pages && has_pages {
        remarks.push("It takes huge pages already, and they stay as they are.".to_owned());
    }
    let huge_pages = (wish.huge_pages && !has_pages)
        .then(|| pages::choose(memory, resources, node))
        .transpose()?;
    if vendor == CpuVendor::Amd && choice.threads() > 1 && !has_topoext(domain) {
        remarks.push("Without <feature policy='require' name='topoext'/> in <cpu>, Windows sees the threads of AMD's cores as cores.".to_owned());
    }
    let pins = pins::pins(&choice, &iothreads(domain));
    let threads = u32::try_from(choice.threads()).unwrap_or(1);

    let mut edits = Edits::of(domain.text);
    let mut tuned = Tuned::new(&pins, &choice.host);
    (tuned.threads, tuned.node, tuned.pages) = (Some(threads), node, huge_pages);
    if let (true, Some(inside)) = (vcpus(domain)? != count, &vcpu.inside) {
        tuned.vcpu = Some(domain.text[inside.clone()].to_owned());
        edits.replace(inside.clone(), count.to_string());
    }
    let before = ["vcpu", "vcpus", "iothreads", "iothreadids", "defaultiothread", "cputune"];
    let written = pins.iter().map(written).collect();
    tuned.had("cputune", put(&mut edits, domain, "cputune", &before, written));
    if let Some(node) = node {
        let memory = Written::new("memory").with("mode", "strict").with("nodeset", node);
        tuned.had("numatune", put(&mut edits, domain, "numatune", &before, vec![memory]));
    }
    if let Some(size) = huge_pages {
        let page = Written::new("page").with("size", size).with("unit", "KiB");
        let pages = vec![Written::new("hugepages").and(page)];
        let before = ["maxMemory", "memory", "currentMemory"];
        tuned.had("memoryBacking", put(&mut edits, domain, "memoryBacking", &before, pages));
    }
    let topology = Written::new("topology")
        .with("sockets", 1)
        .with("dies", 1)
        .with("cores", count / threads)
        .with("threads", threads);
    match domain.root.at(&["cpu", "topology"]) {
        Some(there) => {
            tuned.topology = Some(domain.text[there.span.clone()].to_owned());
            edits.replace(there.span.clone(), topology.render());
        }
        None => {
            let before = ["os", "features"];
            tuned.had("cpu", put(&mut edits, domain, "cpu", &before, vec![topology]));
        }
    }
    note::add(&mut edits, domain, tuned.written());
    let tuning = Tuning { pins, threads, node, huge_pages };
    Ok(Changed { text: edits.done(), tuning: Some(tuning), remarks })
}

fn has_topoext(domain: &Domain<'_>) -> bool {
    let cpu = domain.root.child("cpu");
    let mut features = cpu.into_iter().flat_map(|cpu| cpu.all("feature"));
    features.any(|feature| feature.attribute("name") == Some("topoext"))
}

/// Whether a node has the memory of a machine beside its huge pages; said if not.
fn holds(node: u32, memory: u64, resources: &Resources, remarks: &mut Vec<String>) -> bool {
    let known = resources.nodes.iter().find(|known| known.number == node);
    let Some((has, pages)) =
        known.and_then(|known| Some((*known.memory.present()?, &known.huge_pages)))
    else {
        remarks.push(format!("How much memory NUMA node {node} has could not be read, so the machine's is not bound to it."));
        return false;
    };
    let reserved =
        pages.iter().map(|pages| pages.all.saturating_mul(pages.kibibytes).saturating_mul(1 << 10));
    let has = has.saturating_sub(reserved.fold(0, u64::saturating_add));
    if has < memory {
        remarks.push(format!("NUMA node {node} has {} MiB of memory, and the machine takes {}: a part of it will be farther away, so its memory is not bound to the node.", has >> 20, memory >> 20));
    }
    has >= memory
}

/// Numbers of its iothreads (libvirt, domain format, `iothreadids`).
fn iothreads(domain: &Domain<'_>) -> Vec<u32> {
    let ids = domain.root.child("iothreadids").into_iter().flat_map(|ids| ids.all("iothread"));
    let ids: Vec<u32> = ids.filter_map(|one| one.attribute("id")?.parse().ok()).collect();
    let count = domain.root.text_at(&["iothreads"]).and_then(|text| text.parse::<u32>().ok());
    if ids.is_empty() { (1..=count.unwrap_or(0).min(IOTHREADS)).collect() } else { ids }
}

fn written(pin: &Pin) -> Written {
    let pinned = match pin.what {
        Pinned::Vcpu(number) => Written::new("vcpupin").with("vcpu", number),
        Pinned::Emulator => Written::new("emulatorpin"),
        Pinned::Iothread(number) => Written::new("iothreadpin").with("iothread", number),
    };
    pinned.with("cpuset", listed(&pin.cpus))
}

#[cfg(test)]
mod tests;
