//! The volume with the answers to Setup's questions: written, and removed for good.

use std::io::Write as _;

use super::ImageChange;
use crate::error::Error;
use crate::sys::{VOLUME_SIZE, is_own_volume};
use crate::transaction::engine::Engine;
use crate::transaction::journal::Event;
use crate::transaction::record::{Record, TransactionId};

/// Bytes that are kept nowhere and never shown: a password is in them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// These bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

impl Engine<'_> {
    /// Writes the volume where nothing is. At its start libvirt gives it to QEMU's user (qemu.conf,
    /// `dynamic_ownership`); until then it is root's alone.
    pub(super) fn write_answers(&self, id: TransactionId, path: &str) -> Result<(), Error> {
        let inside = path.trim_start_matches('/');
        let cannot = |reason: &str| {
            Error::new(format!("cannot write the volume with the answers {path}")).cause(reason)
        };
        let Some(Secret(bytes)) = self.secret else {
            return Err(cannot("what belongs into it is kept nowhere"));
        };
        if self.disk.meta(inside)?.is_some() {
            return Err(cannot("somebody put a file there meanwhile, and it stays"));
        }
        self.store.note(id, Event::MakingImage { path: path.to_owned() })?;
        Ok(self.disk.put_with(inside, 0o600, |file| file.write_all(bytes))?)
    }

    /// The last effect of a transaction: the volume is kept nowhere, and nothing brings it back.
    pub(in crate::transaction) fn remove_for_good(&self, record: &Record) -> Result<(), Error> {
        let Some(path) = that_go(record) else { return Ok(()) };
        self.store.note(record.id, Event::Removing { path: path.to_owned() })?;
        self.remove_answers(path)
    }

    /// It was done: all the others are, and this one cannot be taken back.
    pub(in crate::transaction) fn is_removed_for_good(
        &self,
        record: &Record,
    ) -> Result<bool, Error> {
        let Some(path) = that_go(record) else { return Ok(false) };
        let gone = self.disk.meta(path.trim_start_matches('/'))?.is_none();
        Ok(gone && self.store.read(record.id)?.journal.was_removing())
    }

    /// Removes the volume, if it is one that passthru wrote; another file stays.
    pub(super) fn remove_answers(&self, path: &str) -> Result<(), Error> {
        let inside = path.trim_start_matches('/');
        let Some(meta) = self.disk.meta(inside)? else { return Ok(()) };
        let found = if meta.size == VOLUME_SIZE as u64 { self.disk.look(inside)? } else { None };
        if found.is_some_and(|found| is_own_volume(&found.bytes)) {
            return Ok(self.disk.remove(inside)?);
        }
        (self.run.say)(&format!("{path} stays: it is not the volume that passthru wrote."));
        Ok(())
    }
}

/// Path of the volume that a transaction removes.
fn that_go(record: &Record) -> Option<&str> {
    match record.domain.as_ref()?.image.as_ref()? {
        ImageChange::RemoveAnswers { path } => Some(path),
        _ => None,
    }
}
