//! Reading inside a root: the running system, a directory, or a recorded tree.
//!
//! Every path is relative to that root, and no symbolic link leads out of it. Nothing is ever
//! written here, and opening does not block on a FIFO or wake a device.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags};

use super::archive::{self, ArchiveEntry};
use super::directory::{self, Directory, MAX_FILE};
use super::meta::{FileKind, Meta, Space};
use super::observed::Observed;
use super::record::{Recording, Seen};
use super::tree::{Tree, TreeError};

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
pub(super) enum Source {
    Directory(Directory),
    Tree(Box<Tree>),
}

/// The system that is looked at.
#[derive(Debug)]
pub struct Sysroot {
    pub(super) source: Source,
    live: bool,
    recording: Mutex<Option<Recording>>,
    unreadable: Mutex<BTreeMap<String, String>>,
}

impl Sysroot {
    /// Opens `/`, another root directory, or a capture file.
    ///
    /// # Errors
    /// The path cannot be opened, or is a file that is no capture.
    pub fn open(path: &Path) -> Result<Self, OpenRootError> {
        let fail = |source: std::io::Error| OpenRootError::Open { path: path.to_owned(), source };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd =
            rustix::fs::open(path, flags, Mode::empty()).map_err(|error| fail(error.into()))?;
        let stat = rustix::fs::fstat(&fd).map_err(|error| fail(error.into()))?;
        if FileKind::of_mode(stat.st_mode) == FileKind::Directory {
            let directory = Directory::new(fd);
            let live = directory.is_live();
            return Ok(Self::new(Source::Directory(directory), live));
        }
        let bytes = match directory::whole(&fd) {
            Observed::Present(bytes) => bytes,
            Observed::Absent => Vec::new(),
            Observed::Unreadable(reason) => return Err(fail(std::io::Error::other(reason))),
        };
        let capture = |source| OpenRootError::Capture { path: path.to_owned(), source };
        let text = String::from_utf8(bytes).map_err(|_| capture(TreeError::NotATree))?;
        Ok(Self::from_tree(Tree::parse(&text).map_err(capture)?))
    }

    /// A recorded machine.
    pub fn from_tree(tree: Tree) -> Self {
        Self::new(Source::Tree(Box::new(tree)), false)
    }

    fn new(source: Source, live: bool) -> Self {
        Self { source, live, recording: Mutex::new(None), unreadable: Mutex::new(BTreeMap::new()) }
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
        *locked(&self.recording) = Some(Recording::default());
    }

    /// What was seen since [`Sysroot::start_recording`].
    pub fn take_recording(&self) -> Option<Recording> {
        locked(&self.recording).take()
    }

    /// Paths that could not be read so far, with the reason, in path order.
    pub fn unreadable(&self) -> Vec<(String, String)> {
        locked(&self.unreadable)
            .iter()
            .map(|(path, reason)| (path.clone(), reason.clone()))
            .collect()
    }

    /// Notes that a path could not be read, or not be understood; the first reason counts.
    pub fn note_unreadable(&self, path: &str, reason: &str) {
        locked(&self.unreadable).entry(path.to_owned()).or_insert_with(|| reason.to_owned());
    }

    /// All bytes of a file.
    pub fn read(&self, path: &str) -> Observed<Vec<u8>> {
        let seen = self.read_raw(path);
        self.keep(path, &seen, |bytes| Seen::File(bytes.clone(), None));
        seen
    }

    pub(super) fn read_raw(&self, path: &str) -> Observed<Vec<u8>> {
        match &self.source {
            Source::Directory(directory) => directory.read(path),
            Source::Tree(tree) => tree.read(path),
        }
    }

    /// A file as text; bytes that are not UTF-8 make it unreadable.
    pub fn text(&self, path: &str) -> Observed<String> {
        self.read(path).and_then(|bytes| match String::from_utf8(bytes) {
            Ok(text) => Observed::Present(text),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let reason = format!("it is not UTF-8 text (byte {at})");
                self.note_unreadable(path, &reason);
                Observed::Unreadable(reason)
            }
        })
    }

    /// The first line of a small attribute, without surrounding white space.
    pub fn line(&self, path: &str) -> Observed<String> {
        self.read(path).map(|bytes| first_line(&bytes))
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
        let seen = self.read_raw(path).and_then(inflate).map(|bytes| part(&bytes));
        self.keep(path, &seen, |bytes| Seen::File(bytes.clone(), None));
        seen.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Every entry of an initramfs image, read by the programs of this system. An image that is
    /// damaged or cut off is unreadable, whatever was seen of it; a recording has none.
    pub fn image(
        &self,
        path: &str,
        want: &dyn Fn(&str) -> bool,
        see: &mut dyn FnMut(ArchiveEntry),
    ) -> Observed<()> {
        let file = match &self.source {
            Source::Directory(directory) => directory.file(path),
            Source::Tree(tree) => match tree.look(path) {
                None => Observed::Absent,
                Some(_) => Observed::Unreadable("its content was not recorded".to_owned()),
            },
        };
        let seen = file.and_then(|file| match archive::walk(file, want, see) {
            Ok(()) => Observed::Present(()),
            Err(error) => Observed::Unreadable(error.to_string()),
        });
        if let Observed::Unreadable(reason) = &seen {
            self.note_unreadable(path, reason);
        }
        seen
    }

    /// The target text of a symbolic link.
    pub fn link(&self, path: &str) -> Observed<String> {
        let seen = match &self.source {
            Source::Directory(directory) => directory.link(path),
            Source::Tree(tree) => tree
                .link(path)
                .map_or(Observed::Absent, |target| Observed::Present(target.to_owned())),
        };
        self.keep(path, &seen, |target| Seen::Link(target.clone()));
        seen
    }

    /// Names in a directory, sorted by bytes.
    pub fn list(&self, path: &str) -> Observed<Vec<String>> {
        let seen = match &self.source {
            Source::Directory(directory) => directory.list(path, |name| {
                self.note_unreadable(&join(path, name), "its name is not UTF-8")
            }),
            Source::Tree(tree) => tree.list(path),
        };
        self.keep(path, &seen, |names| Seen::List(names.clone()));
        seen
    }

    /// Size, time, mode and owner, following links.
    pub fn meta(&self, path: &str) -> Observed<Meta> {
        let seen = match &self.source {
            Source::Directory(directory) => directory.meta(path),
            Source::Tree(tree) => tree.meta(path),
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
            Source::Directory(directory) => directory.space(path),
            Source::Tree(tree) => tree.space(path).map_or(Observed::Absent, Observed::Present),
        };
        self.keep(path, &seen, |space| Seen::Space(*space));
        seen
    }

    /// The option ROM of a card of the running system. Root only; the one write on the reading
    /// side, made only where the user asked for it.
    pub fn probe_rom(&self, path: &str) -> Observed<Vec<u8>> {
        let Source::Directory(directory) = &self.source else { return self.read(path) };
        let seen = directory.probe_rom(path);
        self.keep(path, &seen, |bytes| Seen::File(bytes.clone(), None));
        seen
    }

    /// A directory whose attributes are read one after another.
    pub fn dir(&self, path: &str) -> Observed<Dir<'_>> {
        let place = match &self.source {
            Source::Directory(directory) => directory.dir(path).map(Place::Open),
            Source::Tree(tree) => tree.dir(path).map(Place::Recorded),
        };
        if place.is_unreadable() {
            // What is in it stands in its entries; only that it is hidden is said here.
            self.keep(path, &place, |_| Seen::Present(None));
        }
        place.map(|place| Dir { root: self, path: path.to_owned(), place })
    }

    /// Notes what could not be read, and enters everything into a running recording.
    pub(super) fn keep<T>(&self, path: &str, seen: &Observed<T>, how: impl FnOnce(&T) -> Seen) {
        if let Observed::Unreadable(reason) = seen {
            self.note_unreadable(path, reason);
        }
        if let Some(recording) = locked(&self.recording).as_mut() {
            match seen {
                Observed::Present(value) => recording.add(path, how(value)),
                Observed::Unreadable(reason) => {
                    recording.add(path, Seen::Unreadable(reason.clone()))
                }
                Observed::Absent => {}
            }
        }
    }
}

#[derive(Debug)]
enum Place {
    Open(Directory),
    Recorded(String),
}

/// An open directory: attributes in it cost one short path lookup each.
#[derive(Debug)]
pub struct Dir<'a> {
    root: &'a Sysroot,
    path: String,
    place: Place,
}

impl Dir<'_> {
    /// All bytes of the attribute `name` in this directory, which is no link.
    pub fn read(&self, name: &str) -> Observed<Vec<u8>> {
        let seen = match &self.place {
            Place::Open(directory) => directory.attribute_here(name),
            Place::Recorded(real) => self.root.read_raw(&join(real, name)),
        };
        self.root.keep(&self.at(name), &seen, |bytes| Seen::File(bytes.clone(), None));
        seen
    }

    /// The first line of the attribute `name`.
    pub fn line(&self, name: &str) -> Observed<String> {
        self.read(name).map(|bytes| first_line(&bytes))
    }

    /// The target text of the link `name` in this directory.
    pub fn link(&self, name: &str) -> Observed<String> {
        let Place::Open(directory) = &self.place else { return self.root.link(&self.at(name)) };
        let seen = directory.link_here(name);
        self.root.keep(&self.at(name), &seen, |target| Seen::Link(target.clone()));
        seen
    }

    fn at(&self, name: &str) -> String {
        join(&self.path, name)
    }
}

/// What a thread that panicked left is as good as before: entries are whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

fn first_line(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(line).trim().to_owned()
}

/// The content of a gzip file, or the bytes as they are: a recording holds /proc/config.gz as
/// plain text.
fn inflate(bytes: Vec<u8>) -> Observed<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Observed::Present(bytes);
    }
    let mut text = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(&bytes[..]).take(MAX_FILE as u64);
    match decoder.read_to_end(&mut text) {
        Ok(_) => Observed::Present(text),
        Err(error) => Observed::Unreadable(format!("its gzip content is damaged: {error}")),
    }
}
