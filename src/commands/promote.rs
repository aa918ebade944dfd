//! `promote`: make the entry on trial the default.

use super::apply::{declined, finish};
use super::check::judge as check_case;
use super::session::{RunArgs, Session};
use super::verify::judge;
use super::wish::Asked;
use super::{Answer, Global};
use crate::check::{Desired, Rollout};
use crate::document::{ApplyDocument, PlanDocument};
use crate::error::Error;
use crate::transaction::{Aim, Aims, Draft, Held, Kind, Record, on_trial};
use crate::ui::Ui;
use crate::verify::Verdict;

/// Make the entry that is on trial the default, once its boot is verified
///
/// Run it in the boot that the entry started. Everything is looked at again first; only where all
/// of it holds, the words go into the normal boot entries and the entry on trial goes away.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunArgs,
}

/// Promotes; says no where nothing is on trial or where not everything holds.
///
/// # Errors
/// Something stands in the way, or failed; then everything was taken back.
pub fn run(args: &Args, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let session = Session::open(global, ui, args.run.deadline)?;
    let held = session.resume_patiently()?;
    let all = held.as_ref().map(|held| held.begun()).transpose()?.unwrap_or_default();
    let (Some(held), Some(transaction)) = (held, on_trial(&all)) else {
        return declined("Nothing is on trial. `passthru log` lists what was done.", global, ui);
    };
    let host = session.host();
    let judged = judge(transaction, &all, &session.root, &host)?;
    if judged.is_trial_boot() {
        judged.note(&held)?;
    }
    if !judged.is_trial_boot() || judged.report.verdict() != Verdict::Met {
        if !global.json {
            ui.answer(&crate::ui::verify::render(&judged.document(), ui.page()))?;
        }
        let why = if judged.is_trial_boot() {
            "Not everything holds that was expected of the entry on trial, so it does not become the default."
        } else {
            "This boot was not started from the entry on trial, so nothing is proven about it yet."
        };
        return declined(why, global, ui);
    }
    if !global.json {
        ui.answer(&crate::ui::apply::promotion(&transaction.record, &judged.document()))?;
    }
    if !args.run.confirmed("Make it the default?", global, ui)? {
        return declined("Nothing was changed.", global, ui);
    }
    let document = carry_out(&session, held, &transaction.record, ui)?;
    finish(&document, global, ui)
}

/// Carries out the plan without a trial, for the card that is on trial.
///
/// # Errors
/// There is no such plan any more, or it failed.
pub fn carry_out(
    session: &Session<'_>,
    held: Held<'_>,
    tried: &Record,
    ui: &Ui,
) -> Result<ApplyDocument, Error> {
    let host = session.host();
    let known = Asked::default().on(&host)?;
    let desired =
        Desired { gpu: tried.gpu.map(|gpu| gpu.to_string()), rollout: Rollout::Standing, ..known };
    let (case, report) = check_case(&host, &desired, ui)?;
    let plan = crate::plan::plan(&case, &report).map_err(|_| {
        Error::new("there is no plan for the card on trial any more")
            .hint("`passthru check` says what stands in the way.")
    })?;
    let document = PlanDocument::of(&case, &report, plan.clone());
    if plan.is_empty() {
        return Ok(ApplyDocument::nothing(&document));
    }
    // Only what was tried becomes the default.
    if plan.kernel_parameters != tried.aims.kernel_parameters {
        return Err(Error::new("what would become the default is not what was tried: /etc/passthru.toml, or the boot configuration, was changed since")
            .hint("`passthru apply` puts what is wanted now on trial."));
    }
    let aims = after_trial(super::apply::aims(&case, &plan), tried);
    let mut draft = Draft::of(&plan, &document.name, aims);
    draft.kind = Kind::Promote { of: tried.id };
    draft.selection = tried.selection_reversed();
    let (record, done) = session.carry_out(Some(held), &draft, &host)?;
    Ok(ApplyDocument::of(&record, &done, false))
}

/// The aims of what changes a machine that has an entry on trial. Taken back, that is on trial
/// again: menu and images as the trial left them, and after a reboot, which starts the default
/// entry, everything as before the trial.
pub fn after_trial(aims: Aims, tried: &Record) -> Aims {
    let undone = Aim {
        artefacts: tried.aims.done.artefacts.clone(),
        expectations: tried.aims.undone.expectations.clone(),
    };
    Aims { undone, ..aims }
}
