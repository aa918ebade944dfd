//! `vm tune`: pins that follow the host's caches and cores.

use super::change::{Beside, Change, held_and_off};
use super::parsed;
use crate::commands::session::{RunArgs, Session};
use crate::commands::{Answer, Global};
use crate::error::Error;
use crate::host::Host;
use crate::host::cpu::CpuVendor;
use crate::host::resources::Resources;
use crate::libvirt::Libvirt;
use crate::transaction::VmVerb;
use crate::ui::Ui;
use crate::vm::domain::Domain;
use crate::vm::note::Note;
use crate::vm::tune::{Changed, Refused, Target, Wish, cores, off, pages, tune};

/// Pin a domain to whole cores of this host that share a cache, near its card
///
/// The guest gets whole cores of one kind (performance before efficiency cores), on the card's
/// NUMA node and on as few last-level caches as can be; the host keeps its first core. QEMU's own
/// work is pinned to what the host keeps, and the guest is shown the cores and threads that it
/// has. Each pin is printed with its reason. Tuning again begins from the domain as it was.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the domain
    name: String,
    /// Give it another number of virtual processors
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    cpus: Option<u32>,
    /// Take its memory from huge pages, if enough of them are reserved
    #[arg(long)]
    huge_pages: bool,
    /// Take out exactly what `vm tune` put there
    #[arg(long, conflicts_with_all = ["cpus", "huge_pages"])]
    off: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Tunes; says no where the user declines.
///
/// # Errors
/// The domain is not there, it does not fit on whole cores, somebody pinned it by hand, or libvirt
/// refuses.
pub fn run(args: &Args, libvirt: &Libvirt, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let session = Session::open(global, ui, args.run.deadline)?;
    let (held, xml) = held_and_off(&session, libvirt, &args.name)?;
    let host = session.host();
    let domain = parsed(&args.name, &xml)?;
    let changed = if args.off {
        off(&domain)
    } else {
        let target = Target {
            resources: &Resources::read(&session.root),
            card: card_node(&host, &domain),
            vendor: host.cpu.present().map_or(CpuVendor::Other, |cpu| cpu.vendor),
        };
        tune(&domain, Wish { cpus: args.cpus, huge_pages: args.huge_pages }, &target)
    };
    let Changed { text, tuning, remarks } = changed.map_err(|refused| why(&args.name, &refused))?;
    drop(domain);
    let change = Change {
        verb: VmVerb::Tune,
        libvirt,
        domain: &args.name,
        gpu: None,
        name: if args.off { format!("{}, off", args.name) } else { args.name.clone() },
        before: Some(xml),
        after: text,
        beside: Beside::default(),
        tuning,
        remarks,
        next: format!(
            "It holds from the next start on: `virsh start {name}`. Measure in the guest before and after; `passthru undo` takes it back.",
            name = args.name
        ),
    };
    change.make((&session, held, &host), &args.run, global, ui)
}

/// The node of its card, or else of another device of the host that it takes.
fn card_node(host: &Host, domain: &Domain<'_>) -> Option<u32> {
    let attached = Note::of(domain).attached;
    let displays = attached.iter().map(|attached| attached.card.display);
    displays.chain(domain.sources()).find_map(|address| host.device(address)?.numa_node)
}

fn why(name: &str, refused: &Refused) -> Error {
    let error = Error::because(format!("cannot tune {name}"), refused);
    match refused {
        Refused::Cores(cores::Refused::Unknown(_)) | Refused::NoDomain(_) => error,
        Refused::Cores(few) => {
            let fits: Vec<String> = few.fits().iter().map(ToString::to_string).collect();
            match fits.last() {
                None => error.hint("No number of virtual processors fits on whole cores of this host."),
                Some(most) => error.hint(format!("{} would fit: `passthru vm tune {name} --cpus {most}`. Pins over several NUMA nodes or kinds of cores have to be written by hand.", fits.join(" or "))),
            }
        }
        Refused::Pages(pages::Refused::Few { reserve, .. }) => {
            error.hint(format!("Reserve them: {reserve}")).hint("Or leave --huge-pages out.")
        }
        Refused::Pages(_) => error.hint("Leave --huge-pages out."),
        Refused::ByHand(_) => error.hint(format!("They stay as they are. Take them out with `virsh edit {name}` if passthru shall choose.")),
        Refused::Edited => error.hint(format!("`passthru undo` shows the edits. Take all pins out with `virsh edit {name}` if passthru shall choose.")),
        Refused::Hotplug => error.hint(format!("`virsh setvcpus {name} N --config` makes both numbers the same.")),
        Refused::NotTuned => error.hint(format!("`passthru vm show {name}` tells what passthru did to it.")),
        Refused::NoCount | Refused::NoMemory => error.hint(format!("`virsh edit {name}` shows it; libvirt writes both by itself.")),
    }
}
