//! A change of a libvirt domain as a part of a transaction: its XML before and after, and the
//! image that is made for it.
//!
//! libvirt is the record of how far it came, as files are of theirs: the domain is as before, as
//! after, or somebody else changed it.

mod answers;
mod image;
mod live;
mod undo;

pub use answers::Secret;
pub use image::ImageChange;
pub use undo::DomainUndo;

use live::unplug;
use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::journal::Journal;
use super::record::{Contents, Record, Saved};
use super::rollback::TakenBack;
use crate::config::xml::Element;
use crate::error::Error;
use crate::libvirt::{GuestState, Libvirt};
use crate::sys::Sysroot;
use crate::sys::writer::digest;
use crate::vm::compare::missing;

/// What a verb does to a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum VmVerb {
    /// A new one.
    Create,
    /// A card goes in.
    Attach,
    /// A card comes out.
    Detach,
    /// It is pinned to cores of the host, or no more.
    Tune,
    /// The answers to Setup's questions go in, or come out.
    Unattended,
}

impl VmVerb {
    /// As typed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Attach => "attach",
            Self::Detach => "detach",
            Self::Tune => "tune",
            Self::Unattended => "unattended",
        }
    }
}

/// A change of one domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainChange {
    /// Which verb.
    pub verb: VmVerb,
    /// URI of the connection.
    pub connect: String,
    /// Name of the domain.
    pub domain: String,
    /// Its inactive XML as it was.
    pub before: Saved,
    /// Its inactive XML as it is meant to be.
    pub after: Saved,
    /// The image or volume that is made or goes with it.
    pub image: Option<ImageChange>,
    /// The host device that is plugged into the running domain as well, as XML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<String>,
}

impl DomainChange {
    /// How it is named beside paths of files.
    pub fn label(&self) -> String {
        format!("{}/{}", self.connect, self.domain)
    }
}

/// An XML as it is kept: by digest, for root only.
pub fn saved(xml: Option<&str>, contents: &mut Contents) -> Saved {
    let Some(xml) = xml else { return Saved::Absent };
    let digest = digest(xml.as_bytes());
    contents.insert(digest.clone(), xml.as_bytes().to_vec());
    Saved::Present { digest, mode: 0o600, uid: 0, gid: 0 }
}

impl Engine<'_> {
    /// Makes the change of a domain, and reads it back.
    ///
    /// # Errors
    /// libvirt refuses, gives something else back, or somebody changed the domain meanwhile.
    pub(super) fn domain(&self, record: &Record, change: &DomainChange) -> Result<(), Error> {
        of_this_system(self.root)?;
        let libvirt = Libvirt::new(&change.connect)?.until(self.run.stop);
        let (before, after) = self.sides(record, change)?;
        let now = libvirt.inactive(&change.domain)?;
        if now != before {
            return Err(Error::new(format!("{} was changed meanwhile", change.label()))
                .hint("Somebody else edits this domain right now. Try again when they are done."));
        }
        match &change.image {
            Some(ImageChange::Make { path, size }) => self.make_image(record.id, path, *size)?,
            Some(ImageChange::WriteAnswers { path }) => self.write_answers(record.id, path)?,
            Some(ImageChange::Remove { .. } | ImageChange::RemoveAnswers { .. }) | None => {}
        }
        let Some(after) = after else {
            if before.is_some() {
                libvirt.undefine(&change.domain, self.guest_state(change))?;
            }
            if let Some(ImageChange::Remove { path, empty, .. }) = &change.image {
                self.remove_image(path, Some(empty))?;
            }
            return Ok(());
        };
        if before.as_ref() != Some(&after) {
            self.define(record, change, &libvirt, &after)?;
        }
        match &change.live {
            Some(device) => self.plug(record.id, change, device),
            None => Ok(()),
        }
    }

    /// Defines a domain, and reads it back.
    fn define(
        &self,
        record: &Record,
        change: &DomainChange,
        libvirt: &Libvirt,
        after: &str,
    ) -> Result<(), Error> {
        libvirt.define(after)?;
        let found = libvirt.inactive(&change.domain)?;
        self.store.keep_defined(record.id, found.as_deref().unwrap_or_default())?;
        let lost = match &found {
            None => Some("it is not there".to_owned()),
            Some(found) => lost(after, found),
        };
        if let Some(lost) = lost {
            let error =
                Error::new(format!("libvirt did not keep what {} was given", change.label()));
            return Err(error.cause(lost));
        }
        Ok(())
    }

    /// Brings a domain back to what it was, whatever state it is in.
    ///
    /// # Errors
    /// libvirt does not answer; the same call again goes on from there.
    pub(super) fn domain_back(&self, record: &Record, back: &mut TakenBack) -> Result<(), Error> {
        let Some(change) = &record.domain else { return Ok(()) };
        of_this_system(self.root)?;
        let journal = self.store.read(record.id)?.journal;
        self.image_back(record, change, &journal, back)?;
        let libvirt = Libvirt::new(&change.connect)?;
        self.definition_back((record, change), &libvirt, &journal, back)?;
        match &change.live {
            Some(device) if journal.was_plugging() => unplug(&libvirt, change, device),
            _ => Ok(()),
        }
    }

    fn definition_back(
        &self,
        (record, change): (&Record, &DomainChange),
        libvirt: &Libvirt,
        journal: &Journal,
        back: &mut TakenBack,
    ) -> Result<(), Error> {
        let (before, after) = self.sides(record, change)?;
        let now = libvirt.inactive(&change.domain)?;
        if now == before {
            return Ok(());
        }
        let ours = match (&now, &after) {
            (None, None) => true,
            (Some(now), Some(after)) => {
                let exact = journal.defined().is_some_and(|kept| kept == digest(now.as_bytes()));
                exact || (journal.defined().is_none() && lost(after, now).is_none())
            }
            _ => false,
        };
        match before {
            _ if !ours => back.kept.push(change.label()),
            Some(before) => libvirt.define(&before)?,
            None => libvirt.undefine(&change.domain, GuestState::Remove)?,
        }
        Ok(())
    }

    fn sides(
        &self,
        record: &Record,
        change: &DomainChange,
    ) -> Result<(Option<String>, Option<String>), Error> {
        Ok((self.store.xml(record.id, &change.before)?, self.store.xml(record.id, &change.after)?))
    }

    /// What stays with a disk that something was written to.
    fn guest_state(&self, change: &DomainChange) -> GuestState {
        match change.image {
            Some(ImageChange::Remove { .. }) => GuestState::Remove,
            _ => GuestState::Keep,
        }
    }
}

/// libvirt is that of the running system: a record in another root is about another libvirt.
fn of_this_system(root: &Sysroot) -> Result<(), Error> {
    if root.is_live() {
        return Ok(());
    }
    Err(Error::new("this transaction is about a virtual machine, and this root does not run").hint(
        "Boot that system and run it there: libvirt answers only for the machine that it runs on.",
    ))
}

/// What of a definition libvirt did not keep.
fn lost(wanted: &str, found: &str) -> Option<String> {
    match (Element::parse(wanted), Element::parse(found)) {
        (Ok(wanted), Ok(found)) => missing(&wanted, &found),
        (Err(error), _) | (_, Err(error)) => Some(error.to_string()),
    }
}
