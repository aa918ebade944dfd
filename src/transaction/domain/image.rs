//! The disk image that is made for a domain, or goes with it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::DomainChange;
use crate::error::Error;
use crate::sys::process::{Captured, Ended, capture};
use crate::transaction::engine::Engine;
use crate::transaction::journal::{Event, Journal};
use crate::transaction::record::{Record, TransactionId};
use crate::transaction::rollback::TakenBack;

/// Making an image is making a table; a slow disk may take a while.
const IMAGE_LIMIT: Duration = Duration::from_secs(120);

/// No empty image is larger: QEMU writes its tables alone, of which the first-level one is the
/// largest, with 8 bytes for each 512 MiB (QEMU, docs/interop/qcow2.txt), and sizes end at 1 PiB.
const EMPTY_IMAGE: u64 = 32 << 20;

/// What becomes of a disk image, or of a volume with answers.
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
    /// A volume with the answers to Setup's questions is written. What is in it stands nowhere
    /// else: it may be a password.
    WriteAnswers {
        /// Absolute path.
        path: String,
    },
    /// It goes, and stays away: no later transaction can write it again.
    RemoveAnswers {
        /// Absolute path.
        path: String,
    },
}

impl ImageChange {
    /// Absolute path.
    pub fn path(&self) -> &str {
        match self {
            Self::Make { path, .. }
            | Self::Remove { path, .. }
            | Self::WriteAnswers { path }
            | Self::RemoveAnswers { path } => path,
        }
    }

    /// It comes, rather than goes.
    pub fn is_made(&self) -> bool {
        matches!(self, Self::Make { .. } | Self::WriteAnswers { .. })
    }
}

impl Engine<'_> {
    /// Brings an image back to what it was.
    pub(super) fn image_back(
        &self,
        record: &Record,
        change: &DomainChange,
        journal: &Journal,
        back: &mut TakenBack,
    ) -> Result<(), Error> {
        match &change.image {
            Some(ImageChange::Make { path, .. }) => {
                let gone =
                    !journal.was_making_image() || self.remove_image(path, journal.image())?;
                back.kept.extend((!gone).then(|| path.clone()));
            }
            Some(ImageChange::Remove { path, size, .. })
                if self.disk.meta(path.trim_start_matches('/'))?.is_none() =>
            {
                self.make_image(record.id, path, *size)?;
            }
            Some(ImageChange::WriteAnswers { path }) if journal.was_making_image() => {
                self.disk.sweep(path.trim_start_matches('/'))?;
                self.remove_answers(path)?;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn make_image(&self, id: TransactionId, path: &str, size: u64) -> Result<(), Error> {
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
    pub(super) fn remove_image(&self, path: &str, empty: Option<&str>) -> Result<bool, Error> {
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
