//! `check`: can this card be passed through.

use serde::Serialize;

use super::{Schema, Unreadable};
use crate::check::{Case, Finding, Report, Verdict};
use crate::host::pci::PciAddress;
use crate::plan::{Binding, ParameterChange};

/// The whole answer.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct CheckDocument {
    /// Name and version of this form.
    schema: Schema,
    /// Address of the card's display function, where there is one card in question.
    pub gpu: Option<PciAddress>,
    /// Its name.
    pub name: Option<String>,
    /// The answer.
    pub verdict: Verdict,
    /// All functions of the card, the display function first.
    pub functions: Vec<PciAddress>,
    /// How the card would be selected at boot.
    pub binding: Option<Binding>,
    /// Words that would change on the kernel command line.
    pub kernel_parameters: Option<ParameterChange>,
    /// Cards that would do equally well, where none was chosen.
    pub candidates: Vec<PciAddress>,
    /// The worst first.
    pub findings: Vec<Finding>,
    /// What the user has to do where passthru does not.
    pub by_hand: Vec<String>,
    /// Facts without which there is no answer.
    pub undecided: Vec<String>,
    /// What could not be read.
    pub unreadable: Vec<Unreadable>,
}

impl CheckDocument {
    /// Builds the answer; `by_hand` comes from a refused plan.
    pub fn of(case: &Case<'_>, report: Report, by_hand: Vec<String>) -> Self {
        let binding = Binding::choose(case);
        let candidates = match &case.selection {
            crate::check::Selection::Several(cards) | crate::check::Selection::Moved(cards) => {
                cards.iter().map(|gpu| gpu.address).collect()
            }
            _ => Vec::new(),
        };
        Self {
            schema: Schema { name: "check", version: 1 },
            gpu: case.gpu().map(|gpu| gpu.address),
            name: case.display().map(|display| case.host.named(display)),
            verdict: report.verdict,
            functions: case.functions().iter().map(|function| function.address).collect(),
            kernel_parameters: binding.as_ref().map(|binding| ParameterChange::of(case, binding)),
            binding,
            candidates,
            findings: report.findings,
            by_hand,
            undecided: report.undecided,
            unreadable: super::unreadable(case.host),
        }
    }
}
