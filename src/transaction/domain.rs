//! A change of a libvirt domain as a part of a transaction: its XML before and after, and the
//! image that is made for it.
//!
//! libvirt is the record of how far it came, as files are of theirs: the domain is as before, as
//! after, or somebody else changed it.

mod undo;

pub use undo::DomainUndo;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::journal::Event;
use super::record::{Contents, Record, Saved, TransactionId};
use super::rollback::TakenBack;
use crate::config::xml::Element;
use crate::error::Error;
use crate::libvirt::{GuestState, Libvirt};
use crate::sys::Sysroot;
use crate::sys::process::{Captured, Ended, capture};
use crate::sys::writer::digest;
use crate::vm::compare::missing;

/// Making an image is making a table; a slow disk may take a while.
const IMAGE_LIMIT: Duration = Duration::from_secs(120);

/// No empty image is larger: QEMU writes its tables alone, of which the first-level one is the
/// largest, with 8 bytes for each 512 MiB (QEMU, docs/interop/qcow2.txt), and sizes end at 1 PiB.
const EMPTY_IMAGE: u64 = 32 << 20;

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
}

impl VmVerb {
    /// As typed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Attach => "attach",
            Self::Detach => "detach",
            Self::Tune => "tune",
        }
    }
}

/// What becomes of a disk image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "image")]
pub enum ImageChange {
    /// A sparse one is made.
    Make {
        /// Absolute path.
        path: String,
        /// Bytes that the guest sees.
        size: u64,
    },
    /// An empty one goes.
    Remove {
        /// Absolute path.
        path: String,
        /// Bytes that the guest saw.
        size: u64,
        /// SHA-256 of the file while it is empty.
        empty: String,
    },
}

impl ImageChange {
    /// Absolute path.
    pub fn path(&self) -> &str {
        match self {
            Self::Make { path, .. } | Self::Remove { path, .. } => path,
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
    /// The image that is made or goes with it.
    pub image: Option<ImageChange>,
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
        if let Some(ImageChange::Make { path, size }) = &change.image {
            self.make_image(record.id, path, *size)?;
        }
        let Some(after) = after else {
            libvirt.undefine(&change.domain, self.guest_state(change))?;
            if let Some(ImageChange::Remove { path, empty, .. }) = &change.image {
                self.remove_image(path, Some(empty))?;
            }
            return Ok(());
        };
        libvirt.define(&after)?;
        let found = libvirt.inactive(&change.domain)?;
        self.store.keep_defined(record.id, found.as_deref().unwrap_or_default())?;
        let lost = match &found {
            None => Some("it is not there".to_owned()),
            Some(found) => lost(&after, found),
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
        if let Some(ImageChange::Make { path, .. }) = &change.image
            && journal.was_making_image()
            && !self.remove_image(path, journal.image())?
        {
            back.kept.push(path.clone());
        }
        if let Some(ImageChange::Remove { path, size, .. }) = &change.image
            && self.disk.meta(path.trim_start_matches('/'))?.is_none()
        {
            self.make_image(record.id, path, *size)?;
        }
        let libvirt = Libvirt::new(&change.connect)?;
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

    fn make_image(&self, id: TransactionId, path: &str, size: u64) -> Result<(), Error> {
        let size = size.to_string();
        let argv = ["qemu-img", "create", "-q", "-f", "qcow2", "--", path, &size];
        let cannot =
            |reason: String| Error::new(format!("cannot make the disk image {path}")).cause(reason);
        let inside = path.trim_start_matches('/');
        // qemu-img replaces whatever is there.
        if self.disk.meta(inside)?.is_some() {
            return Err(cannot("somebody put a file there meanwhile, and it stays".to_owned()));
        }
        self.store.note(id, Event::MakingImage { path: path.to_owned() })?;
        match capture(&argv, b"", IMAGE_LIMIT, self.run.stop) {
            Ok(Captured { ended: Ended::Code(0), .. }) => {}
            Ok(Captured { ended, stderr, .. }) => {
                let said = stderr.trim().trim_start_matches("qemu-img: ").to_owned();
                return Err(cannot(if said.is_empty() { ended.to_string() } else { said }));
            }
            Err(error) => {
                return Err(cannot(format!("the program qemu-img does not start: {error}"))
                    .hint("Install it: on Debian and Ubuntu `qemu-utils`, elsewhere `qemu-img`."));
            }
        }
        self.disk.sync(inside.rsplit_once('/').map_or("", |(dir, _)| dir));
        let digest = self.disk.digest_of(inside)?.unwrap_or_default();
        Ok(self.store.note(id, Event::ImageMade { path: path.to_owned(), digest })?)
    }

    /// Removes an image while nothing was written to it; false where something was. Of one that
    /// was being made when the machine stopped no digest is known: it goes if it is no larger than
    /// an empty one.
    fn remove_image(&self, path: &str, empty: Option<&str>) -> Result<bool, Error> {
        let inside = path.trim_start_matches('/');
        let Some(meta) = self.disk.meta(inside)? else { return Ok(true) };
        let untouched = match empty {
            Some(empty) => self.disk.digest_of(inside)?.as_deref() == Some(empty),
            None => meta.size <= EMPTY_IMAGE,
        };
        if untouched {
            self.disk.remove(inside)?;
        }
        Ok(untouched)
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
