//! `verify`: after the reboot, does everything hold.

use super::{Answer, Global};
use crate::document::VerifyDocument;
use crate::error::Error;
use crate::host::rom::Probe;
use crate::host::{Host, booted};
use crate::proof::read_back;
use crate::sys::writer::Writer;
use crate::transaction::{State, Store, Transaction};
use crate::ui::Ui;
use crate::verify::{Report, Verdict, evaluate, groups_to_ask};

/// Say after the reboot whether the last transaction took effect, and why not where it did not
///
/// Everything is read anew: what the kernel was started with, who has the card, whether its
/// groups are viable. As root it asks VFIO about the groups, for which it opens them for a
/// moment; without root it goes by sysfs. Exit code 0: all of it holds; 1: something does not, or the machine was
/// not rebooted yet.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Judges the last transaction.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn run(_args: &Args, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let root = global.open_root()?;
    if root.tree().is_some() {
        return Err(Error::new("a recorded machine has no transactions"));
    }
    let disk = Writer::open(&global.root).map_err(|error| {
        Error::because(format!("cannot open the root {}", global.root.display()), &error)
    })?;
    let all = Store::new(&disk).begun()?;
    let Some(last) = last_applied(&all) else {
        return Err(Error::new("there is no transaction to verify")
            .hint("`passthru apply` carries out a plan; `passthru check` says how things stand."));
    };
    if all.iter().any(|transaction| transaction.journal.state() == State::Unfinished) {
        ui.status("A later transaction is unfinished: `passthru recover` takes it back.");
    }
    let host = Host::read(&root, Probe::No);
    super::check::could_look(&host)?;
    let mut facts = booted::read(&root, &host);
    let aim = &last.record.aims.done;
    facts.ask_vfio(&root, &groups_to_ask(&aim.expectations, &last.record.then, &host, &facts));
    let judge = |facts: &booted::Facts| -> Result<Report, Error> {
        evaluate(&aim.expectations, &last.record.then, &host, facts)
            .ok_or_else(|| Error::new(format!("transaction {} expects nothing", last.record.id)))
    };
    let mut report = judge(&facts)?;
    if report.verdict() == Verdict::Unmet {
        // Opening images takes seconds: it is done where they may be the cause.
        let problems = read_back(&root, &host, &aim.artefacts).problems;
        facts.artefact_problems =
            problems.into_iter().map(|problem| (problem.path, problem.text)).collect();
        report = judge(&facts)?;
    }
    let document = VerifyDocument::of(last.record.id, &report, &facts);
    if global.json {
        ui.json(&document)?;
    } else {
        ui.answer(&crate::ui::verify::render(&document, ui.page()))?;
    }
    Ok(if document.verdict == Verdict::Met { Answer::Yes } else { Answer::No })
}

fn last_applied(all: &[Transaction]) -> Option<&Transaction> {
    all.iter().rev().find(|transaction| transaction.journal.state() == State::Applied)
}
