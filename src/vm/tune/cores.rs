//! Which cores of the host a guest gets: whole ones, of one kind, near each other and the card.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::host::Observed;
use crate::host::resources::{Processor, Resources};

/// The host keeps at least so many logical processors that its scheduler uses.
const HOST_KEEPS: usize = 2;

/// A core of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Core {
    /// Its threads that are online, in order.
    pub threads: Vec<u32>,
    /// Processors that share its last-level cache.
    pub cache: Vec<u32>,
    /// Size of that cache in KiB.
    pub cache_size: u64,
    /// NUMA node.
    pub node: Option<u32>,
    /// An efficiency core.
    pub efficient: bool,
    /// The scheduler leaves all its threads alone.
    pub isolated: bool,
}

/// How near the host's own work is to the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Near {
    /// On the same last-level cache.
    Cache,
    /// On the same NUMA node.
    Node,
    /// Wherever there is room.
    Anywhere,
}

/// Cores for a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The guest's cores, each with the same number of threads.
    pub cores: Vec<Core>,
    /// Last-level caches that they are on.
    pub caches: usize,
    /// Processors for what works for the guest: the emulator and its iothreads.
    pub host: Vec<u32>,
    /// Where those are.
    pub near: Near,
    /// The node that the guest is on, where the host has several.
    pub node: Option<u32>,
    /// The host has cores of both kinds.
    pub hybrid: bool,
}

impl Choice {
    /// Threads of each core.
    pub fn threads(&self) -> usize {
        self.cores.first().map_or(1, |core| core.threads.len())
    }

    /// The guest is on efficiency cores.
    pub fn efficient(&self) -> bool {
        self.cores.iter().any(|core| core.efficient)
    }
}

/// Why no cores were chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// They could not be read.
    #[error("the processors of this host could not be read: {0}")]
    Unknown(String),
    /// A part of a core would be left.
    #[error("{asked} virtual processors are no whole cores, each of which has {threads} threads")]
    Parts {
        /// What was asked for.
        asked: u32,
        /// Threads of a core.
        threads: u32,
        /// The nearest numbers that fit.
        fits: Vec<u32>,
    },
    /// There are too few.
    #[error(
        "{asked} virtual processors do not fit on whole cores of one kind{place} beside the host, which keeps its first core and at least {HOST_KEEPS} processors"
    )]
    Few {
        /// What was asked for.
        asked: u32,
        /// ` on NUMA node 1`, or nothing.
        place: String,
        /// The nearest numbers that fit.
        fits: Vec<u32>,
    },
}

impl Refused {
    /// Numbers of virtual processors that fit.
    pub fn fits(&self) -> &[u32] {
        match self {
            Self::Unknown(_) => &[],
            Self::Parts { fits, .. } | Self::Few { fits, .. } => fits,
        }
    }
}

/// The cores of a host, and what may be taken of them.
pub struct Cores<'a> {
    all: Vec<Core>,
    isolated: &'a [u32],
    nodes: BTreeSet<u32>,
    card: Option<u32>,
}

impl<'a> Cores<'a> {
    /// Of a host, with a card on a node.
    ///
    /// # Errors
    /// They could not be read.
    pub fn of(resources: &'a Resources, card: Option<u32>) -> Result<Self, Refused> {
        let processors = match &resources.processors {
            Observed::Present(all) if !all.is_empty() => all,
            Observed::Unreadable(reason) => return Err(Refused::Unknown(reason.clone())),
            _ => return Err(Refused::Unknown("the kernel lists none".to_owned())),
        };
        let mut cores: BTreeMap<u32, Vec<&Processor>> = BTreeMap::new();
        for processor in processors {
            let first = processor.siblings.first().copied().unwrap_or(processor.number);
            cores.entry(first).or_default().push(processor);
        }
        let isolated = &resources.isolated;
        let all = cores.into_values().filter_map(|threads| {
            let first = *threads.first()?;
            Some(Core {
                threads: threads.iter().map(|thread| thread.number).collect(),
                cache: first.cache.clone(),
                cache_size: first.cache_size.unwrap_or(0),
                node: first.node,
                efficient: first.efficient,
                isolated: threads.iter().all(|thread| isolated.contains(&thread.number)),
            })
        });
        let all: Vec<Core> = all.collect();
        let nodes: BTreeSet<u32> = all.iter().filter_map(|core| core.node).collect();
        let card = card.filter(|node| nodes.len() > 1 && nodes.contains(node));
        Ok(Self { all, isolated, nodes, card })
    }

    /// The host has several NUMA nodes.
    pub fn several_nodes(&self) -> bool {
        self.nodes.len() > 1
    }

    /// Some are kept from the scheduler.
    pub fn any_isolated(&self) -> bool {
        self.all.iter().any(|core| core.isolated)
    }

    /// Cores for so many virtual processors.
    ///
    /// # Errors
    /// They do not fit; the error names numbers that do.
    pub fn choose(&self, asked: u32) -> Result<Choice, Refused> {
        let threads = self.threads();
        let wanted = usize::try_from(asked).unwrap_or(usize::MAX);
        if wanted == 0 || !wanted.is_multiple_of(threads) {
            let threads = u32::try_from(threads).unwrap_or(u32::MAX);
            return Err(Refused::Parts { asked, threads, fits: self.fits(asked, false) });
        }
        self.best(wanted, false).ok_or_else(|| Refused::Few {
            asked,
            place: self.card.map(|node| format!(" on NUMA node {node}")).unwrap_or_default(),
            fits: self.fits(asked, false),
        })
    }

    /// The most virtual processors below a number that are on performance cores.
    pub fn most_performance(&self, below: u32) -> Option<u32> {
        self.fits(below, true).first().copied().filter(|most| *most < below)
    }

    /// The most virtual processors below a number that share one last-level cache.
    pub fn most_on_one_cache(&self, below: u32) -> Option<u32> {
        let one = |count: &u32| self.choose(*count).is_ok_and(|choice| choice.caches == 1);
        (1..below).rev().find(one)
    }

    /// Threads of a core of the best kind.
    fn threads(&self) -> usize {
        let best = self.all.iter().map(|core| (!core.efficient, core.threads.len())).max();
        best.map_or(1, |(_, threads)| threads)
    }

    /// The nearest numbers that fit, below and above.
    fn fits(&self, asked: u32, performance: bool) -> Vec<u32> {
        let online: usize = self.all.iter().map(|core| core.threads.len()).sum();
        let most = u32::try_from(online).unwrap_or(u32::MAX);
        let threads = self.threads();
        let fit = |count: &u32| {
            let count = usize::try_from(*count).unwrap_or(usize::MAX);
            count.is_multiple_of(threads) && self.best(count, performance).is_some()
        };
        let below = (1..asked.min(most.saturating_add(1))).rev().find(fit);
        let above = (asked.saturating_add(1)..=most).find(fit);
        below.into_iter().chain(above).collect()
    }

    /// The best of all choices: performance cores before others, then isolated ones, then few
    /// caches, then those that the first core is not on.
    fn best(&self, wanted: usize, performance: bool) -> Option<Choice> {
        let (first, rest) = self.all.split_first()?;
        let kind = |core: &Core| (core.node, core.efficient, core.threads.len());
        let kinds: BTreeSet<_> = rest.iter().map(kind).collect();
        let mut choices = Vec::new();
        for (node, efficient, threads) in kinds {
            let elsewhere = self.card.is_some() && node != self.card;
            if elsewhere || (performance && efficient) || !wanted.is_multiple_of(threads) {
                continue;
            }
            let pool = rest.iter().filter(|core| kind(core) == (node, efficient, threads));
            let pool: Vec<&Core> = pool.collect();
            let isolated: Vec<&Core> = pool.iter().copied().filter(|core| core.isolated).collect();
            for pool in [isolated, pool] {
                choices.extend(self.choice(&take(&pool, wanted / threads, first)));
            }
        }
        choices.into_iter().min_by_key(|choice| {
            let cores = &choice.cores;
            (
                choice.efficient(),
                Reverse(choice.threads()),
                !cores.iter().all(|core| core.isolated),
                choice.caches,
                cores.iter().any(|core| core.cache == first.cache),
                cores.first().map(|core| core.threads.clone()),
            )
        })
    }

    /// Cores with what is left to the host; nothing if that is too little. Processors that the
    /// scheduler leaves alone do not count: of several threads that are pinned to them, all run on
    /// one (Linux, kernel-parameters, `isolcpus`).
    fn choice(&self, cores: &[&Core]) -> Option<Choice> {
        let one = cores.first()?;
        let taken: BTreeSet<&[u32]> = cores.iter().map(|core| core.threads.as_slice()).collect();
        let left = self.all.iter().filter(|core| !taken.contains(core.threads.as_slice()));
        let kept = |fits: &dyn Fn(&Core) -> bool| -> Vec<u32> {
            let near = left.clone().filter(|core| fits(core)).flat_map(|core| &core.threads);
            let used = near.filter(|thread| !self.isolated.contains(thread));
            used.copied().collect::<BTreeSet<u32>>().into_iter().collect()
        };
        let whole = kept(&|_| true);
        if whole.len() < HOST_KEEPS {
            return None;
        }
        let caches: BTreeSet<&[u32]> = cores.iter().map(|core| core.cache.as_slice()).collect();
        let on_cache = kept(&|core| caches.contains(core.cache.as_slice()));
        let on_node = kept(&|core| core.node == one.node);
        let (host, near) = match (on_cache.len(), on_node.len()) {
            (HOST_KEEPS.., _) => (on_cache, Near::Cache),
            (_, HOST_KEEPS..) => (on_node, Near::Node),
            _ => (whole, Near::Anywhere),
        };
        Some(Choice {
            caches: caches.len(),
            cores: cores.iter().map(|core| (*core).clone()).collect(),
            host,
            near,
            node: one.node.filter(|_| self.several_nodes()),
            hybrid: self.all.iter().any(|core| core.efficient != one.efficient),
        })
    }
}

/// So many cores of a pool: on one cache, the largest that has room, rather that of another than
/// the host's first core; else on the fewest, whole ones first. None where there are too few.
fn take<'c>(pool: &[&'c Core], count: usize, first: &Core) -> Vec<&'c Core> {
    let mut caches: BTreeMap<&[u32], Vec<&'c Core>> = BTreeMap::new();
    for core in pool {
        caches.entry(core.cache.as_slice()).or_default().push(core);
    }
    let mut caches: Vec<Vec<&Core>> = caches.into_values().collect();
    let rank = |cores: &Vec<&Core>| {
        let size = cores.first().map_or(0, |core| core.cache_size);
        let shared = cores.first().is_some_and(|core| core.cache == first.cache);
        (cores.len().min(count), size, !shared)
    };
    caches.sort_by_key(|cores| Reverse(rank(cores)));
    let mut taken: Vec<&Core> = caches.into_iter().flatten().take(count).collect();
    if taken.len() < count {
        taken.clear();
    }
    taken.sort_by(|a, b| a.threads.cmp(&b.threads));
    taken
}
