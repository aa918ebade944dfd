//! The transactions of a machine, for people.

use std::fmt::Write as _;

use super::style::{Page, Tone};
use crate::document::{LogDocument, Logged, TransactionDocument};
use crate::transaction::State;

/// The list, in order.
pub fn render(document: &LogDocument, page: &Page) -> String {
    let mut out = String::new();
    for logged in &document.transactions {
        out.push_str(&line(logged, page));
    }
    for unread in &document.damaged {
        let text = format!("{:>4}  cannot be read: {}", unread.transaction, unread.reason);
        let _ = writeln!(out, "{}", Tone::Bad.paint(&text));
    }
    if out.is_empty() {
        out.push_str("passthru changed nothing on this machine.\n");
    }
    out
}

fn line(logged: &Logged, page: &Page) -> String {
    let what = match (logged.undoes, logged.promotes, &logged.trial) {
        (Some(of), ..) => format!("undo of {of}"),
        (None, Some(of), _) => format!("promote {of}"),
        (None, None, Some(entry)) => format!("apply on trial ({entry})"),
        (None, None, None) => match &logged.vm {
            Some(vm) => format!("vm {}", vm.verb.word()),
            None => "apply".to_owned(),
        },
    };
    let state = match (logged.state, logged.undone_by) {
        (_, Some(by)) => format!("taken back by {by}"),
        (State::Applied, _) => "done".to_owned(),
        (State::RolledBack, _) => "rolled back".to_owned(),
        (State::Unfinished, _) => "unfinished".to_owned(),
        (State::NotBegun, _) => "not begun".to_owned(),
    };
    let gpu = logged.gpu.map(|gpu| format!("{gpu} ")).unwrap_or_default();
    let mut out = format!(
        "{:>4}  {}  {what}, {state}: {gpu}{}\n",
        logged.transaction, logged.begun, logged.name
    );
    if let Some(failure) = &logged.failure {
        out.push_str(&page.wrap(&format!("because {failure}"), 6));
    }
    for path in &logged.kept {
        let _ = writeln!(out, "      {path} was left as somebody else had changed it");
    }
    for argv in &logged.to_run {
        let _ = writeln!(out, "      to run inside that root: {}", argv.join(" "));
    }
    out
}

/// One transaction with its diffs.
pub fn transaction(document: &TransactionDocument, page: &Page) -> String {
    let mut out = line(&document.logged, page);
    let verbose = Page { verbose: true, ..*page };
    for change in &document.changes {
        out.push_str(&super::diff::change(&change.path, change.kind, &change.diff, &verbose));
    }
    if !document.commands.is_empty() {
        let _ = writeln!(out, "\n{}", Tone::Heading.paint("Commands"));
        for argv in &document.commands {
            let _ = writeln!(out, "  {}", argv.join(" "));
        }
    }
    out
}
