//! `undo`: put back every byte of a transaction.

use super::apply::{declined, finish};
use super::session::{RunArgs, Session};
use super::vm::shared_memory;
use super::{Answer, Global};
use crate::document::{ApplyDocument, UndoDocument};
use crate::error::Error;
use crate::host::Host;
use crate::transaction::{
    Conflict, DomainUndo, Held, OnConflict, State, Transaction, TransactionId, Undo, built_upon,
    last_standing, undo, undone_by,
};
use crate::ui::Ui;

/// Take back what a transaction did, to the byte
///
/// Edits that you made since stay. Where you edited the very lines that are taken back, both
/// versions are shown, and --only-our-words takes out just the words that passthru put there.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which one; without a number, the last that stands
    #[arg(value_name = "N")]
    id: Option<TransactionId>,
    /// Where you edited the same lines, take out only the words that passthru put there
    #[arg(long)]
    only_our_words: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Takes back; says no where there is nothing to take back, or where edits are in the way.
///
/// # Errors
/// Something failed; then everything is as it was before this call.
pub fn run(args: &Args, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let session = Session::open(global, ui, args.run.deadline)?;
    let held = session.resume()?;
    let Some(held) = held else {
        let why = "There is nothing to take back: passthru changed nothing on this machine.";
        return declined(why, global, ui);
    };
    let all = held.begun()?;
    let transaction = match choose(&all, args.id)? {
        Ok(transaction) => transaction.clone(),
        Err(why) => return declined(&why, global, ui),
    };
    let record = &transaction.record;
    let host = session.host();
    let look = |on_conflict| plan_undo(&session, &held, &transaction, &host, on_conflict);
    let mut undo = look(match args.only_our_words {
        true => OnConflict::TakeOutOurWords,
        false => OnConflict::Show,
    })?;
    let document = UndoDocument::of(record, &undo);
    if !global.json {
        ui.answer(&crate::ui::apply::undo(&document, ui.page()))?;
    }
    if !undo.conflicts.is_empty() {
        let solvable = undo.conflicts.iter().all(|conflict| conflict.solvable);
        let question = "Take out only passthru's words there, and keep your edits?";
        if args.run.yes || global.json || !solvable || ui.ask(question)? != Some(true) {
            if global.json {
                ui.json(&document)?;
            }
            ui.status(&crate::ui::apply::conflict_hint(&document));
            return Ok(Answer::No);
        }
        undo = look(OnConflict::TakeOutOurWords)?;
    } else if !args.run.confirmed(&format!("Take transaction {} back?", record.id), global, ui)? {
        return declined("Nothing was changed.", global, ui);
    }
    let reboot = !undo.draft.is_empty() && undo.draft.domain.is_none();
    let (record, done) = session.carry_out(Some(held), &undo.draft, &host)?;
    finish(&ApplyDocument::of(&record, &done, reboot), global, ui)
}

/// The transaction that is meant, or why there is nothing to do.
///
/// # Errors
/// The number names none.
fn choose(
    all: &[Transaction],
    id: Option<TransactionId>,
) -> Result<Result<&Transaction, String>, Error> {
    let Some(id) = id else {
        return Ok(last_standing(all).ok_or_else(|| {
            "There is nothing to take back: no transaction stands. `passthru log` lists them all."
                .to_owned()
        }));
    };
    let Some(transaction) = all.iter().find(|transaction| transaction.record.id == id) else {
        return Err(
            Error::new(format!("there is no transaction {id}")).hint("`passthru log` lists them.")
        );
    };
    if transaction.journal.state() != State::Applied {
        return Ok(Err(format!("Transaction {id} changed nothing: it was rolled back.")));
    }
    if let Some(by) = undone_by(all, id) {
        return Ok(Err(format!(
            "Transaction {id} was taken back by transaction {by}; `passthru undo {by}` brings it again."
        )));
    }
    Ok(match built_upon(all, &transaction.record) {
        Some(later) => Err(format!(
            "Transaction {} came later and changed the same files: take that one back first, with `passthru undo`.",
            later.record.id
        )),
        None => Ok(transaction),
    })
}

fn plan_undo(
    session: &Session<'_>,
    held: &Held<'_>,
    transaction: &Transaction,
    host: &Host,
    on_conflict: OnConflict,
) -> Result<Undo, Error> {
    let record = &transaction.record;
    let paths = record.changes.iter().map(|change| change.path.as_str());
    let commands = crate::plan::regeneration(host, paths, &record.standing_parameters());
    let mut undo = undo(&session.disk, held, record, commands, on_conflict)?;
    match held.undo_domain(transaction, &session.root, &mut undo.draft.contents)? {
        None => {}
        Some(DomainUndo::Change { change, kept, remarks }) => {
            undo.draft.domain = Some(change);
            shared_memory::undone(&mut undo)?;
            undo.merged.extend(kept);
            undo.remarks.extend(remarks);
        }
        Some(DomainUndo::Conflict(path, texts)) => {
            undo.conflicts.push(Conflict { path, texts: Some(texts), solvable: false });
        }
    }
    Ok(undo)
}
