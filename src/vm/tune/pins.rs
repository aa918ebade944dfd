//! Every pin of a machine, and why it is where it is.

use serde::Serialize;

use super::cores::{Choice, Core, Cores, Near};
use crate::host::resources::listed;

/// What is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Pinned {
    /// A virtual processor, by its number.
    Vcpu(u32),
    /// Everything of QEMU's that is neither a virtual processor nor an iothread.
    Emulator,
    /// A thread for the work of disks, by its number.
    Iothread(u32),
}

/// One pin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Pin {
    /// What is pinned.
    pub what: Pinned,
    /// Logical processors of the host that it runs on.
    pub cpus: Vec<u32>,
    /// Why on these.
    pub why: String,
}

/// The pins of a choice. Virtual processors of one core have numbers in a row, as QEMU counts
/// them.
pub fn pins(choice: &Choice, iothreads: &[u32]) -> Vec<Pin> {
    let mut pins = Vec::new();
    for core in &choice.cores {
        for (at, thread) in core.threads.iter().enumerate() {
            let why = match (at, core.threads.len()) {
                (0, _) => of_core(core, choice),
                (_, 2) => "the other thread of that core".to_owned(),
                _ => "another thread of that core".to_owned(),
            };
            let what = Pinned::Vcpu(u32::try_from(pins.len()).unwrap_or(u32::MAX));
            pins.push(Pin { what, cpus: vec![*thread], why });
        }
    }
    let host = match choice.near {
        Near::Cache => "the host's processors that share a cache with the guest",
        Near::Node => "the host's processors on the guest's node; none is left on its cache",
        Near::Anywhere => "all processors that the host keeps; none is left on the guest's node",
    };
    let work = "with the emulator, so that work for disks takes no time from the guest's cores";
    let iothreads = iothreads.iter().map(|number| (Pinned::Iothread(*number), work));
    for (what, why) in std::iter::once((Pinned::Emulator, host)).chain(iothreads) {
        pins.push(Pin { what, cpus: choice.host.clone(), why: why.to_owned() });
    }
    pins
}

fn of_core(core: &Core, choice: &Choice) -> String {
    let kind = match (choice.hybrid, core.efficient) {
        (false, _) => "",
        (true, false) => "performance ",
        (true, true) => "efficiency ",
    };
    let mut why = format!("a whole {kind}core on the cache of {}", listed(&core.cache));
    if let Some(node) = choice.node {
        why += &format!(", NUMA node {node}");
    }
    if core.isolated {
        why += ", isolated from the host's scheduler";
    }
    why
}

/// What the user should know about a choice.
pub fn remarks(choice: &Choice, cores: &Cores<'_>, card: Option<u32>) -> Vec<String> {
    let count = choice.cores.iter().map(|core| core.threads.len()).sum::<usize>();
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let mut remarks = Vec::new();
    let instead = |most: Option<u32>, what: &str| {
        most.map(|most| format!(" `--cpus {most}` {what}.")).unwrap_or_default()
    };
    if choice.hybrid && choice.efficient() {
        let most = instead(cores.most_performance(count), "takes performance cores");
        remarks.push(format!("The host has too few performance cores for {count} virtual processors, and kinds are not mixed: Windows would take all cores for the same. These are efficiency cores.{most}"));
    }
    if choice.caches > 1 {
        let most = instead(cores.most_on_one_cache(count), "stays on one");
        remarks.push(format!("The cores are on {} last-level caches, and data takes several times as long from one to another as on one.{most}", choice.caches));
    }
    if let Some(node) = choice.node.filter(|_| card.is_none()) {
        remarks.push(format!("The machine has no card that tells its NUMA node, so node {node} was chosen for its cores alone. After `passthru vm attach`, tune it again."));
    }
    if cores.any_isolated() && choice.cores.iter().any(|core| !core.isolated) {
        remarks.push("The processors that are isolated (isolcpus=) are too few for the guest, or not where it belongs.".to_owned());
    }
    remarks
}
