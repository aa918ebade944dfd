//! `vm`: the Windows machine, one file a verb.

mod attach;
mod change;
mod check;
mod create;
mod detach;
mod live;
pub mod shared_memory;
mod show;
mod tune;
mod unattended;

use clap::Subcommand;

use super::{Answer, Global};
use crate::error::Error;
use crate::libvirt::{Libvirt, SYSTEM};
use crate::ui::Ui;
use crate::vm::domain::Domain;

/// Make the Windows machine, give it the card, take the card back, pin it, and check both sides
#[derive(Debug, clap::Args)]
pub struct Args {
    /// URI of the libvirt of this machine that has it
    #[arg(long, global = true, value_name = "URI", default_value = SYSTEM)]
    connect: String,
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    Create(create::Args),
    Show(show::Args),
    Attach(attach::Args),
    Detach(detach::Args),
    Tune(tune::Args),
    Check(check::Args),
    Unattended(unattended::Args),
}

/// Does it.
///
/// # Errors
/// libvirt is not there, refuses, or the question names what does not exist.
pub fn run(args: &Args, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    here(global)?;
    let libvirt = Libvirt::new(&args.connect)?;
    match &args.verb {
        Verb::Create(args) => create::run(args, &libvirt, global, ui),
        Verb::Show(args) => show::run(args, &libvirt, global, ui),
        Verb::Attach(args) => attach::run(args, &libvirt, global, ui),
        Verb::Detach(args) => detach::run(args, &libvirt, global, ui),
        Verb::Tune(args) => tune::run(args, &libvirt, global, ui),
        Verb::Check(args) => check::run(args, &libvirt, global, ui),
        Verb::Unattended(args) => unattended::run(args, &libvirt, global, ui),
    }
}

/// libvirt is that of the running system, whatever root is looked at.
fn here(global: &Global) -> Result<(), Error> {
    if global.open_root()?.is_live() {
        return Ok(());
    }
    Err(Error::new("a virtual machine belongs to the running system, not to another root")
        .hint("Leave out --root and --host: libvirt answers only for the machine that it runs on."))
}

/// The XML that the next start of a domain uses.
///
/// # Errors
/// There is no such domain, or libvirt does not answer.
fn inactive(libvirt: &Libvirt, name: &str) -> Result<String, Error> {
    let names = libvirt.names()?;
    if names.iter().any(|known| known == name)
        && let Some(xml) = libvirt.inactive(name)?
    {
        return Ok(xml);
    }
    let all = if names.is_empty() { "There is none.".to_owned() } else { names.join(", ") };
    Err(Error::new(format!("{} has no domain `{name}`", libvirt.uri()))
        .hint(format!("Domains there: {all}")))
}

/// A domain as text, read.
///
/// # Errors
/// It is not understood.
fn parsed<'a>(name: &str, xml: &'a str) -> Result<Domain<'a>, Error> {
    Domain::parse(xml)
        .map_err(|error| Error::because(format!("cannot read the domain {name}"), &error))
}
