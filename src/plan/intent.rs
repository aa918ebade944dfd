//! What was asked for, written down: a later plan needs no argument, and sees what changed since.

use super::edits::{CannotEdit, Edits, MARK};
use crate::check::Case;
use crate::host::Observed;
use crate::host::intent::{INTENT, Intent, read};

/// Findings about who has the card: what the file answers.
const BECAUSE: [&str; 6] = [
    "card-on-host-driver",
    "card-partly-bound",
    "function-wrong-driver",
    "companion-functions",
    "already-configured",
    "gpu-driver-in-initramfs",
];

/// What is asked for, with both keys of the card; `None` without a card.
pub fn of(case: &Case<'_>) -> Option<Intent> {
    let gpu = case.gpu()?;
    let mut allow = case.desired.allow.clone();
    allow.sort();
    allow.dedup();
    Some(Intent {
        gpu: gpu.address.to_string(),
        ids: case.functions().iter().map(|function| function.identity()).collect(),
        ids_in: case.desired.ids_in,
        ignore_msrs: case.desired.ignore_msrs,
        allow,
    })
}

/// Plans the file. One that says the same in other words stays as it is.
pub fn plan(case: &Case<'_>, edits: &mut Edits<'_>) -> Result<(), CannotEdit> {
    let Some(intent) = of(case) else { return Ok(()) };
    let known = matches!(read(case.host), Observed::Present(Ok(known)) if known == intent);
    let current = edits.current(INTENT)?;
    match (known, current.text().contains(MARK)) {
        (true, true) => edits.own(INTENT, current.text(), 0o644, &BECAUSE),
        (true, false) => Ok(()),
        (false, _) => edits.own(INTENT, &intent.render(), 0o644, &BECAUSE),
    }
}

/// How what the machine has or what is asked for differs from what was written down, for a plan
/// that changes something.
pub fn drift(case: &Case<'_>) -> Option<String> {
    let Observed::Present(Ok(known)) = read(case.host) else { return None };
    let differences = known.differences(&of(case)?);
    Some(if differences.is_empty() {
        format!("The machine is not as /{INTENT} says: this plan brings it back to that.")
    } else {
        format!("This plan changes what /{INTENT} says: {}.", differences.join("; "))
    })
}
