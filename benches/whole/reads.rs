//! The bare loop: the same reads that a program made, and nothing else.

use std::fmt::Write as _;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, openat, readlinkat_raw, statat};

/// First argument of the bench when it is to be the loop.
pub const MODE: &str = "--bare-loop";

/// What a program looked at below a root, in order.
pub struct Reads(Vec<(Kind, String)>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    File,
    Directory,
    Link,
    Status,
}

impl Reads {
    /// Watches the program once; `None` without strace.
    ///
    /// Opening a directory in order to reach what is in it is a convenience of the program and
    /// not counted; what was looked for in vain is.
    pub fn of(program: &str, args: &[&str], root: &Path) -> Option<Self> {
        let trace = root.with_file_name("trace");
        let calls = "trace=openat,openat2,readlinkat";
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-s", "4096", "-e", calls, "-o"]).arg(&trace);
        strace.arg(program).args(args).stdin(Stdio::null()).stdout(Stdio::null());
        if !strace.status().ok()?.success() {
            return None;
        }
        let text = std::fs::read_to_string(&trace).unwrap();
        let root = std::fs::canonicalize(root).unwrap();
        let reads: Vec<_> =
            text.lines().filter_map(|line| look(line, root.to_str().unwrap())).collect();
        assert!(!reads.is_empty(), "strace showed nothing");
        Some(Self(reads))
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// One a line, for [`replay`].
    pub fn list(&self) -> String {
        let mut out = String::new();
        for (kind, path) in &self.0 {
            let _ = writeln!(out, "{}{path}", kind.mark());
        }
        out
    }
}

impl Kind {
    fn mark(self) -> char {
        match self {
            Self::File => 'f',
            Self::Directory => 'd',
            Self::Link => 'l',
            Self::Status => 's',
        }
    }
}

/// What one line of strace looked at: `PID openat(4</root/dir>, "name", FLAGS…) = 5</root/x>`.
fn look(line: &str, root: &str) -> Option<(Kind, String)> {
    let (_, call) = line.split_once(char::is_whitespace)?;
    let (name, rest) = call.trim_start().split_once('(')?;
    let (fd, rest) = rest.split_once(", \"")?;
    let (path, rest) = rest.split_once('"')?;
    let dir = fd.split_once('<')?.1.strip_suffix('>')?;
    let full = if path.starts_with('/') { path.to_owned() } else { format!("{dir}/{path}") };
    let inside = full.strip_prefix(root)?.strip_prefix('/')?.to_owned();
    let flag = |flag: &str| rest.contains(flag);
    let kind = match (name, flag("O_PATH"), flag("O_DIRECTORY")) {
        ("readlinkat", ..) => Kind::Link,
        (_, true, true) => return None,
        (_, true, false) => Kind::Status,
        (_, false, true) => Kind::Directory,
        (_, false, false) => Kind::File,
    };
    Some((kind, inside))
}

/// Makes the reads of a list, below a root.
pub fn replay(root: &Path, list: &Path) {
    let list = std::fs::read_to_string(list).unwrap();
    let root = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let mut buffer = vec![0; 256 << 10];
    for line in list.lines() {
        let (mark, path) = line.split_at(1);
        let root = root.as_fd();
        let _ = match mark {
            "f" => file(root, path, &mut buffer),
            "d" => directory(root, path),
            "l" => readlinkat_raw(root, path, &mut [MaybeUninit::uninit(); 256][..]).map(|_| ()),
            _ => statat(root, path, AtFlags::empty()).map(|_| ()),
        };
    }
    std::hint::black_box(buffer);
}

fn file(root: BorrowedFd<'_>, path: &str, buffer: &mut [u8]) -> rustix::io::Result<()> {
    let fd = openat(root, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // An attribute is shorter than a page and comes whole.
    while rustix::io::read(&fd, &mut *buffer)? >= 4096 {}
    Ok(())
}

fn directory(root: BorrowedFd<'_>, path: &str) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = openat(root, path, flags, Mode::empty())?;
    let mut space = [MaybeUninit::uninit(); 32 << 10];
    let mut entries = RawDir::new(fd, &mut space);
    while let Some(entry) = entries.next() {
        std::hint::black_box(entry?.file_name());
    }
    Ok(())
}
