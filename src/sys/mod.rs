//! The only code that touches the machine: files, processes, environment, terminal.
//!
//! Everything above works on values that were read here. Nothing in this layer knows
//! what a GPU is.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this layer is where they are allowed"
)]

mod archive;
mod directory;
mod hosts;
mod kernel_log;
mod meta;
mod observed;
mod output;
pub mod parallel;
mod record;
mod sysroot;
mod tree;

pub use archive::ArchiveEntry;
pub use hosts::{HOSTS, host_tree};
pub use meta::{FileKind, Meta, Space};
pub use observed::Observed;
pub use output::{
    can_ask, create_new, environment, read_answer, read_at_most, stdout_width, write_stderr,
    write_stdout,
};
pub use sysroot::{Dir, OpenRootError, Sysroot};
pub use tree::{Node, Tree};
