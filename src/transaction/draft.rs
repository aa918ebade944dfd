//! A transaction before it begins: complete data, made from a plan or from what is taken back.

use super::domain::{DomainChange, Secret};
use super::record::{Aims, Block, Change, Contents, Kind, Saved, Selection};
use crate::host::pci::PciAddress;
use crate::plan::{Command, FileState, Plan, Stage};
use crate::sys::writer::digest;

/// Everything that will be done, with the contents of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it is.
    pub kind: Kind,
    /// Display function of the card, where it is about one.
    pub gpu: Option<PciAddress>,
    /// Its name.
    pub name: String,
    /// Files, in path order.
    pub changes: Vec<Change>,
    /// Bytes of files, before and after.
    pub contents: Contents,
    /// Directories that go at the end if nothing is in them, parents first.
    pub leftovers: Vec<String>,
    /// Programs to run.
    pub commands: Vec<Command>,
    /// What the boot loader is told at the end.
    pub selection: Option<Selection>,
    /// The virtual machine that is made or changed, after all files.
    pub domain: Option<DomainChange>,
    /// What belongs into the volume with the answers, if one is written.
    pub secret: Option<Secret>,
    /// What it is for.
    pub aims: Aims,
}

impl Draft {
    /// Carrying out a plan.
    pub fn of(plan: &Plan, name: &str, aims: Aims) -> Self {
        let mut draft = Self {
            kind: Kind::Apply,
            gpu: Some(plan.gpu),
            name: name.to_owned(),
            changes: Vec::new(),
            contents: Contents::new(),
            leftovers: Vec::new(),
            commands: plan.commands.clone(),
            selection: plan.trial.clone().map(|trial| Selection::Select {
                trial,
                promote: false,
                block: Block::default(),
            }),
            domain: None,
            secret: None,
            aims,
        };
        for change in &plan.changes {
            let (before, after) = (file(&change.before), file(&change.after));
            draft.add(&change.path, change.stage, before, after);
        }
        draft
    }

    /// A change of a virtual machine, with its XML before and after.
    pub fn of_vm(
        name: &str,
        gpu: Option<PciAddress>,
        domain: DomainChange,
        contents: Contents,
    ) -> Self {
        Self {
            kind: Kind::Vm,
            gpu,
            name: name.to_owned(),
            changes: Vec::new(),
            contents,
            leftovers: Vec::new(),
            commands: Vec::new(),
            selection: None,
            domain: Some(domain),
            secret: None,
            aims: Aims::default(),
        }
    }

    /// Adds a file with its bytes, and mode and owner, before and after.
    pub fn add(&mut self, path: &str, stage: Stage, before: File, after: File) {
        let mut keep = |file: File| match file {
            None => Saved::Absent,
            Some((bytes, mode, uid, gid)) => {
                let digest = digest(&bytes);
                self.contents.insert(digest.clone(), bytes);
                Saved::Present { digest, mode, uid, gid }
            }
        };
        let (before, after) = (keep(before), keep(after));
        self.changes.push(Change { path: path.to_owned(), stage, before, after });
    }

    /// There is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.commands.is_empty() && self.domain.is_none()
    }
}

/// Bytes, permission bits, owner and group of a file; nothing where there is none.
pub type File = Option<(Vec<u8>, u32, u32, u32)>;

fn file(state: &FileState) -> File {
    match state {
        FileState::Absent => None,
        FileState::Present { text, mode, uid, gid } => {
            let mode = u32::from_str_radix(mode, 8).unwrap_or(0o644);
            Some((text.clone().into_bytes(), mode, *uid, *gid))
        }
    }
}
