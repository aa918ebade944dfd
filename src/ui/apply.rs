//! What was done to a machine, for people.

use std::fmt::Write as _;

use super::diff;
use super::style::{Page, Tone};
use crate::document::{ApplyDocument, UndoDocument, VerifyDocument};
use crate::transaction::{Ending, Kind, Record};

/// The outcome of an `apply` or an `undo`.
pub fn render(document: &ApplyDocument, page: &Page) -> String {
    let Some(id) = document.transaction else {
        if let Some(text) = document.trial.as_ref().and_then(|trial| trial.text.as_ref()) {
            return page.wrap(&format!("Nothing to change in the files. {text}"), 0);
        }
        let when = if document.reboot { " It takes effect with the next boot." } else { "" };
        return format!("Nothing to change: this machine is configured as wanted.{when}\n");
    };
    let mut out = match (document.undoes, document.promotes) {
        (None, None) => format!("Done, as transaction {id}.\n"),
        (None, Some(of)) => {
            format!("What transaction {of} had on trial is the default now, as transaction {id}.\n")
        }
        (Some(of), _) => format!("Transaction {of} is taken back, as transaction {id}.\n"),
    };
    if page.verbose {
        for path in &document.changed {
            let _ = writeln!(out, "  changed {path}");
        }
        for path in &document.read_back {
            let _ = writeln!(out, "  read back {path}");
        }
    } else if !document.read_back.is_empty() {
        let _ = writeln!(
            out,
            "The boot menu and the images were read back and hold what they should ({} looked at).",
            document.read_back.len()
        );
    }
    if !document.to_run.is_empty() {
        out.push_str(
            "\nRun these inside that system, in this order; nothing takes effect before:\n",
        );
        for argv in &document.to_run {
            let _ = writeln!(out, "  {}", argv.join(" "));
        }
    }
    if let (Some(trial), true) = (&document.trial, document.reboot) {
        out.push_str(&page.wrap(
            &format!(
                "Reboot: that one boot starts {}, which is on trial; the default entry stays as it was. Then `passthru verify` says whether everything holds, and `passthru promote` makes it the default. If the machine hangs, reset it: it boots as before.",
                trial.entry
            ),
            0,
        ));
    } else if document.reboot {
        out.push_str("Reboot, then let `passthru verify` look whether it took effect.\n");
    } else if let Some(of) = document.promotes {
        out.push_str(&page.wrap(
            &format!(
                "It is in effect already. To take all of it back, `passthru undo` twice: this, and transaction {of}."
            ),
            0,
        ));
    }
    out
}

/// What taking a transaction back would do.
pub fn undo(document: &UndoDocument, page: &Page) -> String {
    let mut out = format!("Taking transaction {} back\n", document.undoes);
    if document.changes.is_empty() && document.conflicts.is_empty() {
        out.push_str("  All files are as before already.\n");
    }
    for change in &document.changes {
        out.push_str(&diff::change(&change.path, change.kind, &change.diff, page));
    }
    if let Some(entry) = &document.trial {
        let _ = writeln!(out, "  {entry} is not on trial any more; no boot starts it.");
    }
    for path in &document.edited_since {
        let _ = writeln!(out, "  {path} was edited since; those edits stay.");
    }
    for remark in &document.remarks {
        out.push_str(&page.wrap(remark, 2));
    }
    for conflict in &document.conflicts {
        let title = format!("{} was edited where passthru had changed it", conflict.path);
        let _ = writeln!(out, "\n{}", Tone::Caution.paint(&title));
        let parts = [("Edited since", &conflict.edited), ("Taking back", &conflict.taken_back)];
        for (what, text) in parts {
            let _ = writeln!(out, "  {what}:");
            match text {
                Some(text) => out.push_str(&diff::lines(&diff::hunks(text))),
                None => out.push_str("    (no text)\n"),
            }
        }
    }
    if !document.commands.is_empty() {
        let _ = writeln!(out, "\n{}", Tone::Heading.paint("Commands"));
        for argv in &document.commands {
            let _ = writeln!(out, "  {}", argv.join(" "));
        }
    }
    out
}

/// What to do about files that both changed.
pub fn conflict_hint(document: &UndoDocument) -> String {
    let solvable = document.conflicts.iter().all(|conflict| conflict.solvable);
    let domain = document.conflicts.iter().find(|conflict| !conflict.path.starts_with('/'));
    if let Some(domain) = domain {
        return format!(
            "Nothing was changed: {} was edited since. Take your edits out with `virsh edit` first; or, where it is a card that is to go, `passthru vm detach` takes just that out and keeps them.",
            domain.path
        );
    }
    let way = if solvable {
        "--only-our-words takes out just the words that passthru put there and keeps your edits."
    } else {
        "Take your edits out of these files, or move the files away, and try again."
    };
    format!("Nothing was changed: your edits and passthru's are in the same lines. {way}")
}

/// What becomes the default, before it does.
pub fn promotion(record: &Record, verified: &VerifyDocument) -> String {
    let entry = record.trial().map_or("", |trial| trial.entry.as_str());
    format!(
        "{entry} is on trial for {}{}, and all of the {} things hold that were expected of this boot.\n",
        record.gpu.map(|gpu| format!("{gpu} ")).unwrap_or_default(),
        record.name,
        verified.expectations.len()
    )
}

/// One transaction that an earlier run left unfinished.
pub fn recovered(record: &Record, ending: &Ending) -> String {
    let what = match record.kind {
        Kind::Apply => "applying a plan",
        Kind::Vm => "changing a virtual machine",
        Kind::Promote { .. } => "making what was on trial the default",
        Kind::Undo { .. } => "taking a transaction back",
    };
    let mut out = format!(
        "Found transaction {}, {what}, begun {} and not finished: ",
        record.id, record.begun
    );
    let Ending::Back(back) = ending else {
        return out + "it was finished, since the volume with the answers was gone already.";
    };
    out += "it was rolled back.";
    for path in &back.kept {
        let _ =
            write!(out, "\n  {path} was changed by somebody else meanwhile and is left as it is.");
    }
    out
}

/// What `recover` found.
pub fn recover(all: &[(Record, Ending)]) -> String {
    if all.is_empty() {
        return "Nothing is unfinished.\n".to_owned();
    }
    all.iter().map(|(record, ending)| recovered(record, ending) + "\n").collect()
}
