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
mod clock;
mod directory;
mod fat;
mod hosts;
mod kernel_log;
mod meta;
mod observed;
mod output;
pub mod parallel;
pub mod process;
mod record;
mod signal;
mod sysroot;
mod tree;
mod vfio_group;
pub mod writer;

pub use archive::ArchiveEntry;
pub use clock::{Stopwatch, now, pause};
pub use fat::{VOLUME_SIZE, fat_volume, is_own_volume};
pub use hosts::{HOSTS, host_tree};
pub use meta::{FileKind, Meta, Space};
pub use observed::Observed;
pub use output::{
    can_ask, create_new, environment, first_line, read_answer, read_at_most, stdout_width,
    write_stderr, write_stdout,
};
pub use signal::StopRequest;
pub use sysroot::{Dir, OpenRootError, Sysroot};
pub use tree::{Node, Tree};
pub use vfio_group::VfioGroup;
