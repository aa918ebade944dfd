//! The documents of the JSON contract, as values; the human form is rendered from the same.

mod apply;
mod check;
mod inspect;
mod log;
mod plan;
pub mod reviewed;
mod verify;
mod vm;

pub use apply::{ApplyDocument, Diff, UndoDocument};
pub use check::CheckDocument;
pub use inspect::{Gpu, Group, GroupDevice, InspectDocument};
pub use log::{Contents, LogDocument, Logged, RecoverDocument, TransactionDocument};
pub use plan::{Change, PlanDocument};
pub use verify::{Expected, VerifyDocument};
pub use vm::{VmCheckDocument, VmDocument, VmParts, VmShowDocument};

use serde::Serialize;

/// Name and version of a document's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Schema {
    /// Which document.
    pub name: &'static str,
    /// Raised when a field changes its meaning; new fields do not raise it.
    pub version: u32,
}

/// A place that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Unreadable {
    /// Absolute path.
    pub path: String,
    /// Why.
    pub reason: String,
}

fn unreadable(host: &crate::host::Host) -> Vec<Unreadable> {
    let each = host
        .unreadable
        .iter()
        .map(|(path, reason)| Unreadable { path: format!("/{path}"), reason: reason.clone() });
    each.collect()
}
