//! Who may open the memory that a guest shares for Looking Glass: a file in tmpfiles.d, which comes
//! and goes with the memory.

use super::change::{Beside, HostFile};
use crate::commands::session::Session;
use crate::config::MARK;
use crate::error::Error;
use crate::host::TMPFILES;
use crate::libvirt::Libvirt;
use crate::plan::Command;
use crate::sys::environment;
use crate::sys::writer::Found;
use crate::transaction::{File, Saved, Undo};
use crate::vm::attach::has_shared_memory;
use crate::vm::domain::Domain;
use crate::vm::looking_glass::{GROUP, PROGRAM, Selinux, is_named_in, tmpfiles};

/// Where such files are, those that win first (tmpfiles.d(5)).
const DIRS: [&str; 4] =
    ["etc/tmpfiles.d", "run/tmpfiles.d", "usr/local/lib/tmpfiles.d", "usr/lib/tmpfiles.d"];

/// Lets a user open it, together with QEMU.
///
/// # Errors
/// It is not known who, or a file of somebody else's is in the way.
pub fn granted(
    session: &Session<'_>,
    user: Option<&str>,
    remarks: &mut Vec<String>,
) -> Result<Beside, Error> {
    if let Some(path) = named_by_others(session) {
        remarks
            .push(format!("/{path} says who may open /dev/shm/looking-glass, and stays as it is."));
        return Ok(Beside::default());
    }
    let selinux = match session.root.meta("sys/fs/selinux/enforce").is_present() {
        true => Selinux::On,
        false => Selinux::Off,
    };
    let user = user_of(session, user)?;
    let text = tmpfiles(&user, selinux).map_err(|error| Error::new(error.to_string()))?;
    if !names(session, "etc/group", GROUP) {
        return Err(Error::new(format!("this host has no group {GROUP}")).hint(
            "QEMU opens the shared memory through it. Leave out --looking-glass, or add the group.",
        ));
    }
    let before = session.disk.look(TMPFILES)?;
    if before.as_ref().is_some_and(|found| !is_ours(found)) {
        return Err(Error::new(format!("/{TMPFILES} is somebody else's"))
            .hint("It does not begin as passthru's files do, and is left alone: move it away."));
    }
    let file = changed(before, Some((text.into_bytes(), 0o644, 0, 0)));
    Ok(Beside { file, command: Some(command()), ..Beside::default() })
}

/// Takes that back, unless another domain shares memory of that name.
///
/// # Errors
/// libvirt does not answer, or the file cannot be read.
pub fn withdrawn(session: &Session<'_>, libvirt: &Libvirt, name: &str) -> Result<Beside, Error> {
    if is_shared_by_another(libvirt, name)? {
        return Ok(Beside::default());
    }
    let before = session.disk.look(TMPFILES)?.filter(is_ours);
    Ok(Beside { file: changed(before, None), ..Beside::default() })
}

/// What else belongs to taking a change of a domain back: the file stays while another domain
/// needs it, and is read where it comes back.
///
/// # Errors
/// libvirt does not answer.
pub fn undone(undo: &mut Undo) -> Result<(), Error> {
    let path = format!("/{TMPFILES}");
    let Some(domain) = &undo.draft.domain else { return Ok(()) };
    let Some(at) = undo.draft.changes.iter().position(|change| change.path == path) else {
        return Ok(());
    };
    if undo.draft.changes[at].after != Saved::Absent {
        undo.draft.commands.push(command());
    } else if is_shared_by_another(&Libvirt::new(&domain.connect)?, &domain.domain)? {
        undo.draft.changes.remove(at);
        undo.remarks.push(format!("{path} stays: another domain shares memory for Looking Glass."));
    }
    Ok(())
}

fn is_shared_by_another(libvirt: &Libvirt, name: &str) -> Result<bool, Error> {
    for other in libvirt.names()?.iter().filter(|other| *other != name) {
        let xml = libvirt.inactive(other)?;
        let has = |xml: String| Domain::parse(&xml).is_ok_and(|other| has_shared_memory(&other));
        if xml.is_some_and(has) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn command() -> Command {
    Command::new(
        &[PROGRAM, "--create", &format!("/{TMPFILES}")],
        "make the shared memory with these permissions now, as every boot will",
    )
}

fn is_ours(found: &Found) -> bool {
    found.bytes.starts_with(MARK.as_bytes())
}

fn changed(before: Option<Found>, after: File) -> Option<HostFile> {
    let before = before.map(|f| (f.bytes, f.meta.mode, f.meta.uid, f.meta.gid));
    let bytes = |file: &File| file.as_ref().map(|(bytes, ..)| bytes.clone());
    let path = format!("/{TMPFILES}");
    (bytes(&before) != bytes(&after)).then_some(HostFile { path, before, after })
}

/// The first file of somebody else that is about the shared memory.
fn named_by_others(session: &Session<'_>) -> Option<String> {
    let files = DIRS.iter().flat_map(|dir| {
        let names = session.root.list(dir).into_present().unwrap_or_default();
        names.into_iter().map(move |name| format!("{dir}/{name}"))
    });
    let mut others = files.filter(|path| path.ends_with(".conf") && path != TMPFILES);
    others.find(|path| session.root.text(path).present().is_some_and(|text| is_named_in(text)))
}

fn user_of(session: &Session<'_>, asked: Option<&str>) -> Result<String, Error> {
    let hint = "Name the user that starts the client: `--looking-glass-user USER`.";
    match asked {
        Some(user) if names(session, "etc/passwd", user) => Ok(user.to_owned()),
        Some(user) => Err(Error::new(format!("this host has no user `{user}`")).hint(hint)),
        None => environment("SUDO_USER").filter(|user| user != "root").ok_or_else(|| {
            Error::new("it is not known who opens the memory of Looking Glass").hint(hint)
        }),
    }
}

/// A user or group of a file like /etc/passwd.
fn names(session: &Session<'_>, file: &str, name: &str) -> bool {
    let text = session.root.text(file).into_present().unwrap_or_default();
    text.lines().any(|line| line.split(':').next() == Some(name) && line.contains(':'))
}
