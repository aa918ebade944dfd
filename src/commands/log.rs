//! `log`: the transactions of a machine.

use std::path::Path;

use clap::Subcommand;

use super::{Answer, Global};
use crate::document::{Contents, LogDocument, TransactionDocument};
use crate::error::Error;
use crate::sys::writer::Writer;
use crate::transaction::{Store, TransactionId, undone_by};
use crate::ui::Ui;

/// List the transactions: when, what, how it ended, and why one failed
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
}

/// What of the log.
#[derive(Debug, Subcommand)]
enum What {
    /// Show one transaction with the diff of every file (root only: it holds their contents)
    Show {
        /// Its number
        #[arg(value_name = "N")]
        id: TransactionId,
    },
}

/// Lists, or shows one.
///
/// # Errors
/// The state directory cannot be read, or the number names none.
pub fn run(args: &Args, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let root = global.open_root()?;
    if root.tree().is_some() {
        return Err(Error::new("a recorded machine has no transactions"));
    }
    let path: &Path = &global.root;
    let disk = Writer::open(path).map_err(|error| {
        Error::because(format!("cannot open the root {}", path.display()), &error)
    })?;
    let store = Store::new(&disk);
    let Some(What::Show { id }) = args.what else {
        let document = LogDocument::of(store.all()?);
        if global.json {
            ui.json(&document)?;
        } else {
            ui.answer(&crate::ui::log::render(&document, ui.page()))?;
        }
        return Ok(Answer::Yes);
    };
    let document = one(&store, id)?;
    if global.json {
        ui.json(&document)?;
    } else {
        ui.answer(&crate::ui::log::transaction(&document, ui.page()))?;
    }
    Ok(Answer::Yes)
}

/// One transaction with the contents of its files.
///
/// # Errors
/// There is no such transaction, or what was kept of it cannot be read.
fn one(store: &Store<'_>, id: TransactionId) -> Result<TransactionDocument, Error> {
    let mut readable = Vec::new();
    let mut damaged = None;
    for found in store.all()? {
        match found {
            Ok(transaction) => readable.push(transaction),
            Err(unread) if unread.id == id => damaged = Some(unread),
            Err(_) => {}
        }
    }
    if let Some(damaged) = damaged {
        return Err(damaged.into());
    }
    let Some(transaction) = readable.iter().find(|found| found.record.id == id) else {
        return Err(
            Error::new(format!("there is no transaction {id}")).hint("`passthru log` lists them.")
        );
    };
    let mut contents: Vec<Contents> = Vec::new();
    for change in &transaction.record.changes {
        contents.push((store.content(id, &change.before)?, store.content(id, &change.after)?));
    }
    if let Some(domain) = &transaction.record.domain {
        contents.push((store.content(id, &domain.before)?, store.content(id, &domain.after)?));
    }
    Ok(TransactionDocument::of(transaction, &contents, undone_by(&readable, id)))
}
