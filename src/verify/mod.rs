//! After the reboot: does every expectation of a transaction hold, from a fresh read, and where
//! one does not, why. Pure functions over `Host` and `Facts`.
//!
//! What could not be looked at is unknown, never met and never unmet.

mod cause;
mod judge;
mod scene;
mod then;
mod trial;

pub use then::{Reboot, Then};
pub use trial::{OnTrial, Stage, Told};

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::check::{Desired, Evidence};
use crate::host::Host;
use crate::host::booted::Facts;
use crate::plan::Expectation;
use cause::Cause;
use judge::Judgement;
use scene::Scene;

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It holds.
    Met,
    /// It does not.
    Unmet,
    /// The machine was not rebooted yet.
    Pending,
    /// It could not be looked at.
    Unknown,
}

/// One expectation, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What was expected.
    pub expectation: Expectation,
    /// Whether it holds.
    pub verdict: Verdict,
    /// What was read; for what is unmet, also what speaks for the cause.
    pub evidence: Vec<Evidence>,
    /// Why it is not met, in one or two sentences.
    pub cause: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

/// Outcomes of at least one expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    outcomes: Vec<Outcome>,
    reboot: Reboot,
}

impl Report {
    /// `None` without outcomes: nothing was looked at, and that is not a success.
    pub fn new(outcomes: Vec<Outcome>, reboot: Reboot) -> Option<Self> {
        (!outcomes.is_empty()).then_some(Self { outcomes, reboot })
    }

    /// In the order of the expectations.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// Whether the machine was rebooted since the change.
    pub fn reboot(&self) -> &Reboot {
        &self.reboot
    }

    /// Met only where all are, and where it is sure that they were looked at after a reboot.
    pub fn verdict(&self) -> Verdict {
        let has = |verdict| self.outcomes.iter().any(|outcome| outcome.verdict == verdict);
        if has(Verdict::Unmet) {
            Verdict::Unmet
        } else if has(Verdict::Unknown) {
            Verdict::Unknown
        } else if has(Verdict::Pending) {
            Verdict::Pending
        } else if matches!(self.reboot, Reboot::Unknown(_)) {
            Verdict::Unknown
        } else {
            Verdict::Met
        }
    }
}

/// Judges every expectation; `None` without any. `trial` is the entry that has what is expected
/// until it becomes the default.
pub fn evaluate(
    expected: &[Expectation],
    then: &Then,
    host: &Host,
    facts: &Facts,
    trial: Option<&OnTrial>,
) -> Option<Report> {
    let reboot = then.reboot(host, facts);
    let outcomes = if reboot == Reboot::NotYet {
        expected.iter().map(|expectation| pending(expectation, facts)).collect()
    } else {
        let desired = Desired { gpu: scene::card_of(expected), ..Desired::default() };
        let scene = Scene { trial, ..Scene::new(expected, then, host, facts, &desired) };
        expected.iter().map(|expectation| outcome(&scene, expectation)).collect()
    };
    Report::new(outcomes, reboot)
}

/// Groups that VFIO is to be asked about: those that are expected and have a function of the card,
/// after the reboot. A number may be another group's by now, which is not to be opened.
pub fn groups_to_ask(
    expected: &[Expectation],
    then: &Then,
    host: &Host,
    facts: &Facts,
) -> BTreeSet<u32> {
    if then.reboot(host, facts) == Reboot::NotYet {
        return BTreeSet::new();
    }
    let group_of = |expectation: &Expectation| match expectation {
        Expectation::OnVfio(address) => host.device(*address)?.iommu_group,
        _ => None,
    };
    let own = expected.iter().filter_map(group_of);
    own.filter(|group| expected.contains(&Expectation::VfioGroup(*group))).collect()
}

/// What holds already was not tried by a boot, so it waits too.
fn pending(expectation: &Expectation, facts: &Facts) -> Outcome {
    let id = facts.boot_id.present().map_or("as when the change was made", String::as_str);
    Outcome {
        expectation: expectation.clone(),
        verdict: Verdict::Pending,
        evidence: vec![Evidence::new(crate::host::booted::BOOT_ID, id)],
        cause: Some(
            "The machine is not rebooted yet: this is still the boot of the change.".to_owned(),
        ),
        hint: Some("Reboot, then run `passthru verify`.".to_owned()),
    }
}

fn outcome(scene: &Scene<'_>, expectation: &Expectation) -> Outcome {
    let judgement = judge::judge(scene, expectation);
    let verdict = judgement.verdict();
    let (mut evidence, cause) = match judgement {
        Judgement::Met(evidence) => (evidence, None),
        Judgement::Unmet(evidence) => (evidence, Some(cause::of(scene, expectation))),
        Judgement::Unknown(path, reason) => {
            (vec![Evidence::new(path.clone(), reason.clone())], Some(unread(&path, &reason)))
        }
    };
    let (text, hint) = match cause {
        Some(Cause { text, hint, evidence: more }) => {
            evidence.extend(more);
            (Some(text), Some(hint))
        }
        None => (None, None),
    };
    let mut seen = Vec::new();
    evidence.retain(|one| {
        let new = !seen.contains(one);
        seen.push(one.clone());
        new
    });
    Outcome { expectation: expectation.clone(), verdict, evidence, cause: text, hint }
}

fn unread(path: &str, reason: &str) -> Cause {
    let hint = if reason.starts_with("permission denied") {
        "Run the same command with sudo."
    } else {
        "Nothing is known until it can be read; repair that, and run `passthru verify` again."
    };
    Cause::new(format!("/{} could not be read: {reason}.", path.trim_start_matches('/')), hint)
}

#[cfg(test)]
mod tests;
