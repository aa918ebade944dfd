//! `vm attach`: the whole card into a domain.

use std::path::PathBuf;

use super::change::{Beside, Change};
use super::live::{Live, free_port};
use super::shared_memory::granted;
use super::{inactive, parsed};
use crate::check::{Case, Desired, Verdict};
use crate::commands::check::{could_look, judge, show};
use crate::commands::session::{RunArgs, Session};
use crate::commands::wish::Asked;
use crate::commands::{Answer, Global};
use crate::document::CheckDocument;
use crate::error::Error;
use crate::host::Host;
use crate::libvirt::Libvirt;
use crate::transaction::VmVerb;
use crate::ui::Ui;
use crate::vm::attach::{Refused, Screen, Wish, attach};
use crate::vm::card::{Card, Managed};
use crate::vm::domain::{Domain, Unfit};
use crate::vm::looking_glass::Frame;

/// Give a domain every function of the card, as one slot behind a root port of its own
///
/// Only what belongs to the card is added; every other byte of the domain stays. Address and ids
/// are noted in the domain, and `vm check` compares them with the host.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the domain
    name: String,
    /// Address (07:00.0), id (1002:73ff) or part of the name; left out, the card that
    /// /etc/passthru.toml names, or the one that makes sense
    gpu: Option<String>,
    /// An option ROM for the display function, where the card's own cannot be used
    #[arg(long, value_name = "FILE")]
    rom: Option<PathBuf>,
    /// Take the emulated screen away, so that Windows has only the card's
    #[arg(long)]
    no_display: bool,
    /// Leave the emulated screen (the default)
    #[arg(long, conflicts_with = "no_display")]
    keep_display: bool,
    /// Share memory for Looking Glass, for a frame of this size: 2560x1440, or 3840x2160@hdr
    #[arg(long, value_name = "WxH[@hdr]")]
    looking_glass: Option<Frame>,
    /// Who opens the shared memory; left out, the user that called sudo
    #[arg(long, value_name = "USER", requires = "looking_glass")]
    looking_glass_user: Option<String>,
    /// Plug the card into the running guest as well, where that can work: a card of a single
    /// function, and a root port that is free
    #[arg(long)]
    live: bool,
    /// Go on in spite of this blocker; may be repeated
    #[arg(long, value_name = "CODE")]
    allow: Vec<String>,
    #[command(flatten)]
    run: RunArgs,
}

/// Attaches; says no where the card cannot be given away, or where the user declines.
///
/// # Errors
/// The domain or the card is not there or not fit, or libvirt refuses.
pub fn run(args: &Args, libvirt: &Libvirt, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let session = Session::open(global, ui, args.run.deadline)?;
    let held = session.resume()?;
    let xml = inactive(libvirt, &args.name)?;
    let host = session.host();
    could_look(&host)?;
    let asked = Asked { gpu: args.gpu.clone(), allow: args.allow.clone(), ..Asked::default() };
    let desired: Desired = asked.on(&host)?;
    let (case, report) = judge(&host, &desired, ui)?;
    let (Some(gpu), Verdict::Ready | Verdict::Configurable) = (case.gpu(), report.verdict) else {
        show(&CheckDocument::of(&case, report, Vec::new()), global, ui)?;
        ui.status("Nothing was changed: see above for what to do first.");
        return Ok(Answer::No);
    };
    let card = Card::of(&host, gpu);
    let domain = parsed(&args.name, &xml)?;
    let mut remarks = elsewhere(libvirt, &args.name, &card)?;
    let plugged_behind =
        free_port((libvirt, &args.name), &domain, &card, args.live(), &mut remarks)?;
    let managed = card.managed(&host);
    if managed == Managed::ByLibvirt && report.has("gpu-drives-display") {
        return Err(Error::new(format!("the card {} shows the host's picture", card.display))
            .hint(format!("The guest's start would take it from the running desktop. `passthru apply {}` binds it at boot instead; after the reboot it can be attached.", card.display)));
    }
    if managed == Managed::ByLibvirt {
        let when = plugged_behind.map_or("when the guest starts", |_| "now");
        remarks.push(format!("The host does not bind the card at boot, so libvirt takes it from the host's driver {when}, which not every driver survives. `passthru plan` shows how to bind it at boot."));
    }
    let rom = args.rom.as_deref().map(|path| rom(&session, path)).transpose()?;
    let wish = Wish {
        card: &card,
        managed,
        rom: rom.as_deref(),
        screen: if args.no_display { Screen::Remove } else { Screen::Keep },
        shared_memory: args.looking_glass.map(|frame| frame.mebibytes()),
        free_port: plugged_behind,
    };
    let after = attach(&domain, &wish).map_err(|refused| why(&args.name, &refused))?;
    drop(domain);
    let beside = match args.looking_glass {
        Some(_) => granted(&session, args.looking_glass_user.as_deref(), &mut remarks)?,
        None => Beside {
            live: plugged_behind.map(|port| card.hostdevs(port, managed, None).concat()),
            ..Beside::default()
        },
    };
    let name = name_of(&host, &case);
    let change = Change {
        verb: VmVerb::Attach,
        libvirt,
        domain: &args.name,
        gpu: Some(card.display),
        name: format!("{name} for {}", args.name),
        before: Some(xml),
        after,
        beside,
        tuning: None,
        remarks,
        next: match plugged_behind {
            Some(_) => "Install the card's driver in Windows, which sees the card now. Where the Device Manager shows code 12, there is no room for its memory behind that port: shut Windows down and start it again.".to_owned(),
            None => format!(
                "`passthru vm check {name}` compares host and machine; then `virsh start {name}`, and install the card's driver in Windows.",
                name = args.name
            ),
        },
    };
    change.make((&session, held, &host), &args.run, global, ui)
}

fn name_of(host: &Host, case: &Case<'_>) -> String {
    case.display().map(|display| host.named(display)).unwrap_or_default()
}

impl Args {
    fn live(&self) -> Live {
        let options = [
            (self.rom.is_some(), "--rom"),
            (self.no_display, "--no-display"),
            (self.looking_glass.is_some(), "--looking-glass"),
        ];
        let needs_off = options.into_iter().find_map(|(is_asked, word)| is_asked.then_some(word));
        Live { is_asked: self.live, needs_off }
    }
}

/// A card has one guest at a time.
fn elsewhere(libvirt: &Libvirt, name: &str, card: &Card) -> Result<Vec<String>, Error> {
    let mut remarks = Vec::new();
    for other in libvirt.names()?.into_iter().filter(|other| other != name) {
        let takes = |xml: &str| {
            Domain::parse(xml).is_ok_and(|domain| domain.sources().any(|source| card.has(source)))
        };
        if libvirt.active(&other)?.is_some_and(|xml| takes(&xml)) {
            return Err(Error::new(format!("the domain {other} runs with this card"))
                .hint(format!("Shut it down first: `virsh shutdown {other}`.")));
        }
        if libvirt.inactive(&other)?.is_some_and(|xml| takes(&xml)) {
            remarks
                .push(format!("The domain {other} has this card too: only one of them can run."));
        }
    }
    Ok(remarks)
}

fn rom(session: &Session<'_>, path: &std::path::Path) -> Result<String, Error> {
    let whole = super::create::absolute(path)?;
    super::create::readable(session, "option ROM", &whole)?;
    Ok(whole)
}

fn why(name: &str, refused: &Refused) -> Error {
    let error = Error::because(format!("the card cannot be attached to {name}"), refused);
    let hint = match refused {
        Refused::Unfit(Unfit::Machine(_) | Unfit::Bios) => {
            "Windows does not survive a change of the machine or the firmware: `passthru vm create` makes one that fits, and its disk can be copied into it."
        }
        Refused::Attached(_) => "`passthru vm detach NAME` takes it out.",
        Refused::ByHand(_) => {
            "Take it out with `virsh edit` first, so that all functions go together."
        }
        _ => return error,
    };
    error.hint(hint)
}
