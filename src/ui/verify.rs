//! A verification for people: the answer, then what is unmet with its cause, then the rest.
#![allow(dead_code, reason = "shown where a transaction is verified")]

use std::fmt::Write as _;

use super::style::{Page, Tone};
use crate::document::{Expected, VerifyDocument};
use crate::verify::Verdict;

/// Unmet first.
const ORDER: [Verdict; 4] = [Verdict::Unmet, Verdict::Unknown, Verdict::Pending, Verdict::Met];

/// The whole text.
pub fn render(document: &VerifyDocument, page: &Page) -> String {
    let title = format!("Transaction {}", document.transaction);
    let mut out = format!("{}\n", Tone::Heading.paint(&title));
    let (word, tone) = label(document.verdict);
    let _ = writeln!(out, "{}: {}", tone.paint(word), sentence(document.verdict));
    for remark in &document.remarks {
        out.push_str(&page.wrap(remark, 0));
    }
    for verdict in ORDER {
        let of_verdict: Vec<&Expected> =
            document.expectations.iter().filter(|one| one.verdict == verdict).collect();
        let mut shown: Vec<&Option<String>> = Vec::new();
        for one in &of_verdict {
            if shown.contains(&&one.cause) {
                continue;
            }
            shown.push(&one.cause);
            let same: Vec<&Expected> =
                of_verdict.iter().copied().filter(|other| other.cause == one.cause).collect();
            out.push('\n');
            out.push_str(&group(&same, page));
        }
    }
    out
}

/// Expectations that share a verdict and a cause: a line each, and the cause once.
fn group(same: &[&Expected], page: &Page) -> String {
    let mut out = String::new();
    for one in same {
        let (word, tone) = label(one.verdict);
        let _ = writeln!(out, "{} {}", tone.paint(&format!("{word:<7}")), one.text);
        for evidence in one.evidence.iter().filter(|_| page.verbose) {
            let line = format!("{}: {}", evidence.path, evidence.found);
            let _ = writeln!(out, "          {}", Tone::Faint.paint(&line));
        }
    }
    let Some(first) = same.first() else { return out };
    if let Some(cause) = &first.cause {
        out.push_str(&page.wrap(&format!("Why: {cause}"), 8));
    }
    if let Some(hint) = &first.hint {
        out.push_str(&page.wrap(&format!("You: {hint}"), 8));
    }
    out
}

fn label(verdict: Verdict) -> (&'static str, Tone) {
    match verdict {
        Verdict::Met => ("met", Tone::Good),
        Verdict::Unmet => ("unmet", Tone::Bad),
        Verdict::Pending => ("pending", Tone::Caution),
        Verdict::Unknown => ("unknown", Tone::Caution),
    }
}

fn sentence(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "everything that was expected holds.",
        Verdict::Unmet => "not everything that was expected holds.",
        Verdict::Pending => "the machine was not rebooted yet.",
        Verdict::Unknown => "something could not be told.",
    }
}
