//! A machine that was set up without passthru has no transaction: what its configuration selects
//! for vfio-pci is judged.

use crate::check::{Case, Desired};
use crate::commands::check::could_look;
use crate::document::VerifyDocument;
use crate::error::Error;
use crate::host::rom::Probe;
use crate::host::{Host, booted};
use crate::plan::{Expectation, expectations_of_setup};
use crate::sys::Sysroot;
use crate::verify::{Report, Then, Verdict, evaluate, groups_to_ask};

/// Judges the card that is selected.
///
/// # Errors
/// None is, or more than one.
pub fn judge(root: &Sysroot) -> Result<VerifyDocument, Error> {
    let host = Host::read(root, Probe::No);
    could_look(&host)?;
    let (expected, reads) = expectations(&host)?;
    let mut facts = booted::read(root, &host);
    // Nobody wrote down when it was set up. What holds is in effect; what does not may wait for
    // the first reboot.
    let unknown = Then { by_hand: true, ..Then::default() };
    let in_effect = Then { elsewhere: true, ..unknown.clone() };
    facts.ask_vfio(root, &groups_to_ask(&expected, &in_effect, &host, &facts));
    let evaluated = |then: &Then| -> Result<Report, Error> {
        evaluate(&expected, then, &host, &facts, None).ok_or_else(nothing)
    };
    let mut report = evaluated(&in_effect)?;
    if report.verdict() != Verdict::Met {
        report = evaluated(&unknown)?;
    }
    let mut document = VerifyDocument::of(None, &report, &facts, None);
    let remark = "passthru changed nothing here: this is the setup that was found on the machine, ";
    document.remarks.insert(0, format!("{remark}{reads}."));
    Ok(document)
}

/// What the setup of the one card that is selected expects, and where it is selected.
fn expectations(host: &Host) -> Result<(Vec<Expectation>, String), Error> {
    let mut setups = Vec::new();
    let mut unread = host.unreadable.iter().any(|(path, _)| path.starts_with("etc/"));
    for gpu in &host.gpus.cards {
        let desired = Desired { gpu: Some(gpu.address.to_string()), ..Desired::default() };
        let case = Case::new(host, &desired);
        unread |= !case.configured.is_complete();
        let setup = expectations_of_setup(&case);
        setups.extend(setup.map(|(expected, place)| (gpu.address, expected, place)));
    }
    if let [_, _, ..] = setups.as_slice() {
        let cards: Vec<String> = setups.iter().map(|(gpu, ..)| gpu.to_string()).collect();
        return Err(Error::new(format!(
            "there is no transaction to verify, and several cards are selected for vfio-pci: {}",
            cards.join(", ")
        ))
        .hint("`passthru check GPU` says how things stand for one of them."));
    }
    match setups.pop() {
        Some((_, expected, place)) => Ok((expected, place)),
        None if unread => Err(nothing().hint(
            "Not all of the configuration could be read: with sudo, a setup by hand would be seen too.",
        )),
        None => Err(nothing()),
    }
}

fn nothing() -> Error {
    Error::new("there is no transaction to verify")
        .hint("`passthru apply` carries out a plan; `passthru check` says how things stand.")
}
