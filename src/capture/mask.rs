//! Takes private data out of a recorded machine, the same thing always becoming the same mask.

use std::collections::BTreeMap;

use regex_lite::{Captures, Regex};

use crate::host::firmware::{EFIVARS, masked_variable};
use crate::host::libvirt::{DOMAINS, only_hostdevs};
use crate::host::rom;
use crate::sys::{Node, Tree};

/// Words that are too common to be taken for a name, or that mean something in what is recorded.
const COMMON: [&str; 30] = [
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
    "loader",
    "grub",
    "vfio",
    "kvm",
    "qemu",
    "libvirt",
    "passthru",
    "nvidia",
    "nouveau",
    "amd",
    "amdgpu",
    "radeon",
    "intel",
    "i915",
];

/// Names that must not leave the machine.
#[derive(Debug, Default)]
pub struct Names {
    /// Host name.
    pub host: Option<String>,
    /// Login names of people.
    pub users: Vec<String>,
    /// What the system calls itself and its kernel: a name that is a word in there is no
    /// secret, and the rest of the capture needs it (the host `pve` of a kernel `6.8.12-1-pve`).
    pub system: String,
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
    RaidId,
    VolumeId,
    NtfsId,
    PartitionId,
}

/// What to look for; group 1, where there is one, is kept in front.
const PATTERNS: [(Kind, &str); 10] = [
    (
        Kind::Uuid,
        r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b",
    ),
    (Kind::MachineId, r"\b[0-9a-f]{32}\b"),
    (Kind::Mac, r"\b[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}\b"),
    (Kind::Mac, r"(\bBOOTIF=01-)[0-9a-fA-F]{2}(?:-[0-9a-fA-F]{2}){5}\b"), // syslinux, PXE
    (Kind::InterfaceMac, r"\benx[0-9a-f]{12}\b"),
    // udev escapes what is not in its list of safe characters as \x20.
    (Kind::DiskId, r"(/dev/disk/by-id/)[0-9A-Za-z#+.:=@_\\-]+"),
    (Kind::RaidId, r"\b[0-9a-f]{8}(?::[0-9a-f]{8}){3}\b"),
    (Kind::VolumeId, r"(\bUUID=|/by-uuid/)[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}\b"),
    (Kind::NtfsId, r"(\bUUID=|/by-uuid/)[0-9A-F]{16}\b"),
    (Kind::PartitionId, r"(\bPARTUUID=|/by-partuuid/)[0-9a-f]{8}-[0-9a-f]{2}\b"),
];

impl Kind {
    fn mask(self, number: usize) -> String {
        match self {
            Self::Uuid => format!("00000000-0000-0000-0000-{number:012x}"),
            Self::MachineId => format!("{number:032x}"),
            Self::Mac => format!("00:00:5e:00:53:{:02x}", number & 0xff), // RFC 7042, for documentation
            Self::InterfaceMac => format!("enx00005e0053{:02x}", number & 0xff),
            Self::DiskId => format!("masked-{number}"),
            Self::RaidId => format!("00000000:00000000:00000000:{number:08x}"),
            Self::VolumeId => format!("0000-{number:04X}"),
            Self::NtfsId => format!("{number:016X}"),
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
        let known = |name: &str| {
            let word = compile(&format!(r"(?i)\b{}\b", regex_lite::escape(name)));
            word.is_some_and(|word| word.is_match(&names.system))
        };
        let private = |name: &str| {
            name.len() >= 3 && !COMMON.contains(&name.to_lowercase().as_str()) && !known(name)
        };
        let private = users.chain(host).filter(|(name, _)| private(name));
        let names = private.filter_map(|(name, mask)| {
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

    /// EFI variables carry the GUID of a specification in their names, nothing private. Names
    /// are looked for in file names only: directories are those of the system.
    fn path(&mut self, path: &str) -> String {
        if path.starts_with(EFIVARS) {
            return path.to_owned();
        }
        let path = self.patterns_in(path);
        if path.starts_with("sys/") {
            return path;
        }
        match path.rsplit_once('/') {
            Some((dir, name)) => format!("{dir}/{}", self.names_in(name)),
            None => path,
        }
    }

    fn content(&mut self, path: &str, bytes: &[u8]) -> Vec<u8> {
        if path.starts_with(EFIVARS) {
            return masked_variable(path, bytes, |text| {
                let text = self.patterns_in(text);
                self.names_in(&text)
            });
        }
        if path.ends_with("/rom") {
            return rom::without_code(bytes).unwrap_or_default();
        }
        let Ok(text) = std::str::from_utf8(bytes) else { return bytes.to_vec() };
        let text = if path.starts_with(DOMAINS) { only_hostdevs(text) } else { text.to_owned() };
        let text = self.patterns_in(&text);
        // In sysfs only names of mapped volumes are chosen by people.
        let text = if path.starts_with("sys/") && !path.ends_with("/dm/name") {
            text
        } else {
            self.names_in(&text)
        };
        text.into_bytes()
    }

    fn names_in(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, mask) in &self.names {
            text = name.replace_all(&text, mask.as_str()).into_owned();
        }
        text
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
        let upper = matches!(kind, Kind::VolumeId | Kind::NtfsId);
        return if upper { value.to_uppercase() } else { value };
    }
    let taken = seen.iter().filter(|((known, _), _)| *known == kind).count();
    let number = *seen.entry((kind, value)).or_insert(taken + 1);
    kind.mask(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        let names = Names {
            host: Some("falcon".into()),
            users: vec!["alice".into(), "arch".into(), "pve".into()],
            system: "6.8.12-1-pve".into(),
        };
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
                    UUID=AB12-34CD PARTUUID=deadbeef-02 '/dev/disk/by-id/nvme-Samsung_S4EV' 0000:07:00.0 1002:73ff \
                    /dev/disk/by-uuid/AB12-34CE BOOTIF=01-aa-bb-cc-dd-ee-01 UUID=01D5A8C0F5B4C0E0 \
                    rd.md.uuid=8f0c5f54:41ff4f5b:8c1e0e2a:3b4c5d6e 6.8.12-1-pve";
        let want = "root=UUID=00000000-0000-0000-0000-000000000001 home=/home/user1/x arch.conf \
                    ip=host 00:00:5e:00:53:01 enx00005e005301 00000000000000000000000000000001 \
                    UUID=0000-0001 PARTUUID=00000001-01 '/dev/disk/by-id/masked-1' 0000:07:00.0 1002:73ff \
                    /dev/disk/by-uuid/0000-0002 BOOTIF=01-00:00:5e:00:53:02 UUID=0000000000000001 \
                    rd.md.uuid=00000000:00000000:00000000:00000001 6.8.12-1-pve";
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
