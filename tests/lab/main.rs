//! Whole hosts on emulated machines: real boot loaders, images, hooks and reboots. Each story is
//! told through `passthru`, and judged by what the guest's kernel and files then say.
//! `cargo xtask lab` runs them with the time of every step.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    dead_code
)]

mod guest;
mod image;
mod machine;
#[path = "../cli/tools/debian/packages.rs"]
mod packages;
#[path = "../kernel/program.rs"]
mod program;
mod progress;
mod stories;
#[path = "../kernel/topology.rs"]
mod topology;
