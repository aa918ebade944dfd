//! `vm attach` to a domain that is on: refused, or plugged with `--live` where that can work.

use super::change::not_off;
use super::parsed;
use crate::error::Error;
use crate::libvirt::Libvirt;
use crate::vm::card::Card;
use crate::vm::domain::Domain;
use crate::vm::live::{NotLive, Running, port};

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Live {
    /// `--live`.
    pub is_asked: bool,
    /// Another option, which a running domain cannot have.
    pub needs_off: Option<&'static str>,
}

/// The root port that the card is plugged behind; none where the domain is off.
///
/// # Errors
/// It is on, and the card cannot be plugged, or that was not asked for.
pub fn free_port(
    (libvirt, name): (&Libvirt, &str),
    inactive: &Domain<'_>,
    card: &Card,
    live: Live,
    remarks: &mut Vec<String>,
) -> Result<Option<u32>, Error> {
    let status = libvirt.status(name)?;
    let Some(active) = libvirt.active(name)? else {
        if live.is_asked {
            remarks.push(format!("The domain {name} is {}, so nothing is plugged: it has the card from its next start on.", status.state));
        }
        return Ok(None);
    };
    let running = Running {
        state: &status.state,
        persistent: status.persistent,
        active: &parsed(name, &active)?,
        inactive,
    };
    match (port(&running, card, live.needs_off), live.is_asked) {
        (Ok(port), true) => {
            remarks.push(format!("The card is plugged into the running guest as well (`virsh attach-device {name} … --live`), behind its root port {port}, which is free. To take it out again the domain has to be off."));
            Ok(Some(port))
        }
        (Ok(port), false) => Err(not_off(name, &status).hint(format!(
            "`--live` plugs the card into the running guest, behind its root port {port}, which is free."
        ))),
        (Err(why), false) => Err(not_off(name, &status).cause(why.to_string())),
        (Err(why), true) => {
            let error = Error::because(format!("the card cannot be plugged into {name}"), &why);
            Err(error.hint(next_step(name, &why)))
        }
    }
}

fn next_step(name: &str, why: &NotLive) -> String {
    match why {
        NotLive::State(state) if state == "paused" => {
            format!("`virsh resume {name}` lets it run again.")
        }
        NotLive::Transient => {
            format!("`virsh dumpxml {name}` and `virsh define` give it a definition.")
        }
        NotLive::There(_) => {
            format!("`passthru vm show {name}` shows whether it has it at its next start, too.")
        }
        NotLive::NoPort => format!(
            "Shut Windows down (`virsh shutdown {name}`), and attach the card without --live: it gets a root port of its own."
        ),
        NotLive::Functions(_) | NotLive::With(_) | NotLive::State(_) => format!(
            "Shut Windows down (`virsh shutdown {name}`), and attach the card without --live."
        ),
    }
}
