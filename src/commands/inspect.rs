//! `inspect`: what the machine is.

use super::{Answer, Global};
use crate::document::InspectDocument;
use crate::error::Error;
use crate::host::Host;
use crate::host::rom::Probe;
use crate::ui::Ui;

/// Show what this machine is: CPU, firmware, IOMMU groups, GPUs, boot chain
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the groups as the well-known shell loop around lspci does
    #[arg(long, conflicts_with = "json")]
    groups: bool,
    /// Read option ROMs too, which touches the cards (root only)
    #[arg(long)]
    probe: bool,
}

/// Shows the machine; says no where the PCI functions cannot be listed.
///
/// # Errors
/// The root cannot be opened, or the question names what does not exist.
pub fn run(args: &Args, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let root = global.open_root()?;
    let probe = if args.probe { Probe::Yes } else { Probe::No };
    let mut host = Host::read(&root, probe);
    if args.groups {
        host.read_revisions(&root);
    }
    super::check::could_look(&host)?;
    let document = InspectDocument::of(&host);
    if args.groups {
        ui.answer(&crate::ui::groups::render(&document))?;
    } else if global.json {
        ui.json(&document)?;
    } else {
        ui.answer(&crate::ui::inspect::render(&document, ui.page()))?;
    }
    Ok(Answer::Yes)
}
