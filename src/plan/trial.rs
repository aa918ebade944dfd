//! Trying a configuration: its words stand in an entry of their own, which is started once.

use serde::{Deserialize, Serialize};

use super::binding::Binding;
use super::change::Command;
use super::edits::{CannotEdit, Edits, MARK};
use super::kernel_parameters::{ParameterChange, ids_in_modprobe};
use crate::check::{Case, Rollout};
use crate::host::Host;
use crate::host::once::{self, BootOnce, UNIT, WANTS};
use crate::host::selected::{BIND, IDS};

/// An entry that is started once, before the configuration becomes the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Trial {
    /// How it is selected.
    pub once: BootOnce,
    /// What the loader calls it.
    pub entry: String,
}

impl Trial {
    /// The command that selects it for the next boot.
    pub fn select(&self) -> Command {
        let mut argv = self.once.selecting().to_vec();
        argv.push(&self.entry);
        self.command(&argv, "start the entry on trial with the next boot, once")
    }

    /// The command that selects it no more.
    pub fn clear(&self) -> Command {
        self.command(self.once.clearing(), "let the next boot start the default entry again")
    }

    fn command(&self, argv: &[&str], because: &str) -> Command {
        let block = self.once.block().map(|path| format!("/{path}"));
        Command::new(argv, because).writing(block)
    }
}

/// Whether the words are tried first.
pub enum Decision {
    /// They are.
    Try(BootOnce),
    /// They go into the normal entries, since that was asked for or nothing is new in them.
    Standing,
    /// They cannot be, for this reason: the part of a sentence.
    Cannot(String),
}

/// Decides it.
pub fn decide(case: &Case<'_>, binding: &Binding, change: &ParameterChange) -> Decision {
    if case.desired.rollout == Rollout::Standing {
        return Decision::Standing;
    }
    if ids_in_modprobe(case, binding) {
        return Decision::Cannot(
            "the ids stand in modprobe.d, which counts for every entry".to_owned(),
        );
    }
    if change.is_empty() {
        return Decision::Standing;
    }
    let selects = [BIND, IDS].iter().find(|key| case.configured.last_value(key).is_some());
    if let Some(key) = selects {
        return Decision::Cannot(format!(
            "the normal entries have {key} already, and the images are made for one choice"
        ));
    }
    match once::find(case.host) {
        Ok(once) => Decision::Try(once),
        Err(reason) => Decision::Cannot(reason),
    }
}

/// The unit for a program at this path. Promoting runs other programs, which are taken back if the
/// machine is switched off meanwhile.
fn unit_text(program: &str) -> String {
    format!(
        "{MARK}
[Unit]
Description=Look whether what passthru has on trial took effect
After=multi-user.target

[Service]
Type=oneshot
ExecStart=/{program} verify --after-boot
SuccessExitStatus=1
TimeoutStopSec=15min
"
    )
}

/// Plans the unit that judges after the boot, where the program is in a directory in which only
/// root installs programs; elsewhere somebody else might replace what root runs.
///
/// # Errors
/// Somebody else's files have these names.
pub fn unit(host: &Host, edits: &mut Edits<'_>) -> Result<(), CannotEdit> {
    let Some(program) = host.os.own_program.as_deref() else { return Ok(()) };
    let because = ["card-on-host-driver"];
    edits.own(UNIT, &unit_text(program), 0o644, &because)?;
    let wants = "[Unit]\nWants=passthru-verify.service\n";
    edits.own(WANTS, &format!("{MARK}\n{wants}"), 0o644, &because)
}
