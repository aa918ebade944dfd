//! The command line: the list of verbs.

use clap::{Parser, Subcommand};

use crate::commands::{self, Global};

/// Give a spare GPU to a Windows virtual machine, and take it back
///
/// Looking changes nothing and needs no root. Exit codes: 0 yes or done, 1 the answer is no,
/// 2 the program could not answer.
#[derive(Debug, Parser)]
#[command(name = "passthru", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Inspect(commands::inspect::Args),
    Check(commands::check::Args),
    Explain(commands::explain::Args),
    Plan(commands::plan::Args),
    Apply(commands::apply::Args),
    Verify(commands::verify::Args),
    Promote(commands::promote::Args),
    Undo(commands::undo::Args),
    Log(commands::log::Args),
    Recover(commands::recover::Args),
    Vm(commands::vm::Args),
    Capture(commands::capture::Args),
}
