//! Carrying plans out so that a crash at any instant leaves a machine that boots, and taking
//! them back to the byte.
//!
//! A [`Draft`] is what will be done, as data. [`prepare`](prepare::prepare) looks whether it can
//! be, and makes a [`Record`]; the [`Held`] store keeps that with all contents before the first
//! effect; the [`Engine`] makes the effects, or takes them back. Nothing is decided here: what a
//! file becomes stands in the record.

mod domain;
mod draft;
mod edited;
mod engine;
mod held;
mod journal;
mod merged;
mod prepare;
mod record;
mod rollback;
mod select;
mod store;
mod undo;

pub use domain::{DomainChange, DomainUndo, ImageChange, Secret, VmVerb, saved};
pub use draft::{Draft, File};
pub use edited::edited;
pub use engine::{Done, Engine, Failure, Run};
pub use held::Held;
pub use journal::State;
pub use merged::ThreeWay;
pub use prepare::prepare;
pub use record::{Aim, Aims, Contents, Kind, Record, Saved, Selection, TransactionId};
pub use rollback::{Ending, TakenBack, When};
pub use store::{DIR, Damaged, Store, Transaction};
pub use undo::{Conflict, OnConflict, Undo, undo};

use crate::error::Error;

/// Finishes what a crash or a kill left unfinished, by taking it back where that can be done.
///
/// # Errors
/// A transaction cannot be read, or the disk refuses; the same call again goes on from there.
pub fn recover(engine: &Engine<'_>) -> Result<Vec<(Record, Ending)>, Error> {
    engine.store.sweep()?;
    let begun = engine.store.begun()?;
    let unfinished = begun.into_iter().rev().filter(|t| t.journal.state() == State::Unfinished);
    let mut recovered = Vec::new();
    for transaction in unfinished {
        let ending = engine.roll_back(&transaction.record, When::Later)?;
        recovered.push((transaction.record, ending));
    }
    Ok(recovered)
}

/// Number of the transaction that takes another one back, where one stands.
pub fn undone_by(all: &[Transaction], id: TransactionId) -> Option<TransactionId> {
    let takes_back = |transaction: &&Transaction| {
        transaction.record.id > id
            && transaction.record.kind == Kind::Undo { of: id }
            && transaction.journal.state() == State::Applied
            && undone_by(all, transaction.record.id).is_none()
    };
    all.iter().find(takes_back).map(|transaction| transaction.record.id)
}

/// What was carried out and still stands, in order.
fn standing(all: &[Transaction]) -> impl DoubleEndedIterator<Item = &Transaction> {
    all.iter().filter(|transaction| {
        transaction.journal.state() == State::Applied
            && matches!(transaction.record.kind, Kind::Apply | Kind::Vm | Kind::Promote { .. })
            && undone_by(all, transaction.record.id).is_none()
    })
}

/// The last that was carried out and still stands.
pub fn last_standing(all: &[Transaction]) -> Option<&Transaction> {
    standing(all).next_back()
}

/// The transaction whose configuration is on trial: the last that stands, if it selected an entry
/// and was not promoted.
pub fn on_trial(all: &[Transaction]) -> Option<&Transaction> {
    let mut plans = standing(all).filter(|transaction| transaction.record.domain.is_none());
    plans.next_back().filter(|transaction| transaction.record.trial().is_some())
}

/// The transaction that `verify` judges: what is on trial, whatever was taken back after it; else
/// the last that was carried out.
pub fn to_verify(all: &[Transaction]) -> Option<&Transaction> {
    let applied = |transaction: &&Transaction| {
        transaction.record.domain.is_none() && transaction.journal.state() == State::Applied
    };
    on_trial(all).or_else(|| all.iter().rfind(applied))
}

/// A later one that stands and is about the same card or virtual machine, or changed some of the
/// same files.
pub fn built_upon<'a>(all: &'a [Transaction], record: &Record) -> Option<&'a Transaction> {
    let same = |path: &str| record.changes.iter().any(|change| change.path == path);
    standing(all).rev().find(|later| {
        let about = |record: &Record| match &record.domain {
            Some(domain) => domain.label(),
            None => format!("{:?}", record.gpu),
        };
        later.record.id > record.id
            && (about(&later.record) == about(record)
                || later.record.changes.iter().any(|own| same(&own.path)))
    })
}
