//! A check for people: the answer first, then the worst finding.

use std::fmt::Write as _;

use super::style::{Page, Tone};
use crate::check::{Finding, RemedyKind, Severity, Verdict};
use crate::document::CheckDocument;

/// The whole text.
pub fn render(document: &CheckDocument, page: &Page) -> String {
    let mut out = heading(document, page);
    for finding in &document.findings {
        if finding.severity != Severity::Note || page.verbose {
            out.push_str(&one(finding, page));
        }
    }
    let notes = document.findings.iter().filter(|finding| finding.severity == Severity::Note);
    if !page.verbose && notes.clone().next().is_some() {
        let codes: Vec<&str> = notes.map(|finding| finding.code).collect();
        let _ = write!(
            out,
            "\n{}",
            page.wrap(&format!("Notes (-v shows them): {}.", codes.join(", ")), 0)
        );
    }
    if !document.by_hand.is_empty() {
        let _ = writeln!(out, "\n{}", Tone::Heading.paint("To do by hand"));
        for (index, step) in document.by_hand.iter().enumerate() {
            let _ = writeln!(out, "  {}. {step}", index + 1);
        }
    }
    out.push_str(&footer(document));
    out
}

fn heading(document: &CheckDocument, page: &Page) -> String {
    let (tone, sentence) = match document.verdict {
        Verdict::Ready => {
            (Tone::Good, "ready: the whole card is on vfio-pci and nothing stands in the way.")
        }
        Verdict::Configurable => (
            Tone::Good,
            "configurable: nothing stands in the way that a change of configuration cannot solve.",
        ),
        Verdict::Blocked => (Tone::Bad, "blocked: see the blockers below."),
        Verdict::Unknown if !document.candidates.is_empty() => {
            (Tone::Caution, "unknown: several cards could be meant. Name one.")
        }
        Verdict::Unknown => (Tone::Caution, "unknown: something that decides could not be told."),
    };
    let mut out = String::new();
    if let (Some(gpu), Some(name)) = (&document.gpu, &document.name) {
        let _ = writeln!(
            out,
            "{}",
            Tone::Heading.paint(&page.fit(&format!("{gpu} {name}"), page.width))
        );
    }
    let (word, rest) = sentence.split_once(':').unwrap_or((sentence, ""));
    let _ = writeln!(out, "{}:{rest}", tone.paint(word));
    for path in &document.undecided {
        let _ = writeln!(out, "  not known: {path}");
    }
    if let Some(binding) = &document.binding {
        let functions: Vec<String> = binding.addresses.iter().map(ToString::to_string).collect();
        if functions.len() > 1 {
            let _ = writeln!(out, "Goes together: {}.", functions.join(", "));
        }
        let how = binding.method.word();
        let _ = match document.verdict {
            Verdict::Ready => writeln!(out, "Selected by {how}."),
            Verdict::Configurable => writeln!(out, "To be selected by {how}."),
            Verdict::Blocked | Verdict::Unknown => Ok(()),
        };
    }
    out
}

/// One finding.
pub fn one(finding: &Finding, page: &Page) -> String {
    let tone = match finding.severity {
        Severity::Blocker => Tone::Bad,
        Severity::Warning => Tone::Caution,
        Severity::Note => Tone::Faint,
    };
    let lifted = if finding.allowed { " (lifted by --allow)" } else { "" };
    let label = tone.paint(finding.severity.word());
    let mut out = format!("\n{label} {}{lifted}: {}\n", finding.code, finding.title);
    out.push_str(&page.wrap(&finding.detail, 2));
    if page.verbose {
        for evidence in &finding.evidence {
            let line = format!("{}: {}", evidence.path, evidence.found);
            let _ = writeln!(out, "    {}", Tone::Faint.paint(&line));
        }
    }
    if !finding.remedy.text.is_empty() {
        let mark = if finding.remedy.kind == RemedyKind::Plan { "passthru:" } else { "You:" };
        out.push_str(&page.wrap(&format!("{mark} {}", finding.remedy.text), 2));
    }
    out
}

fn footer(document: &CheckDocument) -> String {
    let mut out = String::from("\n");
    if document.findings.iter().any(|finding| finding.severity != Severity::Note) {
        out.push_str("`passthru explain CODE` tells more about each.\n");
    }
    match (document.verdict, &document.gpu) {
        (Verdict::Configurable, Some(gpu)) if document.by_hand.is_empty() => {
            let _ = writeln!(out, "`passthru plan {gpu}` shows exactly what would change.");
        }
        (Verdict::Unknown, None) if !document.candidates.is_empty() => {
            let all: Vec<String> = document.candidates.iter().map(ToString::to_string).collect();
            let _ = writeln!(out, "Write the address behind the command: {}.", all.join(", "));
        }
        _ => {}
    }
    out
}
