//! The command line: global options and the list of verbs.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::commands;

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

/// Options of every verb.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// Look at the system below this directory, or at a capture file
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Look at one of the recorded hosts inside the program (`list` names them)
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "root")]
    pub host: Option<String>,
    /// Print one JSON document
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Show the evidence and everything else that is left out by default
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Print nothing but the answer
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Inspect(commands::inspect::Args),
    Check(commands::check::Args),
    Explain(commands::explain::Args),
    Plan(commands::plan::Args),
    Capture(commands::capture::Args),
}
