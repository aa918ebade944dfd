//! `verify`: after the reboot, does everything hold.

mod by_hand;

use super::session::Session;
use super::{Answer, Global};
use crate::document::VerifyDocument;
use crate::error::Error;
use crate::host::rom::Probe;
use crate::host::{Host, booted};
use crate::proof::read_back;
use crate::sys::Sysroot;
use crate::sys::writer::Writer;
use crate::transaction::{Held, State, Store, Transaction, edited, on_trial, to_verify};
use crate::ui::Ui;
use crate::verify::{OnTrial, Report, Stage, Told, Verdict, evaluate, groups_to_ask};

/// Say after the reboot whether the last transaction took effect, and why not where it did not
///
/// Everything is read anew: what the kernel was started with, who has the card, whether its
/// groups are viable. As root it asks VFIO about the groups, for which it opens them for a
/// moment; without root it goes by sysfs. On a machine that was set up by hand, what is configured
/// there is judged. Exit code 0: all of it holds; 1: something does not, or the machine was not
/// rebooted yet.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What passthru-verify.service runs: if this is a trial boot, write down what came of it, so
    /// that a later boot can tell, and promote it if `apply --auto-promote` asked for that
    #[arg(long)]
    after_boot: bool,
}

/// Judges the last transaction.
///
/// # Errors
/// There is none and no card is set up by hand, or it cannot be read.
pub fn run(args: &Args, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let root = global.open_root()?;
    if root.tree().is_some() {
        return Err(Error::new("a recorded machine has no transactions"));
    }
    let disk = Writer::open(&global.root).map_err(|error| {
        Error::because(format!("cannot open the root {}", global.root.display()), &error)
    })?;
    let all = Store::new(&disk).begun()?;
    let Some(last) = to_verify(&all) else {
        let document = by_hand::judge(&root)?;
        return answer(&document, global, ui);
    };
    if all.iter().any(|transaction| transaction.journal.state() == State::Unfinished) {
        ui.status("A later transaction is unfinished: `passthru recover` takes it back.");
    }
    let host = Host::read(&root, Probe::No);
    super::check::could_look(&host)?;
    let look = Look::at(last, &root, &host);
    if args.after_boot && !look.is_trial_boot() {
        ui.status(
            "This boot was not started from an entry that is on trial: there is nothing to note.",
        );
        return Ok(Answer::Yes);
    }
    let judged = look.judge(last, &all, &root, &host)?;
    let said = answer(&judged.document(), global, ui)?;
    if args.after_boot {
        after_boot(&judged, global, ui)?;
    }
    Ok(said)
}

fn answer(document: &VerifyDocument, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    if global.json {
        ui.json(document)?;
    } else {
        ui.answer(&crate::ui::verify::render(document, ui.page()))?;
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
        VerifyDocument::of(Some(id), &self.report, &self.facts, self.trial.as_ref())
    }

    /// Writes down what came of this boot.
    ///
    /// # Errors
    /// It may not be on the disk.
    pub fn note(&self, held: &Held<'_>) -> Result<Verdict, Error> {
        let verdict = self.report.verdict();
        if let Some(boot_id) = self.facts.boot_id.present() {
            held.note_judged(self.transaction.record.id, boot_id, verdict)?;
        }
        Ok(verdict)
    }

    /// This boot was started from the entry on trial.
    pub fn is_trial_boot(&self) -> bool {
        self.trial.as_ref().is_some_and(|trial| trial.stage == Stage::Running)
    }
}

/// What is read before anything is judged.
struct Look {
    facts: booted::Facts,
    trial: Option<OnTrial>,
}

impl Look {
    fn at(transaction: &Transaction, root: &Sysroot, host: &Host) -> Self {
        let Transaction { record, journal } = transaction;
        let facts = booted::read(root, host);
        let trial = record.trial().map(|trial| {
            let told = Told {
                change: &record.aims.kernel_parameters,
                selected: journal.selected().map(|selected| (selected.at, selected.boot_id)),
                judged: journal.judged().map(|(at, _, verdict)| (at, verdict)),
            };
            let selected = trial.once.selected(root);
            OnTrial::new(trial, &record.then, (host, &facts), &selected, told)
        });
        Self { facts, trial }
    }

    fn is_trial_boot(&self) -> bool {
        self.trial.as_ref().is_some_and(|trial| trial.stage == Stage::Running)
    }

    fn judge<'a>(
        self,
        transaction: &'a Transaction,
        all: &[Transaction],
        root: &Sysroot,
        host: &Host,
    ) -> Result<Judged<'a>, Error> {
        let Self { mut facts, trial } = self;
        let record = &transaction.record;
        let aim = &record.aims.done;
        // What was promoted was proven by the boot of its trial, and took effect with that.
        let tried = all.iter().find(|other| Some(other.record.id) == record.kind.promotes());
        let then = &tried.unwrap_or(transaction).record.then;
        facts.ask_vfio(root, &groups_to_ask(&aim.expectations, then, host, &facts));
        let evaluated = |facts: &booted::Facts| -> Result<Report, Error> {
            evaluate(&aim.expectations, then, host, facts, trial.as_ref())
                .ok_or_else(|| Error::new(format!("transaction {} expects nothing", record.id)))
        };
        let mut report = evaluated(&facts)?;
        if report.verdict() == Verdict::Unmet {
            // Opening images takes seconds: it is done where they may be the cause.
            let problems = read_back(root, host, &aim.artefacts).problems;
            facts.artefact_problems =
                problems.into_iter().map(|problem| (problem.path, problem.text)).collect();
            let own = &record.changes;
            let before = tried.iter().flat_map(|one| &one.record.changes);
            let before = before.filter(|change| own.iter().all(|other| other.path != change.path));
            facts.edited = edited(before.chain(own), root);
            report = evaluated(&facts)?;
        }
        Ok(Judged { transaction, report, facts, trial })
    }
}

/// Looks whether everything holds that a transaction is for.
///
/// # Errors
/// Too little of the machine can be read.
pub fn judge<'a>(
    transaction: &'a Transaction,
    all: &[Transaction],
    root: &Sysroot,
    host: &Host,
) -> Result<Judged<'a>, Error> {
    super::check::could_look(host)?;
    Look::at(transaction, root, host).judge(transaction, all, root, host)
}

/// Writes down what came of a trial boot; promotes it where that was asked for. Somebody who is
/// at work meanwhile is waited for.
fn after_boot(judged: &Judged<'_>, global: &Global, ui: &Ui) -> Result<(), Error> {
    let session = Session::open(global, ui, super::session::DEADLINE)?;
    let Some(held) = session.resume_patiently()? else { return Ok(()) };
    let all = held.begun()?;
    let id = judged.transaction.record.id;
    let Some(transaction) = on_trial(&all).filter(|now| now.record.id == id) else {
        ui.status("It is not on trial any more: somebody promoted it or took it back.");
        return Ok(());
    };
    let verdict = judged.note(&held)?;
    let promotes = transaction.journal.selected().is_some_and(|selected| selected.promote);
    if promotes && verdict == Verdict::Met {
        let document = super::promote::carry_out(&session, held, &transaction.record, ui)?;
        ui.status(&crate::ui::apply::render(&document, ui.page()));
    }
    Ok(())
}
