//! One writing process at a time.

use std::io::{Read as _, Write as _};

use rustix::fs::{Mode, OFlags};

use super::{WriteError, Writer};

/// A lock that is held.
#[derive(Debug)]
pub struct Lock {
    file: std::fs::File,
}

impl Lock {
    /// A descriptor that programs inherit: the lock is held until all of them have ended, too
    /// (flock(2)).
    ///
    /// # Errors
    /// There are too many open files.
    pub fn inheritable(&self) -> std::io::Result<std::os::fd::OwnedFd> {
        Ok(rustix::io::dup(&self.file)?)
    }
}

/// Why a lock was not taken.
#[derive(Debug)]
pub enum LockError {
    /// Another process has it.
    Held {
        /// Number of the process that took it, as far as it could be read.
        pid: String,
        /// That process is there; else programs that it started have the lock.
        alive: bool,
    },
    /// The file cannot be used.
    Write(WriteError),
}

impl Writer {
    /// Takes the lock that the file at a path stands for, for as long as the value lives.
    ///
    /// # Errors
    /// Somebody else has it ([`LockError::Held`]), or the file cannot be opened.
    pub fn lock(&self, path: &str) -> std::result::Result<Lock, LockError> {
        let place = self.place(path).map_err(LockError::Write)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            rustix::fs::openat(&place.dir, place.name.as_str(), flags, Mode::from_raw_mode(0o644))
                .map_err(|errno| LockError::Write(WriteError::new("open", path, errno)))?;
        let mut file = std::fs::File::from(fd);
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let pid = holder.trim().to_owned();
                let number = pid.parse().ok().and_then(rustix::process::Pid::from_raw);
                let alive = number.is_none_or(|number| {
                    rustix::process::test_kill_process(number) != Err(rustix::io::Errno::SRCH)
                });
                return Err(LockError::Held { pid, alive });
            }
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(LockError::Write(WriteError::new("lock", path, error)));
            }
        }
        // The number is for people only; the lock itself ends with the process.
        let text = format!("{}\n", std::process::id());
        let _ = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
        Ok(Lock { file })
    }
}
