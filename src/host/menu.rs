//! The boot menu as the loader will read it: entries that start this system, the words that
//! each hands to the kernel, and its images. Read anew at every call.

use super::Host;
use super::boot::{BootloaderKind, GRUB_CFGS};
use super::parameters::current_entry;
use crate::config::bls::{self, Listed};
use crate::config::cmdline::Cmdline;
use crate::config::grub_cfg;
use crate::sys::{Observed, Sysroot};

/// One way to start this system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MenuEntry {
    /// As the menu shows it.
    pub title: String,
    /// What the loader calls it.
    pub id: Option<String>,
    /// The file that has it, as an absolute path.
    pub place: String,
    /// Parameters of the kernel, in order.
    pub words: Vec<String>,
    /// File of the kernel, inside the root.
    pub linux: String,
    /// Files of the initramfs, inside the root, in order.
    pub initrds: Vec<String>,
    /// The script of grub-mkconfig that wrote it.
    pub section: Option<String>,
}

impl MenuEntry {
    /// The release of its kernel, as far as the name of the file tells it: `vmlinuz-RELEASE`,
    /// or `RELEASE/linux` as kernel-install lays it out.
    pub fn release(&self) -> Option<&str> {
        let (dir, name) = self.linux.rsplit_once('/').unwrap_or(("", &self.linux));
        let is_release = |text: &&str| text.starts_with(|c: char| c.is_ascii_digit());
        let named = name.split_once('-').map(|(_, release)| release.trim_end_matches(SIGNED));
        named.filter(is_release).or_else(|| dir.rsplit('/').next().filter(is_release))
    }

    /// Its initramfs images without those that hold microcode only.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        self.initrds.iter().map(String::as_str).filter(|path| !is_microcode(path))
    }
}

/// A kernel that is signed as an EFI program stands beside the plain one (10_linux of Ubuntu).
const SIGNED: &str = ".efi.signed";

/// Named so by the distributions' packages: `intel-ucode.img`, `amd-ucode.img`, `ucode.cpio`.
fn is_microcode(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.contains("ucode"))
}

/// Reads the menu of the loader in use.
pub fn read(root: &Sysroot, host: &Host) -> Observed<Vec<MenuEntry>> {
    match host.bootloader.kind {
        BootloaderKind::Grub => grub(root, host),
        BootloaderKind::SystemdBoot => entries(root, host),
        other => Observed::Unreadable(format!("the menu of {} is not known", other.word())),
    }
}

/// The first of the known places, which is the one that grub-mkconfig is told to write.
fn grub(root: &Sysroot, host: &Host) -> Observed<Vec<MenuEntry>> {
    for path in GRUB_CFGS {
        let place = format!("/{path}");
        return match root.text(path) {
            Observed::Absent => continue,
            Observed::Unreadable(reason) => Observed::Unreadable(format!("{place}: {reason}")),
            Observed::Present(text) => match grub_cfg::parse(&text) {
                Err(error) => Observed::Unreadable(format!("{place}: {error}")),
                Ok(entries) => {
                    let own = entries.into_iter().filter(|entry| is_own(entry.section.as_deref()));
                    Observed::Present(own.map(|entry| of_grub(root, host, &place, entry)).collect())
                }
            },
        };
    }
    Observed::Absent
}

/// Written for this system: by 10_linux or a script beside it, or by passthru. Other scripts
/// write entries of other systems, of firmware and of the user.
fn is_own(section: Option<&str>) -> bool {
    section.is_some_and(|name| name.starts_with("10_") || name.contains("passthru"))
}

fn of_grub(root: &Sysroot, host: &Host, place: &str, entry: grub_cfg::Entry) -> MenuEntry {
    let resolve = |path: &str| resolved(root, &grub_candidates(host, path));
    MenuEntry {
        words: words(&entry.words.join(" ")),
        linux: resolve(&entry.linux),
        initrds: entry.initrds.iter().map(|path| resolve(path)).collect(),
        title: entry.title,
        id: entry.id,
        place: place.to_owned(),
        section: entry.section,
    }
}

/// GRUB's paths begin at the root of a filesystem: /boot may be one of its own, and the root
/// may be a subvolume or a dataset, whose name then stands in front (`/@/boot/…`).
fn grub_candidates(host: &Host, path: &str) -> Vec<String> {
    let device = path.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let path = device.map_or(path, |(_, path)| path).trim_start_matches('/');
    let mut candidates = vec![path.to_owned()];
    if let Some((_, inside)) = path.split_once("/boot/") {
        candidates.push(format!("boot/{inside}"));
    }
    candidates.push(format!("boot/{path}"));
    candidates.extend(host.bootloader.loader_dir.as_ref().map(|dir| format!("{dir}/{path}")));
    candidates
}

/// The first that is there; what is nowhere keeps its name, and is missed by who looks for it.
fn resolved(root: &Sysroot, candidates: &[String]) -> String {
    let there = candidates.iter().find(|path| !root.exists(path).is_absent());
    there.or(candidates.first()).cloned().unwrap_or_default()
}

fn words(line: &str) -> Vec<String> {
    Cmdline::parse(line).parameters().map(|parameter| parameter.word.to_owned()).collect()
}

/// Type-1 entries with the root of the current one.
fn entries(root: &Sysroot, host: &Host) -> Observed<Vec<MenuEntry>> {
    let dir = host.bootloader.loader_dir.as_deref().unwrap_or("boot");
    let own_root = match own_root(root, host) {
        Observed::Present(own) => own,
        Observed::Absent => {
            let reason = "it cannot be told which of the entries start this system";
            return Observed::Unreadable(format!("/{dir}/loader/entries: {reason}"));
        }
        Observed::Unreadable(reason) => return Observed::Unreadable(reason),
    };
    let folder = format!("{dir}/loader/entries");
    let names = match root.list(&folder) {
        Observed::Present(names) => names,
        Observed::Absent => return Observed::Absent,
        Observed::Unreadable(reason) => {
            return Observed::Unreadable(format!("/{folder}: {reason}"));
        }
    };
    let mut menu = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".conf")) {
        let path = format!("{folder}/{name}");
        match entry(root, &path) {
            Observed::Present(entry) if root_of(&entry).as_ref() == Some(&own_root) => {
                menu.extend(of_bls(root, dir, &path, &entry));
            }
            Observed::Present(_) | Observed::Absent => {}
            Observed::Unreadable(reason) => return Observed::Unreadable(reason),
        }
    }
    Observed::Present(menu)
}

/// The root of the current entry. Between a change and the next boot the running kernel's words
/// may fit no entry any more; its root still does.
fn own_root(root: &Sysroot, host: &Host) -> Observed<String> {
    let running = || {
        let line = Cmdline::parse(host.command_line().unwrap_or_default());
        line.last("root").map(|parameter| parameter.word.to_owned())
    };
    let current = current_entry(&host.bootloader, host).map(|path| entry(root, &path));
    let of_entry = match current {
        Some(Observed::Unreadable(reason)) => return Observed::Unreadable(reason),
        Some(Observed::Present(entry)) => root_of(&entry),
        Some(Observed::Absent) | None => None,
    };
    of_entry.or_else(running).map_or(Observed::Absent, Observed::Present)
}

fn entry(root: &Sysroot, path: &str) -> Observed<bls::Entry> {
    match root.text(path) {
        Observed::Present(text) => Observed::Present(bls::Entry::parse(&text)),
        Observed::Absent => Observed::Absent,
        Observed::Unreadable(reason) => Observed::Unreadable(format!("/{path}: {reason}")),
    }
}

fn root_of(entry: &bls::Entry) -> Option<String> {
    Cmdline::parse(&entry.options()).last("root").map(|parameter| parameter.word.to_owned())
}

/// `None` for a name that the loader does not list, and for an entry that starts no kernel.
fn of_bls(root: &Sysroot, dir: &str, path: &str, entry: &bls::Entry) -> Option<MenuEntry> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let listed = Listed::new(name, entry)?;
    // Paths of an entry begin at the partition that has it (UAPI.1).
    let resolve = |path: &str| {
        let path = path.trim_start_matches('/');
        resolved(root, &[format!("{dir}/{path}"), format!("boot/{path}"), path.to_owned()])
    };
    Some(MenuEntry {
        title: entry.value("title").unwrap_or(name).to_owned(),
        id: Some(listed.id.trim_end_matches(".conf").to_owned()),
        place: format!("/{path}"),
        words: words(&entry.options()),
        linux: resolve(entry.value("linux")?),
        initrds: entry.values("initrd").into_iter().map(resolve).collect(),
        section: None,
    })
}

#[cfg(test)]
mod tests;
