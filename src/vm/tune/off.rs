//! What tuning put into a domain, out again.

use super::noted::Tuned;
use super::parts::{Had, take};
use super::{Changed, Refused, vcpus};
use crate::config::xml::{Edits, Element};
use crate::vm::domain::Domain;
use crate::vm::note::{self, Note};

/// Pins of a domain.
pub(super) const PINS: [&str; 3] = ["vcpupin", "emulatorpin", "iothreadpin"];

/// The domain without what tuning put there.
///
/// # Errors
/// It was not tuned, or its pins were changed since.
pub fn off(domain: &Domain<'_>) -> Result<Changed, Refused> {
    let tuned = Note::of(domain).tuned.ok_or(Refused::NotTuned)?;
    let mut edits = Edits::of(domain.text);
    let mut remarks = Vec::new();
    let is_pin = |element: &Element| PINS.contains(&element.name.as_str());
    let cputune = domain.root.child("cputune");
    let pins: Vec<&Element> =
        cputune.into_iter().flat_map(|all| &all.children).filter(|e| is_pin(e)).collect();
    if pins.is_empty() {
        remarks.push("Its pins were taken out before.".to_owned());
    } else if !pins.iter().all(|pin| tuned.has(pin)) {
        return Err(Refused::Edited);
    }
    let count = u32::try_from(tuned.cpus.len()).ok();
    if let Some(before) = &tuned.vcpu {
        match domain.root.child("vcpu").and_then(|vcpu| vcpu.inside.clone()) {
            Some(inside) if vcpus(domain).ok() == count => edits.replace(inside, before),
            _ => remarks
                .push("The number of virtual processors was changed since, and stays.".to_owned()),
        }
    }
    let cpu = domain.root.child("cpu");
    let topology = cpu.and_then(|cpu| cpu.child("topology"));
    let ours = topology.filter(|topology| tuned.wrote(topology));
    match (&tuned.topology, ours, cpu) {
        (Some(before), Some(ours), _) => edits.replace(ours.span.clone(), before),
        (None, Some(_), Some(cpu)) => {
            let had = tuned.place("cpu").unwrap_or(Had::Pair);
            take(&mut edits, domain, cpu, |element| element.name == "topology", had);
        }
        _ => remarks.push("The topology was changed since, and stays.".to_owned()),
    }
    let mut cut = |parent: &str, ours: &dyn Fn(&Element) -> bool| {
        if let (Some(had), Some(parent)) = (tuned.place(parent), domain.root.child(parent)) {
            take(&mut edits, domain, parent, ours, had);
        }
    };
    cut("cputune", &is_pin);
    cut("numatune", &|element| tuned.wrote(element));
    cut("memoryBacking", &|element| tuned.wrote(element));
    for (parent, name) in [("numatune", "memory"), ("memoryBacking", "hugepages")] {
        let there = domain.root.at(&[parent, name]);
        if tuned.place(parent).is_some() && there.is_some_and(|there| !tuned.wrote(there)) {
            remarks.push(format!("<{name}> in <{parent}> was changed since, and stays."));
        }
    }
    note::cut(&mut edits, domain, |child| Tuned::read(child).is_some());
    Ok(Changed { text: edits.done(), tuning: None, remarks })
}
