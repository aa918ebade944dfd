//! Which card is meant: the one that was named, or the one sensible candidate.

use crate::host::Host;
use crate::host::gpu::{Gpu, Role};
use crate::host::pci::{PciAddress, PciId};

/// The outcome of choosing a card.
#[derive(Debug, Clone, PartialEq)]
pub enum Selection<'a> {
    /// This one.
    One(&'a Gpu),
    /// These would all do, and nothing says which.
    Several(Vec<&'a Gpu>),
    /// The card is not where it is said to be; these have its ids.
    Moved(Vec<&'a Gpu>),
    /// The name fits no card.
    NoMatch(String),
    /// There is no card at all.
    NoGpu,
}

/// Chooses by address (`07:00.0`, `0000:07:00`), id (`1002:73ff`), part of the name, or,
/// without a name, the candidate that nothing else competes with. With an identity, only a card
/// of that identity is chosen.
pub fn select<'a>(host: &'a Host, named: Option<&str>, identity: Option<&String>) -> Selection<'a> {
    let cards = &host.gpus.cards;
    if let Some(identity) = identity {
        let same = |gpu: &&Gpu| host.device(gpu.address).is_some_and(|d| d.identity() == *identity);
        return match by_name(host, named.unwrap_or_default()) {
            Selection::One(gpu) if same(&gpu) => Selection::One(gpu),
            _ => Selection::Moved(cards.iter().filter(same).collect()),
        };
    }
    if cards.is_empty() {
        return Selection::NoGpu;
    }
    match named {
        Some(named) => by_name(host, named.trim()),
        None => sensible(cards),
    }
}

fn by_name<'a>(host: &'a Host, named: &str) -> Selection<'a> {
    let all = || host.gpus.cards.iter();
    let matching: Vec<&Gpu> = if let Ok(address) = named.parse::<PciAddress>() {
        all().filter(|gpu| gpu.functions.contains(&address)).collect()
    } else if let Ok(slot) = format!("{named}.0").parse::<PciAddress>() {
        all().filter(|gpu| gpu.address.same_slot(slot)).collect()
    } else if let Ok(id) = named.to_lowercase().parse::<PciId>() {
        all().filter(|gpu| host.functions(gpu).any(|function| function.id == id)).collect()
    } else if named.is_empty() {
        Vec::new()
    } else {
        let wanted = named.to_lowercase();
        let fits = |gpu: &&Gpu| {
            let device = host.device(gpu.address);
            device.is_some_and(|d| host.names.device(d.id).to_lowercase().contains(&wanted))
        };
        all().filter(fits).collect()
    };
    match matching.as_slice() {
        [] => Selection::NoMatch(named.chars().take(60).collect()),
        [gpu] => Selection::One(gpu),
        _ => Selection::Several(matching),
    }
}

fn sensible(cards: &[Gpu]) -> Selection<'_> {
    if let [only] = cards {
        return Selection::One(only);
    }
    let of = |role: Role| cards.iter().filter(|gpu| gpu.role == role).collect::<Vec<_>>();
    let (assigned, candidates) = (of(Role::Assigned), of(Role::Candidate));
    let discrete: Vec<&Gpu> = candidates.iter().copied().filter(|gpu| !gpu.integrated).collect();
    match (assigned.as_slice(), discrete.as_slice(), candidates.as_slice()) {
        ([gpu], _, _) | ([], [gpu], _) | ([], [], [gpu]) => Selection::One(gpu),
        ([], [], []) => Selection::Several(cards.iter().collect()),
        ([], _, _) => Selection::Several(if discrete.is_empty() { candidates } else { discrete }),
        _ => Selection::Several(assigned),
    }
}
