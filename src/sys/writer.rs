//! Writing inside a root: files are replaced whole, and on the disk before a call returns.
//!
//! Like [`super::Sysroot`], no path leads out of the root. A symbolic link is followed to the file
//! that it names, which is then replaced; the link stays.

mod directories;
mod lock;
mod place;
mod replace;

use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::directory::{meta_of, open_in};
use super::meta::{FileKind, Meta};
pub use lock::{Lock, LockError};
pub use place::{Obstacle, Place};
pub use replace::Attributes;

/// A step on the disk that failed: what was being done, where, and what the system said.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} /{path}: {source}")]
pub struct WriteError {
    doing: &'static str,
    path: String,
    source: std::io::Error,
}

impl WriteError {
    /// What was being done, on which path inside the root, and why it failed.
    pub fn new(doing: &'static str, path: &str, source: impl Into<std::io::Error>) -> Self {
        Self { doing, path: path.to_owned(), source: source.into() }
    }

    /// The error number of the system, where it was one.
    pub fn errno(&self) -> Option<Errno> {
        self.source.raw_os_error().map(Errno::from_raw_os_error)
    }
}

type Result<T> = std::result::Result<T, WriteError>;

/// A file as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// All its bytes.
    pub bytes: Vec<u8>,
    /// Mode, owner, size.
    pub meta: Meta,
}

/// SHA-256 of bytes, as `sha256sum` prints it.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hash_of(file: &mut std::fs::File) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0_u8; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A root directory that may be written.
#[derive(Debug)]
pub struct Writer {
    root: OwnedFd,
}

impl Writer {
    /// Opens a root directory.
    ///
    /// # Errors
    /// It cannot be opened, or is no directory.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: rustix::fs::open(path, flags, Mode::empty())? })
    }

    fn open_at(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { "." } else { path };
        let flags = flags | OFlags::CLOEXEC;
        open_in(&self.root, path, flags)
    }

    fn directory(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// The file at a path, links followed; `None` where there is none.
    ///
    /// # Errors
    /// It is there and cannot be read, or is no regular file.
    pub fn look(&self, path: &str) -> Result<Option<Found>> {
        let fail = |errno: Errno| WriteError::new("read", path, errno);
        let fd = match self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(fail(errno)),
        };
        let meta = meta_of(&rustix::fs::fstat(&fd).map_err(fail)?);
        if meta.kind != FileKind::File {
            let odd = std::io::Error::other("it is no regular file");
            return Err(WriteError::new("read", path, odd));
        }
        let mut bytes = Vec::new();
        std::fs::File::from(fd)
            .read_to_end(&mut bytes)
            .map_err(|error| WriteError::new("read", path, error))?;
        Ok(Some(Found { bytes, meta }))
    }

    /// Removes a file; one that is not there is removed already.
    ///
    /// # Errors
    /// The system refuses.
    pub fn remove(&self, path: &str) -> Result<()> {
        let place = match self.place(path) {
            Ok(place) => place,
            Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error),
        };
        match rustix::fs::unlinkat(&place.dir, place.name.as_str(), AtFlags::empty()) {
            Ok(()) => sync_dir(&place.dir, path),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(WriteError::new("remove", path, errno)),
        }
    }

    /// Mode and owner of whatever is at a path, links followed.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn meta(&self, path: &str) -> Result<Option<Meta>> {
        let stat = self
            .open_at(path, OFlags::PATH)
            .and_then(|fd| rustix::fs::statat(&fd, "", AtFlags::EMPTY_PATH));
        match stat {
            Ok(stat) => Ok(Some(meta_of(&stat))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(WriteError::new("look at", path, errno)),
        }
    }

    /// Appends a line to a file and syncs it. What a torn earlier append left after the last
    /// line end is cut off first.
    ///
    /// # Errors
    /// The line may then be there in part.
    pub fn append_line(&self, path: &str, line: &str) -> Result<()> {
        let fail = |error: std::io::Error| WriteError::new("write", path, error);
        let place = self.place(path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(
            &place.dir,
            place.name.as_str(),
            flags | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o644),
        )
        .map_err(|errno| fail(errno.into()))?;
        let mut file = std::fs::File::from(fd);
        let mut old = Vec::new();
        file.read_to_end(&mut old).map_err(fail)?;
        let whole = memchr::memrchr(b'\n', &old).map_or(0, |at| at + 1);
        if whole < old.len() {
            file.set_len(whole as u64).map_err(fail)?;
        }
        let written = file.write_all(format!("{line}\n").as_bytes()).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // What is not sure to be on the disk must not be read back as if it were.
            let _ = file.set_len(whole as u64).and_then(|()| file.sync_all());
            return Err(fail(error));
        }
        if old.is_empty() { sync_dir(&place.dir, path) } else { Ok(()) }
    }

    /// Copies a file of any size, and says the digest of what was copied.
    ///
    /// # Errors
    /// Nothing of the target is left then.
    pub fn copy(&self, from: &str, to: &str, mode: u32) -> Result<String> {
        let source = self
            .open_at(from, OFlags::RDONLY)
            .map_err(|errno| WriteError::new("read", from, errno))?;
        let mut source = std::fs::File::from(source);
        let digest = hash_of(&mut source)
            .and_then(|digest| source.rewind().map(|()| digest))
            .map_err(|error| WriteError::new("read", from, error))?;
        self.put_with(to, mode, |target| std::io::copy(&mut source, target).map(|_| ()))?;
        Ok(digest)
    }

    /// Digest of a file of any size; `None` where there is none.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn digest_of(&self, path: &str) -> Result<Option<String>> {
        let source = match self.open_at(path, OFlags::RDONLY) {
            Ok(source) => source,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(WriteError::new("read", path, errno)),
        };
        let digest = hash_of(&mut std::fs::File::from(source));
        digest.map(Some).map_err(|error| WriteError::new("read", path, error))
    }

    /// Writes everything of a mounted filesystem to the disk: programs that ran may not have.
    pub fn sync(&self, path: &str) {
        if let Ok(dir) = self.directory(path) {
            let _ = rustix::fs::syncfs(dir);
        }
    }

    /// Opens a new file for a program's output.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn output_file(&self, path: &str) -> Result<std::fs::File> {
        let place = self.place(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(
            &place.dir,
            place.name.as_str(),
            flags | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o600),
        )
        .map_err(|errno| WriteError::new("write", path, errno))?;
        Ok(fd.into())
    }
}

/// A rename is on the disk only once its directory is (rename(2), fsync(2)).
fn sync_dir(dir: &OwnedFd, path: &str) -> Result<()> {
    rustix::fs::fsync(dir).map_err(|errno| WriteError::new("sync the directory of", path, errno))
}

/// FAT keeps neither owner nor most of the mode and refuses what it cannot keep
/// (fat_setattr in fs/fat/file.c); a boot partition is none the worse for it.
fn tolerant(fd: &OwnedFd, result: rustix::io::Result<()>) -> rustix::io::Result<()> {
    const MSDOS_SUPER_MAGIC: u64 = 0x4d44; // include/uapi/linux/magic.h
    match result {
        Err(Errno::PERM) => {
            let magic = rustix::fs::fstatfs(fd).map(|fs| u64::try_from(fs.f_type).unwrap_or(0))?;
            if magic == MSDOS_SUPER_MAGIC { Ok(()) } else { Err(Errno::PERM) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
