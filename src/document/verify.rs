//! `verify`: does every expectation of a transaction hold after the reboot.
#![allow(dead_code, reason = "made where a transaction is verified")]

use serde::Serialize;

use super::{Schema, Unreadable};
use crate::check::Evidence;
use crate::host::booted::Facts;
use crate::verify::{Outcome, Reboot, Report, Verdict};

/// The whole answer.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct VerifyDocument {
    /// Name and version of this form.
    schema: Schema,
    /// Number of the transaction.
    pub transaction: u32,
    /// `met` only where every expectation is, and it is sure that the machine was rebooted.
    pub verdict: Verdict,
    /// The kernel's id of this boot.
    pub boot_id: Option<String>,
    /// Never empty; in the order of the plan.
    pub expectations: Vec<Expected>,
    /// What bears on all of them.
    pub remarks: Vec<String>,
    /// What could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// One expectation, judged.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Expected {
    /// Stable name.
    pub id: String,
    /// One sentence.
    pub text: String,
    /// Whether it holds.
    pub verdict: Verdict,
    /// What was read; for what is unmet, also what speaks for the cause.
    pub evidence: Vec<Evidence>,
    /// Why it is not met.
    pub cause: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

impl VerifyDocument {
    /// Builds the answer.
    pub fn of(transaction: u32, report: &Report, facts: &Facts) -> Self {
        let remark = match report.reboot() {
            Reboot::Done | Reboot::NotYet => None,
            Reboot::Unknown(reason) => Some(format!(
                "Whether the machine was rebooted since the change is not known: {reason}."
            )),
        };
        let unreadable = facts
            .unreadable
            .iter()
            .map(|(path, reason)| Unreadable { path: format!("/{path}"), reason: reason.clone() });
        Self {
            schema: Schema { name: "verify", version: 1 },
            transaction,
            verdict: report.verdict(),
            boot_id: facts.boot_id.present().cloned(),
            expectations: report.outcomes().iter().map(Expected::of).collect(),
            remarks: remark.into_iter().collect(),
            unreadable: unreadable.collect(),
        }
    }
}

impl Expected {
    fn of(outcome: &Outcome) -> Self {
        Self {
            id: outcome.expectation.id(),
            text: outcome.expectation.text(),
            verdict: outcome.verdict,
            evidence: outcome.evidence.clone(),
            cause: outcome.cause.clone(),
            hint: outcome.hint.clone(),
        }
    }
}
