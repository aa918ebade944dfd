//! Running programs of the system: in a plain environment, with a deadline, in a process group
//! of their own so that all of it can be stopped.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::signal::StopRequest;

/// Where programs are looked for.
pub const PATH: [&str; 6] =
    ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"];
const STEP: Duration = Duration::from_millis(5);
/// How long a program has to clean up after it was asked to end.
const GRACE: Duration = Duration::from_secs(5);

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this exit code.
    Code(i32),
    /// By a signal of this number.
    Signal(i32),
    /// It was stopped after its deadline.
    Deadline(Duration),
    /// It was stopped since this process was asked to.
    Stopped(&'static str),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "it ended with exit code {code}"),
            Self::Signal(number) => write!(f, "it was ended by signal {number}"),
            Self::Deadline(limit) => {
                write!(f, "it was not done after {} s and was stopped", limit.as_secs())
            }
            Self::Stopped(signal) => write!(f, "it was stopped by {signal}"),
        }
    }
}

/// Runs a program of the running system; everything it prints goes to a file. It inherits a
/// descriptor, which tells others that it still runs even if this process is gone.
///
/// # Errors
/// It cannot be started.
pub fn run(
    argv: &[String],
    output: File,
    inherited: OwnedFd,
    limit: Duration,
    stop: &StopRequest,
) -> std::io::Result<Ended> {
    let (program, arguments) =
        argv.split_first().ok_or_else(|| std::io::Error::other("no program is named"))?;
    let path = PATH.map(|dir| format!("/{dir}")).join(":");
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", path)
        .envs(locale())
        .env("HOME", "/root")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()?;
    drop(inherited);
    wait(child, limit, stop)
}

/// What a program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// How it ended.
    pub ended: Ended,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// Runs a program for what it says, in English. It reads what is given from standard input.
///
/// # Errors
/// It cannot be started.
pub fn capture(
    argv: &[&str],
    input: &[u8],
    limit: Duration,
    stop: &StopRequest,
) -> std::io::Result<Captured> {
    let (program, arguments) =
        argv.split_first().ok_or_else(|| std::io::Error::other("no program is named"))?;
    let memory = || -> std::io::Result<File> {
        Ok(rustix::fs::memfd_create("passthru", rustix::fs::MemfdFlags::CLOEXEC)?.into())
    };
    let (mut given, mut said, mut complained) = (memory()?, memory()?, memory()?);
    given.write_all(input)?;
    given.rewind()?;
    // Which libvirt daemon of a user is asked depends on these (`qemu:///session`).
    let own = |name: &str| name == "HOME" || name == "USER" || name.starts_with("XDG_");
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(variables().filter(|(name, _)| own(name)))
        .env("PATH", PATH.map(|dir| format!("/{dir}")).join(":"))
        .env("LC_ALL", "C")
        .stdin(given)
        .stdout(said.try_clone()?)
        .stderr(complained.try_clone()?)
        .process_group(0)
        .spawn()?;
    let ended = wait(child, limit, stop)?;
    let text = |file: &mut File| -> std::io::Result<String> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Captured { ended, stdout: text(&mut said)?, stderr: text(&mut complained)? })
}

/// The language of this process, or the system's (locale.conf(5); /etc/default/locale on Debian):
/// titles in a boot menu are translated, and a default that is chosen by its title has to fit.
fn locale() -> Vec<(String, String)> {
    let is_locale = |name: &str| name == "LANG" || name == "LANGUAGE" || name.starts_with("LC_");
    let own: Vec<(String, String)> =
        variables().filter(|(name, value)| is_locale(name) && !value.is_empty()).collect();
    if !own.is_empty() {
        return own;
    }
    let texts = ["/etc/locale.conf", "/etc/default/locale"];
    let text = texts.into_iter().find_map(|path| std::fs::read_to_string(path).ok());
    let text = text.unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.trim().split_once('='));
    let pairs = pairs.filter(|(name, _)| is_locale(name));
    pairs
        .map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
        .collect()
}

fn wait(mut child: Child, limit: Duration, stop: &StopRequest) -> std::io::Result<Ended> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(match status.code() {
                Some(code) => Ended::Code(code),
                None => Ended::Signal(status.signal().unwrap_or(0)),
            });
        }
        let asked = stop.came().map(Ended::Stopped);
        let late = (start.elapsed() >= limit).then_some(Ended::Deadline(limit));
        if let Some(ended) = asked.or(late) {
            end_group(&mut child)?;
            return Ok(ended);
        }
        std::thread::sleep(STEP);
    }
}

/// Asks the whole group to end, and ends it if it does not.
fn end_group(child: &mut Child) -> std::io::Result<()> {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let Some(group) = group else { return child.kill().and_then(|()| child.wait().map(|_| ())) };
    let _ = rustix::process::kill_process_group(group, Signal::TERM);
    let start = Instant::now();
    while start.elapsed() < GRACE && child.try_wait()?.is_none() {
        std::thread::sleep(STEP);
    }
    // Members of the group may outlive its leader.
    let _ = rustix::process::kill_process_group(group, Signal::KILL);
    child.wait().map(|_| ())
}

/// Environment variables that are text.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Effective user of this process.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Number of the effective user of this process.
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}
