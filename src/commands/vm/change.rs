//! What all verbs that change a domain do: show the change, ask, and carry it out as a
//! transaction.

use crate::commands::session::{RunArgs, Session};
use crate::commands::{Answer, Global};
use crate::config::xml::Element;
use crate::document::{Diff, VmDocument, VmParts};
use crate::error::Error;
use crate::host::Host;
use crate::host::pci::PciAddress;
use crate::libvirt::{Libvirt, Status};
use crate::plan::{Command, Stage};
use crate::transaction::{
    Contents, DomainChange, Draft, File, Held, ImageChange, Secret, VmVerb, saved,
};
use crate::ui::Ui;
use crate::vm::compare::missing;
use crate::vm::tune::Tuning;

/// A change of a domain before it is made.
pub struct Change<'a> {
    /// Which verb.
    pub verb: VmVerb,
    /// Where the domain is.
    pub libvirt: &'a Libvirt,
    /// Its name.
    pub domain: &'a str,
    /// The card that it is about.
    pub gpu: Option<PciAddress>,
    /// What the log says that it is about.
    pub name: String,
    /// Its XML as it is.
    pub before: Option<String>,
    /// Its XML as it will be.
    pub after: String,
    /// What changes beside it.
    pub beside: Beside,
    /// What the domain is tuned to.
    pub tuning: Option<Tuning>,
    /// What should be known about it.
    pub remarks: Vec<String>,
    /// What to do next.
    pub next: String,
}

/// What changes together with a domain.
#[derive(Debug, Default)]
pub struct Beside {
    /// The image or volume that is made, or goes.
    pub image: Option<ImageChange>,
    /// What belongs into the volume.
    pub secret: Option<Secret>,
    /// A file of the host.
    pub file: Option<HostFile>,
    /// A program that reads it.
    pub command: Option<Command>,
    /// The host device that is plugged into the running domain as well, as XML.
    pub live: Option<String>,
}

/// A file of the host before and after.
#[derive(Debug)]
pub struct HostFile {
    /// Absolute path.
    pub path: String,
    /// As it is, with mode and owner.
    pub before: File,
    /// As it will be.
    pub after: File,
}

impl HostFile {
    fn diff(&self) -> Diff {
        let bytes = |file: &'_ File| file.as_ref().map(|(bytes, ..)| bytes.clone());
        Diff::between(&self.path, bytes(&self.before).as_deref(), bytes(&self.after).as_deref())
    }
}

impl Change<'_> {
    /// Shows it, asks, and makes it.
    ///
    /// # Errors
    /// Something failed; then everything was taken back.
    pub fn make(
        self,
        (session, held, host): (&Session<'_>, Option<Held<'_>>, &Host),
        run: &RunArgs,
        global: &Global,
        ui: &Ui,
    ) -> Result<Answer, Error> {
        let mut document = VmDocument::of(&VmParts {
            verb: self.verb,
            connect: self.libvirt.uri(),
            domain: self.domain,
            gpu: self.gpu,
            before: self.before.as_deref(),
            after: &self.after,
            image: self.beside.image.as_ref(),
            file: self.beside.file.as_ref().map(HostFile::diff),
            command: self.beside.command.as_ref(),
            tuning: self.tuning.as_ref(),
            remarks: &self.remarks,
            next: &self.next,
        });
        if self.before.as_deref().is_some_and(|before| same(before, &self.after)) {
            document.reason = Some("It is so already: nothing was changed.".to_owned());
            let said = crate::ui::vm::changed(&document, ui.page());
            if global.json {
                ui.json(&document)?
            } else {
                ui.answer(&said)?
            }
            return Ok(Answer::Yes);
        }
        if !global.json {
            ui.answer(&crate::ui::vm::change(&document, ui.page()))?;
        }
        let question = match self.beside.live {
            Some(_) => "Define it so, and plug the card into the running guest?",
            None => "Define it so?",
        };
        if !run.confirmed(question, global, ui)? {
            document.reason = Some("Nothing was changed.".to_owned());
        } else {
            let mut contents = Contents::new();
            let domain = DomainChange {
                verb: self.verb,
                connect: self.libvirt.uri().to_owned(),
                domain: self.domain.to_owned(),
                before: saved(self.before.as_deref(), &mut contents),
                after: saved(Some(&self.after), &mut contents),
                image: self.beside.image,
                live: self.beside.live,
            };
            let mut draft = Draft::of_vm(&self.name, self.gpu, domain, contents);
            draft.secret = self.beside.secret;
            draft.commands.extend(self.beside.command);
            if let Some(HostFile { path, before, after }) = self.beside.file {
                draft.add(&path, Stage::BeforeCommands, before, after);
            }
            let (record, _) = session.carry_out(held, &draft, host)?;
            document.transaction = Some(record.id);
        }
        if global.json {
            ui.json(&document)?;
        } else {
            ui.answer(&crate::ui::vm::changed(&document, ui.page()))?;
        }
        Ok(if document.transaction.is_some() { Answer::Yes } else { Answer::No })
    }
}

/// Two definitions say the same, in whatever order.
fn same(before: &str, after: &str) -> bool {
    match (Element::parse(before), Element::parse(after)) {
        (Ok(before), Ok(after)) => {
            missing(&before, &after).is_none() && missing(&after, &before).is_none()
        }
        _ => false,
    }
}

/// The store, and the XML of a domain that is off. It is read once the store is held: what a crash
/// left half done of it is taken back by then. A domain that runs is not changed: the change would
/// be seen only after its next start.
///
/// # Errors
/// There is no such domain, it runs, or libvirt does not answer.
pub fn held_and_off<'s>(
    session: &'s Session<'_>,
    libvirt: &Libvirt,
    name: &str,
) -> Result<(Option<Held<'s>>, String), Error> {
    let held = session.resume()?;
    let xml = super::inactive(libvirt, name)?;
    let status = libvirt.status(name)?;
    if status.is_off() { Ok((held, xml)) } else { Err(not_off(name, &status)) }
}

/// It is on, and was to be off.
pub fn not_off(name: &str, status: &Status) -> Error {
    Error::new(format!("the domain {name} is {}, and nothing was changed", status.state))
        .hint(format!("Shut Windows down (`virsh shutdown {name}`), and try again."))
}
