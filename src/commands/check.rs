//! `check`: the answer for one card.

use super::wish::Asked;
use super::{Answer, Global};
use crate::check::{Case, Desired, Finding, Report, Selection, Severity, Verdict};
use crate::document::CheckDocument;
use crate::error::Error;
use crate::host::rom::Probe;
use crate::host::{Host, Observed};
use crate::ui::Ui;

/// Say whether a GPU can be passed through, and what stands in the way
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address (07:00.0), id (1002:73ff) or part of the name; left out, the card that
    /// /etc/passthru.toml names, or the one that makes sense
    gpu: Option<String>,
    /// Go on in spite of this blocker; may be repeated
    #[arg(long, value_name = "CODE")]
    allow: Vec<String>,
    /// Read option ROMs too, which touches the cards (root only)
    #[arg(long)]
    probe: bool,
}

/// Judges one card; says no where it is blocked or cannot be told.
///
/// # Errors
/// The root cannot be opened, or the question names what does not exist.
pub fn run(args: &Args, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let root = global.open_root()?;
    let probe = if args.probe { Probe::Yes } else { Probe::No };
    let host = Host::read(&root, probe);
    could_look(&host)?;
    let asked = Asked { gpu: args.gpu.clone(), allow: args.allow.clone(), ..Asked::default() };
    let desired = asked.on(&host)?;
    let (case, report) = judge(&host, &desired, ui)?;
    let verdict = report.verdict;
    let document = CheckDocument::of(&case, report, Vec::new());
    show(&document, global, ui)?;
    Ok(match verdict {
        Verdict::Ready | Verdict::Configurable => Answer::Yes,
        Verdict::Blocked | Verdict::Unknown => Answer::No,
    })
}

/// Runs every check on a question that makes sense on this host.
///
/// # Errors
/// There is no /sys, no such finding, or no such card.
pub fn judge<'a>(
    host: &'a Host,
    desired: &'a Desired,
    ui: &Ui,
) -> Result<(Case<'a>, Report), Error> {
    known_codes(&desired.allow)?;
    could_look(host)?;
    let case = Case::new(host, desired);
    refuse_unknown_gpu(&case)?;
    let report = crate::check::run(&case);
    say_what_stays(&report, &desired.allow, ui);
    Ok((case, report))
}

/// Prints the document, as JSON or for people.
pub fn show(document: &CheckDocument, global: &Global, ui: &Ui) -> Result<(), Error> {
    if global.json {
        ui.json(document)
    } else {
        ui.answer(&crate::ui::check::render(document, ui.page()))
    }
}

/// Without /sys there is no answer at all.
pub fn could_look(host: &Host) -> Result<(), Error> {
    let reason = match &host.devices {
        Observed::Present(_) => return Ok(()),
        Observed::Absent => "it is not there",
        Observed::Unreadable(reason) => reason,
    };
    Err(Error::new(format!(
        "cannot read the PCI functions in /{}: {reason}",
        crate::host::pci::DEVICES
    ))
    .hint("Is /sys mounted there? With --root, the directory must hold sys, proc and etc."))
}

/// A GPU that no card fits is a mistake in the question.
fn refuse_unknown_gpu(case: &Case<'_>) -> Result<(), Error> {
    let Selection::NoMatch(named) = &case.selection else { return Ok(()) };
    let cards = case.host.gpus.cards.iter().filter_map(|gpu| case.host.device(gpu.address));
    let cards: Vec<String> = cards.map(|device| case.host.describe(device)).collect();
    Err(Error::new(format!("no GPU of this machine fits `{named}`"))
        .hint(format!("There are: {}.", cards.join("; "))))
}

/// `--allow` lifts blockers that are left to the user; of any other finding it is said that
/// nothing changes.
fn say_what_stays(report: &Report, codes: &[String], ui: &Ui) {
    let asked = |finding: &&Finding| codes.iter().any(|code| code == finding.code);
    let mut seen = Vec::new();
    for finding in report.findings.iter().filter(asked).filter(|finding| !finding.allowed) {
        if seen.contains(&finding.code) {
            continue;
        }
        seen.push(finding.code);
        let why = match finding.severity {
            Severity::Blocker => "this blocker cannot be lifted",
            Severity::Warning | Severity::Note => "it blocks nothing",
        };
        ui.status(&format!("--allow {} changes nothing: {why}.", finding.code));
    }
}

/// `--allow` takes codes that exist.
fn known_codes(codes: &[String]) -> Result<(), Error> {
    match codes.iter().find(|code| crate::check::pages::page(code).is_none()) {
        None => Ok(()),
        Some(code) => Err(Error::new(format!("there is no finding `{code}`"))
            .hint("`passthru check` shows the codes.")),
    }
}
