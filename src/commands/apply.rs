//! `apply`: carry a plan out.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::check::{judge, show};
use super::plan::{Wish, refused};
use super::session::{RunArgs, Session};
use super::{Answer, Global};
use crate::check::Desired;
use crate::document::reviewed::{self, Difference};
use crate::document::{ApplyDocument, CheckDocument, PlanDocument};
use crate::error::Error;
use crate::plan::Plan;
use crate::plan::artefacts::Artefacts;
use crate::sys::read_at_most;
use crate::transaction::{Aim, Aims, Draft, Held, Record, Selection, Transaction, on_trial};
use crate::ui::Ui;

/// Carry out the plan: shows it, asks, and takes everything back if a step fails
///
/// Files are replaced whole, programs run once each, and the boot menu and the images are read
/// back before it says that you can reboot. With --root, files are changed and the programs are
/// listed for you to run inside.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    wish: Wish,
    /// Carry out this plan, which `plan --out` wrote, if the machine is still as it was then
    #[arg(long, value_name = "FILE", conflicts_with_all = ["gpu", "ids_in", "ignore_msrs", "allow", "no_trial"])]
    plan: Option<PathBuf>,
    /// Make the entry on trial the default by itself, once its boot is up and everything holds
    #[arg(long, conflicts_with = "no_trial")]
    auto_promote: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Applies; says no, with the findings, where there is no plan, or where the user declines.
///
/// # Errors
/// Something stands in the way, or failed; then everything was taken back.
pub fn run(args: &Args, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let session = Session::open(global, ui, args.run.deadline)?;
    let held = session.resume()?;
    let host = session.host();
    super::check::could_look(&host)?;
    let reviewed = args.plan.as_deref().map(Reviewed::read).transpose()?;
    let desired = match &reviewed {
        Some(reviewed) => reviewed.wish()?,
        None => args.wish.desired(&host)?,
    };
    let (case, report) = judge(&host, &desired, ui)?;
    let plan = match crate::plan::plan(&case, &report) {
        Ok(plan) => plan,
        Err(refusal) => {
            show(&CheckDocument::of(&case, report, refused(&refusal)), global, ui)?;
            ui.status("Nothing was changed: see above for what to do first.");
            return Ok(Answer::No);
        }
    };
    let all = held.as_ref().map(|held| held.begun()).transpose()?.unwrap_or_default();
    let tried = on_trial(&all).map(|transaction| &transaction.record);
    let mut aims = aims(&case, &plan);
    if let Some(tried) = tried {
        aims = super::promote::after_trial(aims, tried);
    }
    let document = PlanDocument::of(&case, &report, plan.clone());
    if let Some(reviewed) = &reviewed {
        reviewed.agrees_with(&document)?;
    }
    if args.auto_promote && plan.trial.is_none() {
        let reason = plan.no_trial.as_deref().unwrap_or("nothing changes in the boot entries");
        return Err(Error::new(format!("there is no trial that could be promoted: {reason}"))
            .hint("Without --auto-promote it goes into the normal entries at once."));
    }
    if plan.is_empty() {
        if let (Some(held), Some(tried), Some(_)) = (&held, on_trial(&all), &plan.trial) {
            let again = Again { held, tried, all: &all, promote: args.auto_promote };
            return try_again(&session, &again, &document, global, ui);
        }
        return finish(&ApplyDocument::nothing(&document), global, ui);
    }
    let mut draft = Draft::of(&plan, &document.name, aims);
    match &mut draft.selection {
        Some(Selection::Select { promote, .. }) => *promote = args.auto_promote,
        selection => *selection = tried.and_then(Record::selection_reversed),
    }
    if !global.json {
        ui.answer(&crate::ui::plan::render(&document, ui.page()))?;
    }
    if !args.run.confirmed("Carry this out?", global, ui)? {
        return declined("Nothing was changed.", global, ui);
    }
    let (record, done) = session.carry_out(held, &draft, &host)?;
    finish(&ApplyDocument::of(&record, &done, plan.reboot), global, ui)
}

/// A trial that is there already.
struct Again<'a> {
    held: &'a Held<'a>,
    tried: &'a Transaction,
    all: &'a [Transaction],
    promote: bool,
}

/// The entry is selected once more, unless this is the boot that it started.
fn try_again(
    session: &Session<'_>,
    again: &Again<'_>,
    document: &PlanDocument,
    global: &Global,
    ui: &Ui,
) -> Result<Answer, Error> {
    let look = |tried| super::verify::judge(tried, again.all, &session.root, &session.host());
    let judged = look(again.tried)?;
    if !session.root.is_live() || judged.is_trial_boot() {
        return finish(&ApplyDocument::on_trial(document, judged.trial.as_ref()), global, ui);
    }
    session.select_again(again.held, &again.tried.record, again.promote)?;
    let selected = again.held.begun()?;
    let tried = on_trial(&selected).unwrap_or(again.tried);
    let judged = look(tried)?;
    finish(&ApplyDocument::on_trial(document, judged.trial.as_ref()), global, ui)
}

/// A plan that somebody reviewed. What is carried out is the plan that is made here; this one can
/// only keep it from being carried out.
struct Reviewed<'a> {
    path: &'a Path,
    document: Value,
}

impl<'a> Reviewed<'a> {
    fn read(path: &'a Path) -> Result<Self, Error> {
        let cannot = |cause: &(dyn std::error::Error + 'static)| {
            Error::because(format!("cannot read the plan {}", path.display()), cause)
        };
        let bytes = read_at_most(path, reviewed::MAX_BYTES + 1).map_err(|error| cannot(&error))?;
        let document = reviewed::parse(&bytes).map_err(|error| cannot(&error))?;
        Ok(Self { path, document })
    }

    fn refused(&self, difference: &Difference) -> Error {
        let path = self.path.display();
        Error::because(
            format!("the plan {path} is not carried out, and nothing was changed"),
            difference,
        )
    }

    fn wish(&self) -> Result<Desired, Error> {
        reviewed::wish(&self.document).map_err(|difference| self.refused(&difference))
    }

    fn agrees_with(&self, fresh: &PlanDocument) -> Result<(), Error> {
        reviewed::compare(&self.document, fresh).map_err(|difference| self.refused(&difference))
    }
}

/// What a plan is for, in both directions.
pub fn aims(case: &crate::check::Case<'_>, plan: &Plan) -> Aims {
    let artefacts = Artefacts::of(case.host, plan);
    Aims {
        kernel_parameters: plan.kernel_parameters.clone(),
        undone: Aim {
            artefacts: artefacts.reversed(),
            expectations: crate::plan::expectations_before(case),
        },
        done: Aim { artefacts, expectations: plan.expectations.clone() },
    }
}

/// Says why nothing was done.
pub fn declined(reason: &str, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    if global.json {
        ui.json(&ApplyDocument::refused(reason))?;
    } else {
        ui.status(reason);
    }
    Ok(Answer::No)
}

/// Prints the outcome.
pub fn finish(document: &ApplyDocument, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    if global.json {
        ui.json(document)?;
    } else {
        ui.answer(&crate::ui::apply::render(document, ui.page()))?;
    }
    Ok(Answer::Yes)
}
