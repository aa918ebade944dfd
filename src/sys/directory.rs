//! A root that is a directory: every look is a system call that cannot leave it.

use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::kernel_log;
use super::meta::{FileKind, Meta, Space};
use super::observed::Observed;

/// Files larger than this are not configuration: 32 MiB.
pub const MAX_FILE: usize = 32 << 20;
/// How much more room a file gets that turns out longer than it said.
const STEP: usize = 64 << 10;

/// An open directory that paths are looked up in (openat2(2), RESOLVE_IN_ROOT).
#[derive(Debug)]
pub struct Directory(OwnedFd);

impl Directory {
    /// Wraps an open directory.
    pub fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// True where this is the root of the running system.
    pub fn is_live(&self) -> bool {
        let root = rustix::fs::stat("/");
        let own = rustix::fs::fstat(&self.0);
        root.is_ok_and(|root| {
            own.is_ok_and(|own| (root.st_dev, root.st_ino) == (own.st_dev, own.st_ino))
        })
    }

    /// All bytes of a file.
    pub fn read(&self, path: &str) -> Observed<Vec<u8>> {
        match self.open(path, OFlags::empty()) {
            Ok(fd) => whole(&fd),
            Err(errno) => failed(errno),
        }
    }

    /// Records of the kernel's log that `keep` wants, oldest first; at most `most` of them.
    pub fn records(
        &self,
        path: &str,
        most: usize,
        keep: impl FnMut(&[u8]) -> bool,
    ) -> Observed<Vec<u8>> {
        let fd = match self.open(path, OFlags::empty()) {
            Ok(fd) => fd,
            Err(errno) => return failed(errno),
        };
        match kernel_log::collect(|record| rustix::io::read(&fd, record), most, keep) {
            Ok(kept) => Observed::Present(kept),
            Err(errno) => Observed::Unreadable(reason(errno)),
        }
    }

    /// A regular file, open for reading from its beginning.
    pub fn file(&self, path: &str) -> Observed<std::fs::File> {
        let opened =
            self.open(path, OFlags::empty()).and_then(|fd| Ok((rustix::fs::fstat(&fd)?, fd)));
        match opened {
            Ok((stat, fd)) if FileKind::of_mode(stat.st_mode) == FileKind::File => {
                Observed::Present(fd.into())
            }
            Ok(_) => Observed::Unreadable("it is no regular file".to_owned()),
            Err(errno) => failed(errno),
        }
    }

    /// The target text of a symbolic link.
    pub fn link(&self, path: &str) -> Observed<String> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = match self.open(parent, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(dir) => Self(dir),
            Err(errno) => return failed(errno),
        };
        match rustix::fs::readlinkat(&dir.0, name, Vec::new()) {
            Ok(target) => Observed::Present(target.to_string_lossy().into_owned()),
            Err(Errno::INVAL) => Observed::Absent, // there, but no link
            Err(errno) => failed(errno),
        }
    }

    /// The target text of the attribute `name` in this very directory, which must be a link.
    pub fn link_here(&self, name: &str) -> Observed<String> {
        match rustix::fs::readlinkat(&self.0, name, Vec::new()) {
            Ok(target) => Observed::Present(target.to_string_lossy().into_owned()),
            Err(Errno::INVAL) => Observed::Unreadable("it is no symbolic link".to_owned()),
            Err(errno) => failed(errno),
        }
    }

    /// All bytes of the attribute `name` in this very directory, which is no link.
    pub fn attribute_here(&self, name: &str) -> Observed<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        match rustix::fs::openat(&self.0, name, flags, Mode::empty()) {
            Ok(fd) => attribute(&fd),
            Err(errno) => failed(errno),
        }
    }

    /// A directory below this one.
    pub fn dir(&self, path: &str) -> Observed<Self> {
        match self.open(path, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(fd) => Observed::Present(Self(fd)),
            Err(errno) => failed(errno),
        }
    }

    /// Names in a directory, sorted by bytes; those that are not UTF-8 go to `odd`.
    pub fn list(&self, path: &str, mut odd: impl FnMut(&str)) -> Observed<Vec<String>> {
        let entries = self.open(path, OFlags::DIRECTORY).and_then(rustix::fs::Dir::new);
        let entries = match entries {
            Ok(entries) => entries,
            Err(errno) => return failed(errno),
        };
        let mut names = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => match entry.file_name().to_str() {
                    Ok("." | "..") => {}
                    Ok(name) => names.push(name.to_owned()),
                    Err(_) => odd(&entry.file_name().to_string_lossy()),
                },
                Err(errno) => return failed(errno),
            }
        }
        names.sort_unstable();
        Observed::Present(names)
    }

    /// Size, time, mode and owner, following links.
    pub fn meta(&self, path: &str) -> Observed<Meta> {
        let stat = self
            .open(path, OFlags::PATH)
            .and_then(|fd| rustix::fs::statat(&fd, "", AtFlags::EMPTY_PATH));
        match stat {
            Ok(stat) => Observed::Present(meta_of(&stat)),
            Err(errno) => failed(errno),
        }
    }

    /// A character device, open for requests of ioctl(2); ENOTTY where something else is there.
    pub fn device(&self, path: &str) -> Result<OwnedFd, Errno> {
        let fd = self.open(path, OFlags::PATH)?;
        let stat = rustix::fs::statat(&fd, "", AtFlags::EMPTY_PATH)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::CharacterDevice => self.open(path, OFlags::empty()),
            _ => Err(Errno::NOTTY),
        }
    }

    /// Free space of the filesystem that holds a path.
    pub fn space(&self, path: &str) -> Observed<Space> {
        match self.open(path, OFlags::PATH).and_then(|fd| rustix::fs::fstatvfs(&fd)) {
            Ok(fs) => Observed::Present(Space {
                free: fs.f_bavail.saturating_mul(fs.f_frsize),
                total: fs.f_blocks.saturating_mul(fs.f_frsize),
            }),
            Err(errno) => failed(errno),
        }
    }

    /// An option ROM: enabled, read, and disabled again (Documentation/PCI/sysfs-pci.rst).
    pub fn probe_rom(&self, path: &str) -> Observed<Vec<u8>> {
        let enabled = self
            .open(path, OFlags::RDWR)
            .and_then(|fd| rustix::io::pwrite(&fd, b"1", 0).map(|_| fd));
        let fd = match enabled {
            Ok(fd) => fd,
            Err(errno) => return failed(errno),
        };
        let seen = whole(&fd);
        match rustix::io::pwrite(&fd, b"0", 0) {
            Ok(_) => seen,
            Err(errno) => failed(errno),
        }
    }

    fn open(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { "." } else { path };
        let flags = flags | OFlags::CLOEXEC;
        // A FIFO without a writer must not hold up the program.
        let flags = if flags.contains(OFlags::PATH) { flags } else { flags | OFlags::NONBLOCK };
        open_in(&self.0, path, flags)
    }
}

/// All bytes of an open file.
pub fn whole(fd: &OwnedFd) -> Observed<Vec<u8>> {
    match read_all(fd) {
        Ok(bytes) => Observed::Present(bytes),
        Err(reason) => Observed::Unreadable(reason),
    }
}

/// An attribute of sysfs is at most a page, and one read gives all of it
/// (Documentation/filesystems/sysfs.rst); binary attributes can be longer.
fn attribute(fd: &OwnedFd) -> Observed<Vec<u8>> {
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

/// The rest of a file that is longer than one small read, in as few steps as its size allows.
fn read_rest(fd: &OwnedFd, mut bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let size = rustix::fs::fstat(fd).map_or(0, |stat| usize::try_from(stat.st_size).unwrap_or(0));
    // One byte more, so that the end is seen in the same space; files of /proc have no size.
    let left = size.saturating_sub(bytes.len()).min(MAX_FILE) + 1;
    bytes.reserve(left.max(STEP));
    loop {
        if bytes.len() == bytes.capacity() {
            bytes.reserve(STEP);
        }
        match rustix::io::read(fd, spare_capacity(&mut bytes)) {
            Ok(0) => return Ok(bytes),
            Ok(_) => {}
            Err(Errno::INTR) => {}
            Err(errno) => return Err(reason(errno)),
        }
        if bytes.len() > MAX_FILE {
            return Err(format!("it is larger than {} MiB", MAX_FILE >> 20));
        }
    }
}

/// Opens a path that cannot lead out of a directory. The kernel gives up on a path with `..` when
/// anything was renamed or mounted meanwhile, and asks to try again (openat2(2), EAGAIN).
pub fn open_in(root: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    const TRIES: usize = 1000;
    for _ in 1..TRIES {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Err(Errno::AGAIN) => std::thread::yield_now(),
            other => return other,
        }
    }
    rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
}

fn failed<T>(errno: Errno) -> Observed<T> {
    match errno {
        Errno::NOENT | Errno::NOTDIR => Observed::Absent,
        errno => Observed::Unreadable(reason(errno)),
    }
}

/// What an error number means to a reader.
pub fn reason(errno: Errno) -> String {
    match errno {
        Errno::ACCESS | Errno::PERM => "permission denied (root may read it)".to_owned(),
        Errno::ISDIR => "it is a directory".to_owned(),
        Errno::LOOP => "its symbolic links form a loop".to_owned(),
        Errno::NOSYS => "this kernel lacks openat2 (Linux 5.6)".to_owned(),
        errno => std::io::Error::from(errno).to_string(),
    }
}

pub fn meta_of(stat: &rustix::fs::Stat) -> Meta {
    Meta {
        kind: FileKind::of_mode(stat.st_mode),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mtime: stat.st_mtime,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
    }
}
