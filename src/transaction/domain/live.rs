//! A device that goes into the running domain beside its definition.

use super::DomainChange;
use crate::config::xml::Element;
use crate::error::Error;
use crate::libvirt::{Cause, Libvirt};
use crate::transaction::engine::Engine;
use crate::transaction::journal::Event;
use crate::transaction::record::TransactionId;
use crate::vm::live::plugged;

impl Engine<'_> {
    /// Plugs a device, and reads it back. Nothing stops that half-way: of a virsh that was ended
    /// libvirt would go on.
    pub(super) fn plug(
        &self,
        id: TransactionId,
        change: &DomainChange,
        device: &str,
    ) -> Result<(), Error> {
        let libvirt = Libvirt::new(&change.connect)?;
        self.store.note(id, Event::Plugging)?;
        libvirt.plug(&change.domain, device)?;
        if is_in(&libvirt, change, device)? {
            return Ok(());
        }
        Err(Error::new(format!("libvirt plugged nothing into {}", change.label()))
            .cause("the running domain has no such host device"))
    }
}

/// Takes it out again. libvirt is asked even where the device is not seen: it answers after a
/// plugging that still goes on, and shows the device only after that (libvirt,
/// src/qemu/qemu_hotplug.c, `qemuDomainAttachHostPCIDevice`).
pub(super) fn unplug(libvirt: &Libvirt, change: &DomainChange, device: &str) -> Result<(), Error> {
    if libvirt.active(&change.domain)?.is_none() {
        return Ok(());
    }
    let asked = libvirt.unplug(&change.domain, device);
    let Some(active) = libvirt.active(&change.domain)? else { return Ok(()) };
    let seen = has(&active, change, device)?;
    let error = match asked {
        Ok(()) if !seen => return Ok(()),
        Err(failed) if !seen && failed.cause == Cause::NoDevice => return Ok(()),
        Ok(()) => Error::new(format!("{} has not let go of the card", change.label())),
        Err(failed) => failed.into(),
    };
    Err(error.hint(format!(
        "Its definition is as before. Shut it down (`virsh shutdown {}`): then the card is out.",
        change.domain
    )))
}

fn is_in(libvirt: &Libvirt, change: &DomainChange, device: &str) -> Result<bool, Error> {
    let active = libvirt.active(&change.domain)?;
    active.map_or(Ok(false), |active| has(&active, change, device))
}

fn has(active: &str, change: &DomainChange, device: &str) -> Result<bool, Error> {
    let read = |xml: &str| {
        Element::parse(xml).map_err(|error| {
            Error::because(format!("cannot read what {} has", change.label()), &error)
        })
    };
    Ok(plugged(&read(active)?, &read(device)?))
}
