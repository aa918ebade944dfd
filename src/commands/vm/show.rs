//! `vm show`: a domain as passthru sees it.

use super::{inactive, parsed};
use crate::commands::{Answer, Global};
use crate::document::VmShowDocument;
use crate::error::Error;
use crate::host::Host;
use crate::host::rom::Probe;
use crate::libvirt::Libvirt;
use crate::ui::Ui;
use crate::vm::note::Note;

/// Show a domain: what it was made from, its cards, and whether they are on this host
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the domain
    name: String,
    /// Print the wish that it was made from, for `vm create --spec`
    #[arg(long, conflicts_with_all = ["xml", "json"])]
    spec: bool,
    /// Print the XML that its next start uses
    #[arg(long, conflicts_with = "json")]
    xml: bool,
}

/// Shows.
///
/// # Errors
/// The domain is not there, or libvirt does not answer.
pub fn run(args: &Args, libvirt: &Libvirt, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let xml = inactive(libvirt, &args.name)?;
    if args.xml {
        ui.answer(&xml)?;
        return Ok(Answer::Yes);
    }
    let domain = parsed(&args.name, &xml)?;
    let note = Note::of(&domain);
    if args.spec {
        let Some(spec) = &note.spec else {
            return Err(Error::new(format!("passthru did not make the domain {}", args.name))
                .hint("`vm show --xml NAME` prints its XML."));
        };
        ui.answer(spec)?;
        return Ok(Answer::Yes);
    }
    let host = Host::read(&global.open_root()?, Probe::No);
    let status = libvirt.status(&args.name)?;
    let document = VmShowDocument::of(
        libvirt.uri(),
        &args.name,
        &domain,
        &note,
        &host,
        (&status.state, status.autostart),
    );
    if global.json {
        ui.json(&document)?;
    } else {
        ui.answer(&crate::ui::vm::show(&document, ui.page()))?;
    }
    Ok(Answer::Yes)
}
