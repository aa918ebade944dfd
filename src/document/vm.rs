//! `vm`: what is done to a virtual machine, and what it is.

use serde::Serialize;

use super::Schema;
use super::apply::Diff;
use crate::check::Finding;
use crate::host::Host;
use crate::host::pci::PciAddress;
use crate::plan::Command;
use crate::transaction::{ImageChange, TransactionId, VmVerb};
use crate::vm::domain::Domain;
use crate::vm::note::{Attached, Note};
use crate::vm::tune::Tuning;

/// A change of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct VmDocument {
    /// Name and version of this form.
    schema: Schema,
    /// What is done.
    pub verb: VmVerb,
    /// URI of the libvirt connection.
    pub connect: String,
    /// Name of the domain.
    pub domain: String,
    /// Display function of the card that it is about.
    pub gpu: Option<PciAddress>,
    /// The domain before and after.
    pub change: Diff,
    /// The disk image that is made.
    pub image: Option<String>,
    /// What the domain is tuned to; `null` where it is not about that.
    pub tuning: Option<Tuning>,
    /// The volume with the answers to Setup's questions.
    pub volume: Option<VmVolume>,
    /// The file of the host that changes with it.
    pub file: Option<Diff>,
    /// The program that reads that file.
    pub command: Option<Vec<String>>,
    /// What should be known about it.
    pub remarks: Vec<String>,
    /// Its number; `null` where nothing was done.
    pub transaction: Option<TransactionId>,
    /// Why nothing was done.
    pub reason: Option<String>,
    /// What to do next.
    pub next: String,
}

/// A volume with answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct VmVolume {
    /// Absolute path.
    pub path: String,
    /// It is written; otherwise it is removed.
    pub written: bool,
}

/// What a [`VmDocument`] is made from.
pub struct VmParts<'a> {
    /// What is done.
    pub verb: VmVerb,
    /// URI of the libvirt connection.
    pub connect: &'a str,
    /// Name of the domain.
    pub domain: &'a str,
    /// The card.
    pub gpu: Option<PciAddress>,
    /// XML before.
    pub before: Option<&'a str>,
    /// XML after.
    pub after: &'a str,
    /// The image or volume that is made, or goes.
    pub image: Option<&'a ImageChange>,
    /// The file of the host that changes.
    pub file: Option<Diff>,
    /// The program that reads it.
    pub command: Option<&'a Command>,
    /// What the domain is tuned to.
    pub tuning: Option<&'a Tuning>,
    /// What should be known.
    pub remarks: &'a [String],
    /// What to do next.
    pub next: &'a str,
}

impl VmDocument {
    /// Before it is done.
    pub fn of(parts: &VmParts<'_>) -> Self {
        let path = format!("{}/{}", parts.connect, parts.domain);
        let before = parts.before.map(str::as_bytes);
        let volume = |image: &ImageChange| match image {
            ImageChange::WriteAnswers { path } | ImageChange::RemoveAnswers { path } => {
                Some(VmVolume { path: path.clone(), written: image.is_made() })
            }
            _ => None,
        };
        let made = |image: &ImageChange| match image {
            ImageChange::Make { path, .. } => Some(path.clone()),
            _ => None,
        };
        Self {
            schema: Schema { name: "vm", version: 1 },
            verb: parts.verb,
            connect: parts.connect.to_owned(),
            domain: parts.domain.to_owned(),
            gpu: parts.gpu,
            change: Diff::between(&path, before, Some(parts.after.as_bytes())),
            image: parts.image.and_then(made),
            volume: parts.image.and_then(volume),
            file: parts.file.clone(),
            command: parts.command.map(|command| command.argv.clone()),
            tuning: parts.tuning.cloned(),
            remarks: parts.remarks.to_vec(),
            transaction: None,
            reason: None,
            next: parts.next.to_owned(),
        }
    }
}

/// A domain as passthru sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct VmShowDocument {
    /// Name and version of this form.
    schema: Schema,
    /// URI of the libvirt connection.
    pub connect: String,
    /// Name of the domain.
    pub domain: String,
    /// As libvirt says it: `running`, `shut off`, ….
    pub state: String,
    /// libvirt starts it with the host.
    pub autostart: bool,
    /// A GPU can work in it, or why not.
    pub unfit: Option<String>,
    /// The wish that it was made from, as TOML.
    pub spec: Option<String>,
    /// Cards that passthru attached.
    pub cards: Vec<VmCard>,
    /// Where passthru pinned it, if it did.
    pub tuned: Option<VmTuned>,
    /// Functions of the host that it takes besides.
    pub other_hostdevs: Vec<PciAddress>,
    /// The volume with the answers to Setup's questions, while it is in.
    pub answers: Option<String>,
}

/// An attached card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct VmCard {
    /// Display function.
    pub gpu: PciAddress,
    /// Its name on this host.
    pub name: String,
    /// All its functions.
    pub functions: Vec<PciAddress>,
    /// The guest's bus that it is on.
    pub port: u32,
    /// How the host's card is another one, if it is.
    pub differs: Option<String>,
}

/// Where a domain is pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct VmTuned {
    /// Processors of the host, that of the first virtual processor first.
    pub cpus: Vec<u32>,
    /// Processors of the emulator and the iothreads.
    pub host: Vec<u32>,
}

impl VmShowDocument {
    /// From what was read.
    pub fn of(
        connect: &str,
        name: &str,
        domain: &Domain<'_>,
        note: &Note,
        host: &Host,
        (state, autostart): (&str, bool),
    ) -> Self {
        let card = |attached: &Attached| VmCard {
            gpu: attached.card.display,
            name: host.device(attached.card.display).map(|d| host.named(d)).unwrap_or_default(),
            functions: attached.card.functions.iter().map(|f| f.address).collect(),
            port: attached.port.index(),
            differs: attached.card.differs_on(host),
        };
        let own = |address: &PciAddress| note.attached.iter().any(|a| a.card.has(*address));
        Self {
            schema: Schema { name: "vm-show", version: 1 },
            connect: connect.to_owned(),
            domain: name.to_owned(),
            state: state.to_owned(),
            autostart,
            unfit: domain.fit().err().map(|unfit| unfit.to_string()),
            spec: note.spec.clone(),
            cards: note.attached.iter().map(card).collect(),
            tuned: note
                .tuned
                .as_ref()
                .map(|tuned| VmTuned { cpus: tuned.cpus.clone(), host: tuned.host.clone() }),
            other_hostdevs: domain.sources().filter(|address| !own(address)).collect(),
            answers: note.answers.clone(),
        }
    }
}

/// Host and domain against each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct VmCheckDocument {
    /// Name and version of this form.
    schema: Schema,
    /// URI of the libvirt connection.
    pub connect: String,
    /// Name of the domain.
    pub domain: String,
    /// Nothing stands in the way of its start.
    pub ready: bool,
    /// The worst first.
    pub findings: Vec<Finding>,
    /// What was looked at and is as it should be.
    pub holds: Vec<String>,
    /// What could not be looked at.
    pub unknown: Vec<String>,
}

impl VmCheckDocument {
    /// From what was found.
    pub fn of(
        connect: &str,
        domain: &str,
        findings: Vec<Finding>,
        holds: Vec<String>,
        unknown: Vec<String>,
    ) -> Self {
        let ready = unknown.is_empty() && !findings.iter().any(Finding::stops);
        let schema = Schema { name: "vm-check", version: 1 };
        let (connect, domain) = (connect.to_owned(), domain.to_owned());
        Self { schema, connect, domain, ready, findings, holds, unknown }
    }
}
