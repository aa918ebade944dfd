//! A virtual machine, for people.

use std::fmt::Write as _;

use super::style::{Page, Tone};
use super::{check, diff};
use crate::document::{VmCheckDocument, VmDocument, VmShowDocument};
use crate::host::resources::listed;
use crate::vm::tune::Tuning;
use crate::vm::tune::pins::{Pin, Pinned};

/// What will be done to a domain.
pub fn change(document: &VmDocument, page: &Page) -> String {
    let whole = Page { verbose: true, ..*page };
    let mut out =
        diff::change(&document.change.path, document.change.kind, &document.change.diff, &whole);
    if let Some(image) = &document.image {
        let _ = writeln!(out, "  {image} (new, sparse)");
    }
    if let Some(tuning) = &document.tuning {
        out.push_str(&pins(tuning, page));
    }
    if let Some(volume) = &document.volume {
        let what = if volume.written { "new, for root only" } else { "removed" };
        let _ = writeln!(out, "  {} ({what})", volume.path);
    }
    if let Some(file) = &document.file {
        out.push_str(&diff::change(&file.path, file.kind, &file.diff, &whole));
    }
    if let Some(argv) = &document.command {
        let _ = writeln!(out, "  {}", argv.join(" "));
    }
    for remark in &document.remarks {
        let _ = write!(
            out,
            "\n{}",
            page.wrap(&format!("{} {remark}", Tone::Caution.paint("Note:")), 0)
        );
    }
    out
}

/// Every pin, and why.
fn pins(tuning: &Tuning, page: &Page) -> String {
    let what = |pin: &Pin| match pin.what {
        Pinned::Vcpu(number) => format!("vcpu {number}"),
        Pinned::Emulator => "emulator".to_owned(),
        Pinned::Iothread(number) => format!("iothread {number}"),
    };
    let mut out = format!("\n{}\n", Tone::Heading.paint("Pins"));
    for pin in &tuning.pins {
        let line = format!("{} on {}: {}", what(pin), listed(&pin.cpus), pin.why);
        out.push_str(&page.wrap(&line, 2));
    }
    if let Some(node) = tuning.node {
        out.push_str(&page.wrap(&format!("memory on NUMA node {node}: that of its cores"), 2));
    }
    if let Some(size) = tuning.huge_pages {
        let line =
            format!("memory in pages of {size} KiB: the largest that are free for all of it");
        out.push_str(&page.wrap(&line, 2));
    }
    out
}

/// What was done.
pub fn changed(document: &VmDocument, page: &Page) -> String {
    match (document.transaction, &document.reason) {
        (None, reason) => format!("{}\n", reason.as_deref().unwrap_or("Nothing was changed.")),
        (Some(id), _) => {
            let mut out = format!(
                "\nDone, as transaction {id}: libvirt validated it, and gives back what was meant.\n"
            );
            out.push_str(&page.wrap(&document.next, 0));
            out
        }
    }
}

/// A domain.
pub fn show(document: &VmShowDocument, page: &Page) -> String {
    let title = format!("{} on {}", document.domain, document.connect);
    let mut out = format!("{}\n", Tone::Heading.paint(&title));
    let start = if document.autostart { ", started with the host" } else { "" };
    let _ = writeln!(out, "  {}{start}", document.state);
    if let Some(unfit) = &document.unfit {
        out.push_str(&page.wrap(&format!("No GPU works in it: {unfit}."), 2));
    }
    for card in &document.cards {
        let _ = writeln!(out, "  {} {}, on the guest's bus {}", card.gpu, card.name, card.port);
        for function in card.functions.iter().filter(|address| **address != card.gpu) {
            let _ = writeln!(out, "  {function} with it");
        }
        if let Some(differs) = &card.differs {
            let _ = writeln!(out, "    {}: {differs}", Tone::Bad.paint("not the card of then"));
        }
    }
    if document.cards.is_empty() {
        out.push_str("  No card is attached by passthru.\n");
    }
    for address in &document.other_hostdevs {
        let _ = writeln!(out, "  {address}, put there by somebody else");
    }
    if let Some(tuned) = &document.tuned {
        let cpus: Vec<String> = tuned.cpus.iter().map(ToString::to_string).collect();
        let text = format!(
            "Pinned by passthru: its processors to {}, the emulator to {}.",
            cpus.join(","),
            listed(&tuned.host)
        );
        out.push_str(&page.wrap(&text, 2));
    }
    if let Some(path) = &document.answers {
        let text = format!(
            "The answers for Windows Setup are in it, a password perhaps: {path}. `passthru vm unattended {} --remove` takes them out.",
            document.domain
        );
        out.push_str(&page.wrap(&text, 2));
    }
    if let Some(spec) = &document.spec {
        out.push_str("  Made from:\n");
        for line in spec.lines() {
            let _ = writeln!(out, "    {line}");
        }
    }
    out
}

/// Host and domain against each other.
pub fn checked(document: &VmCheckDocument, page: &Page) -> String {
    let title = format!("{} on {}", document.domain, document.connect);
    let mut out = format!("{}\n", Tone::Heading.paint(&title));
    let (tone, text) = match (document.ready, document.unknown.is_empty()) {
        (true, _) => (Tone::Good, "ready: nothing stands in the way of its start."),
        (false, false) => (Tone::Caution, "unknown: not everything could be looked at."),
        (false, true) => (Tone::Bad, "blocked: see the blockers below."),
    };
    let (word, rest) = text.split_once(':').unwrap_or((text, ""));
    let _ = writeln!(out, "{}:{rest}", tone.paint(word));
    for unknown in &document.unknown {
        let _ = writeln!(out, "  not known: {unknown}");
    }
    for finding in &document.findings {
        out.push_str(&check::one(finding, page));
    }
    if page.verbose || document.findings.is_empty() {
        out.push_str("\nLooked at, and as it should be:\n");
        for holds in &document.holds {
            out.push_str(&page.wrap(holds, 2));
        }
    }
    if !document.findings.is_empty() {
        out.push_str("\n`passthru explain CODE` tells more about each.\n");
    }
    out
}
