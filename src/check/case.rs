//! What a check looks at: the host, what is wanted, and the card that was chosen.

use super::select::{Selection, select};
use crate::config::cmdline::Cmdline;
pub use crate::config::intent::IdsIn;
use crate::host::Host;
use crate::host::gpu::{Gpu, Role};
use crate::host::parameters::Configured;
use crate::host::pci::PciDevice;

/// How a new configuration comes into effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rollout {
    /// In an entry of its own that is started once, where the loader can do that.
    #[default]
    Trial,
    /// In the normal entries.
    Standing,
}

/// What the user asks for.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// Which card, as typed: address, id, or part of the name.
    pub gpu: Option<String>,
    /// Ids of its functions, the display function first, where they are known: the card must
    /// have the first of them.
    pub identity: Vec<String>,
    /// Where ids go.
    pub ids_in: IdsIn,
    /// Set `kvm.ignore_msrs`.
    pub ignore_msrs: bool,
    /// Codes of blockers that the user lifts.
    pub allow: Vec<String>,
    /// On trial, or at once.
    pub rollout: Rollout,
}

/// A host, what is wanted of it, and what follows at once from both.
#[derive(Debug)]
pub struct Case<'a> {
    /// The machine.
    pub host: &'a Host,
    /// What is wanted.
    pub desired: &'a Desired,
    /// The card in question, or why there is none.
    pub selection: Selection<'a>,
    /// The running kernel's command line; empty where it was not read.
    pub active: Cmdline,
    /// Kernel parameters as the boot loader's files have them.
    pub configured: Configured,
}

impl<'a> Case<'a> {
    /// Chooses the card and reads the command lines.
    pub fn new(host: &'a Host, desired: &'a Desired) -> Self {
        Self {
            host,
            desired,
            selection: select(host, desired.gpu.as_deref(), desired.identity.first()),
            active: Cmdline::parse(host.command_line().unwrap_or_default()),
            configured: Configured::read(host),
        }
    }

    /// The chosen card.
    pub fn gpu(&self) -> Option<&'a Gpu> {
        match &self.selection {
            Selection::One(gpu) => Some(gpu),
            _ => None,
        }
    }

    /// Its display function.
    pub fn display(&self) -> Option<&'a PciDevice> {
        self.gpu().and_then(|gpu| self.host.device(gpu.address))
    }

    /// All its functions, the display function first; none where there is no card.
    pub fn functions(&self) -> Vec<&'a PciDevice> {
        self.gpu().map_or_else(Vec::new, |gpu| self.host.functions(gpu).collect())
    }

    /// True for a function of the chosen card.
    pub fn is_own(&self, device: &PciDevice) -> bool {
        self.gpu().is_some_and(|gpu| gpu.functions.contains(&device.address))
    }

    /// Other members of the groups of the card's functions, in address order.
    pub fn group_mates(&self) -> Vec<&'a PciDevice> {
        let groups: std::collections::BTreeSet<u32> =
            self.functions().iter().filter_map(|function| function.iommu_group).collect();
        let inside =
            |device: &&PciDevice| device.iommu_group.is_some_and(|id| groups.contains(&id));
        self.host.devices().iter().filter(inside).filter(|device| !self.is_own(device)).collect()
    }

    /// Group mates that are neither bridges nor host bridges.
    pub fn foreign_endpoints(&self) -> Vec<&'a PciDevice> {
        self.group_mates().into_iter().filter(|device| !device.class.is_infrastructure()).collect()
    }

    /// Cards other than the chosen one.
    pub fn other_cards(&self) -> impl Iterator<Item = &'a Gpu> {
        let own = self.gpu().map(|gpu| gpu.address);
        self.host.gpus.cards.iter().filter(move |gpu| Some(gpu.address) != own)
    }

    /// Cards that could show the host's picture: not the chosen one, not on a VFIO driver,
    /// with a driver.
    pub fn host_cards(&self) -> impl Iterator<Item = &'a Gpu> {
        let host = self.host;
        self.other_cards().filter(move |gpu| {
            gpu.role != Role::Assigned
                && host.device(gpu.address).is_some_and(|device| device.driver.is_some())
        })
    }
}
