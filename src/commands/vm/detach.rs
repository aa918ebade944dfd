//! `vm detach`: what `vm attach` put there, out again.

use super::change::{Beside, Change, held_and_off};
use super::parsed;
use super::shared_memory::withdrawn;
use crate::commands::session::{RunArgs, Session};
use crate::commands::{Answer, Global};
use crate::error::Error;
use crate::host::pci::PciAddress;
use crate::libvirt::Libvirt;
use crate::transaction::VmVerb;
use crate::ui::Ui;
use crate::vm::detach::detach;
use crate::vm::note::{Attached, Note};

/// Take a card out of a domain: exactly what `vm attach` put there
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the domain
    name: String,
    /// Address of the card (07:00.0 or 07:00), where several are attached
    gpu: Option<String>,
    #[command(flatten)]
    run: RunArgs,
}

/// Detaches; says no where the user declines.
///
/// # Errors
/// The domain is not there or has no such card, or libvirt refuses.
pub fn run(args: &Args, libvirt: &Libvirt, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let session = Session::open(global, ui, args.run.deadline)?;
    let (held, xml) = held_and_off(&session, libvirt, &args.name)?;
    let host = session.host();
    let domain = parsed(&args.name, &xml)?;
    let note = Note::of(&domain);
    let attached = choose(&note, &args.name, args.gpu.as_deref())?;
    let detached = detach(&domain, attached);
    let beside = match attached.shared_memory {
        true => withdrawn(&session, libvirt, &args.name)?,
        false => Beside::default(),
    };
    let display = attached.card.display;
    let named = host.device(display).map_or_else(|| display.to_string(), |d| host.named(d));
    let change = Change {
        verb: VmVerb::Detach,
        libvirt,
        domain: &args.name,
        gpu: Some(display),
        name: format!("{named} from {}", args.name),
        before: Some(xml.clone()),
        after: detached.text,
        beside,
        tuning: None,
        remarks: detached.remarks,
        next: "The host keeps the card bound as it is: `passthru undo` takes that back.".to_owned(),
    };
    change.make((&session, held, &host), &args.run, global, ui)
}

fn choose<'a>(note: &'a Note, name: &str, gpu: Option<&str>) -> Result<&'a Attached, Error> {
    let all: Vec<String> = note.attached.iter().map(|a| a.card.display.to_string()).collect();
    let fits = |attached: &&Attached| match gpu {
        None => true,
        Some(text) => {
            let slot = format!("{text}.0").parse::<PciAddress>();
            let exact = text.parse::<PciAddress>();
            exact.is_ok_and(|address| attached.card.has(address))
                || slot.is_ok_and(|slot| slot.same_slot(attached.card.display))
        }
    };
    let fitting: Vec<&Attached> = note.attached.iter().filter(fits).collect();
    match fitting.as_slice() {
        [one] => Ok(one),
        [] if all.is_empty() => {
            Err(Error::new(format!("passthru attached no card to the domain {name}"))
                .hint("`passthru vm show NAME` shows its host devices."))
        }
        _ => Err(Error::new(format!("it is not clear which card of {name} is meant"))
            .hint(format!("Name one by its address: {}.", all.join(", ")))),
    }
}
