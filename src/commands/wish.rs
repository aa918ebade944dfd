//! What is wanted: from the command line, and from /etc/passthru.toml where no card is named.

use crate::check::{Desired, IdsIn, Rollout, pages};
use crate::error::Error;
use crate::host::intent::{INTENT, Intent, read};
use crate::host::{Host, Observed};

/// What stands on the command line.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The card.
    pub gpu: Option<String>,
    /// Where ids go.
    pub ids_in: Option<IdsIn>,
    /// Set `kvm.ignore_msrs`.
    pub ignore_msrs: bool,
    /// Codes of blockers that the user lifts.
    pub allow: Vec<String>,
    /// On trial, or at once.
    pub rollout: Rollout,
}

impl Asked {
    /// The wish on this host. What was asked for wins over what was written down.
    ///
    /// # Errors
    /// No card is named, and /etc/passthru.toml cannot be read or understood.
    pub fn on(self, host: &Host) -> Result<Desired, Error> {
        let known = if self.gpu.is_none() { intent(host)? } else { None };
        let mut desired = Desired {
            gpu: self.gpu,
            identity: Vec::new(),
            ids_in: self.ids_in.unwrap_or_default(),
            ignore_msrs: self.ignore_msrs,
            allow: self.allow,
            rollout: self.rollout,
        };
        if let Some(known) = known {
            desired.gpu = Some(known.gpu);
            desired.identity = known.ids;
            desired.ids_in = self.ids_in.unwrap_or(known.ids_in);
            desired.ignore_msrs |= known.ignore_msrs;
            let more = known.allow.into_iter().filter(|code| !desired.allow.contains(code));
            let more: Vec<String> = more.collect();
            desired.allow.extend(more);
        }
        Ok(desired)
    }
}

fn intent(host: &Host) -> Result<Option<Intent>, Error> {
    let wrong = |reason: &str| {
        Error::new(format!("cannot take the card from /{INTENT}: {reason}"))
            .hint("Name the card instead: `passthru plan GPU` writes the file anew if passthru wrote it.")
            .hint(format!("Or repair /{INTENT}, or remove it."))
    };
    let intent = match read(host) {
        Observed::Absent => return Ok(None),
        Observed::Unreadable(reason) => return Err(wrong(&reason)),
        Observed::Present(Err(error)) => return Err(wrong(&error.to_string())),
        Observed::Present(Ok(intent)) => intent,
    };
    match intent.allow.iter().find(|code| pages::page(code).is_none()) {
        Some(code) => Err(wrong(&format!("it allows `{code}`, and there is no such finding"))),
        None => Ok(Some(intent)),
    }
}
