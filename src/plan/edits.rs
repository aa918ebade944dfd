//! Collects what a plan does to files; one file can be edited by several steps.

use std::collections::BTreeMap;

use super::change::{FileChange, FileState, Stage};
use crate::config::EditError;
pub use crate::config::MARK;
use crate::host::Host;
use crate::host::files::ConfigFile;
use crate::host::{OWNED, Observed};

/// A step that cannot be planned, with what the user can do instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("/{path}: {reason}")]
pub struct CannotEdit {
    /// File, without leading slash.
    pub path: String,
    /// Why not.
    pub reason: String,
}

/// A file as a plan would leave it.
struct Planned {
    after: FileState,
    because: Vec<&'static str>,
    stage: Stage,
}

/// The files of a host as a plan would leave them.
pub struct Edits<'a> {
    host: &'a Host,
    after: BTreeMap<String, Planned>,
}

impl<'a> Edits<'a> {
    /// Nothing changed yet.
    pub fn new(host: &'a Host) -> Self {
        Self { host, after: BTreeMap::new() }
    }

    /// The file as earlier steps left it.
    ///
    /// # Errors
    /// The file could not be read.
    pub fn current(&self, path: &str) -> Result<FileState, CannotEdit> {
        if let Some(planned) = self.after.get(path) {
            return Ok(planned.after.clone());
        }
        self.before(path)
    }

    fn before(&self, path: &str) -> Result<FileState, CannotEdit> {
        before(self.host, path)
    }

    /// Puts a whole file that passthru owns. A file of that name that it did not write is
    /// refused, never replaced.
    ///
    /// # Errors
    /// Somebody else's file stands there, or it could not be read.
    pub fn own(
        &mut self,
        path: &str,
        text: &str,
        mode: u32,
        because: &[&'static str],
    ) -> Result<(), CannotEdit> {
        let before = self.before(path)?;
        if before != FileState::Absent && !before.text().contains(MARK) {
            return Err(CannotEdit {
                path: path.to_owned(),
                reason: "it was not written by passthru and is not replaced".to_owned(),
            });
        }
        self.put(path, FileState::owned(text, mode), because.to_vec());
        Ok(())
    }

    fn put(&mut self, path: &str, after: FileState, because: Vec<&'static str>) {
        let stage = self.after.get(path).map(|planned| planned.stage).unwrap_or_default();
        self.after.insert(path.to_owned(), Planned { after, because, stage });
    }

    /// Has a file that is changed already written after the commands.
    pub fn after_commands(&mut self, path: &str) {
        if let Some(planned) = self.after.get_mut(path) {
            planned.stage = Stage::AfterCommands;
        }
    }

    /// Changes a file that others own.
    ///
    /// # Errors
    /// The file could not be read, or the edit is refused.
    pub fn edit(
        &mut self,
        path: &str,
        because: &[&'static str],
        edit: impl FnOnce(&str) -> Result<String, EditError>,
    ) -> Result<(), CannotEdit> {
        let current = self.current(path)?;
        let text = edit(current.text())
            .map_err(|error| CannotEdit { path: path.to_owned(), reason: error.to_string() })?;
        if text != current.text() {
            let mut codes =
                self.after.get(path).map(|planned| planned.because.clone()).unwrap_or_default();
            codes.extend(because);
            self.put(path, current.with_text(text), codes);
        }
        Ok(())
    }

    /// Removes a file that passthru wrote, if it is there.
    ///
    /// # Errors
    /// It could not be read.
    pub fn remove_own(&mut self, path: &str) -> Result<(), CannotEdit> {
        if self.before(path)?.text().contains(MARK) {
            self.put(path, FileState::Absent, Vec::new());
        }
        Ok(())
    }

    /// Removes files of passthru's that this plan does not need.
    ///
    /// # Errors
    /// One of them could not be read.
    pub fn remove_leftovers(&mut self) -> Result<(), CannotEdit> {
        for path in OWNED {
            if self.after.contains_key(path) {
                continue;
            }
            if !self.host.files.get(path).is_unreadable() {
                self.remove_own(path)?;
            }
        }
        Ok(())
    }

    /// What changes, in path order; the codes are those that the host really has.
    pub fn into_changes(self, has: impl Fn(&str) -> bool) -> Result<Vec<FileChange>, CannotEdit> {
        let mut changes = Vec::new();
        for (path, planned) in self.after {
            let before = before(self.host, &path)?;
            if same(&before, &planned.after) {
                continue;
            }
            let mut because = planned.because;
            because.retain(|code| has(code));
            because.dedup();
            debug_assert!(
                super::may_change(&format!("/{path}")),
                "/{path} is not in the closed set of files that a plan may change"
            );
            let (path, after, stage) = (format!("/{path}"), planned.after, planned.stage);
            changes.push(FileChange { path, before, after, because, stage });
        }
        Ok(changes)
    }
}

fn before(host: &Host, path: &str) -> Result<FileState, CannotEdit> {
    match host.files.get(path) {
        Observed::Present(file) => Ok(state_of(file)),
        Observed::Absent => Ok(FileState::Absent),
        Observed::Unreadable(reason) => Err(CannotEdit { path: path.to_owned(), reason }),
    }
}

/// Equal in text, and executable where the plan needs it. A file that may be executed though it
/// need not be stays so: on FAT every file may (the mount decides it, fs/fat/inode.c).
fn same(before: &FileState, after: &FileState) -> bool {
    match (before, after) {
        (
            FileState::Present { text: a, mode: m, .. },
            FileState::Present { text: b, mode: n, .. },
        ) => a == b && (executable(m) || !executable(n)),
        (before, after) => before == after,
    }
}

fn executable(mode: &str) -> bool {
    u32::from_str_radix(mode, 8).is_ok_and(|mode| mode & 0o111 != 0)
}

fn state_of(file: &ConfigFile) -> FileState {
    FileState::Present {
        text: file.text.clone(),
        mode: format!("{:04o}", file.meta.mode),
        uid: file.meta.uid,
        gid: file.meta.gid,
    }
}
