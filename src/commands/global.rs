//! Options of every verb, and what follows from them.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::error::Error;
use crate::sys::{HOSTS, Sysroot, host_tree};
use crate::ui::{ColorChoice, Detail, Ui};

/// Options of every verb.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// Look at the system below this directory, or at a capture file
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Look at one of the recorded hosts inside the program (`--host help` names them), or at a
    /// capture file
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

impl Global {
    /// Where words go, and how they look.
    pub fn ui(&self) -> Ui {
        let color = match self.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::AlwaysAnsi,
            Color::Never => ColorChoice::Never,
        };
        let detail = match (self.verbose, self.quiet) {
            (true, _) => Detail::Everything,
            (_, true) => Detail::AnswerOnly,
            _ => Detail::Usual,
        };
        Ui::new(color, detail)
    }

    /// Opens what `--root` or `--host` names.
    pub fn open_root(&self) -> Result<Sysroot, Error> {
        let Some(name) = &self.host else { return Ok(Sysroot::open(&self.root)?) };
        match host_tree(name) {
            Some(Ok(tree)) => Ok(Sysroot::from_tree(tree)),
            Some(Err(error)) => {
                Err(Error::because(format!("cannot read the recorded host `{name}`"), &error))
            }
            None if name.contains('/') || name.ends_with(".tree") => {
                Ok(Sysroot::open(Path::new(name))?)
            }
            None => {
                let names: Vec<&str> = HOSTS.iter().map(|(name, _)| *name).collect();
                Err(Error::new(format!("there is no recorded host `{name}`"))
                    .hint(format!("Recorded hosts: {}.", names.join(", ")))
                    .hint("A capture of another machine is named by its file: --host FILE.tree."))
            }
        }
    }
}
