//! Which boot loader really starts this system, from the strongest evidence down.
//!
//! EFI variables of the boot that runs now, then the kernel command line, then installed
//! files. Files alone are weak: leftovers of old loaders are common.

use serde::Serialize;

use super::files::Files;
use super::firmware::{EfiVariables, Firmware};
use super::os::Os;
use crate::config::assignments::Assignments;
use crate::sys::{FileKind, Sysroot};

/// Ways a system is started, by how kernel parameters are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BootloaderKind {
    /// GRUB with a generated grub.cfg.
    Grub,
    /// GRUB with Boot Loader Specification entries (Fedora).
    GrubBls,
    /// systemd-boot with type-1 entries.
    SystemdBoot,
    /// A unified kernel image.
    Uki,
    /// Limine.
    Limine,
    /// rEFInd.
    Refind,
    /// systemd-boot managed by kernelstub (Pop!_OS).
    Kernelstub,
    /// An image-based system.
    RpmOstree,
    /// Proxmox VE's own tool.
    ProxmoxBootTool,
    /// NixOS.
    Nixos,
    /// Not known, or the evidence disagrees.
    Unknown,
}

impl BootloaderKind {
    /// The word of the JSON contract.
    pub fn word(self) -> &'static str {
        match self {
            Self::Grub => "grub",
            Self::GrubBls => "grub-bls",
            Self::SystemdBoot => "systemd-boot",
            Self::Uki => "uki",
            Self::Limine => "limine",
            Self::Refind => "refind",
            Self::Kernelstub => "kernelstub",
            Self::RpmOstree => "rpm-ostree",
            Self::ProxmoxBootTool => "proxmox-boot-tool",
            Self::Nixos => "nixos",
            Self::Unknown => "unknown",
        }
    }
}

/// Where something was read that speaks for a loader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Clue {
    /// Path that was read.
    pub path: String,
    /// What was found there.
    pub found: String,
    /// The loader it speaks for.
    pub kind: BootloaderKind,
}

/// The boot loader in use, with the evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Bootloader {
    /// Which one.
    pub kind: BootloaderKind,
    /// Configuration files that belong to it, as absolute paths.
    pub files: Vec<String>,
    /// What was found, strongest first.
    pub clues: Vec<Clue>,
    /// Evidence of equal strength speaks for different loaders.
    pub disagree: bool,
    /// Directory with `loader/`, where there is one: `boot`, `efi`, `boot/efi`.
    pub loader_dir: Option<String>,
    /// grub-mkconfig runs its script for Linux, which takes parameters from /etc/default/grub.
    pub runs_10_linux: bool,
    /// GRUB's environment block is a symbolic link, as to the EFI partition.
    pub linked_block: bool,
}

/// Directories where an EFI system partition or XBOOTLDR is mounted (bootctl(1)).
pub const ESP_DIRS: [&str; 3] = ["efi", "boot", "boot/efi"];
/// Where distributions put the generated GRUB configuration.
pub const GRUB_CFGS: [&str; 2] = ["boot/grub/grub.cfg", "boot/grub2/grub.cfg"];

/// A script of passthru's for grub-mkconfig. Its name sorts behind 40_custom and 41_custom, so
/// that entries that are chosen by their number keep it.
pub const GRUB_ENTRIES: &str = "etc/grub.d/42_passthru";

/// Single files that decide or configure a loader.
const FILES: [&str; 13] = [
    "etc/default/grub",
    "etc/kernel/cmdline",
    "usr/lib/kernel/cmdline",
    "etc/kernel/install.conf",
    "etc/kernel/entry-token",
    "etc/kernelstub/configuration",
    "etc/sdboot-manage.conf",
    "etc/default/limine",
    "etc/kernel/proxmox-boot-uuids",
    "boot/refind_linux.conf",
    "boot/limine.conf",
    "boot/limine/limine.conf",
    "etc/initramfs/post-update.d/systemd-boot",
];

/// Reads the files that belong to loaders.
pub fn read_files(root: &Sysroot, files: &mut Files) {
    for path in FILES {
        files.read(root, path);
    }
    files.read_dir(root, "etc/default/grub.d", ".cfg");
    for dir in ESP_DIRS {
        files.read(root, &format!("{dir}/loader/loader.conf"));
        files.read_dir(root, &format!("{dir}/loader/entries"), ".conf");
    }
    for path in GRUB_CFGS {
        let words: [&[u8]; 3] = [b"menuentry", b"linux", b"blscfg"];
        files.read_lines(root, path, |line| {
            words.iter().any(|word| line.trim_ascii_start().starts_with(word))
        });
    }
    for path in ["usr/sbin/grub-mkconfig", "usr/bin/grub-mkconfig", "usr/bin/mkinitcpio"] {
        let words = ["default/grub.d".as_bytes(), b"mkinitcpio.conf.d", b"grub_mkconfig_dir"];
        files.read_lines(root, path, |line| {
            words.iter().any(|word| memchr::memmem::find(line, word).is_some())
        });
    }
}

/// grub-mkconfig passes over a script that may not be executed.
fn runs_10_linux(root: &Sysroot) -> bool {
    let meta = root.meta("etc/grub.d/10_linux");
    meta.present().is_some_and(|meta| meta.kind == FileKind::File && meta.mode & 0o111 != 0)
}

/// Decides from what was read.
pub fn detect(
    root: &Sysroot,
    files: &Files,
    firmware: &Firmware,
    cmdline: Option<&str>,
    os: &Os,
) -> Bootloader {
    // With an XBOOTLDR partition, loader.conf is on one and the entries are on the other.
    let entries = |dir: &&&str| files.below(&format!("{dir}/loader/entries")).next().is_some();
    let conf = |dir: &&&str| files.has(&format!("{dir}/loader/loader.conf"));
    let loader_dir = ESP_DIRS.iter().find(entries).or_else(|| ESP_DIRS.iter().find(conf));
    let mut clues = system_clues(files, os, cmdline);
    clues.extend(efi_clues(files, &firmware.efi));
    clues.extend(cmdline_clues(files, cmdline));
    let strong = clues.clone();
    let weak = file_clues(files);
    let plausible = match strong.first() {
        Some(first) if is_system(first.kind) => vec![first.kind],
        Some(_) => {
            let known = strong.iter().map(|clue| clue.kind);
            distinct(known.filter(|kind| *kind != BootloaderKind::Unknown))
        }
        None => distinct(not_contradicted(&weak, cmdline)),
    };
    let kind = match plausible.as_slice() {
        [kind] => *kind,
        _ => BootloaderKind::Unknown,
    };
    clues.extend(weak);
    Bootloader {
        kind,
        files: own_files(kind, files),
        clues,
        disagree: plausible.len() > 1,
        loader_dir: loader_dir.map(|dir| (*dir).to_owned()),
        runs_10_linux: runs_10_linux(root),
        linked_block: ["boot/grub/grubenv", "boot/grub2/grubenv"]
            .iter()
            .any(|path| root.link(path).is_present()),
    }
}

fn clue(path: &str, found: impl Into<String>, kind: BootloaderKind) -> Clue {
    Clue { path: format!("/{path}"), found: found.into(), kind }
}

/// Systems whose own tool decides, whatever loader is below.
fn system_clues(files: &Files, os: &Os, cmdline: Option<&str>) -> Vec<Clue> {
    let mut clues = Vec::new();
    let ostree_word =
        cmdline.is_some_and(|words| words.split_whitespace().any(|w| w.starts_with("ostree=")));
    if os.ostree {
        clues.push(clue("run/ostree-booted", "present", BootloaderKind::RpmOstree));
    } else if ostree_word {
        clues.push(clue("proc/cmdline", "ostree=", BootloaderKind::RpmOstree));
    }
    if os.nixos {
        clues.push(clue("etc/os-release", "NixOS", BootloaderKind::Nixos));
    }
    let uuids = "etc/kernel/proxmox-boot-uuids";
    let hidden = files.get(uuids).is_unreadable();
    if hidden || files.text(uuids).is_some_and(|text| !text.trim().is_empty()) {
        let found = if hidden { "unreadable" } else { "boot partitions are listed" };
        clues.push(clue(uuids, found, BootloaderKind::ProxmoxBootTool));
    }
    clues
}

fn efi_clues(files: &Files, efi: &EfiVariables) -> Vec<Clue> {
    let vars = super::firmware::EFIVARS;
    let mut clues = Vec::new();
    if let Some(info) = &efi.loader_info {
        let path = format!("{vars}/LoaderInfo-*");
        let kind = match info.to_lowercase() {
            text if text.starts_with("systemd-boot") => systemd_boot_kind(files, efi),
            text if text.starts_with("grub") => grub_kind(files),
            text if text.starts_with("limine") => BootloaderKind::Limine,
            text if text.starts_with("refind") => BootloaderKind::Refind,
            _ => BootloaderKind::Unknown,
        };
        clues.push(clue(&path, info.clone(), kind));
    }
    if let Some(boot) = &efi.boot_path {
        let path = format!("{vars}/BootCurrent-*");
        let file = boot.to_lowercase();
        let kind = match file.as_str() {
            text if text.contains("systemd-boot") => Some(systemd_boot_kind(files, efi)),
            text if text.contains("grub") || text.contains("shim") => Some(grub_kind(files)),
            text if text.contains("limine") => Some(BootloaderKind::Limine),
            text if text.contains("refind") => Some(BootloaderKind::Refind),
            text if text.contains("\\efi\\linux\\") => Some(BootloaderKind::Uki),
            _ => None,
        };
        clues.extend(kind.map(|kind| clue(&path, boot.clone(), kind)));
    }
    if efi.stub_info.is_some() && clues.is_empty() {
        clues.push(clue(
            &format!("{vars}/StubInfo-*"),
            "a unified kernel image was started",
            BootloaderKind::Uki,
        ));
    }
    clues
}

fn systemd_boot_kind(files: &Files, efi: &EfiVariables) -> BootloaderKind {
    let is_image = |entry: &str| entry.to_lowercase().ends_with(".efi");
    if files.looked_there("etc/kernelstub/configuration") {
        BootloaderKind::Kernelstub
    } else if efi.entry_selected.as_deref().is_some_and(is_image) {
        BootloaderKind::Uki
    } else {
        BootloaderKind::SystemdBoot
    }
}

/// With `GRUB_ENABLE_BLSCFG=true` or a `blscfg` command, entries come from files of their own.
fn grub_kind(files: &Files) -> BootloaderKind {
    let asked = files.text("etc/default/grub").is_some_and(|text| {
        let value = Assignments::parse(text).value("GRUB_ENABLE_BLSCFG");
        value.is_ok_and(|value| value.is_some_and(|value| value.scalar() == "true"))
    });
    let command = |text: &str| text.lines().any(|line| line.trim() == "blscfg");
    let called = GRUB_CFGS.iter().filter_map(|path| files.text(path)).any(command);
    let entries = files.below("boot/loader/entries").next().is_some();
    if asked || (called && entries) { BootloaderKind::GrubBls } else { BootloaderKind::Grub }
}

/// GRUB puts `BOOT_IMAGE=` first (grub-core/loader/i386/linux.c); so does syslinux, without
/// the files that GRUB leaves.
fn cmdline_clues(files: &Files, cmdline: Option<&str>) -> Vec<Clue> {
    let word = cmdline
        .and_then(|line| line.split_whitespace().find(|word| word.starts_with("BOOT_IMAGE=")));
    let grub = files.looked_there("etc/default/grub")
        || GRUB_CFGS.iter().any(|path| files.looked_there(path));
    match word {
        Some(word) if grub => vec![clue("proc/cmdline", word, grub_kind(files))],
        _ => Vec::new(),
    }
}

fn file_clues(files: &Files) -> Vec<Clue> {
    let mut clues = Vec::new();
    if let Some(path) = GRUB_CFGS.iter().find(|path| files.looked_there(path)) {
        clues.push(clue(path, "present", grub_kind(files)));
    }
    for dir in ESP_DIRS {
        let path = format!("{dir}/loader/loader.conf");
        let entries = files.below(&format!("{dir}/loader/entries")).count();
        let blscfg = clues.iter().any(|c| c.kind == BootloaderKind::GrubBls);
        if files.has(&path) || (entries > 0 && !blscfg) {
            let kind = systemd_boot_kind(files, &EfiVariables::default());
            clues.push(clue(&format!("{dir}/loader"), format!("{entries} entries"), kind));
            break;
        }
    }
    for (path, kind) in [
        ("boot/limine.conf", BootloaderKind::Limine),
        ("boot/limine/limine.conf", BootloaderKind::Limine),
        ("etc/default/limine", BootloaderKind::Limine),
        ("boot/refind_linux.conf", BootloaderKind::Refind),
    ] {
        if files.has(path) {
            clues.push(clue(path, "present", kind));
        }
    }
    clues
}

/// Kinds that the system's own tool decides, whatever started it.
fn is_system(kind: BootloaderKind) -> bool {
    matches!(
        kind,
        BootloaderKind::RpmOstree | BootloaderKind::Nixos | BootloaderKind::ProxmoxBootTool
    )
}

/// What files speak for, unless the command line contradicts: a kernel that GRUB started has
/// `BOOT_IMAGE=`.
fn not_contradicted<'a>(
    clues: &'a [Clue],
    cmdline: Option<&str>,
) -> impl Iterator<Item = BootloaderKind> + 'a {
    let not_grub = cmdline.is_some_and(|line| !line.is_empty() && !line.contains("BOOT_IMAGE="));
    let is_grub = |kind| matches!(kind, BootloaderKind::Grub | BootloaderKind::GrubBls);
    clues.iter().map(|clue| clue.kind).filter(move |kind| !(not_grub && is_grub(*kind)))
}

fn distinct(kinds: impl Iterator<Item = BootloaderKind>) -> Vec<BootloaderKind> {
    let mut all: Vec<BootloaderKind> = Vec::new();
    for kind in kinds {
        if !all.contains(&kind) {
            all.push(kind);
        }
    }
    all
}

fn own_files(kind: BootloaderKind, files: &Files) -> Vec<String> {
    let below = |dir: &str| files.below(dir).map(|(path, _)| path.to_owned()).collect::<Vec<_>>();
    let present = |paths: &[&str]| -> Vec<String> {
        paths
            .iter()
            .filter(|path| files.looked_there(path))
            .map(|path| (*path).to_owned())
            .collect()
    };
    let mut own = match kind {
        BootloaderKind::Grub | BootloaderKind::GrubBls => {
            let mut own = present(&["etc/default/grub"]);
            own.extend(below("etc/default/grub.d"));
            own.extend(present(&GRUB_CFGS));
            if kind == BootloaderKind::GrubBls {
                own.extend(below("boot/loader/entries"));
            }
            own
        }
        BootloaderKind::SystemdBoot | BootloaderKind::Kernelstub | BootloaderKind::Uki => {
            let mut own = present(&[
                "etc/kernel/cmdline",
                "etc/kernelstub/configuration",
                "etc/sdboot-manage.conf",
            ]);
            for dir in ESP_DIRS {
                own.extend(present(&[format!("{dir}/loader/loader.conf").as_str()]));
                own.extend(below(&format!("{dir}/loader/entries")));
            }
            own
        }
        BootloaderKind::Limine => {
            present(&["etc/default/limine", "boot/limine.conf", "boot/limine/limine.conf"])
        }
        BootloaderKind::Refind => present(&["boot/refind_linux.conf"]),
        BootloaderKind::ProxmoxBootTool => {
            present(&["etc/kernel/proxmox-boot-uuids", "etc/kernel/cmdline"])
        }
        BootloaderKind::RpmOstree | BootloaderKind::Nixos | BootloaderKind::Unknown => Vec::new(),
    };
    for path in &mut own {
        path.insert(0, '/');
    }
    own
}
