//! Takes private data out of a recorded machine, the same thing always becoming the same mask.

use std::collections::BTreeMap;

use regex_lite::{Captures, Regex};

use crate::host::firmware::{EFIVARS, without_partitions};
use crate::host::rom;
use crate::sys::{Node, Tree};

/// Words that are too common to be taken for a name.
const COMMON: [&str; 16] = [
    "arch",
    "linux",
    "debian",
    "fedora",
    "ubuntu",
    "localhost",
    "host",
    "user",
    "root",
    "boot",
    "kernel",
    "desktop",
    "gentoo",
    "void",
    "nixos",
    "default",
];

/// Names that must not leave the machine.
#[derive(Debug, Default)]
pub struct Names {
    /// Host name.
    pub host: Option<String>,
    /// Login names of people.
    pub users: Vec<String>,
}

/// Replaces private data, remembering what became what.
#[derive(Debug)]
pub struct Mask {
    patterns: Vec<(Kind, Regex)>,
    names: Vec<(Regex, String)>,
    seen: BTreeMap<(Kind, String), usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Uuid,
    MachineId,
    Mac,
    InterfaceMac,
    DiskId,
    VolumeId,
    PartitionId,
}

/// What to look for; group 1, where there is one, is kept in front.
const PATTERNS: [(Kind, &str); 7] = [
    (
        Kind::Uuid,
        r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b",
    ),
    (Kind::MachineId, r"\b[0-9a-f]{32}\b"),
    (Kind::Mac, r"\b(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\b"),
    (Kind::InterfaceMac, r"\benx[0-9a-f]{12}\b"),
    (Kind::DiskId, r"(/dev/disk/by-id/)[^\s,;]+"),
    (Kind::VolumeId, r"(\bUUID=)[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}\b"),
    (Kind::PartitionId, r"(\bPARTUUID=)[0-9a-f]{8}-[0-9a-f]{2}\b"),
];

impl Kind {
    fn mask(self, number: usize) -> String {
        match self {
            Self::Uuid => format!("00000000-0000-0000-0000-{number:012x}"),
            Self::MachineId => format!("{number:032x}"),
            Self::Mac => format!("00:00:5e:00:53:{:02x}", number & 0xff), // RFC 7042, for documentation
            Self::InterfaceMac => format!("enx00005e0053{:02x}", number & 0xff),
            Self::DiskId => format!("masked-{number}"),
            Self::VolumeId => format!("0000-{number:04X}"),
            Self::PartitionId => format!("{number:08x}-01"),
        }
    }
}

impl Mask {
    /// Looks for the patterns and for these names.
    pub fn new(names: Names) -> Self {
        let compile = |pattern: &str| Regex::new(pattern).ok();
        let patterns =
            PATTERNS.iter().filter_map(|(kind, pattern)| Some((*kind, compile(pattern)?)));
        let users = names
            .users
            .iter()
            .enumerate()
            .map(|(index, name)| (name.clone(), format!("user{}", index + 1)));
        let host = names.host.iter().map(|name| (name.clone(), "host".to_owned()));
        let private =
            |name: &str| name.len() >= 3 && !COMMON.contains(&name.to_lowercase().as_str());
        let names = users.chain(host).filter(|(name, _)| private(name));
        let names = names.filter_map(|(name, mask)| {
            Some((compile(&format!(r"\b{}\b", regex_lite::escape(&name)))?, mask))
        });
        Self { patterns: patterns.collect(), names: names.collect(), seen: BTreeMap::new() }
    }

    /// A tree without private data.
    pub fn apply(mut self, recorded: &Tree) -> Tree {
        let mut tree = Tree::default();
        for (path, target) in recorded.links() {
            let (path, target) = (self.path(path), self.path(target));
            tree.insert_link(&path, &target);
        }
        for (path, node) in recorded.nodes() {
            let masked = match node {
                Node::File { bytes, meta } => {
                    Node::File { bytes: self.content(path, bytes), meta: meta.clone() }
                }
                other => other.clone(),
            };
            let path = self.path(path);
            tree.insert(&path, masked);
        }
        for (path, space) in recorded.spaces() {
            tree.insert_space(path, *space);
        }
        tree
    }

    /// EFI variables carry the GUID of a specification in their names, nothing private.
    fn path(&mut self, path: &str) -> String {
        if path.starts_with(EFIVARS) { path.to_owned() } else { self.patterns_in(path) }
    }

    fn content(&mut self, path: &str, bytes: &[u8]) -> Vec<u8> {
        if path.starts_with(EFIVARS) {
            return without_partitions(path, bytes);
        }
        if path.ends_with("/rom") {
            return rom::without_code(bytes).unwrap_or_default();
        }
        let Ok(text) = std::str::from_utf8(bytes) else { return bytes.to_vec() };
        let mut text = self.patterns_in(text);
        if !path.starts_with("sys/") {
            for (name, mask) in &self.names {
                text = name.replace_all(&text, mask.as_str()).into_owned();
            }
        }
        text.into_bytes()
    }

    fn patterns_in(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        let seen = &mut self.seen;
        for (kind, pattern) in &self.patterns {
            text = pattern
                .replace_all(&text, |found: &Captures<'_>| {
                    let whole = found.get(0).map_or("", |m| m.as_str());
                    let kept = found.get(1).map_or("", |m| m.as_str());
                    format!("{kept}{}", number(seen, *kind, &whole[kept.len()..]))
                })
                .into_owned();
        }
        text
    }
}

/// The mask of a value; one that is a mask already stays, so that masking twice changes nothing.
fn number(seen: &mut BTreeMap<(Kind, String), usize>, kind: Kind, value: &str) -> String {
    let value = value.to_lowercase();
    if (0..=0xff).any(|number| kind.mask(number).to_lowercase() == value) {
        return if kind == Kind::VolumeId { value.to_uppercase() } else { value };
    }
    let taken = seen.iter().filter(|((known, _), _)| *known == kind).count();
    let number = *seen.entry((kind, value)).or_insert(taken + 1);
    kind.mask(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        let names =
            Names { host: Some("falcon".into()), users: vec!["alice".into(), "arch".into()] };
        let mut tree = Tree::default();
        tree.insert("proc/cmdline", Node::File { bytes: text.as_bytes().to_vec(), meta: None });
        let tree = Mask::new(names).apply(&tree);
        match tree.look("proc/cmdline") {
            Some(Node::File { bytes, .. }) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        }
    }

    #[test]
    fn nothing_private_is_left() {
        let text = "root=UUID=8f0c5f54-41ff-4f5b-8c1e-0e2a3b4c5d6e home=/home/alice/x arch.conf \
                    ip=falcon aa:bb:cc:dd:ee:0f enxaabbccddee0f c80eb1b0d3094eab84ff90d9f8eecd5c \
                    UUID=AB12-34CD PARTUUID=deadbeef-02 /dev/disk/by-id/nvme-Samsung_S4EV 0000:07:00.0 1002:73ff";
        let want = "root=UUID=00000000-0000-0000-0000-000000000001 home=/home/user1/x arch.conf \
                    ip=host 00:00:5e:00:53:01 enx00005e005301 00000000000000000000000000000001 \
                    UUID=0000-0001 PARTUUID=00000001-01 /dev/disk/by-id/masked-1 0000:07:00.0 1002:73ff";
        assert_eq!(masked(text), want);
        assert_eq!(masked(want), want, "masking twice changes nothing");
    }

    #[test]
    fn the_same_stays_the_same() {
        let twice = "UUID=8f0c5f54-41ff-4f5b-8c1e-0e2a3b4c5d6e 11111111-41ff-4f5b-8c1e-0e2a3b4c5d6e \
                     8F0C5F54-41FF-4F5B-8C1E-0E2A3B4C5D6E";
        assert_eq!(
            masked(twice),
            "UUID=00000000-0000-0000-0000-000000000001 00000000-0000-0000-0000-000000000002 \
             00000000-0000-0000-0000-000000000001"
        );
    }
}
