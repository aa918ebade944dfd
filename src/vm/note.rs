//! What passthru notes in the metadata of a domain: the wish that it was made from, and what was
//! attached. libvirt is the only database; it keeps metadata as it is.

use super::card::{Card, Function};
use super::domain::Domain;
use super::tune::Tuned;
use crate::config::xml::{Edits, Element, Written};

/// The namespace of the note.
pub const NAMESPACE: &str = "urn:passthru:vm:1";

/// An attached card, as noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Which card it was.
    pub card: Card,
    /// The root port that it stands behind.
    pub port: Port,
    /// The emulated screen that gave way to it.
    pub screen: Option<String>,
    /// The frame buffer that is shared with the host.
    pub shared_memory: bool,
}

/// A root port, by its index, which is the guest's bus behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// Made for the card, and goes with it.
    Made(u32),
    /// It was there, with nothing behind it, and stays.
    Found(u32),
}

impl Port {
    /// Its index.
    pub fn index(self) -> u32 {
        match self {
            Self::Made(index) | Self::Found(index) => index,
        }
    }
}

/// The note of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Note {
    /// The wish, as TOML.
    pub spec: Option<String>,
    /// In order of attaching.
    pub attached: Vec<Attached>,
    /// What tuning left there.
    pub tuned: Option<Tuned>,
    /// Absolute path of the volume with the answers to Setup's questions, while it is in.
    pub answers: Option<String>,
}

impl Note {
    /// Reads the note of a domain; an empty one where there is none.
    pub fn of(domain: &Domain<'_>) -> Self {
        let Some(note) = element(domain) else { return Self::default() };
        let own = |name: &'static str| {
            note.children.iter().filter(move |child| child.local_name() == name)
        };
        Self {
            spec: own("spec").next().map(|spec| spec.text.clone()),
            attached: own("card").filter_map(attached).collect(),
            tuned: own("tuned").find_map(Tuned::read),
            answers: own("answers").find_map(|a| Some(a.attribute("path")?.to_owned())),
        }
    }
}

/// The element of the note.
pub fn element<'a>(domain: &'a Domain<'_>) -> Option<&'a Element> {
    let metadata = domain.root.child("metadata")?;
    metadata
        .children
        .iter()
        .find(|child| child.local_name() == "vm" && child.namespace() == Some(NAMESPACE))
}

fn attached(element: &Element) -> Option<Attached> {
    if element.local_name() != "card" {
        return None;
    }
    let of = |name: &'static str| {
        element.children.iter().filter(move |child| child.local_name() == name)
    };
    let functions = of("function").map(|function| {
        Some(Function {
            address: function.attribute("address")?.parse().ok()?,
            identity: function.attribute("identity")?.to_owned(),
        })
    });
    Some(Attached {
        card: Card {
            functions: functions.collect::<Option<Vec<_>>>()?,
            display: element.attribute("display")?.parse().ok()?,
        },
        port: {
            let index = element.attribute("port")?.parse().ok()?;
            match element.attribute("root-port") {
                Some("found") => Port::Found(index),
                _ => Port::Made(index),
            }
        },
        screen: of("screen").next().map(|screen| screen.text.clone()),
        shared_memory: of("shared-memory").next().is_some(),
    })
}

/// The whole note of a new domain.
pub fn with_spec(spec: &str) -> Written {
    Written::new("passthru:vm")
        .with("xmlns:passthru", NAMESPACE)
        .and(Written::text("passthru:spec", spec))
}

/// A card as it is noted.
pub fn card(attached: &Attached) -> Written {
    let functions = attached.card.functions.iter().map(|function| {
        Written::new("passthru:function")
            .with("address", function.address)
            .with("identity", &function.identity)
    });
    let screen = attached.screen.as_ref().map(|text| Written::text("passthru:screen", text));
    let shared = attached.shared_memory.then(|| Written::new("passthru:shared-memory"));
    let noted = Written::new("passthru:card")
        .with("display", attached.card.display)
        .with("port", attached.port.index());
    let noted = match attached.port {
        Port::Made(_) => noted,
        Port::Found(_) => noted.with("root-port", "found"),
    };
    noted.and_all(functions).and_all(screen).and_all(shared)
}

/// The volume with the answers as it is noted.
pub fn answers(path: &str) -> Written {
    Written::new("passthru:answers").with("path", path)
}

/// What a domain had in the place of the note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Had {
    /// No metadata.
    Nothing,
    /// Metadata written as one tag.
    Tag,
}

/// Notes something, whose names have the prefix `passthru:`.
pub fn add(edits: &mut Edits<'_>, domain: &Domain<'_>, noted: Written) {
    if let Some(note) = element(domain) {
        let prefix = note.name.split_once(':').map_or("passthru", |(prefix, _)| prefix);
        let text = noted.render().replace("passthru:", &format!("{prefix}:"));
        return edits.append(note, &[text]);
    }
    let note = move |had: Option<Had>| {
        let note = Written::new("passthru:vm").with("xmlns:passthru", NAMESPACE);
        let note = match had {
            Some(Had::Nothing) => note.with("metadata", "made"),
            Some(Had::Tag) => note.with("metadata", "opened"),
            None => note,
        };
        note.and(noted)
    };
    match domain.root.child("metadata") {
        Some(metadata) => {
            let had = metadata.inside.is_none().then_some(Had::Tag);
            edits.append(metadata, &[note(had).render()]);
        }
        None => {
            let made = Written::new("metadata").and(note(Some(Had::Nothing)));
            edits.append(&domain.root, &[made.render()]);
        }
    }
}

/// Takes the note of a card out.
pub fn remove_card(edits: &mut Edits<'_>, domain: &Domain<'_>, card: &Card) {
    cut(edits, domain, |child| attached(child).is_some_and(|found| found.card == *card));
}

/// Takes the note of the volume with the answers out.
pub fn remove_answers(edits: &mut Edits<'_>, domain: &Domain<'_>) {
    cut(edits, domain, |child| child.local_name() == "answers");
}

/// Takes what was noted first out of all that fits, and with it all that was made for it alone.
pub fn cut(edits: &mut Edits<'_>, domain: &Domain<'_>, fits: impl Fn(&Element) -> bool) {
    let Some(note) = element(domain) else { return };
    let Some(noted) = note.children.iter().find(|child| fits(child)) else { return };
    if note.children.len() > 1 {
        return edits.remove(noted);
    }
    let Some(metadata) = domain.root.child("metadata") else { return };
    match note.attribute("metadata") {
        Some("made") if metadata.children.len() == 1 => edits.remove(metadata),
        Some("opened") if metadata.children.len() == 1 => {
            edits.replace(metadata.span.clone(), "<metadata/>");
        }
        _ => edits.remove(note),
    }
}
