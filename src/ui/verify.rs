//! A verification for people: the answer, then what is unmet with its cause, then the rest.

use std::fmt::Write as _;

use super::style::{Page, Tone};
use crate::document::{Expected, VerifyDocument};
use crate::verify::Verdict;

/// Unmet first.
const ORDER: [Verdict; 4] = [Verdict::Unmet, Verdict::Unknown, Verdict::Pending, Verdict::Met];

/// The whole text.
pub fn render(document: &VerifyDocument, page: &Page) -> String {
    let title = match document.transaction {
        Some(id) => format!("Transaction {id}"),
        None => "Set up by hand".to_owned(),
    };
    let mut out = format!("{}\n", Tone::Heading.paint(&title));
    let (word, tone) = label(document.verdict);
    let _ = writeln!(out, "{}: {}", tone.paint(word), sentence(document.verdict));
    // Where it is the cause of something unmet, it stands there.
    let said = |text: &str| {
        let mut causes = document.expectations.iter().filter_map(|one| one.cause.as_deref());
        causes.any(|cause| text.starts_with(cause))
    };
    let trial = document.trial.as_ref().and_then(|trial| trial.text.as_ref());
    for remark in trial.filter(|text| !said(text)).into_iter().chain(&document.remarks) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;
    use crate::host::booted;
    use crate::host::rom::Probe;
    use crate::plan::Expectation;
    use crate::sys::{Node, Sysroot, host_tree};
    use crate::verify::{Then, evaluate};

    /// The guide's machine, where the plan's word did not arrive.
    fn text(expected: &[&str], verbose: bool, then: &Then) -> String {
        let mut tree = host_tree("z490-arch").unwrap().unwrap();
        let boot = Node::File { bytes: b"boot-2\n".to_vec(), meta: None };
        tree.insert(booted::BOOT_ID, boot);
        let root = Sysroot::from_tree(tree);
        let host = Host::read(&root, Probe::No);
        let facts = booted::read(&root, &host);
        let expected: Vec<Expectation> =
            expected.iter().map(|id| Expectation::from_id(id).unwrap()).collect();
        let report = evaluate(&expected, then, &host, &facts, None).unwrap();
        let document = VerifyDocument::of(Some(3), &report, &facts, None);
        let shown = render(&document, &Page { width: 90, lines: false, verbose });
        anstream::adapter::strip_str(&shown).to_string()
    }

    const IDS: [&str; 4] = [
        "iommu:on",
        "parameter:passthru.bind=1002:73ff:1462:5022@0000:07:00.0",
        "vfio:0000:07:00.0",
        "group:18",
    ];

    fn boot(id: &str) -> Then {
        Then { boot_id: Some(id.to_owned()), ..Then::default() }
    }

    #[test]
    fn what_failed_comes_first_and_its_cause_once() {
        let shown = "\
Transaction 3
unmet: not everything that was expected holds.

unmet   The kernel was started with passthru.bind=1002:73ff:1462:5022@0000:07:00.0.
unmet   0000:07:00.0 is on vfio-pci.
unmet   IOMMU group 18 is viable for VFIO (/dev/vfio/18).
        Why: /boot/loader/entries/arch.conf no longer has what passthru added: something
        took it out after the change.
        You: Look at what `passthru plan` would change now, and run `passthru apply`
        again.

met     The IOMMU is on: there are groups.
";
        assert_eq!(text(&IDS, false, &boot("boot-1")), shown);
    }

    #[test]
    fn the_evidence_is_shown_on_request() {
        let shown = text(&IDS, true, &boot("boot-1"));
        let line = "unmet   0000:07:00.0 is on vfio-pci.\n          \
                    /sys/bus/pci/devices/0000:07:00.0/driver: amdgpu\n";
        assert!(shown.contains(line), "{shown}");
        assert_eq!(shown.matches("Why:").count(), 1, "{shown}");
    }

    #[test]
    fn before_the_reboot_everything_waits() {
        let shown = text(&IDS, false, &boot("boot-2"));
        assert!(shown.starts_with("Transaction 3\npending: "), "{shown}");
        assert_eq!(shown.matches("\npending ").count(), IDS.len(), "{shown}");
        assert_eq!(shown.matches("not rebooted yet: this").count(), 1, "{shown}");
    }

    #[test]
    fn an_unknown_boot_is_said() {
        let shown = text(&IDS[..1], false, &Then::default());
        let said = "Transaction 3\nunknown: something could not be told.\nWhether the machine was \
                    rebooted since the change is not known";
        assert!(shown.starts_with(said), "{shown}");
    }
}
