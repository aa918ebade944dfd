//! Atomic replacement: a new file beside the old one, complete and synced, takes its name.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;

use super::{Place, Result, WriteError, Writer, sync_dir, tolerant};

/// Ends the name of a file that is not complete yet. No reader of drop-in directories takes a
/// name that begins with a dot or ends so.
const UNFINISHED: &str = ".passthru-new";

/// What a new file gets where none is replaced, and what of it an old one is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Writer {
    /// Puts bytes at a path. Extended attributes of a file that stands there are kept.
    ///
    /// # Errors
    /// The old file is there as it was.
    pub fn replace(&self, path: &str, bytes: &[u8], attributes: Attributes) -> Result<()> {
        let place = self.place(path)?;
        self.swap(&place, path, attributes.mode, |file| {
            let fd = OwnedFd::from(file.try_clone()?);
            keep_owner(&fd, attributes)?;
            keep_attributes(&place, &fd)?;
            file.write_all(bytes)
        })
    }

    /// Puts a file of passthru's own, filled by `fill`.
    ///
    /// # Errors
    /// Nothing is left of it.
    pub fn put_with(
        &self,
        path: &str,
        mode: u32,
        fill: impl FnOnce(&mut std::fs::File) -> std::io::Result<()>,
    ) -> Result<()> {
        let place = self.place(path)?;
        self.swap(&place, path, mode, |file| {
            keep_attributes(&place, &OwnedFd::from(file.try_clone()?))?;
            fill(file)
        })
    }

    fn swap(
        &self,
        place: &Place,
        path: &str,
        mode: u32,
        fill: impl FnOnce(&mut std::fs::File) -> std::io::Result<()>,
    ) -> Result<()> {
        let unfinished = unfinished(&place.name);
        let written =
            create(&place.dir, &unfinished).map_err(std::io::Error::from).and_then(|fd| {
                let mut file = std::fs::File::from(fd);
                fill(&mut file)?;
                let fd = OwnedFd::from(file);
                // Last: until it is complete nobody else may read it, or run it.
                tolerant(&fd, rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode)))?;
                rustix::fs::fsync(&fd)?;
                rustix::fs::renameat(
                    &place.dir,
                    unfinished.as_str(),
                    &place.dir,
                    place.name.as_str(),
                )?;
                Ok(())
            });
        if let Err(error) = written {
            let _ = rustix::fs::unlinkat(&place.dir, unfinished.as_str(), AtFlags::empty());
            return Err(WriteError::new("write", path, error));
        }
        sync_dir(&place.dir, path)
    }

    /// Gives a file another name in the same directory.
    ///
    /// # Errors
    /// The system refuses.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (old, new) = (self.place(from)?, self.place(to)?);
        rustix::fs::renameat(&old.dir, old.name.as_str(), &new.dir, new.name.as_str())
            .map_err(|errno| WriteError::new("rename", from, errno))?;
        sync_dir(&new.dir, to)
    }

    /// Removes what a crash in the middle of a replacement left beside a path.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    pub fn sweep(&self, path: &str) -> Result<()> {
        let place = match self.place(path) {
            Ok(place) => place,
            // Where the directory is not there, nothing is.
            Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error),
        };
        match rustix::fs::unlinkat(&place.dir, unfinished(&place.name), AtFlags::empty()) {
            Ok(()) => sync_dir(&place.dir, path),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(WriteError::new("remove the unfinished copy of", path, errno)),
        }
    }
}

fn unfinished(name: &str) -> String {
    format!(".{name}{UNFINISHED}")
}

fn create(dir: &OwnedFd, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    match rustix::fs::openat(dir, name, flags, mode) {
        Err(Errno::EXIST) => {
            // Left by a crash: only one process writes at a time.
            rustix::fs::unlinkat(dir, name, AtFlags::empty())?;
            rustix::fs::openat(dir, name, flags, mode)
        }
        other => other,
    }
}

fn keep_owner(fd: &OwnedFd, wanted: Attributes) -> rustix::io::Result<()> {
    let stat = rustix::fs::fstat(fd)?;
    if (stat.st_uid, stat.st_gid) == (wanted.uid, wanted.gid) {
        return Ok(());
    }
    let owner = Uid::from_raw(wanted.uid);
    let group = Gid::from_raw(wanted.gid);
    match tolerant(fd, rustix::fs::fchown(fd, Some(owner), Some(group))) {
        // Only root gives files away; in a root of their own others make files of their own.
        Err(Errno::PERM) if !crate::sys::process::is_root() => Ok(()),
        other => other,
    }
}

/// Copies the extended attributes of the file that is replaced. Those that the system will not
/// let this process set (security labels of another policy) are left as the new file has them.
fn keep_attributes(place: &Place, new: &OwnedFd) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let old = match rustix::fs::openat(&place.dir, place.name.as_str(), flags, Mode::empty()) {
        Ok(old) => old,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    for (name, value) in attributes(&old) {
        match rustix::fs::fsetxattr(new, name.as_str(), &value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Extended attributes of an open file; none where the filesystem has none.
fn attributes(fd: &OwnedFd) -> BTreeMap<String, Vec<u8>> {
    let Ok(size) = rustix::fs::flistxattr_query(fd) else { return BTreeMap::new() };
    let mut names = vec![0_u8; size];
    if size == 0 || rustix::fs::flistxattr(fd, names.as_mut_slice()).is_err() {
        return BTreeMap::new();
    }
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let all = names.filter_map(|name| {
        let name = std::str::from_utf8(name).ok()?;
        let size = rustix::fs::fgetxattr_query(fd, name).ok()?;
        let mut value = vec![0_u8; size];
        rustix::fs::fgetxattr(fd, name, value.as_mut_slice()).ok()?;
        Some((name.to_owned(), value))
    });
    all.collect()
}
