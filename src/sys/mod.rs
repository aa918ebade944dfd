//! The only code that touches the machine: files, processes, environment, terminal.
//!
//! Everything above works on values that were read here. Nothing in this layer knows
//! what a GPU is.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this layer is where they are allowed"
)]

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

pub use hosts::{HOSTS, host_tree};
pub use meta::{FileKind, Meta, Space};
pub use observed::Observed;
pub use output::{create_new, environment, stdout_width, write_stderr, write_stdout};
pub use sysroot::{Dir, OpenRootError, Sysroot};
pub use tree::{Node, Tree};
