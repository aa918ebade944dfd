//! `apply` and `undo`: what is done to a machine.

use serde::Serialize;

use super::verify::OnTrialDocument;
use super::{PlanDocument, Schema};
use crate::plan::{ChangeKind, FileChange, FileState};
use crate::transaction::{
    Conflict, DomainChange, Done, Record, Saved, Selection, ThreeWay, TransactionId, Undo,
};
use crate::verify::{OnTrial, Stage};

/// What came of an `apply` or an `undo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct ApplyDocument {
    /// Name and version of this form.
    schema: Schema,
    /// Its number; `null` where there was nothing to do.
    pub transaction: Option<TransactionId>,
    /// The transaction that it took back.
    pub undoes: Option<TransactionId>,
    /// The transaction whose entry on trial became the default.
    pub promotes: Option<TransactionId>,
    /// The entry that is on trial since then, or still is.
    pub trial: Option<OnTrialDocument>,
    /// Files that changed, as absolute paths.
    pub changed: Vec<String>,
    /// Programs that ran, in order.
    pub ran: Vec<Vec<String>>,
    /// Programs that are left to run inside that root, in order.
    pub to_run: Vec<Vec<String>>,
    /// Boot menus and images that were read back.
    pub read_back: Vec<String>,
    /// It takes effect with the next boot.
    pub reboot: bool,
    /// Why nothing was done, where that is not since all is as wanted.
    pub reason: Option<String>,
}

impl ApplyDocument {
    /// Nothing was done, for this reason.
    pub fn refused(reason: &str) -> Self {
        Self { reboot: false, reason: Some(reason.to_owned()), ..Self::empty() }
    }

    fn empty() -> Self {
        Self {
            schema: Schema { name: "apply", version: 1 },
            transaction: None,
            undoes: None,
            promotes: None,
            trial: None,
            changed: Vec::new(),
            ran: Vec::new(),
            to_run: Vec::new(),
            read_back: Vec::new(),
            reboot: false,
            reason: None,
        }
    }

    /// The machine is as wanted already.
    pub fn nothing(plan: &PlanDocument) -> Self {
        Self { reboot: plan.reboot, ..Self::empty() }
    }

    /// The machine has the entry on trial already.
    pub fn on_trial(plan: &PlanDocument, trial: Option<&OnTrial>) -> Self {
        Self { trial: trial.map(OnTrialDocument::of), ..Self::nothing(plan) }
    }

    /// A transaction was carried out.
    pub fn of(record: &Record, done: &Done, reboot: bool) -> Self {
        let selected = record.trial().map(|trial| OnTrialDocument {
            entry: trial.entry.clone(),
            stage: if done.to_run.is_empty() { Stage::Selected } else { Stage::Unselected },
            text: None,
        });
        let domain = record.domain.as_ref().map(DomainChange::label);
        let commands = record.commands.iter().filter(|_| done.to_run.is_empty());
        let selecting = record.trial().filter(|_| done.to_run.is_empty());
        let selecting = selecting.map(|trial| trial.select().argv);
        Self {
            transaction: Some(record.id),
            undoes: record.kind.undoes(),
            promotes: record.kind.promotes(),
            trial: selected,
            changed: record
                .changes
                .iter()
                .map(|change| change.path.clone())
                .chain(domain)
                .collect(),
            ran: commands.map(|command| command.argv.clone()).chain(selecting).collect(),
            to_run: done.to_run.clone(),
            read_back: done.looked.clone(),
            reboot,
            ..Self::empty()
        }
    }
}

/// A change to a file, as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Diff {
    /// Absolute path.
    pub path: String,
    /// What happens to the file.
    pub kind: ChangeKind,
    /// Unified diff.
    pub diff: String,
}

impl Diff {
    /// Between two contents; nothing stands for no file.
    pub fn between(path: &str, before: Option<&[u8]>, after: Option<&[u8]>) -> Self {
        let state = |bytes: Option<&[u8]>| match bytes {
            None => FileState::Absent,
            Some(bytes) => FileState::owned(String::from_utf8_lossy(bytes), 0o644),
        };
        let change = FileChange {
            path: path.to_owned(),
            before: state(before),
            after: state(after),
            because: Vec::new(),
            stage: crate::plan::Stage::default(),
        };
        Self { path: path.to_owned(), kind: change.kind(), diff: change.diff() }
    }
}

/// What taking a transaction back would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct UndoDocument {
    /// Name and version of this form.
    schema: Schema,
    /// The transaction that is taken back.
    pub undoes: TransactionId,
    /// Files, in path order.
    pub changes: Vec<Diff>,
    /// Files that somebody edited since, and whose edits stay.
    pub edited_since: Vec<String>,
    /// Files where both changed the same lines.
    pub conflicts: Vec<UndoConflict>,
    /// Programs to run after the files.
    pub commands: Vec<Vec<String>>,
    /// The entry on trial that goes; the boot loader is not told to start it any more.
    pub trial: Option<String>,
    /// What should be known about it.
    pub remarks: Vec<String>,
}

/// A file where both changed the same lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct UndoConflict {
    /// Absolute path.
    pub path: String,
    /// What was edited since, as a diff; `null` where the file is no text.
    pub edited: Option<String>,
    /// What taking back would change, as a diff.
    pub taken_back: Option<String>,
    /// `--only-our-words` solves it.
    pub solvable: bool,
}

impl UndoDocument {
    /// Before anything is done.
    pub fn of(record: &Record, undo: &Undo) -> Self {
        let content = |saved: &Saved| {
            saved.digest().and_then(|digest| undo.draft.contents.get(digest)).map(Vec::as_slice)
        };
        let changes = undo.draft.changes.iter().map(|change| {
            Diff::between(&change.path, content(&change.before), content(&change.after))
        });
        let changed = undo.draft.domain.iter().filter(|change| change.before != change.after);
        let domain = changed.map(|change| {
            Diff::between(&change.label(), content(&change.before), content(&change.after))
        });
        Self {
            schema: Schema { name: "undo", version: 1 },
            undoes: record.id,
            changes: changes.chain(domain).collect(),
            edited_since: undo.merged.clone(),
            conflicts: undo.conflicts.iter().map(conflict).collect(),
            commands: undo.draft.commands.iter().map(|command| command.argv.clone()).collect(),
            trial: match &undo.draft.selection {
                Some(Selection::Clear { trial, .. }) => Some(trial.entry.clone()),
                _ => None,
            },
            remarks: undo.remarks.clone(),
        }
    }
}

fn conflict(conflict: &Conflict) -> UndoConflict {
    let diff = |to: fn(&ThreeWay) -> &str| {
        let texts = conflict.texts.as_ref()?;
        let (from, to) = (texts.after.as_bytes(), to(texts).as_bytes());
        Some(Diff::between(&conflict.path, Some(from), Some(to)).diff)
    };
    UndoConflict {
        path: conflict.path.clone(),
        edited: diff(|texts| &texts.now),
        taken_back: diff(|texts| &texts.before),
        solvable: conflict.solvable,
    }
}
