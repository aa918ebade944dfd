//! Where the functions of a card stand in the guest.

use super::{Sides, xml};
use crate::check::Found;
use crate::host::pci::PciAddress;
use crate::vm::card::{address_of, source_of};

/// A function of the host in the guest.
struct Placed {
    source: PciAddress,
    guest: PciAddress,
}

impl Placed {
    fn slot(&self) -> PciAddress {
        PciAddress { function: 0, ..self.guest }
    }
}

/// QEMU refuses a slot of several functions whose function 0 does not say so (hw/pci/pci.c
/// `pci_init_multifunction`); libvirt defines it all the same.
pub fn card_slot(sides: &Sides<'_>) -> Vec<Found> {
    let placed = sides.domain.devices().iter().filter_map(|device| {
        let address = device.child("address")?;
        Some(Placed { source: source_of(device)?, guest: address_of(address)? })
    });
    let placed: Vec<Placed> = placed.collect();
    // Of all devices of the guest: addresses, and whether they say that there are other functions.
    let all = sides.domain.devices().iter().filter_map(|device| {
        let address = device.child("address").filter(|at| at.attribute("type") == Some("pci"))?;
        Some((address_of(address)?, address.attribute("multifunction") == Some("on")))
    });
    let all: Vec<(PciAddress, bool)> = all.collect();
    let found = sides.host.gpus.cards.iter().filter_map(|gpu| {
        let own = || placed.iter().filter(|one| gpu.functions.contains(&one.source));
        let first = own().next()?;
        let remedy = "Take the card out, with `virsh edit` where it was put in by hand, and attach it with `passthru vm attach`.";
        if own().any(|one| one.slot() != first.slot()) {
            let detail = format!("The functions of the card {} stand in several slots of the guest, and drivers look for a function's siblings in its own.", gpu.address);
            let slots: Vec<String> = own().map(|one| one.guest.to_string()).collect();
            return Some(Found::warning(detail, xml(slots.join(", "))).manual(remedy));
        }
        let Some((zero, multifunction)) = all.iter().find(|(at, _)| *at == first.slot()) else {
            let detail = format!("The guest will not find the card {}: nothing is at {}, and a slot without function 0 is not looked at.", gpu.address, first.slot());
            return Some(Found::blocker(detail, xml(format!("no {}", first.slot()))).manual(remedy));
        };
        let several = all.iter().filter(|(at, _)| at.same_slot(*zero)).count() > 1;
        (several && !multifunction).then(|| {
            let detail = format!("QEMU will not start: the guest's {zero} is function 0 of a slot with several, and does not say so.");
            Found::blocker(detail, xml("no multifunction='on'")).manual(remedy)
        })
    });
    found.collect()
}
