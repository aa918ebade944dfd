//! A card out of a domain: exactly what attaching put there.

use super::attach::SHARED_MEMORY;
use super::card::source_of;
use super::domain::{Domain, bus_of, root_port};
use super::note::{self, Attached, Port};
use crate::config::xml::{Edits, Element};
use crate::host::pci::PciAddress;

/// The domain without the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detached {
    /// Its text.
    pub text: String,
    /// What is not as it was attached, and what was done about it.
    pub remarks: Vec<String>,
}

/// Takes a card out that [`super::attach`] put there.
pub fn detach(domain: &Domain<'_>, attached: &Attached) -> Detached {
    let mut edits = Edits::of(domain.text);
    let mut remarks = Vec::new();
    let devices = domain.devices();
    let taken = |device: &Element| source_of(device).filter(|source| attached.card.has(*source));
    let mut found: Vec<PciAddress> = Vec::new();
    for device in devices {
        if let Some(source) = taken(device) {
            found.push(source);
            edits.remove(device);
        }
    }
    for function in &attached.card.functions {
        if !found.contains(&function.address) {
            remarks.push(format!("{} was taken out before.", function.address));
        }
    }
    if let Port::Made(index) = attached.port {
        let others = |device: &&Element| taken(device).is_none() && bus_of(device) == Some(index);
        match devices.iter().find(|device| root_port(device) == Some(index)) {
            None => remarks.push(format!("Its root port {index} was taken out before.")),
            Some(port) => match devices.iter().find(others) {
                None => edits.remove(port),
                Some(other) => remarks.push(format!(
                    "Its root port {index} stays: a <{}> was put behind it since.",
                    other.name
                )),
            },
        }
    }
    if attached.shared_memory {
        let shared = |d: &&Element| d.name == "shmem" && d.attribute("name") == Some(SHARED_MEMORY);
        devices.iter().filter(shared).for_each(|device| edits.remove(device));
    }
    if let Some(screen) = &attached.screen {
        let mut videos = devices.iter().filter(|device| device.name == "video");
        match (videos.next(), videos.next()) {
            (Some(video), None) if video.attribute_at(&["model"], "type") == Some("none") => {
                edits.replace(video.span.clone(), screen);
            }
            _ => remarks.push("The emulated screen stays as it was changed since.".to_owned()),
        }
    }
    note::remove_card(&mut edits, domain, &attached.card);
    Detached { text: edits.done(), remarks }
}
