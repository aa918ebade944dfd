//! Taking a transaction back is a transaction of its own, on the same road.

use super::draft::{Draft, File};
use super::merged::{Merged, ThreeWay};
use super::record::{Change, Contents, Kind, Record, Saved};
use super::store::Store;
use crate::error::Error;
use crate::plan::{Command, Stage};
use crate::sys::writer::{Found, Writer};

/// What to do where somebody edited the very lines that are taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// Nothing: it is shown.
    Show,
    /// Only the words that passthru put there go; everything else stays as it is.
    TakeOutOurWords,
}

/// A file where both sides changed the same lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Absolute path.
    pub path: String,
    /// Its three texts; `None` where one of them is no text.
    pub texts: Option<ThreeWay>,
    /// [`OnConflict::TakeOutOurWords`] would solve it.
    pub solvable: bool,
}

/// What taking a transaction back comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undo {
    /// What will be done, if nothing is in conflict.
    pub draft: Draft,
    /// Files that were edited since and whose edits stay.
    pub merged: Vec<String>,
    /// What cannot be decided here.
    pub conflicts: Vec<Conflict>,
    /// What should be known about it.
    pub remarks: Vec<String>,
}

/// Looks at every file of a transaction and decides what becomes of it.
///
/// # Errors
/// What was kept of the transaction cannot be read, or a file cannot.
pub fn undo(
    disk: &Writer,
    store: &Store<'_>,
    record: &Record,
    commands: Vec<Command>,
    on_conflict: OnConflict,
) -> Result<Undo, Error> {
    let draft = Draft {
        kind: Kind::Undo { of: record.id },
        gpu: record.gpu,
        name: record.name.clone(),
        changes: Vec::new(),
        contents: Contents::new(),
        leftovers: record.directories.clone(),
        commands,
        selection: record.selection_reversed(),
        domain: None,
        secret: None,
        aims: record.aims.reversed(),
    };
    let mut undo = Undo { draft, merged: Vec::new(), conflicts: Vec::new(), remarks: Vec::new() };
    for change in &record.changes {
        let found = disk.look(change.inside())?;
        if change.before.is(found.as_ref()) && !change.is_mode_only() {
            continue; // somebody took it back already
        }
        let target = |saved: &Saved| -> Result<File, Error> {
            let bytes = store.content(record.id, saved)?;
            Ok(bytes.zip(saved.attributes()).map(|(bytes, a)| (bytes, a.mode, a.uid, a.gid)))
        };
        if change.after.is(found.as_ref()) {
            let (now, before) = (as_file(found), target(&change.before)?);
            undo.add(change, now, before);
            continue;
        }
        // Removed since: that stays so.
        let Some(found) = found else { continue };
        let texts = ThreeWay::new(
            store.content(record.id, &change.before)?,
            store.content(record.id, &change.after)?,
            &found,
        );
        undo.edited_since(change, found, texts, on_conflict);
    }
    Ok(undo)
}

impl Undo {
    fn add(&mut self, change: &Change, now: File, mut then: File) {
        let modes = [&change.before, &change.after].map(|side| side.attributes().map(|a| a.mode));
        if let (Some(now), Some(then), true) = (&now, &mut then, modes[0] == modes[1]) {
            // The change was not about mode and owner: whoever set them since meant to.
            (then.1, then.2, then.3) = (now.1, now.2, now.3);
        }
        // An entry that starts the machine as it was goes last, when nobody needs it any more.
        let goes = then.is_none() && change.path.contains("/loader/entries/");
        let stage = if goes { Stage::AfterCommands } else { Stage::BeforeCommands };
        if now != then {
            self.draft.add(&change.path, stage, now, then);
        }
    }

    fn edited_since(
        &mut self,
        change: &Change,
        found: Found,
        texts: Option<ThreeWay>,
        on_conflict: OnConflict,
    ) {
        let meta = found.meta.clone();
        let now = as_file(Some(found));
        let ours = texts.as_ref().and_then(|texts| texts.without_our_words(&change.path));
        let merged = texts.as_ref().map_or(Merged::Conflict, ThreeWay::merged);
        let then = match (merged, on_conflict, ours) {
            (Merged::Absent, ..) => None,
            (Merged::Text(text), ..) => Some(text),
            (Merged::Conflict, OnConflict::TakeOutOurWords, Some(text)) => Some(text),
            (Merged::Conflict, _, ours) => {
                let path = change.path.clone();
                self.conflicts.push(Conflict { path, texts, solvable: ours.is_some() });
                return;
            }
        };
        self.merged.push(change.path.clone());
        if let Some(texts) = &texts {
            self.draft.aims.edited(change.inside(), then.as_deref(), &texts.now);
        }
        let then = then.map(|text| (text.into_bytes(), meta.mode, meta.uid, meta.gid));
        self.add(change, now, then);
    }
}

fn as_file(found: Option<Found>) -> File {
    found.map(|found| (found.bytes, found.meta.mode, found.meta.uid, found.meta.gid))
}
