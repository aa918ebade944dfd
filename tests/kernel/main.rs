//! A kernel of Debian on emulated machines: does what passthru reads and writes mean what the
//! kernel makes of it? `cargo xtask kernel` runs these cases with the time of each.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    dead_code
)]

mod binding;
mod groups;
mod guest;
#[path = "../cli/harness.rs"]
mod harness;
mod host;
mod image;
mod kernel;
#[path = "../cli/tools/debian/packages.rs"]
mod packages;
mod program;
mod topology;
