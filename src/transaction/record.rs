//! What is kept of a transaction: complete data, written before its first effect, never changed.
//!
//! The record itself may be read by everyone; the contents of files are kept by digest in a
//! directory that only the owner may enter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::domain::DomainChange;
use crate::host::pci::PciAddress;
use crate::plan::artefacts::Artefacts;
use crate::plan::{Command, Expectation, ParameterChange, Stage, Trial};
use crate::sys::writer::{self, Attributes, Found};
use crate::verify::Then;

/// Number of the form of records; a newer program may write a higher one.
pub const VERSION: u32 = 1;

/// Sequential number of a transaction, from 1.
pub type TransactionId = u32;

/// What a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Kind {
    /// A plan was carried out.
    Apply,
    /// What another one has on trial became the default.
    Promote {
        /// Which one.
        of: TransactionId,
    },
    /// A virtual machine was made or changed.
    Vm,
    /// Another transaction was taken back.
    Undo {
        /// Which one.
        of: TransactionId,
    },
}

impl Kind {
    /// The transaction that it takes back.
    pub fn undoes(self) -> Option<TransactionId> {
        match self {
            Self::Undo { of } => Some(of),
            Self::Apply | Self::Vm | Self::Promote { .. } => None,
        }
    }

    /// The transaction whose entry on trial becomes the default.
    pub fn promotes(self) -> Option<TransactionId> {
        match self {
            Self::Promote { of } => Some(of),
            Self::Apply | Self::Vm | Self::Undo { .. } => None,
        }
    }
}

/// A file before or after; its bytes are kept by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Saved {
    /// There is none.
    Absent,
    /// This one.
    Present {
        /// SHA-256 of its bytes.
        digest: String,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// There is one, and there was no room to keep it: it can only be made again.
    NotKept,
}

impl Aims {
    /// Those of a transaction that takes it back.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self {
            kernel_parameters: self.kernel_parameters.reversed(),
            done: self.undone.clone(),
            undone: self.done.clone(),
        }
    }

    /// Somebody edited a file of ours, which therefore stays: this is in it afterwards, and was in
    /// it before.
    pub fn edited(&mut self, path: &str, then: Option<&str>, now: &str) {
        self.done.artefacts.edited(path, then, Some(now));
        self.undone.artefacts.edited(path, Some(now), then);
    }
}

impl Saved {
    /// Digest of its bytes.
    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Present { digest, .. } => Some(digest),
            _ => None,
        }
    }

    /// Mode and owner of a file that is there.
    pub fn attributes(&self) -> Option<Attributes> {
        match *self {
            Self::Present { mode, uid, gid, .. } => Some(Attributes { mode, uid, gid }),
            _ => None,
        }
    }

    /// Whether a file that was found is this one. Times are not compared, nor mode and owner:
    /// FAT keeps neither, and who changes them after us meant to.
    pub fn is(&self, found: Option<&Found>) -> bool {
        match (self, found) {
            (Self::Absent, None) => true,
            (Self::Present { digest, .. }, Some(found)) => *digest == writer::digest(&found.bytes),
            _ => false,
        }
    }
}

/// One file of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Absolute path.
    pub path: String,
    /// Before or after the commands.
    pub stage: Stage,
    /// What stood there.
    pub before: Saved,
    /// What was put there.
    pub after: Saved,
}

impl Change {
    /// Its path inside the root.
    pub fn inside(&self) -> &str {
        self.path.trim_start_matches('/')
    }

    /// Only permission bits change.
    pub fn is_mode_only(&self) -> bool {
        self.before.digest().is_some() && self.before.digest() == self.after.digest()
    }
}

/// A file that a command writes, as it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Absolute path.
    pub path: String,
    /// What stood there.
    pub before: Saved,
}

/// What must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aim {
    /// In boot menu and images, at once.
    pub artefacts: Artefacts,
    /// After the reboot.
    pub expectations: Vec<Expectation>,
}

/// What a transaction wants of the machine, in both directions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aims {
    /// Words that change on the kernel command line.
    pub kernel_parameters: ParameterChange,
    /// When it is done.
    pub done: Aim,
    /// When it was taken back.
    pub undone: Aim,
}

/// What the boot loader is told about the next boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Selection {
    /// Start the entry on trial, once; the last effect.
    Select {
        /// Which one.
        trial: Trial,
        /// After the boot, `verify` makes it the default by itself if everything holds.
        promote: bool,
        /// GRUB's environment block as it was before.
        block: Block,
    },
    /// Do not, if it is still told so; the first effect.
    Clear {
        /// Which one.
        trial: Trial,
        /// GRUB's environment block as it was before the entry was selected.
        block: Block,
    },
}

/// GRUB's environment block, as far as a selection changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Block {
    /// There is none: it is made, and goes with the selection if nothing else is in it then.
    #[default]
    Absent,
    /// There is one, without `next_entry`. GRUB leaves the name without a value.
    WithoutName,
    /// There is one with that name.
    WithName,
}

impl Record {
    /// What is on trial since this transaction.
    pub fn trial(&self) -> Option<&Trial> {
        match &self.selection {
            Some(Selection::Select { trial, .. }) => Some(trial),
            _ => None,
        }
    }

    /// The entry on trial becomes the default by itself.
    pub fn promotes_itself(&self) -> bool {
        matches!(self.selection, Some(Selection::Select { promote: true, .. }))
    }

    /// What takes the selection back. Nobody who takes that back asks for the boot: the entry is
    /// on trial again, and `apply` selects it.
    pub fn selection_reversed(&self) -> Option<Selection> {
        match self.selection.clone()? {
            Selection::Select { trial, block, .. } => Some(Selection::Clear { trial, block }),
            Selection::Clear { .. } => None,
        }
    }

    /// The words that change in the normal entries.
    pub fn standing_parameters(&self) -> ParameterChange {
        match self.trial() {
            Some(_) => ParameterChange::default(),
            None => self.aims.kernel_parameters.clone(),
        }
    }
}

/// A transaction as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Number of this form.
    pub version: u32,
    /// Its number.
    pub id: TransactionId,
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
    /// Version of the program.
    pub program: String,
    /// When it began.
    pub begun: String,
    /// The machine as it was then.
    pub then: Then,
    /// Display function of the card, where it is about one.
    pub gpu: Option<PciAddress>,
    /// Its name.
    pub name: String,
    /// Files, in path order.
    pub changes: Vec<Change>,
    /// Directories that it makes, parents first.
    pub directories: Vec<String>,
    /// Directories that it removes at its end if nothing is in them, parents first.
    pub leftovers: Vec<String>,
    /// Programs that are run once each.
    pub commands: Vec<Command>,
    /// What these write, as it was.
    pub outputs: Vec<Output>,
    /// What the boot loader is told at the end.
    #[serde(default)]
    pub selection: Option<Selection>,
    /// The virtual machine that it makes or changes, after all files.
    #[serde(default)]
    pub domain: Option<DomainChange>,
    /// What it is for.
    #[serde(flatten)]
    pub aims: Aims,
}

/// Contents of files by digest.
pub type Contents = BTreeMap<String, Vec<u8>>;
