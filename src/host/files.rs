//! The configuration files of the host, read once, kept with mode and owner.

use std::collections::BTreeMap;

use crate::sys::{FileKind, Meta, Observed, Sysroot};

/// Configuration larger than this is none: 1 MiB.
const MAX_CONFIG: u64 = 1 << 20;

/// A configuration file as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its text.
    pub text: String,
    /// Mode, owner, time.
    pub meta: Meta,
}

/// Every configuration file that was looked at, by path without leading slash.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Files {
    files: BTreeMap<String, Observed<ConfigFile>>,
    /// Directories that were listed, with the suffix that was looked for.
    listed: Vec<(String, String)>,
}

impl Files {
    /// Looks at one path; a second look at the same path reads nothing.
    pub fn read(&mut self, root: &Sysroot, path: &str) {
        if !self.files.contains_key(path) {
            self.files.insert(path.to_owned(), read_config(root, path));
        }
    }

    /// Looks at every file of a directory whose name ends so; returns how many there are.
    pub fn read_dir(&mut self, root: &Sysroot, dir: &str, suffix: &str) -> usize {
        let names = match root.list(dir) {
            Observed::Present(names) => names,
            Observed::Absent => Vec::new(),
            Observed::Unreadable(_) => return 0,
        };
        self.listed.push((dir.to_owned(), suffix.to_owned()));
        let wanted: Vec<_> = names.iter().filter(|name| name.ends_with(suffix)).collect();
        for name in &wanted {
            let path = format!("{dir}/{name}");
            // No tool descends from a drop-in directory, or minds a directory in it.
            if root.exists(&path).present() != Some(&FileKind::Directory) {
                self.read(root, &path);
            }
        }
        wanted.len()
    }

    /// Looks at one large file and keeps the lines that `keep` wants.
    pub fn read_lines(&mut self, root: &Sysroot, path: &str, keep: impl FnMut(&[u8]) -> bool) {
        let seen = root.lines(path, keep).map(|text| ConfigFile { text, meta: Meta::default() });
        self.files.insert(path.to_owned(), seen);
    }

    /// True where something stands at a path, readable or not.
    pub fn looked_there(&self, path: &str) -> bool {
        self.files.get(path).is_some_and(|seen| !seen.is_absent())
    }

    /// What was seen at a path.
    pub fn get(&self, path: &str) -> Observed<&ConfigFile> {
        match self.files.get(path) {
            Some(seen) => seen.as_ref(),
            None if self.is_listed(path) => Observed::Absent,
            None => Observed::Unreadable("it was not looked at".to_owned()),
        }
    }

    /// A name that was not found in a directory that was listed for such names.
    fn is_listed(&self, path: &str) -> bool {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.listed.iter().any(|(listed, suffix)| listed == dir && name.ends_with(suffix.as_str()))
    }

    /// The text at a path, if it was there.
    pub fn text(&self, path: &str) -> Option<&str> {
        Some(self.files.get(path)?.present()?.text.as_str())
    }

    /// True only where it was looked at and is there.
    pub fn has(&self, path: &str) -> bool {
        self.files.get(path).is_some_and(Observed::is_present)
    }

    /// Present files below a directory, with their text, in path order.
    pub fn below<'a>(&'a self, dir: &'a str) -> impl Iterator<Item = (&'a str, &'a ConfigFile)> {
        self.files.iter().filter_map(move |(path, seen)| {
            let inside = path.strip_prefix(dir)?.strip_prefix('/')?;
            (!inside.contains('/')).then_some((path.as_str(), seen.present()?))
        })
    }

    /// Paths that could not be read, with the reason.
    pub fn unreadable(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, seen)| match seen {
            Observed::Unreadable(reason) => Some((path.as_str(), reason.as_str())),
            _ => None,
        })
    }
}

fn read_config(root: &Sysroot, path: &str) -> Observed<ConfigFile> {
    let seen = match root.meta(path) {
        Observed::Present(meta) if meta.kind == FileKind::Directory => {
            Observed::Unreadable("it is a directory".to_owned())
        }
        Observed::Present(meta) if meta.kind == FileKind::Other => {
            Observed::Unreadable("it is no regular file".to_owned())
        }
        Observed::Present(meta) if meta.size > MAX_CONFIG => {
            Observed::Unreadable(format!("it is larger than {} MiB", MAX_CONFIG >> 20))
        }
        Observed::Present(meta) => root.text(path).and_then(|text| {
            if text.contains('\0') {
                Observed::Unreadable("it holds NUL bytes".to_owned())
            } else {
                Observed::Present(ConfigFile { text, meta })
            }
        }),
        Observed::Absent => Observed::Absent,
        Observed::Unreadable(reason) => Observed::Unreadable(reason),
    };
    if let Observed::Unreadable(reason) = &seen {
        root.note_unreadable(path, reason);
    }
    seen
}
