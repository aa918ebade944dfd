//! Making, listing and removing directories.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{Result, WriteError, Writer, sync_dir, tolerant};

impl Writer {
    /// Makes a directory whose parent is there; one that is there already is fine.
    ///
    /// # Errors
    /// The system refuses.
    pub fn make_dir(&self, path: &str, mode: u32) -> Result<()> {
        let place = self.place(path)?;
        let fail = |errno| WriteError::new("make the directory", path, errno);
        match rustix::fs::mkdirat(&place.dir, place.name.as_str(), Mode::from_raw_mode(mode)) {
            Ok(()) => {
                // What mkdir(2) gives depends on the caller's umask.
                let made = self.directory(path).map_err(fail)?;
                tolerant(&made, rustix::fs::fchmod(&made, Mode::from_raw_mode(mode)))
                    .map_err(fail)?;
                sync_dir(&place.dir, path)
            }
            Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(fail(errno)),
        }
    }

    /// Removes a directory if it is empty; says whether it is gone.
    ///
    /// # Errors
    /// The system refuses for another reason than that something is in it.
    pub fn remove_dir(&self, path: &str) -> Result<bool> {
        let place = match self.place(path) {
            Ok(place) => place,
            Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(true),
            Err(error) => return Err(error),
        };
        match rustix::fs::unlinkat(&place.dir, place.name.as_str(), AtFlags::REMOVEDIR) {
            Ok(()) => sync_dir(&place.dir, path).map(|()| true),
            Err(Errno::NOENT) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            Err(errno) => Err(WriteError::new("remove the directory", path, errno)),
        }
    }

    /// Removes a directory of passthru's own with everything in it.
    ///
    /// # Errors
    /// The system refuses.
    pub fn remove_tree(&self, path: &str) -> Result<()> {
        let emptied = self.directory(path).and_then(|dir| empty(&dir));
        match emptied {
            Ok(()) => self.remove_dir(path).map(|_| ()),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(WriteError::new("remove everything in", path, errno)),
        }
    }

    /// Names in a directory, sorted; none where there is no directory.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self, path: &str) -> Result<Vec<String>> {
        let fail = |errno| WriteError::new("list", path, errno);
        let dir = match self.directory(path) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(errno) => return Err(fail(errno)),
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(dir).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// Removes what is in a directory; links are removed, not followed.
fn empty(dir: &OwnedFd) -> rustix::io::Result<()> {
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                empty(&rustix::fs::openat(dir, name, flags, Mode::empty())?)?;
                rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?;
            }
            other => other?,
        }
    }
    Ok(())
}
