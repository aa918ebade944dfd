//! A plan for people: why, the diff of each file, the commands, what will hold.

use std::fmt::Write as _;

use super::diff;
use super::style::{Page, Tone};
use crate::document::{Change, PlanDocument};
use crate::plan::{FileState, Method, Stage};

/// The whole text.
pub fn render(document: &PlanDocument, page: &Page) -> String {
    let mut out =
        format!("{}\n", Tone::Heading.paint(&format!("{} {}", document.gpu, document.name)));
    let functions: Vec<String> = document.functions.iter().map(ToString::to_string).collect();
    if document.changes.is_empty() && document.commands.is_empty() {
        let _ =
            writeln!(out, "Nothing to change: {} is configured as wanted.", functions.join(", "));
        if document.reboot {
            out.push_str("It takes effect with the next boot.\n");
        }
        return out;
    }
    out.push_str(&page.wrap(&selection(document, &functions), 0));
    for remark in document.drift.iter().chain(&document.remarks) {
        out.push_str(&page.wrap(remark, 0));
    }
    if !document.why.is_empty() {
        let _ = writeln!(out, "\n{}", Tone::Heading.paint("Why"));
        for why in &document.why {
            out.push_str(&page.wrap(&format!("{}: {}", why.code, why.detail), 2));
        }
    }
    if !document.kernel_parameters.is_empty() {
        let _ = writeln!(out, "\n{}", Tone::Heading.paint("Kernel parameters"));
        for word in &document.kernel_parameters.remove {
            let _ = writeln!(out, "  {}", Tone::Bad.paint(&format!("- {word}")));
        }
        for word in &document.kernel_parameters.add {
            let _ = writeln!(out, "  {}", Tone::Good.paint(&format!("+ {word}")));
        }
    }
    let _ = writeln!(out, "\n{}", Tone::Heading.paint("Files"));
    for change in &document.changes {
        out.push_str(&file(change, late(document, change), page));
    }
    out.push_str(&rest(document, page));
    out
}

fn selection(document: &PlanDocument, functions: &[String]) -> String {
    let how = match document.binding.method {
        Method::Id => "by id: no other device of this machine has such an id",
        Method::SubsystemId => "by subsystem id: another device shares an id, but not the maker's",
        Method::Address => {
            "by address and id, in the initramfs, before any driver: another device shares an id"
        }
    };
    let verb = if functions.len() == 1 { "goes" } else { "go" };
    format!("{} {verb} to vfio-pci, selected {how}.", functions.join(", "))
}

/// Commands come between the other files and this one.
fn late(document: &PlanDocument, change: &Change) -> bool {
    change.stage == Stage::AfterCommands && !document.commands.is_empty()
}

fn file(change: &Change, late: bool, page: &Page) -> String {
    let word = diff::word(change.kind);
    let executable = |state: &FileState| match state {
        FileState::Present { mode, .. } => mode.ends_with("755"),
        FileState::Absent => false,
    };
    let becomes = executable(&change.after) && !executable(&change.before);
    let mode = if becomes { ", executable" } else { "" };
    let when = if late { ", after the commands" } else { "" };
    let mut out = format!("  {} ({word}{mode}{when})\n", change.path);
    out.push_str(&diff::body(change.kind, &change.diff, page));
    out
}

fn rest(document: &PlanDocument, page: &Page) -> String {
    let mut out = String::new();
    if !document.commands.is_empty() {
        let some_wait = document.changes.iter().any(|change| late(document, change));
        let heading =
            if some_wait { "Commands, after the other files" } else { "Commands, after the files" };
        let _ = writeln!(out, "\n{}", Tone::Heading.paint(heading));
        for command in &document.commands {
            let _ = writeln!(out, "  {}   # {}", command.argv.join(" "), command.because);
        }
    }
    if let Some(trial) = &document.trial {
        let _ = writeln!(out, "\n{}", Tone::Heading.paint("On trial"));
        out.push_str(&page.wrap(
            &format!(
                "Only the entry {} gets these parameters, and it is started once, with the next boot. The default entry stays as it is until `passthru promote`; if the machine hangs, a reset brings it back.",
                trial.entry
            ),
            2,
        ));
    }
    let _ = writeln!(out, "\n{}", Tone::Heading.paint("After the reboot"));
    for expectation in &document.expectations {
        let _ = writeln!(out, "  {}", expectation.text());
    }
    out
}
