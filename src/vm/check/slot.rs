//! Where the functions of a card stand in the guest.

use super::{Sides, xml};
use crate::check::Found;
use crate::host::pci::PciAddress;
use crate::vm::card::{address_of, source_of};

/// A function of the host in the guest.
struct Placed {
    source: PciAddress,
    guest: PciAddress,
    multifunction: bool,
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
        Some(Placed {
            source: source_of(device)?,
            guest: address_of(address)?,
            multifunction: address.attribute("multifunction") == Some("on"),
        })
    });
    let placed: Vec<Placed> = placed.collect();
    let found = sides.host.gpus.cards.iter().filter_map(|gpu| {
        let own = || placed.iter().filter(|one| gpu.functions.contains(&one.source));
        let first = own().next()?;
        let remedy = "Take the card out, with `virsh edit` where it was put in by hand, and attach it with `passthru vm attach`.";
        if own().any(|one| one.slot() != first.slot()) {
            let detail = format!("The functions of the card {} stand in several slots of the guest, and drivers look for a function's siblings in its own.", gpu.address);
            let slots: Vec<String> = own().map(|one| one.guest.to_string()).collect();
            return Some(Found::warning(detail, xml(slots.join(", "))).manual(remedy));
        }
        let zero = own().find(|one| one.guest.function == 0 && !one.multifunction)?;
        (own().count() > 1).then(|| {
            let detail = format!("QEMU will not start: the guest's {} is function 0 of a slot with several, and does not say so.", zero.guest);
            Found::blocker(detail, xml("no multifunction='on'")).manual(remedy)
        })
    });
    found.collect()
}
