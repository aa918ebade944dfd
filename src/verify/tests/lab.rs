//! The guide's machine before the change, after it, and with one thing wrong.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::check::{Case, Desired};
use crate::host::booted::{self, Facts, VfioGroup};
use crate::host::rom::Probe;
use crate::host::{Host, Observed};
use crate::plan::Expectation;
use crate::sys::{Node, Sysroot, Tree, host_tree};
use crate::verify::{Outcome, Report, Then, Verdict, evaluate};

/// The word that the plan adds.
pub const WORD: &str =
    "passthru.bind=1002:73ff:1462:5022@0000:07:00.0,1002:ab28:1002:ab28@0000:07:00.1";
/// What the machine is started with before.
const OPTIONS: &str = "rw quiet splash intel_iommu=on iommu=pt";
const SELECTED: &str =
    "sys/firmware/efi/efivars/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/// A machine that can be changed.
#[derive(Clone)]
pub struct Lab {
    tree: Tree,
    problems: Vec<(String, String)>,
    edited: Vec<(String, String)>,
    vfio_groups: BTreeMap<u32, Observed<VfioGroup>>,
    then: Option<Then>,
}

impl Lab {
    pub fn new(name: &str) -> Self {
        Self {
            tree: host_tree(name).unwrap().unwrap(),
            problems: Vec::new(),
            edited: Vec::new(),
            vfio_groups: BTreeMap::new(),
            then: None,
        }
    }

    pub fn put(mut self, path: &str, text: &str) -> Self {
        self.tree.insert(path, Node::File { bytes: text.as_bytes().to_vec(), meta: None });
        self
    }

    pub fn present(mut self, path: &str) -> Self {
        self.tree.insert(path, Node::Present(None));
        self
    }

    pub fn unreadable(mut self, path: &str) -> Self {
        let reason = "permission denied (root may read it)".to_owned();
        self.tree.insert(path, Node::Unreadable(reason));
        self
    }

    /// Replaces text of the recording, which must be there.
    pub fn swap(mut self, from: &str, to: &str) -> Self {
        let text = self.tree.render();
        assert!(text.contains(from), "no {from:?}");
        self.tree = Tree::parse(&text.replace(from, to)).unwrap();
        self
    }

    /// Takes away every entry whose path has this in it.
    pub fn without(mut self, part: &str) -> Self {
        let text = self.tree.render();
        let mut gone = false;
        let kept = text.lines().filter(|line| {
            if !line.starts_with("  ") {
                gone = line.split(' ').next().is_some_and(|path| path.contains(part));
            }
            !gone
        });
        let kept: Vec<&str> = kept.collect();
        assert!(kept.len() < text.lines().count(), "no {part:?}");
        self.tree = Tree::parse(&(kept.join("\n") + "\n")).unwrap();
        self
    }

    pub fn problem(mut self, path: &str, what: &str) -> Self {
        self.problems.push((path.to_owned(), what.to_owned()));
        self
    }

    /// A file that passthru wrote was changed since.
    pub fn edited(mut self, path: &str, what: &str) -> Self {
        self.edited.push((path.to_owned(), what.to_owned()));
        self
    }

    /// VFIO was asked about a group.
    pub fn vfio_says(mut self, group: u32, said: Observed<VfioGroup>) -> Self {
        self.vfio_groups.insert(group, said);
        self
    }

    pub fn knowing(mut self, then: Then) -> Self {
        self.then = Some(then);
        self
    }

    /// Gives a function of this id another driver, or none.
    pub fn driver(self, from: &str, ids: &str, to: &str) -> Self {
        let from = if from.is_empty() { String::new() } else { format!("  |DRIVER={from}\n") };
        let to = if to.is_empty() { String::new() } else { format!("  |DRIVER={to}\n") };
        let mut text = self.tree.render();
        let at = text.find(ids).unwrap_or_else(|| panic!("no {ids:?}"));
        let start = text[..at].rfind("/uevent :\n").unwrap() + "/uevent :\n".len();
        assert!(text[start..].starts_with(&from), "{}", &text[start..at]);
        text.replace_range(start..start + from.len(), &to);
        Self { tree: Tree::parse(&text).unwrap(), ..self }
    }

    /// The entry that the boot loader says it started.
    pub fn entry(mut self, name: &str) -> Self {
        let wide = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes);
        let bytes = [6, 0, 0, 0].into_iter().chain(wide).collect();
        self.tree.insert(SELECTED, Node::File { bytes, meta: None });
        self
    }

    pub fn read(&self) -> (Host, Facts) {
        let root = Sysroot::from_tree(self.tree.clone());
        let host = Host::read(&root, Probe::No);
        let mut facts = booted::read(&root, &host);
        facts.artefact_problems = self.problems.clone();
        facts.edited = self.edited.clone();
        facts.vfio_groups = self.vfio_groups.clone();
        (host, facts)
    }

    pub fn then(&self) -> Then {
        let (host, facts) = self.read();
        Then::of(&host, facts.boot_id.into_present())
    }

    pub fn judge(&self, expected: &[Expectation]) -> Report {
        static THEN: OnceLock<Then> = OnceLock::new();
        let planned = || THEN.get_or_init(|| before().then()).clone();
        let then = self.then.clone().unwrap_or_else(planned);
        let (host, facts) = self.read();
        evaluate(expected, &then, &host, &facts, None).unwrap()
    }

    /// The outcome of one expectation of many.
    pub fn outcome(&self, expected: &[Expectation], id: &str) -> Outcome {
        let report = self.judge(expected);
        let found = report.outcomes().iter().find(|outcome| outcome.expectation.id() == id);
        found.unwrap_or_else(|| panic!("{id} is not expected")).clone()
    }
}

pub fn list(ids: &[&str]) -> Vec<Expectation> {
    ids.iter().map(|id| Expectation::from_id(id).unwrap_or_else(|| panic!("{id}"))).collect()
}

/// The machine on which the plan is made.
pub fn before() -> Lab {
    Lab::new("z490-arch").put("proc/sys/kernel/random/boot_id", "boot-1\n")
}

/// What the plan for it expects.
pub fn expected() -> Vec<Expectation> {
    static PLANNED: OnceLock<Vec<Expectation>> = OnceLock::new();
    let plan = || {
        let (host, _) = before().read();
        let desired = Desired::default();
        let case = Case::new(&host, &desired);
        crate::plan::plan(&case, &crate::check::run(&case)).unwrap().expectations
    };
    PLANNED.get_or_init(plan).clone()
}

/// The machine as it should be after the reboot.
pub fn after() -> Lab {
    static APPLIED: OnceLock<Lab> = OnceLock::new();
    APPLIED.get_or_init(applied).clone()
}

fn applied() -> Lab {
    let entry = "title   Arch Linux\nlinux   /vmlinuz-linux\noptions root=PARTUUID=00000000-0000-0000-0000-000000000002 ";
    before()
        .put("proc/sys/kernel/random/boot_id", "boot-2\n")
        .swap(OPTIONS, &format!("{OPTIONS} {WORD}"))
        .put("boot/loader/entries/arch-fallback.conf", &format!("{entry}{OPTIONS}\n"))
        .driver("amdgpu", "PCI_ID=1002:73FF", "vfio-pci")
        .driver("snd_hda_intel", "PCI_SLOT_NAME=0000:07:00.1", "vfio-pci")
        .swap("07:00.0/driver_override = (null)", "07:00.0/driver_override = vfio-pci")
        .swap("07:00.1/driver_override = (null)", "07:00.1/driver_override = vfio-pci")
        .swap("  |kvm_intel 65536", "  |vfio_pci 65536 0 - Live 0x0\n  |kvm_intel 65536")
        .present("dev/vfio/18")
        .present("dev/vfio/19")
}

/// The same machine, started by the entry without the word.
pub fn fallback() -> Lab {
    let bound = after();
    bound
        .swap(&format!("splash intel_iommu=on iommu=pt {WORD}"), "splash intel_iommu=on iommu=pt")
        .put("boot/loader/entries/arch.conf", &format!("options {OPTIONS} {WORD}\n"))
        .put("boot/loader/entries/arch-fallback.conf", &format!("options {OPTIONS}\n"))
        .entry("arch-fallback.conf")
        .unbound()
}

impl Lab {
    /// The host's drivers have the card.
    pub fn unbound(self) -> Self {
        self.driver("vfio-pci", "PCI_ID=1002:73FF", "amdgpu")
            .driver("vfio-pci", "PCI_SLOT_NAME=0000:07:00.1", "snd_hda_intel")
            .swap("07:00.0/driver_override = vfio-pci", "07:00.0/driver_override = (null)")
            .swap("07:00.1/driver_override = vfio-pci", "07:00.1/driver_override = (null)")
            .without("dev/vfio/")
    }

    /// The card is where nothing was before.
    pub fn moved(self) -> Self {
        self.swap("0000:07:00", "0000:09:00")
    }
}

/// One expectation has this verdict for this cause.
#[track_caller]
pub fn holds(lab: &Lab, expected: &[Expectation], id: &str, verdict: Verdict, cause: &str) {
    let outcome = lab.outcome(expected, id);
    let found = outcome.cause.as_deref().unwrap_or("");
    assert_eq!((outcome.verdict, found), (verdict, cause), "{id}: {:#?}", outcome.evidence);
    assert!(!outcome.evidence.is_empty(), "{id}");
    assert_eq!(outcome.cause.is_some(), outcome.hint.is_some(), "{id}");
    assert_eq!(verdict == Verdict::Met, outcome.cause.is_none(), "{id}");
}
