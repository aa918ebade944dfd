//! What is kept of a transaction: complete data, written before its first effect, never changed.
//!
//! The record itself may be read by everyone; the contents of files are kept by digest in a
//! directory that only the owner may enter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
            Self::Apply | Self::Promote { .. } => None,
        }
    }

    /// The transaction whose entry on trial becomes the default.
    pub fn promotes(self) -> Option<TransactionId> {
        match self {
            Self::Promote { of } => Some(of),
            Self::Apply | Self::Undo { .. } => None,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aim {
    /// In boot menu and images, at once.
    pub artefacts: Artefacts,
    /// After the reboot.
    pub expectations: Vec<Expectation>,
}

/// What a transaction wants of the machine, in both directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aims {
    /// Words that change on the kernel command line.
    pub kernel_parameters: ParameterChange,
    /// When it is done.
    pub done: Aim,
    /// When it was taken back.
    pub undone: Aim,
}

/// What the boot loader is told about the next boot, as the last effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Selection {
    /// Start the entry on trial, once.
    Select {
        /// Which one.
        trial: Trial,
        /// After the boot, `verify` makes it the default by itself if everything holds.
        promote: bool,
    },
    /// Do not, if it is still told so.
    Clear {
        /// Which one.
        trial: Trial,
        /// GRUB's environment block was not there before, and goes if nothing else is in it.
        made_block: bool,
    },
}

impl Record {
    /// What is on trial since this transaction.
    pub fn trial(&self) -> Option<&Trial> {
        match &self.selection {
            Some(Selection::Select { trial, .. }) => Some(trial),
            _ => None,
        }
    }

    /// What takes the selection back. Who takes a promotion back has the entry on trial again, and
    /// did not ask for its boot.
    pub fn selection_reversed(&self) -> Option<Selection> {
        match self.selection.clone()? {
            Selection::Clear { .. } if self.kind.promotes().is_some() => None,
            Selection::Select { trial, .. } => {
                let made_block = self.made_block(&trial);
                Some(Selection::Clear { trial, made_block })
            }
            Selection::Clear { trial, .. } => Some(Selection::Select { trial, promote: false }),
        }
    }

    /// There was no environment block before this transaction.
    pub fn made_block(&self, trial: &Trial) -> bool {
        let Some(block) = trial.once.block() else { return false };
        let mut outputs = self.outputs.iter();
        outputs.any(|o| o.path.trim_start_matches('/') == block && o.before == Saved::Absent)
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
    /// Display function of the card.
    pub gpu: PciAddress,
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
    /// What it is for.
    #[serde(flatten)]
    pub aims: Aims,
}

/// Contents of files by digest.
pub type Contents = BTreeMap<String, Vec<u8>>;
