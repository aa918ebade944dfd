//! The state directory of one root, held for writing.

use super::journal::{Entry, Event, State};
use super::record::{Contents, Record, Saved, TransactionId};
use super::store::{DIR, Damaged, Store, blob};
use crate::error::Error;
use crate::sys::writer::{Lock, LockError, WriteError, Writer};
use crate::sys::{now, process};
use crate::verify::Verdict;

/// The state directory, held against other writing processes.
#[derive(Debug)]
pub struct Held<'a> {
    store: Store<'a>,
    lock: Lock,
}

impl<'a> std::ops::Deref for Held<'a> {
    type Target = Store<'a>;

    fn deref(&self) -> &Store<'a> {
        &self.store
    }
}

impl<'a> Held<'a> {
    /// Takes the lock for writing, making the directory if need be.
    ///
    /// # Errors
    /// Another process has it, or the directory is somebody else's.
    pub fn take(disk: &'a Writer) -> Result<Held<'a>, Error> {
        let cannot = |error: WriteError| {
            let error = Error::because(format!("cannot use the state directory /{DIR}"), &error);
            if process::is_root() { error } else { error.hint("Run it as root.") }
        };
        for dir in ["var", "var/lib", DIR] {
            if disk.meta(dir).map_err(cannot)?.is_none() {
                disk.make_dir(dir, 0o755).map_err(cannot)?;
            }
        }
        for dir in ["var", "var/lib"] {
            let meta = disk.meta(dir).map_err(cannot)?.unwrap_or_default();
            let others = meta.uid != 0 && meta.uid != process::user();
            if others || (meta.mode & 0o022 != 0 && meta.mode & 0o1000 == 0) {
                return Err(Error::new(format!(
                    "the directory /{dir} of the state directory is not root's alone: owner {}, mode {:04o}",
                    meta.uid, meta.mode
                ))
                .hint("Who may write there could replace the state directory. Set owner and mode as the distribution has them: root, 0755."));
            }
        }
        let meta = disk.meta(DIR).map_err(cannot)?.unwrap_or_default();
        if meta.uid != process::user() || meta.mode & 0o022 != 0 || disk.is_link(DIR) {
            return Err(Error::new(format!(
                "the state directory /{DIR} is not this user's alone: owner {}, mode {:04o}{}",
                meta.uid,
                meta.mode,
                if disk.is_link(DIR) { ", a symbolic link" } else { "" }
            ))
            .hint("What is in it decides what is written as root. Look at who put it there; then move it away, or `chown root: ` and `chmod go-w` it."));
        }
        let lock = disk.lock(&format!("{DIR}/lock")).map_err(|error| match error {
            LockError::Held { pid, alive: true } => {
                Error::new(format!("another passthru is changing this machine (process {pid})"))
                    .hint("Wait until it is done. `passthru log` shows what it does.")
                    .busy()
            }
            LockError::Held { pid, alive: false } => Error::new(format!(
                "a program that an earlier passthru (process {pid}, which is gone) started is still running"
            ))
            .hint("Wait until it is done, or end it; what it writes is taken back then.")
            .busy(),
            LockError::Write(error) => cannot(error),
        })?;
        Ok(Self { store: Store::new(disk), lock })
    }
}

impl Held<'_> {
    /// Keeps everything about a transaction, then notes that it begins.
    ///
    /// # Errors
    /// Then nothing of it is left, as far as the disk allows, and it has not begun.
    pub fn begin(&self, mut record: Record, contents: &Contents) -> Result<Record, WriteError> {
        let disk = self.store.disk();
        let dir = format!("{DIR}/{}", record.id);
        let kept = (|| {
            disk.make_dir(&dir, 0o755)?;
            disk.make_dir(&format!("{dir}/blobs"), 0o700)?;
            disk.make_dir(&format!("{dir}/output"), 0o700)?;
            for (digest, bytes) in contents {
                disk.put_with(&blob(record.id, digest), 0o600, |file| {
                    std::io::Write::write_all(file, bytes)
                })?;
            }
            self.keep_outputs(&mut record)?;
            let path = format!("{dir}/record.json");
            let text = serde_json::to_string_pretty(&record)
                .map_err(|error| WriteError::new("write", &path, error))?
                + "\n";
            disk.put_with(&path, 0o644, |file| std::io::Write::write_all(file, text.as_bytes()))?;
            self.note(record.id, Event::Begun)
        })();
        match kept {
            Ok(()) => Ok(record),
            Err(error) => {
                // It may have begun for a later reader if only the sync failed.
                let begun = self.read(record.id).map(|found| found.journal.state());
                if begun != Ok(State::Unfinished)
                    || self.note(record.id, Event::RolledBack { kept: Vec::new() }).is_err()
                {
                    let _ = disk.remove_tree(&dir);
                }
                Err(error)
            }
        }
    }

    fn keep_outputs(&self, record: &mut Record) -> Result<(), WriteError> {
        let id = record.id;
        let part = format!("{DIR}/{id}/blobs/part");
        for output in &mut record.outputs {
            let Saved::Present { digest, .. } = &mut output.before else { continue };
            *digest = self.store.disk().copy(output.path.trim_start_matches('/'), &part, 0o600)?;
            self.store.disk().rename(&part, &blob(id, digest))?;
        }
        Ok(())
    }

    /// Adds an event to a journal.
    ///
    /// # Errors
    /// It may not be on the disk.
    pub fn note(&self, id: TransactionId, event: Event) -> Result<(), WriteError> {
        let entry = Entry { at: now(), event };
        let path = format!("{DIR}/{id}/journal.jsonl");
        let line = serde_json::to_string(&entry)
            .map_err(|error| WriteError::new("write", &path, error))?;
        self.store.disk().append_line(&path, &line)
    }

    /// Keeps a domain as libvirt gives it back, and notes that it is defined.
    ///
    /// # Errors
    /// It may not be on the disk.
    pub fn keep_defined(&self, id: TransactionId, xml: &str) -> Result<(), WriteError> {
        let digest = crate::sys::writer::digest(xml.as_bytes());
        self.store.disk().put_with(&blob(id, &digest), 0o600, |file| {
            std::io::Write::write_all(file, xml.as_bytes())
        })?;
        self.note(id, Event::Defined { digest })
    }

    /// Notes what came of a boot.
    ///
    /// # Errors
    /// It may not be on the disk.
    pub fn note_judged(
        &self,
        id: TransactionId,
        boot_id: &str,
        verdict: Verdict,
    ) -> Result<(), WriteError> {
        self.note(id, Event::Judged { boot_id: boot_id.to_owned(), verdict })
    }

    /// The number of the next transaction.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn next_id(&self) -> Result<TransactionId, Error> {
        Ok(self.ids()?.last().map_or(1, |last| last + 1))
    }

    /// Whether an output is what it was; never where that was not kept.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_as_before(&self, path: &str, saved: &Saved) -> Result<bool, WriteError> {
        let now = self.store.disk().digest_of(path.trim_start_matches('/'))?;
        Ok(*saved != Saved::NotKept && saved.digest() == now.as_deref())
    }

    /// Puts a kept output back.
    ///
    /// # Errors
    /// The file is as it was.
    pub fn put_output_back(
        &self,
        id: TransactionId,
        path: &str,
        saved: &Saved,
    ) -> Result<(), WriteError> {
        if self.is_as_before(path, saved)? {
            return Ok(());
        }
        let (disk, inside) = (self.store.disk(), path.trim_start_matches('/'));
        match saved {
            Saved::NotKept => Ok(()),
            Saved::Absent => disk.remove(inside),
            Saved::Present { digest, mode, .. } => {
                disk.copy(&blob(id, digest), inside, *mode).map(|_| ())
            }
        }
    }

    /// Lets go of kept outputs, which are made anew rather than put back from now on. A content
    /// that a changed file has too is kept.
    pub fn drop_outputs(&self, record: &Record) {
        let of_change = |digest: &str| {
            let sides = record.changes.iter().flat_map(|change| [&change.before, &change.after]);
            sides.into_iter().any(|side| side.digest() == Some(digest))
        };
        for output in &record.outputs {
            if let Some(digest) = output.before.digest().filter(|digest| !of_change(digest)) {
                let _ = self.store.disk().remove(&blob(record.id, digest));
            }
        }
    }

    /// Removes what is left of transactions that never began, and what ended ones do not need.
    ///
    /// # Errors
    /// Something of them cannot be removed.
    pub fn sweep(&self) -> Result<(), Error> {
        for transaction in self.all()? {
            let id = match &transaction {
                Ok(found) if found.journal.state() == State::NotBegun => {
                    self.has_no_effects(&found.record)?;
                    found.record.id
                }
                Ok(found) if found.journal.state() != State::Unfinished => {
                    self.drop_outputs(&found.record);
                    continue;
                }
                Err(damaged) if damaged.state == Some(State::NotBegun) && !damaged.has_record => {
                    damaged.id
                }
                _ => continue,
            };
            self.store.disk().remove_tree(&format!("{DIR}/{id}")).map_err(|error| {
                Error::because("cannot remove what an interrupted run left", &error)
            })?;
        }
        Ok(())
    }

    /// A journal that says nothing is that of a transaction that never began, unless somebody
    /// emptied it: then what it did is there.
    fn has_no_effects(&self, record: &Record) -> Result<(), Error> {
        for change in record.changes.iter().filter(|change| !change.is_mode_only()) {
            let found = self.store.disk().look(change.inside())?;
            if !change.before.is(found.as_ref()) && change.after.is(found.as_ref()) {
                return Err(Damaged {
                    id: record.id,
                    reason: format!("its journal is empty, but {} is as it left it", change.path),
                    state: None,
                    has_record: true,
                }
                .into());
            }
        }
        Ok(())
    }

    /// A descriptor that a program inherits and keeps open: until it ends, nobody else writes.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn lock_for_program(&self) -> std::io::Result<std::os::fd::OwnedFd> {
        self.lock.inheritable()
    }
}
