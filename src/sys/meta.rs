//! What can be known of a file without opening it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of thing a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else: device node, socket, FIFO.
    Other,
}

/// Size, time, mode and owner of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// What it is.
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    /// Last change, seconds since 1970.
    pub mtime: i64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Default for Meta {
    fn default() -> Self {
        Self { kind: FileKind::File, size: 0, mtime: 0, mode: 0o644, uid: 0, gid: 0 }
    }
}

impl fmt::Display for Meta {
    /// The attributes that differ from those of a plain empty file of root.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = Self::default();
        let mut words = Vec::new();
        if self.size != plain.size {
            words.push(format!("size={}", self.size));
        }
        if self.mtime != plain.mtime {
            words.push(format!("mtime={}", self.mtime));
        }
        if self.mode != plain.mode {
            words.push(format!("mode={:04o}", self.mode));
        }
        match self.kind {
            FileKind::File => {}
            FileKind::Directory => words.push("kind=directory".to_owned()),
            FileKind::Other => words.push("kind=other".to_owned()),
        }
        if (self.uid, self.gid) != (plain.uid, plain.gid) {
            words.push(format!("owner={}:{}", self.uid, self.gid));
        }
        f.write_str(&words.join(" "))
    }
}

impl Meta {
    /// Reads the words that [`Meta`]'s display form has.
    pub fn parse(words: &str) -> Option<Self> {
        let mut meta = Self::default();
        for word in words.split_whitespace() {
            let (key, value) = word.split_once('=')?;
            match key {
                "size" => meta.size = value.parse().ok()?,
                "mtime" => meta.mtime = value.parse().ok()?,
                "mode" => meta.mode = u32::from_str_radix(value, 8).ok()?,
                "kind" if value == "other" => meta.kind = FileKind::Other,
                "kind" if value == "directory" => meta.kind = FileKind::Directory,
                "owner" => {
                    let (uid, gid) = value.split_once(':')?;
                    meta.uid = uid.parse().ok()?;
                    meta.gid = gid.parse().ok()?;
                }
                _ => return None,
            }
        }
        Some(meta)
    }
}

/// Free and total bytes of a filesystem, for unprivileged users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// Bytes that can still be written.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "free={} total={}", self.free, self.total)
    }
}

impl Space {
    /// Reads `free=N total=N`.
    pub fn parse(words: &str) -> Option<Self> {
        let mut words = words.split_whitespace();
        let free = words.next()?.strip_prefix("free=")?.parse().ok()?;
        let total = words.next()?.strip_prefix("total=")?.parse().ok()?;
        words.next().is_none().then_some(Self { free, total })
    }
}

impl FileKind {
    /// From the mode bits of stat(2).
    pub fn of_mode(mode: rustix::fs::RawMode) -> Self {
        match rustix::fs::FileType::from_raw_mode(mode) {
            rustix::fs::FileType::RegularFile => Self::File,
            rustix::fs::FileType::Directory => Self::Directory,
            _ => Self::Other,
        }
    }
}
