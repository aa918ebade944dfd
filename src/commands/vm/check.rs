//! `vm check`: host and domain against each other.

use super::{inactive, parsed};
use crate::commands::{Answer, Global};
use crate::document::VmCheckDocument;
use crate::error::Error;
use crate::host::Host;
use crate::host::resources::Resources;
use crate::host::rom::Probe;
use crate::libvirt::Libvirt;
use crate::sys::{FileKind, Observed, Sysroot};
use crate::ui::Ui;
use crate::vm::check::{FileSeen, Hook, Sides, run as check, unknown};
use crate::vm::domain::Domain;
use crate::vm::note::Note;

/// Check host and domain against each other: card, groups, files, memory, network, autostart
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the domain
    name: String,
}

/// Checks; says no where something stands in the way of its start, or could not be looked at.
///
/// # Errors
/// The domain is not there, or libvirt does not answer.
pub fn run(args: &Args, libvirt: &Libvirt, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let xml = inactive(libvirt, &args.name)?;
    let root = global.open_root()?;
    let host = Host::read(&root, Probe::No);
    crate::commands::check::could_look(&host)?;
    let domain = parsed(&args.name, &xml)?;
    let status = libvirt.status(&args.name)?;
    let sides = Sides {
        note: &Note::of(&domain),
        host: &host,
        resources: &Resources::read(&root),
        autostart: status.autostart,
        running: !status.is_off(),
        files: &files(&root, &domain),
        networks: &networks(libvirt, &domain)?,
        taken: &taken(libvirt, &args.name, &domain)?,
        hooks: &hooks(&root),
        domain: &domain,
    };
    let (findings, holds) = check(&sides);
    let document = VmCheckDocument::of(libvirt.uri(), &args.name, findings, holds, unknown(&sides));
    if global.json {
        ui.json(&document)?;
    } else {
        ui.answer(&crate::ui::vm::checked(&document, ui.page()))?;
    }
    Ok(if document.ready { Answer::Yes } else { Answer::No })
}

/// Files that the domain names. libvirt gives disks and volumes to QEMU's user itself
/// (qemu.conf, `dynamic_ownership`), but not the directories on the way, nor an option ROM.
fn files(root: &Sysroot, domain: &Domain<'_>) -> Vec<FileSeen> {
    let disks = domain.devices().iter().filter(|device| device.name == "disk");
    let disks = disks.filter_map(|disk| {
        // A guest starts without one that is optional (libvirt, domain XML format, `startupPolicy`).
        let source = disk.child("source")?;
        if source.attribute("startupPolicy") == Some("optional") {
            return None;
        }
        let path = source.attribute("file").or_else(|| source.attribute("dev"))?;
        Some((disk.attribute("device").unwrap_or("disk"), path, false))
    });
    let roms = domain
        .devices()
        .iter()
        .filter_map(|device| Some(("option ROM", device.attribute_at(&["rom"], "file")?, true)));
    let seen = disks.chain(roms).map(|(what, path, needs_mode)| FileSeen {
        what: what.to_owned(),
        path: path.to_owned(),
        problem: problem(root, path, needs_mode),
    });
    seen.collect()
}

fn problem(root: &Sysroot, path: &str, needs_mode: bool) -> Observed<Option<String>> {
    let inside = path.trim_start_matches('/');
    for (at, _) in inside.match_indices('/') {
        match root.meta(&inside[..at]) {
            Observed::Present(meta) if meta.mode & 0o001 == 0 => {
                let dir = &inside[..at];
                let reason =
                    format!("only its owner may pass through /{dir} (mode {:04o})", meta.mode);
                return Observed::Present(Some(reason));
            }
            Observed::Present(_) => {}
            Observed::Absent => return Observed::Present(Some("it is not there".to_owned())),
            Observed::Unreadable(reason) => return Observed::Unreadable(reason),
        }
    }
    match root.meta(inside) {
        Observed::Absent => Observed::Present(Some("it is not there".to_owned())),
        Observed::Unreadable(reason) => Observed::Unreadable(reason),
        Observed::Present(meta) => Observed::Present(match meta.kind {
            FileKind::Directory => Some("it is a directory".to_owned()),
            FileKind::File if needs_mode && meta.mode & 0o004 == 0 => {
                Some(format!("only its owner may read it (mode {:04o})", meta.mode))
            }
            _ => None,
        }),
    }
}

fn networks(libvirt: &Libvirt, domain: &Domain<'_>) -> Result<Vec<(String, Option<bool>)>, Error> {
    let interfaces = domain.devices().iter().filter(|device| device.name == "interface");
    let names = interfaces.filter_map(|device| device.attribute_at(&["source"], "network"));
    names.map(|name| Ok((name.to_owned(), libvirt.network_is_active(name)?))).collect()
}

/// Other domains that run with a function that this one takes.
fn taken(libvirt: &Libvirt, name: &str, domain: &Domain<'_>) -> Result<Vec<String>, Error> {
    let own: Vec<_> = domain.sources().collect();
    let mut taken = Vec::new();
    for other in libvirt.names()?.into_iter().filter(|other| other != name) {
        if own.is_empty() {
            continue;
        }
        let Some(xml) = libvirt.active(&other)? else { continue };
        if parsed(&other, &xml)?.sources().any(|source| own.contains(&source)) {
            taken.push(other);
        }
    }
    Ok(taken)
}

/// libvirt's hooks for QEMU (libvirt, hooks).
fn hooks(root: &Sysroot) -> Vec<Hook> {
    const DIR: &str = "etc/libvirt/hooks";
    let more = root.list(&format!("{DIR}/qemu.d")).into_present().unwrap_or_default();
    let paths = more.into_iter().map(|name| format!("{DIR}/qemu.d/{name}"));
    let paths = std::iter::once(format!("{DIR}/qemu")).chain(paths);
    let found = paths.filter_map(|path| {
        let meta = root.meta(&path).into_present()?;
        Some(Hook { path: format!("/{path}"), mode: meta.mode })
    });
    found.collect()
}
