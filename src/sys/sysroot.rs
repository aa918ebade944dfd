//! Reading inside a root: the running system, a directory, or a recorded tree.
//!
//! Every path is relative to that root, and no symbolic link leads out of it
//! (openat2(2), RESOLVE_IN_ROOT). Nothing is ever written here, and opening does not
//! block on a FIFO or wake a device.

use std::cell::RefCell;
use std::fmt;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::observed::Observed;
use super::record::{Recording, Seen};
use super::tree::{Node, Tree, TreeError};

/// Files larger than this are not configuration: 32 MiB.
const MAX_FILE: usize = 32 << 20;

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

/// A root that cannot be looked at at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenRootError {
    /// The directory or file cannot be opened.
    #[error("cannot open the root {}: {source}", path.display())]
    Open {
        /// What was asked for.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that is no capture.
    #[error("cannot read the capture {}: {source}", path.display())]
    Capture {
        /// What was asked for.
        path: PathBuf,
        /// Why not.
        source: TreeError,
    },
}

#[derive(Debug)]
enum Source {
    Directory(OwnedFd),
    Tree(Box<Tree>),
}

/// The system that is looked at.
#[derive(Debug)]
pub struct Sysroot {
    source: Source,
    live: bool,
    recording: RefCell<Option<Recording>>,
    unreadable: RefCell<Vec<(String, String)>>,
}

impl Sysroot {
    /// Opens `/`, another root directory, or a capture file.
    ///
    /// # Errors
    /// The path cannot be opened, or is a file that is no capture.
    pub fn open(path: &Path) -> Result<Self, OpenRootError> {
        let fail = |source: std::io::Error| OpenRootError::Open { path: path.to_owned(), source };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| fail(e.into()))?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| fail(e.into()))?;
        if kind_of(stat.st_mode) == FileKind::Directory {
            let live = rustix::fs::stat("/")
                .is_ok_and(|root| (root.st_dev, root.st_ino) == (stat.st_dev, stat.st_ino));
            return Ok(Self::new(Source::Directory(fd), live));
        }
        let bytes = read_all(&fd).map_err(|reason| fail(std::io::Error::other(reason)))?;
        let capture = |source| OpenRootError::Capture { path: path.to_owned(), source };
        let text = String::from_utf8(bytes).map_err(|_| capture(TreeError::NotATree))?;
        Ok(Self::from_tree(Tree::parse(&text).map_err(capture)?))
    }

    /// A recorded machine.
    pub fn from_tree(tree: Tree) -> Self {
        Self::new(Source::Tree(Box::new(tree)), false)
    }

    fn new(source: Source, live: bool) -> Self {
        Self { source, live, recording: RefCell::new(None), unreadable: RefCell::new(Vec::new()) }
    }

    /// True for the running system: reading some attributes there touches hardware.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// The recorded machine, where this root is one.
    pub fn tree(&self) -> Option<&Tree> {
        match &self.source {
            Source::Tree(tree) => Some(tree),
            Source::Directory(_) => None,
        }
    }

    /// Starts to keep everything that is seen.
    pub fn start_recording(&self) {
        *self.recording.borrow_mut() = Some(Recording::default());
    }

    /// What was seen since [`Sysroot::start_recording`].
    pub fn take_recording(&self) -> Option<Recording> {
        self.recording.borrow_mut().take()
    }

    /// Paths that could not be read so far, with the reason, in order of reading.
    pub fn unreadable(&self) -> Vec<(String, String)> {
        self.unreadable.borrow().clone()
    }

    /// Notes that a path could be read but not understood.
    pub fn note_unreadable(&self, path: &str, reason: &str) {
        let mut all = self.unreadable.borrow_mut();
        if !all.iter().any(|(known, _)| known == path) {
            all.push((path.to_owned(), reason.to_owned()));
        }
    }

    /// All bytes of a file.
    pub fn read(&self, path: &str) -> Observed<Vec<u8>> {
        let seen = self.read_raw(path);
        self.keep(path, &seen, |bytes| Seen::File(bytes.clone(), None));
        seen
    }

    /// A file as text; bytes that are not UTF-8 make it unreadable.
    pub fn text(&self, path: &str) -> Observed<String> {
        self.read(path).and_then(|bytes| self.utf8(path, bytes))
    }

    /// The lines of a large file that `keep` wants; only they enter a recording.
    pub fn lines(&self, path: &str, mut keep: impl FnMut(&[u8]) -> bool) -> Observed<String> {
        self.extract(path, |bytes| {
            let mut kept = Vec::new();
            let mut start = 0;
            for end in memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]) {
                let line = &bytes[start..end];
                if !line.is_empty() && keep(line) {
                    kept.extend_from_slice(line);
                    kept.push(b'\n');
                }
                start = end + 1;
            }
            kept
        })
    }

    /// What `part` takes out of a large file, which may be compressed with gzip; only that
    /// enters a recording, and from there `part` must take the same again.
    pub fn extract(&self, path: &str, part: impl FnOnce(&[u8]) -> Vec<u8>) -> Observed<String> {
        let seen = self.read_raw(path).map(|bytes| part(&inflate(bytes)));
        self.keep(path, &seen, |bytes| Seen::File(bytes.clone(), None));
        seen.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first line of a small attribute, without surrounding white space.
    pub fn line(&self, path: &str) -> Observed<String> {
        self.read(path).map(first_line)
    }

    /// The target text of a symbolic link.
    pub fn link(&self, path: &str) -> Observed<String> {
        let seen = match &self.source {
            Source::Tree(tree) => match tree.link(path) {
                Some(target) => Observed::Present(target.to_owned()),
                None => Observed::Absent,
            },
            Source::Directory(root) => read_link(root, path),
        };
        self.keep(path, &seen, |target| Seen::Link(target.clone()));
        seen
    }

    /// Names in a directory, sorted by bytes.
    pub fn list(&self, path: &str) -> Observed<Vec<String>> {
        let seen = match &self.source {
            Source::Tree(tree) => match (tree.list(path), tree.look(path)) {
                (_, Some(Node::Unreadable(reason))) => Observed::Unreadable(reason.clone()),
                (Some(names), _) => Observed::Present(names),
                (None, _) => Observed::Absent,
            },
            Source::Directory(root) => self.list_directory(root, path),
        };
        self.keep(path, &seen, |names| Seen::List(names.clone()));
        seen
    }

    fn list_directory(&self, root: &OwnedFd, path: &str) -> Observed<Vec<String>> {
        let fd = match open_in(root, path, OFlags::DIRECTORY) {
            Ok(fd) => fd,
            Err(errno) => return failed(errno),
        };
        let mut names = Vec::new();
        let entries = match rustix::fs::Dir::new(fd) {
            Ok(entries) => entries,
            Err(errno) => return failed(errno),
        };
        for entry in entries {
            match entry {
                Ok(entry) => match entry.file_name().to_str() {
                    Ok("." | "..") => {}
                    Ok(name) => names.push(name.to_owned()),
                    Err(_) => {
                        let shown = entry.file_name().to_string_lossy().into_owned();
                        self.note_unreadable(&join(path, &shown), "its name is not UTF-8");
                    }
                },
                Err(errno) => return failed(errno),
            }
        }
        names.sort_unstable();
        Observed::Present(names)
    }

    /// Size, time, mode and owner, following links.
    pub fn meta(&self, path: &str) -> Observed<Meta> {
        let seen = match &self.source {
            Source::Tree(tree) => match tree.look(path) {
                Some(Node::Present(meta)) => Observed::Present(meta.clone().unwrap_or_default()),
                Some(Node::File { bytes, meta }) => {
                    let size = bytes.len() as u64;
                    Observed::Present(Meta { size, ..meta.clone().unwrap_or_default() })
                }
                Some(Node::Dir) => Observed::Present(Meta {
                    kind: FileKind::Directory,
                    mode: 0o755,
                    ..Meta::default()
                }),
                Some(Node::Unreadable(reason)) => Observed::Unreadable(reason.clone()),
                None => Observed::Absent,
            },
            Source::Directory(root) => match open_in(root, path, OFlags::PATH) {
                Err(errno) => failed(errno),
                Ok(fd) => match rustix::fs::statat(&fd, "", AtFlags::EMPTY_PATH) {
                    Err(errno) => failed(errno),
                    Ok(stat) => Observed::Present(meta_of(&stat)),
                },
            },
        };
        self.keep(path, &seen, |meta| match meta.kind {
            FileKind::Directory => Seen::List(Vec::new()),
            _ => Seen::Present(Some(meta.clone())),
        });
        seen
    }

    /// Whether something is there; the content is not opened.
    pub fn exists(&self, path: &str) -> Observed<FileKind> {
        self.meta(path).map(|meta| meta.kind)
    }

    /// Free space of the filesystem that holds a path.
    pub fn space(&self, path: &str) -> Observed<Space> {
        let seen = match &self.source {
            Source::Tree(tree) => match tree.space(path) {
                Some(space) => Observed::Present(space),
                None => Observed::Absent,
            },
            Source::Directory(root) => match open_in(root, path, OFlags::PATH) {
                Err(errno) => failed(errno),
                Ok(fd) => match rustix::fs::fstatvfs(&fd) {
                    Err(errno) => failed(errno),
                    Ok(fs) => Observed::Present(Space {
                        free: fs.f_bavail.saturating_mul(fs.f_frsize),
                        total: fs.f_blocks.saturating_mul(fs.f_frsize),
                    }),
                },
            },
        };
        self.keep(path, &seen, |space| Seen::Space(*space));
        seen
    }

    /// The option ROM of a card on the running system: it is enabled, read, and disabled
    /// again (Documentation/PCI/sysfs-pci.rst). Root only; the one write of this layer's
    /// reading side, made only where the user asked for it.
    pub fn probe_rom(&self, path: &str) -> Observed<Vec<u8>> {
        let Source::Directory(root) = &self.source else {
            return self.read(path);
        };
        let fd = match open_in(root, path, OFlags::RDWR) {
            Ok(fd) => fd,
            Err(errno) => return failed(errno),
        };
        if let Err(errno) = rustix::io::pwrite(&fd, b"1", 0) {
            return failed(errno);
        }
        let seen = read_fd(&fd);
        let off = rustix::io::pwrite(&fd, b"0", 0);
        let seen = match off {
            Ok(_) => seen,
            Err(errno) => failed(errno),
        };
        self.keep(path, &seen, |bytes| Seen::File(bytes.clone(), None));
        seen
    }

    /// A directory whose attributes are read one after another.
    pub fn dir(&self, path: &str) -> Observed<Dir<'_>> {
        let place = match &self.source {
            Source::Tree(tree) => match (tree.resolve(path), tree.look(path)) {
                (Some(real), Some(Node::Dir)) => Place::Tree(real),
                (_, Some(Node::Unreadable(reason))) => {
                    return Observed::Unreadable(reason.clone());
                }
                _ => return Observed::Absent,
            },
            Source::Directory(root) => {
                match open_in(root, path, OFlags::PATH | OFlags::DIRECTORY) {
                    Ok(fd) => Place::Fd(fd),
                    Err(errno) => return failed(errno),
                }
            }
        };
        Observed::Present(Dir { root: self, path: path.to_owned(), place })
    }

    fn read_raw(&self, path: &str) -> Observed<Vec<u8>> {
        match &self.source {
            Source::Tree(tree) => match tree.look(path) {
                Some(Node::File { bytes, .. }) => Observed::Present(bytes.clone()),
                Some(Node::Unreadable(reason)) => Observed::Unreadable(reason.clone()),
                Some(Node::Dir) => Observed::Unreadable("it is a directory".to_owned()),
                Some(Node::Present(_)) => {
                    Observed::Unreadable("its content was not recorded".to_owned())
                }
                None => Observed::Absent,
            },
            Source::Directory(root) => match open_in(root, path, OFlags::empty()) {
                Ok(fd) => read_fd(&fd),
                Err(errno) => failed(errno),
            },
        }
    }

    fn utf8(&self, path: &str, bytes: Vec<u8>) -> Observed<String> {
        match String::from_utf8(bytes) {
            Ok(text) => Observed::Present(text),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let reason = format!("it is not UTF-8 text (byte {at})");
                self.note_unreadable(path, &reason);
                Observed::Unreadable(reason)
            }
        }
    }

    /// Notes what could not be read, and enters everything into a running recording.
    fn keep<T>(&self, path: &str, seen: &Observed<T>, how: impl FnOnce(&T) -> Seen) {
        if let Observed::Unreadable(reason) = seen {
            self.note_unreadable(path, reason);
        }
        if let Some(recording) = self.recording.borrow_mut().as_mut() {
            match seen {
                Observed::Present(value) => recording.add(path, how(value)),
                Observed::Unreadable(reason) => {
                    recording.add(path, Seen::Unreadable(reason.clone()));
                }
                Observed::Absent => {}
            }
        }
    }
}

#[derive(Debug)]
enum Place {
    Fd(OwnedFd),
    Tree(String),
}

/// An open directory: attributes in it cost one short path lookup each.
#[derive(Debug)]
pub struct Dir<'a> {
    root: &'a Sysroot,
    path: String,
    place: Place,
}

impl Dir<'_> {
    /// All bytes of the file `name` in this directory, which is no link.
    pub fn read(&self, name: &str) -> Observed<Vec<u8>> {
        let seen = match &self.place {
            Place::Tree(real) => self.root.read_raw(&join(real, name)),
            Place::Fd(dir) => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
                match rustix::fs::openat(dir, name, flags, Mode::empty()) {
                    Ok(fd) => read_attribute(&fd),
                    Err(errno) => failed(errno),
                }
            }
        };
        self.root.keep(&self.at(name), &seen, |bytes| Seen::File(bytes.clone(), None));
        seen
    }

    /// The first line of the attribute `name`.
    pub fn line(&self, name: &str) -> Observed<String> {
        self.read(name).map(first_line)
    }

    /// The target text of the link `name` in this directory.
    pub fn link(&self, name: &str) -> Observed<String> {
        let Place::Fd(dir) = &self.place else {
            return self.root.link(&self.at(name));
        };
        let seen = match rustix::fs::readlinkat(dir, name, Vec::new()) {
            Ok(target) => Observed::Present(target.to_string_lossy().into_owned()),
            Err(errno) => failed(errno),
        };
        self.root.keep(&self.at(name), &seen, |target| Seen::Link(target.clone()));
        seen
    }

    fn at(&self, name: &str) -> String {
        join(&self.path, name)
    }
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

fn open_in(root: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { "." } else { path };
    let flags = flags | OFlags::CLOEXEC;
    let flags = if flags.contains(OFlags::PATH) { flags } else { flags | OFlags::NONBLOCK };
    rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
}

fn read_link(root: &OwnedFd, path: &str) -> Observed<String> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let dir = match open_in(root, parent, OFlags::PATH | OFlags::DIRECTORY) {
        Ok(dir) => dir,
        Err(errno) => return failed(errno),
    };
    match rustix::fs::readlinkat(&dir, name, Vec::new()) {
        Ok(target) => Observed::Present(target.to_string_lossy().into_owned()),
        Err(Errno::INVAL) => Observed::Absent, // there, but no link
        Err(errno) => failed(errno),
    }
}

fn read_fd(fd: &OwnedFd) -> Observed<Vec<u8>> {
    match read_all(fd) {
        Ok(bytes) => Observed::Present(bytes),
        Err(reason) => Observed::Unreadable(reason),
    }
}

/// An attribute of sysfs is at most a page, and one read gives all of it
/// (Documentation/filesystems/sysfs.rst); binary attributes can be longer.
fn read_attribute(fd: &OwnedFd) -> Observed<Vec<u8>> {
    let mut page = [0_u8; 4096];
    match rustix::io::read(fd, &mut page) {
        Ok(n) if n < page.len() => Observed::Present(page[..n].to_vec()),
        Ok(_) => match read_rest(fd, page.to_vec()) {
            Ok(bytes) => Observed::Present(bytes),
            Err(reason) => Observed::Unreadable(reason),
        },
        Err(errno) => failed(errno),
    }
}

fn read_all(fd: &OwnedFd) -> Result<Vec<u8>, String> {
    let mut small = [0_u8; 4096];
    let mut bytes = Vec::new();
    loop {
        match rustix::io::read(fd, &mut small) {
            Ok(0) => return Ok(bytes),
            Ok(n) => {
                bytes.extend_from_slice(&small[..n]);
                if n == small.len() {
                    return read_rest(fd, bytes);
                }
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(reason(errno)),
        }
    }
}

/// The rest of a file that is longer than one small read, in large steps.
fn read_rest(fd: &OwnedFd, mut bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let mut step = vec![0_u8; 256 << 10];
    loop {
        match rustix::io::read(fd, &mut step[..]) {
            Ok(0) => return Ok(bytes),
            Ok(n) => bytes.extend_from_slice(&step[..n]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(reason(errno)),
        }
        if bytes.len() > MAX_FILE {
            return Err(format!("it is larger than {} MiB", MAX_FILE >> 20));
        }
    }
}

/// The content of a gzip file, or the bytes as they are: a recording holds
/// /proc/config.gz as plain text.
fn inflate(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return bytes;
    }
    let mut text = Vec::new();
    let limit = MAX_FILE as u64;
    let mut decoder = flate2::read::GzDecoder::new(&bytes[..]).take(limit);
    match decoder.read_to_end(&mut text) {
        Ok(_) => text,
        Err(_) => Vec::new(),
    }
}

fn failed<T>(errno: Errno) -> Observed<T> {
    match errno {
        Errno::NOENT | Errno::NOTDIR => Observed::Absent,
        errno => Observed::Unreadable(reason(errno)),
    }
}

/// What an error number means to a reader.
fn reason(errno: Errno) -> String {
    match errno {
        Errno::ACCESS | Errno::PERM => "permission denied (root may read it)".to_owned(),
        Errno::ISDIR => "it is a directory".to_owned(),
        Errno::LOOP => "its symbolic links form a loop".to_owned(),
        Errno::NOSYS => "this kernel lacks openat2 (Linux 5.6)".to_owned(),
        errno => std::io::Error::from(errno).to_string(),
    }
}

fn first_line(bytes: Vec<u8>) -> String {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(line).trim().to_owned()
}

fn kind_of(mode: rustix::fs::RawMode) -> FileKind {
    match rustix::fs::FileType::from_raw_mode(mode) {
        rustix::fs::FileType::RegularFile => FileKind::File,
        rustix::fs::FileType::Directory => FileKind::Directory,
        _ => FileKind::Other,
    }
}

fn meta_of(stat: &rustix::fs::Stat) -> Meta {
    Meta {
        kind: kind_of(stat.st_mode),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mtime: stat.st_mtime,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
    }
}
