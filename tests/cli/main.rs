//! Everything that is tested through the program itself, in one binary.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    dead_code
)]

mod agreement;
mod apply;
mod bad_input;
mod capture;
mod findings;
mod generated;
mod groups;
mod harness;
mod layers;
mod plans;
mod snapshots;
mod tools;
