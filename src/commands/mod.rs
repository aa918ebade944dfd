//! One file per verb: its arguments beside its function.

pub mod apply;
pub mod capture;
pub mod check;
pub mod explain;
mod global;
pub mod inspect;
pub mod log;
pub mod plan;
pub mod promote;
pub mod recover;
mod session;
pub mod undo;
pub mod verify;
pub mod vm;
mod wish;

pub use global::Global;

/// The answer of a verb, which decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Yes, or done: 0.
    Yes,
    /// The answer is no: 1.
    No,
}
