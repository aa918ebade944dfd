//! A card of the host into a domain: all its functions in one slot behind a root port of its own.

use super::card::{Card, Managed};
use super::domain::{Domain, Unfit};
use super::note::{self, Attached, Note, Port};
use crate::config::xml::{Edits, Element, Written};
use crate::host::pci::PciAddress;

/// The emulated screen beside the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// Stays, so that there is a picture before the guest's driver works.
    Keep,
    /// Goes: then Windows has one display, the card's.
    Remove,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish<'a> {
    /// Which card.
    pub card: &'a Card,
    /// Who binds it.
    pub managed: Managed,
    /// Absolute path of an option ROM.
    pub rom: Option<&'a str>,
    /// The emulated screen.
    pub screen: Screen,
    /// Memory for Looking Glass, in MiB.
    pub shared_memory: Option<u32>,
    /// The root port to stand behind: one that is there and free, or else a new one.
    pub free_port: Option<u32>,
}

/// Why a card is not attached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A GPU cannot work there.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// It is there already, by passthru.
    #[error("the card {0} is attached already")]
    Attached(PciAddress),
    /// It is there already, by somebody else.
    #[error("the domain has a <hostdev> for {0} that passthru did not put there")]
    ByHand(PciAddress),
    /// A slot in use begins with function 0 (PCI Local Bus 3.0, 3.2.2.3.4).
    #[error("the card has no function 0: {0} is its first, and no guest finds a slot without it")]
    NoFunctionZero(PciAddress),
    /// All slots are taken.
    #[error("no slot of the guest's first PCI bus is free")]
    Full,
    /// The name is taken.
    #[error("the domain has a shared memory named looking-glass already")]
    SharedMemory,
}

/// Name of the shared memory, and of its file in /dev/shm.
pub const SHARED_MEMORY: &str = "looking-glass";

/// The domain with the card.
///
/// # Errors
/// Why not.
pub fn attach(domain: &Domain<'_>, wish: &Wish<'_>) -> Result<String, Refused> {
    domain.fit()?;
    let card = wish.card;
    let note = Note::of(domain);
    if note.attached.iter().any(|attached| attached.card.display == card.display) {
        return Err(Refused::Attached(card.display));
    }
    if let Some(taken) = domain.sources().find(|source| card.has(*source)) {
        return Err(Refused::ByHand(taken));
    }
    match card.functions.first() {
        Some(first) if first.address.function == 0 => {}
        first => {
            return Err(Refused::NoFunctionZero(first.map_or(card.display, |f| f.address)));
        }
    }
    let Some(devices) = domain.root.child("devices") else { return Err(Unfit::NoDevices.into()) };
    if wish.shared_memory.is_some() && has_shared_memory(domain) {
        return Err(Refused::SharedMemory);
    }
    let mut slots = domain.free_slots();
    let mut slot = || slots.next().ok_or(Refused::Full);
    let mut edits = Edits::of(domain.text);
    let mut added = Vec::new();
    let port = match wish.free_port {
        Some(index) => Port::Found(index),
        None => {
            let index = domain.next_bus();
            added.push(root_port(index, slot()?));
            Port::Made(index)
        }
    };
    added.extend(card.hostdevs(port.index(), wish.managed, wish.rom));
    if let Some(mebibytes) = wish.shared_memory {
        added.push(shmem(mebibytes, slot()?));
    }
    let screen = match wish.screen {
        Screen::Keep => None,
        Screen::Remove => remove_screen(&mut edits, domain, devices),
    };
    edits.append(devices, &added);
    let shared_memory = wish.shared_memory.is_some();
    let attached = Attached { card: card.clone(), port, screen, shared_memory };
    note::add(&mut edits, domain, note::card(&attached));
    Ok(edits.done())
}

/// It shares memory for Looking Glass.
pub fn has_shared_memory(domain: &Domain<'_>) -> bool {
    let mut shared = domain.devices().iter().filter(|device| device.name == "shmem");
    shared.any(|shmem| shmem.attribute("name") == Some(SHARED_MEMORY))
}

/// A place of its own on the first bus: where libvirt chose one, other devices would get other
/// places, and would not get theirs back when the card comes out.
fn place(slot: u32) -> Written {
    Written::new("address")
        .with("type", "pci")
        .with("domain", "0x0000")
        .with("bus", "0x00")
        .with("slot", format!("{slot:#04x}"))
        .with("function", "0x0")
}

fn root_port(index: u32, slot: u32) -> String {
    let controller = Written::new("controller").with("type", "pci");
    let controller = controller.with("index", index).with("model", "pcie-root-port");
    controller.and(place(slot)).render()
}

fn shmem(mebibytes: u32, slot: u32) -> String {
    Written::new("shmem")
        .with("name", SHARED_MEMORY)
        .and(Written::new("model").with("type", "ivshmem-plain"))
        .and(Written::text("size", mebibytes).with("unit", "M"))
        .and(place(slot))
        .render()
}

/// Without `<video>` libvirt adds one by itself; `none` is how none is asked for.
fn remove_screen(edits: &mut Edits<'_>, domain: &Domain<'_>, devices: &Element) -> Option<String> {
    let mut videos = devices.all("video");
    let (video, more) = (videos.next()?, videos.next());
    let none = video.attribute_at(&["model"], "type") == Some("none");
    if none || more.is_some() {
        return None; // there is none, or somebody arranged several
    }
    edits.replace(video.span.clone(), "<video><model type='none'/></video>");
    Some(domain.text[video.span.clone()].to_owned())
}
