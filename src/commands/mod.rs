//! One file per verb: its arguments beside its function.

pub mod capture;
pub mod check;
pub mod explain;
pub mod inspect;
pub mod plan;

use crate::cli::Global;
use crate::error::Error;
use crate::sys::{HOSTS, Sysroot, host_tree};

/// The answer of a verb, which decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Yes, or done: 0.
    Yes,
    /// The answer is no: 1.
    No,
}

/// Opens what `--root` or `--host` names.
pub fn open_root(global: &Global) -> Result<Sysroot, Error> {
    let Some(name) = &global.host else { return Ok(Sysroot::open(&global.root)?) };
    match host_tree(name) {
        Some(Ok(tree)) => Ok(Sysroot::from_tree(tree)),
        Some(Err(error)) => {
            Err(Error::because(format!("cannot read the recorded host `{name}`"), &error))
        }
        None => {
            let names: Vec<&str> = HOSTS.iter().map(|(name, _)| *name).collect();
            Err(Error::new(format!("there is no recorded host `{name}`"))
                .hint(format!("Recorded hosts: {}.", names.join(", "))))
        }
    }
}
