//! passthru gives a spare GPU of a Linux PC to a Windows virtual machine, and can take it back.
//!
//! From below: [`sys`] touches the machine; [`config`] knows file formats; [`host`] is the
//! inventory, and [`capture`] one file of it; [`check`] judges it; [`plan`] decides what would
//! change; [`proof`] reads back what came of it; [`transaction`] carries it out or takes it back;
//! [`verify`] judges it after the reboot; [`vm`] is the Windows machine; [`document`] is the JSON contract; [`ui`] puts it into
//! words; [`commands`] and [`cli`] are the program. Only [`run`] is for others.
//! `docs/architecture.md` has the picture and the rules.

pub(crate) mod capture;
pub(crate) mod check;
pub(crate) mod cli;
pub(crate) mod commands;
pub(crate) mod config;
#[cfg(feature = "docs")]
pub mod docs;
pub(crate) mod document;
pub(crate) mod error;
pub(crate) mod host;
pub(crate) mod libvirt;
pub(crate) mod plan;
pub(crate) mod proof;
pub(crate) mod sys;
pub(crate) mod transaction;
pub(crate) mod ui;
pub(crate) mod verify;
pub(crate) mod vm;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Verb};
use commands::Answer;

/// Runs the program with these arguments, the first being its name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print(); // help and version too; a closed pipe has no reader
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let ui = cli.global.ui();
    let answer = match &cli.verb {
        Verb::Inspect(args) => commands::inspect::run(args, &cli.global, &ui),
        Verb::Check(args) => commands::check::run(args, &cli.global, &ui),
        Verb::Explain(args) => commands::explain::run(args, &cli.global, &ui),
        Verb::Plan(args) => commands::plan::run(args, &cli.global, &ui),
        Verb::Apply(args) => commands::apply::run(args, &cli.global, &ui),
        Verb::Verify(args) => commands::verify::run(args, &cli.global, &ui),
        Verb::Promote(args) => commands::promote::run(args, &cli.global, &ui),
        Verb::Undo(args) => commands::undo::run(args, &cli.global, &ui),
        Verb::Log(args) => commands::log::run(args, &cli.global, &ui),
        Verb::Recover(args) => commands::recover::run(args, &cli.global, &ui),
        Verb::Vm(args) => commands::vm::run(args, &cli.global, &ui),
        Verb::Capture(args) => commands::capture::run(args, &cli.global, &ui),
    };
    match answer {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(error) => {
            ui.error(&error);
            ExitCode::from(2)
        }
    }
}
