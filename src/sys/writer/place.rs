//! Where a path really leads: the directory that holds the file, and its name there.

use std::os::fd::OwnedFd;

use rustix::fs::{Access, AtFlags, IFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{Result, WriteError, Writer};

/// Symbolic links that are followed before they count as a loop (MAXSYMLINKS of the kernel).
const MAX_LINKS: usize = 40;

/// The directory and the name that a path leads to, all links followed.
#[derive(Debug)]
pub struct Place {
    /// The directory, open.
    pub dir: OwnedFd,
    /// The name in it; it is no symbolic link.
    pub name: String,
    /// The same as a path inside the root, for messages.
    pub path: String,
}

/// Why a file could not be replaced, found before anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The filesystem is mounted read-only.
    ReadOnly,
    /// Its directory may not be written by this user.
    NoPermission,
    /// It has the attribute `i` or `a` of chattr(1), or its directory has.
    Immutable,
    /// Others than root may put files into its directory.
    OpenDirectory,
}

impl Writer {
    /// Follows links to the file that a path names, which need not be there.
    ///
    /// # Errors
    /// A directory on the way is missing, or links form a loop.
    pub fn place(&self, path: &str) -> Result<Place> {
        let fail = |errno| WriteError::new("open the directory of", path, errno);
        let parts = |path: &str| path.split('/').rev().map(str::to_owned).collect::<Vec<_>>();
        let mut pending = parts(path);
        let mut real: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = pending.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    real.pop();
                    continue;
                }
                _ => {}
            }
            let dir = self.directory(&real.join("/")).map_err(fail)?;
            match rustix::fs::readlinkat(&dir, part.as_str(), Vec::new()) {
                Ok(_) if links == MAX_LINKS => return Err(fail(Errno::LOOP)),
                Ok(target) => {
                    links += 1;
                    let target = target.to_string_lossy().into_owned();
                    if target.starts_with('/') {
                        real.clear();
                    }
                    pending.extend(parts(&target));
                }
                // INVAL: it is there and no link.
                Err(Errno::INVAL) => real.push(part),
                Err(Errno::NOENT) if pending.is_empty() => real.push(part),
                Err(errno) => return Err(fail(errno)),
            }
        }
        let path = real.join("/");
        let name = real.pop().ok_or_else(|| fail(Errno::INVAL))?;
        let dir = self.directory(&real.join("/")).map_err(fail)?;
        Ok(Place { dir, name, path })
    }

    /// True where the path itself is a symbolic link.
    pub fn is_link(&self, path: &str) -> bool {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.directory(parent)
            .is_ok_and(|dir| rustix::fs::readlinkat(&dir, name, Vec::new()).is_ok())
    }

    /// What would keep this process from replacing the file of a place.
    pub fn obstacle(&self, place: &Place) -> Option<Obstacle> {
        if let Some(obstacle) = obstacle_in(&place.dir) {
            return Some(obstacle);
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(&place.dir, place.name.as_str(), flags, Mode::empty()).ok()?;
        is_immutable(&file).then_some(Obstacle::Immutable)
    }

    /// What would keep this process from making files in a directory.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn dir_obstacle(&self, path: &str) -> Result<Option<Obstacle>> {
        let dir = self.directory(path).map_err(|errno| WriteError::new("open", path, errno))?;
        Ok(obstacle_in(&dir))
    }
}

fn obstacle_in(dir: &OwnedFd) -> Option<Obstacle> {
    match rustix::fs::accessat(dir, ".", Access::WRITE_OK, AtFlags::EACCESS) {
        Err(Errno::ROFS) => return Some(Obstacle::ReadOnly),
        Err(Errno::ACCESS | Errno::PERM) => return Some(Obstacle::NoPermission),
        _ => {}
    }
    if is_immutable(dir) {
        return Some(Obstacle::Immutable);
    }
    let open = rustix::fs::fstat(dir).is_ok_and(|stat| stat.st_mode & 0o002 != 0);
    open.then_some(Obstacle::OpenDirectory)
}

fn is_immutable(fd: &OwnedFd) -> bool {
    rustix::fs::ioctl_getflags(fd)
        .is_ok_and(|flags| flags.intersects(IFlags::IMMUTABLE | IFlags::APPEND))
}
