//! The volume with the answers to Setup's questions: into a domain for the installation, and out
//! again.
//!
//! It is a removable disk on USB: Setup searches removable volumes (Microsoft, "Windows Setup
//! automation overview"), has a driver for USB of its own, and disks on SATA cannot be read-only
//! (QEMU, hw/ide/ide-dev.c).

use super::domain::{Domain, Unfit};
use super::note::{self, Note};
use crate::config::xml::{Edits, Element, Written};

/// Why the volume is not put in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The answers are for a machine that starts by UEFI.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// There is one already.
    #[error("a volume with answers is in it already: {0}")]
    Present(String),
    /// Somebody wants no USB in it.
    #[error("it has no USB, which the volume stands on")]
    NoUsb,
    /// Every name that a disk of USB may have is taken.
    #[error("all names of disks, from sda to sdz, are taken")]
    Full,
}

/// The domain with the volume.
///
/// # Errors
/// Why not.
pub fn put_in(domain: &Domain<'_>, path: &str) -> Result<String, Refused> {
    domain.fit()?;
    if let Some(present) = Note::of(domain).answers {
        return Err(Refused::Present(present));
    }
    let devices = domain.devices();
    let is_off = |device: &Element| {
        device.name == "controller"
            && device.attribute("type") == Some("usb")
            && device.attribute("model") == Some("none")
    };
    if devices.iter().any(is_off) {
        return Err(Refused::NoUsb);
    }
    let Some(parent) = domain.root.child("devices") else { return Err(Unfit::NoDevices.into()) };
    let taken =
        |name: &str| devices.iter().any(|d| d.attribute_at(&["target"], "dev") == Some(name));
    let mut names = ('a'..='z').rev().map(|letter| format!("sd{letter}"));
    let target = names.find(|name| !taken(name)).ok_or(Refused::Full)?;
    let mut edits = Edits::of(domain.text);
    edits.append(parent, &[disk(path, &target).render()]);
    note::add(&mut edits, domain, note::answers(path));
    Ok(edits.done())
}

/// A guest starts without it when somebody deleted the file (libvirt, domain XML format,
/// `startupPolicy`).
fn disk(path: &str, target: &str) -> Written {
    Written::new("disk")
        .with("type", "file")
        .with("device", "disk")
        .and(Written::new("driver").with("name", "qemu").with("type", "raw"))
        .and(Written::new("source").with("file", path).with("startupPolicy", "optional"))
        .and(Written::new("target").with("dev", target).with("bus", "usb").with("removable", "on"))
        .and(Written::new("readonly"))
}

/// The domain without the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenOut {
    /// Its text.
    pub text: String,
    /// Absolute path of the volume.
    pub path: String,
    /// Somebody took the disk out before.
    pub was_out: bool,
}

/// Takes the volume out that [`put_in`] put there; nothing where there is none.
pub fn take_out(domain: &Domain<'_>) -> Option<TakenOut> {
    let path = Note::of(domain).answers?;
    let mut edits = Edits::of(domain.text);
    let is_it = |device: &&Element| {
        device.name == "disk"
            && device.attribute_at(&["source"], "file") == Some(path.as_str())
            && device.attribute_at(&["target"], "bus") == Some("usb")
    };
    let disk = domain.devices().iter().find(is_it);
    if let Some(disk) = disk {
        edits.remove(disk);
    }
    note::remove_answers(&mut edits, domain);
    Some(TakenOut { text: edits.done(), was_out: disk.is_none(), path })
}
