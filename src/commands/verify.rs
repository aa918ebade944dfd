//! `verify`: after the reboot, does everything hold.

use super::session::Session;
use super::{Answer, Global};
use crate::document::VerifyDocument;
use crate::error::Error;
use crate::host::rom::Probe;
use crate::host::{Host, booted};
use crate::proof::read_back;
use crate::sys::Sysroot;
use crate::sys::writer::Writer;
use crate::transaction::{Selection, State, Store, Transaction, on_trial};
use crate::ui::Ui;
use crate::verify::{OnTrial, Report, Stage, Told, Verdict, evaluate, groups_to_ask};

/// Say after the reboot whether the last transaction took effect, and why not where it did not
///
/// Everything is read anew: what the kernel was started with, who has the card, whether its
/// groups are viable. As root it asks VFIO about the groups, for which it opens them for a
/// moment; without root it goes by sysfs. Exit code 0: all of it holds; 1: something does not, or the machine was
/// not rebooted yet.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What passthru-verify.service runs: write down what came of a trial boot, so that a later
    /// boot can tell, and promote it if `apply --auto-promote` asked for that
    #[arg(long)]
    after_boot: bool,
}

/// Judges the last transaction.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn run(args: &Args, global: &Global, ui: &Ui) -> Result<Answer, Error> {
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
    let judged = judge(last, &root, &host)?;
    let document = judged.document();
    if global.json {
        ui.json(&document)?;
    } else {
        ui.answer(&crate::ui::verify::render(&document, ui.page()))?;
    }
    if args.after_boot {
        after_boot(&judged, global, ui)?;
    }
    Ok(if document.verdict == Verdict::Met { Answer::Yes } else { Answer::No })
}

/// A transaction that was looked at after a boot.
pub struct Judged<'a> {
    /// Which one.
    pub transaction: &'a Transaction,
    /// What came of it.
    pub report: Report,
    /// What was read beside the host.
    pub facts: booted::Facts,
    /// What became of the entry on trial.
    pub trial: Option<OnTrial>,
}

impl Judged<'_> {
    /// As the document has it.
    pub fn document(&self) -> VerifyDocument {
        let id = self.transaction.record.id;
        VerifyDocument::of(id, &self.report, &self.facts, self.trial.as_ref())
    }

    /// This boot was started from the entry on trial.
    pub fn is_trial_boot(&self) -> bool {
        self.trial.as_ref().is_some_and(|trial| trial.stage == Stage::Running)
    }
}

/// Looks whether everything holds that a transaction is for.
///
/// # Errors
/// Too little of the machine can be read.
pub fn judge<'a>(
    transaction: &'a Transaction,
    root: &Sysroot,
    host: &Host,
) -> Result<Judged<'a>, Error> {
    super::check::could_look(host)?;
    let Transaction { record, journal } = transaction;
    let mut facts = booted::read(root, host);
    let aim = &record.aims.done;
    facts.ask_vfio(root, &groups_to_ask(&aim.expectations, &record.then, host, &facts));
    let told = Told {
        selected_at: journal.selected_at(),
        judged: journal.judged().map(|(at, _, verdict)| (at, verdict)),
    };
    let trial = record.trial().map(|trial| {
        let selected = trial.once.selected(root);
        OnTrial::new(trial, &aim.expectations, &record.then, (host, &facts), &selected, told)
    });
    let look = |facts: &booted::Facts| -> Result<Report, Error> {
        evaluate(&aim.expectations, &record.then, host, facts, trial.as_ref())
            .ok_or_else(|| Error::new(format!("transaction {} expects nothing", record.id)))
    };
    let mut report = look(&facts)?;
    if report.verdict() == Verdict::Unmet {
        // Opening images takes seconds: it is done where they may be the cause.
        let problems = read_back(root, host, &aim.artefacts).problems;
        facts.artefact_problems =
            problems.into_iter().map(|problem| (problem.path, problem.text)).collect();
        report = look(&facts)?;
    }
    Ok(Judged { transaction, report, facts, trial })
}

/// Writes down what came of a trial boot; promotes it where that was asked for.
fn after_boot(judged: &Judged<'_>, global: &Global, ui: &Ui) -> Result<(), Error> {
    let Some(boot_id) = judged.facts.boot_id.present().filter(|_| judged.is_trial_boot()) else {
        return Ok(());
    };
    let record = &judged.transaction.record;
    let verdict = judged.report.verdict();
    let session = Session::open(global, ui, super::session::DEADLINE)?;
    let Some(held) = session.resume()? else { return Ok(()) };
    held.note_judged(record.id, boot_id, verdict)?;
    let promotes = matches!(&record.selection, Some(Selection::Select { promote: true, .. }));
    let is_last = on_trial(&held.begun()?).is_some_and(|last| last.record.id == record.id);
    if promotes && is_last && verdict == Verdict::Met {
        super::promote::carry_out(&session, held, &judged.transaction.record, global, ui)?;
    }
    Ok(())
}

/// The last transaction whose effects are done.
pub fn last_applied(all: &[Transaction]) -> Option<&Transaction> {
    all.iter().rev().find(|transaction| transaction.journal.state() == State::Applied)
}
