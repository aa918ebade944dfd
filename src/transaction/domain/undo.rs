//! What becomes of a domain when its transaction is taken back.

use super::{DomainChange, ImageChange, VmVerb, of_this_system, saved};
use crate::error::Error;
use crate::libvirt::Libvirt;
use crate::sys::Sysroot;
use crate::sys::writer::digest;
use crate::transaction::held::Held;
use crate::transaction::merged::ThreeWay;
use crate::transaction::record::{Contents, Saved, TransactionId};
use crate::transaction::store::Transaction;

/// What taking a change of a domain back comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainUndo {
    /// This change.
    Change {
        /// The domain as it is now, and as it was before.
        change: DomainChange,
        /// Files that somebody wrote to since, and that stay.
        kept: Vec<String>,
        /// What should be known about it.
        remarks: Vec<String>,
    },
    /// Somebody edited it since.
    Conflict(String, ThreeWay),
}

impl Held<'_> {
    /// An XML that was kept.
    pub(super) fn xml(&self, id: TransactionId, saved: &Saved) -> Result<Option<String>, Error> {
        let bytes = self.content(id, saved)?;
        let text = bytes.map(String::from_utf8).transpose();
        text.map_err(|_| Error::new(format!("the XML that transaction {id} kept is no text")))
    }

    /// Looks at the domain of a transaction and decides what becomes of it.
    ///
    /// # Errors
    /// libvirt does not answer, or what was kept cannot be read.
    pub fn undo_domain(
        &self,
        transaction: &Transaction,
        root: &Sysroot,
        contents: &mut Contents,
    ) -> Result<Option<DomainUndo>, Error> {
        let Transaction { record, journal } = transaction;
        let Some(change) = &record.domain else { return Ok(None) };
        of_this_system(root)?;
        let libvirt = Libvirt::new(&change.connect)?;
        let now = libvirt.inactive(&change.domain)?;
        let before = self.xml(record.id, &change.before)?;
        let to = |xml: &Option<String>, image, contents: &mut Contents| DomainChange {
            before: saved(now.as_deref(), contents),
            after: saved(xml.as_deref(), contents),
            image,
            live: None,
            ..change.clone()
        };
        if let Some(ImageChange::RemoveAnswers { .. }) = change.image {
            let (change, kept) = (to(&now, None, contents), Vec::new());
            let remark = "The volume with the answers stays away, since a password was in it: `passthru vm unattended NAME` writes another.";
            return Ok(Some(DomainUndo::Change { change, kept, remarks: vec![remark.to_owned()] }));
        }
        let left = journal.defined().map(str::to_owned);
        let is_ours = now.as_ref().map(|xml| digest(xml.as_bytes())) == left;
        if now != before && !is_ours {
            let after = match &left {
                Some(digest) => {
                    let side = Saved::Present { digest: digest.clone(), mode: 0, uid: 0, gid: 0 };
                    self.xml(record.id, &side)?
                }
                None => self.xml(record.id, &change.after)?,
            };
            let existed = before.is_some();
            let [before, after, now] = [before, after, now].map(Option::unwrap_or_default);
            return Ok(Some(DomainUndo::Conflict(
                change.label(),
                ThreeWay { before, after, now, existed },
            )));
        }
        let needs_off =
            before.is_none() || change.live.is_some() || change.verb == VmVerb::Unattended;
        if now.is_some() && needs_off && !libvirt.status(&change.domain)?.is_off() {
            return Err(Error::new(format!("the domain {} is running", change.domain))
                .hint("Shut it down first: `virsh shutdown NAME`."));
        }
        let (image, kept) = self.image_undone(change, journal.image())?;
        let goes = image.iter().filter(|image| !image.is_made());
        let remarks = goes.map(|image| format!("{} goes with it.", image.path())).collect();
        let change = to(&before, image, contents);
        Ok(Some(DomainUndo::Change { change, kept, remarks }))
    }

    /// An image goes only while nothing was written to it: somebody's Windows is in it otherwise.
    fn image_undone(
        &self,
        change: &DomainChange,
        empty: Option<&str>,
    ) -> Result<(Option<ImageChange>, Vec<String>), Error> {
        Ok(match &change.image {
            None | Some(ImageChange::RemoveAnswers { .. }) => (None, Vec::new()),
            Some(ImageChange::WriteAnswers { path }) => {
                (Some(ImageChange::RemoveAnswers { path: path.clone() }), Vec::new())
            }
            Some(ImageChange::Remove { path, size, .. }) => {
                (Some(ImageChange::Make { path: path.clone(), size: *size }), Vec::new())
            }
            Some(ImageChange::Make { path, size }) => {
                let now = self.disk().digest_of(path.trim_start_matches('/'))?;
                match (now.as_deref(), empty) {
                    (Some(now), Some(empty)) if now == empty => {
                        let (path, empty) = (path.clone(), empty.to_owned());
                        (Some(ImageChange::Remove { path, size: *size, empty }), Vec::new())
                    }
                    (None, _) => (None, Vec::new()),
                    _ => (None, vec![path.clone()]),
                }
            }
        })
    }
}
