//! Which tool builds the initramfs, and the files that steer it.

use serde::{Deserialize, Serialize};

use super::files::Files;
use super::os::Os;
use crate::sys::{Meta, Observed, Sysroot};

/// Tools that build initramfs images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum InitramfsKind {
    /// Arch and relatives.
    Mkinitcpio,
    /// Fedora, openSUSE, Void, Gentoo, EndeavourOS and others.
    Dracut,
    /// Debian, Ubuntu and relatives.
    InitramfsTools,
    /// booster.
    Booster,
    /// NixOS builds its own.
    Nixos,
    /// None was found, or not clearly one.
    Unknown,
}

impl InitramfsKind {
    /// The word of the JSON contract.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mkinitcpio => "mkinitcpio",
            Self::Dracut => "dracut",
            Self::InitramfsTools => "initramfs-tools",
            Self::Booster => "booster",
            Self::Nixos => "nixos",
            Self::Unknown => "unknown",
        }
    }
}

/// The generator in use.
#[derive(Debug, Clone, PartialEq)]
pub struct Initramfs {
    /// Which one.
    pub kind: InitramfsKind,
    /// Its configuration files, as absolute paths.
    pub files: Vec<String>,
    /// Version of mkinitcpio, where the package database tells it.
    pub mkinitcpio_version: Option<u32>,
    /// Images in /boot with their size and time.
    pub images: Vec<(String, Meta)>,
}

const DROP_INS: [(&str, &str); 6] = [
    ("etc/mkinitcpio.conf.d", ".conf"),
    ("etc/mkinitcpio.d", ".preset"),
    ("etc/dracut.conf.d", ".conf"),
    ("usr/lib/dracut/dracut.conf.d", ".conf"),
    ("etc/initramfs-tools/conf.d", ""),
    ("etc/cmdline.d", ".conf"),
];
const SINGLE: [&str; 7] = [
    "etc/mkinitcpio.conf",
    "etc/dracut.conf",
    "etc/initramfs-tools/initramfs.conf",
    "etc/initramfs-tools/modules",
    "etc/modules",
    "etc/booster.yaml",
    "etc/machine-id",
];

/// Reads the files that belong to generators.
pub fn read_files(root: &Sysroot, files: &mut Files) {
    for path in SINGLE {
        files.read(root, path);
    }
    for (dir, suffix) in DROP_INS {
        files.read_dir(root, dir, suffix);
    }
}

/// Decides from what was read.
pub fn detect(root: &Sysroot, files: &Files, os: &Os) -> Initramfs {
    let kind = kind(root, files, os);
    Initramfs {
        kind,
        files: own_files(kind, files),
        mkinitcpio_version: (kind == InitramfsKind::Mkinitcpio)
            .then(|| pacman_version(root))
            .flatten(),
        images: images(root),
    }
}

fn kind(root: &Sysroot, files: &Files, os: &Os) -> InitramfsKind {
    if os.nixos {
        return InitramfsKind::Nixos;
    }
    let presets = files.below("etc/mkinitcpio.d").next().is_some();
    let mkinitcpio = os.has("mkinitcpio") && (files.looked_there("etc/mkinitcpio.conf") || presets);
    let initramfs_tools =
        os.has("update-initramfs") && files.looked_there("etc/initramfs-tools/initramfs.conf");
    let dracut = os.has("dracut");
    let booster = os.has("booster") || files.looked_there("etc/booster.yaml");
    match (mkinitcpio, initramfs_tools, dracut, booster) {
        (true, false, false, false) => InitramfsKind::Mkinitcpio,
        (false, true, false, false) => InitramfsKind::InitramfsTools,
        (false, false, true, false) => InitramfsKind::Dracut,
        (false, false, false, true) => InitramfsKind::Booster,
        // Several are installed: a preset says which kernels mkinitcpio builds for, a hook in
        // /etc/kernel which Debian package acts on a new kernel.
        (true, false, _, _) if presets => InitramfsKind::Mkinitcpio,
        (true, false, true, false) if files.below("etc/dracut.conf.d").next().is_none() => {
            InitramfsKind::Mkinitcpio
        }
        (_, true, true, _) => {
            let hook =
                |name: &str| root.exists(&format!("etc/kernel/postinst.d/{name}")).is_present();
            if hook("dracut") && !hook("initramfs-tools") {
                InitramfsKind::Dracut
            } else {
                InitramfsKind::InitramfsTools
            }
        }
        (false, false, true, true) if !files.has("etc/booster.yaml") => InitramfsKind::Dracut,
        (true, false, true, false) => InitramfsKind::Dracut,
        _ => InitramfsKind::Unknown,
    }
}

fn own_files(kind: InitramfsKind, files: &Files) -> Vec<String> {
    let (single, dirs): (&[&str], &[&str]) = match kind {
        InitramfsKind::Mkinitcpio => {
            (&["etc/mkinitcpio.conf"], &["etc/mkinitcpio.conf.d", "etc/mkinitcpio.d"])
        }
        InitramfsKind::Dracut => (&["etc/dracut.conf"], &["etc/dracut.conf.d"]),
        InitramfsKind::InitramfsTools => (
            &["etc/initramfs-tools/initramfs.conf", "etc/initramfs-tools/modules"],
            &["etc/initramfs-tools/conf.d"],
        ),
        InitramfsKind::Booster => (&["etc/booster.yaml"], &[]),
        InitramfsKind::Nixos | InitramfsKind::Unknown => (&[], &[]),
    };
    let single = single.iter().filter(|path| files.has(path)).map(|path| format!("/{path}"));
    let below = dirs.iter().flat_map(|dir| files.below(dir).map(|(path, _)| format!("/{path}")));
    single.chain(below).collect()
}

/// pacman keeps one directory a package: `mkinitcpio-39.2-2`.
fn pacman_version(root: &Sysroot) -> Option<u32> {
    let names = root.list("var/lib/pacman/local").into_present()?;
    let version = names.iter().find_map(|name| {
        name.strip_prefix("mkinitcpio-")
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn images(root: &Sysroot) -> Vec<(String, Meta)> {
    let names = root.list("boot").into_present().unwrap_or_default();
    let is_image = |name: &&String| name.starts_with("initr") || name.starts_with("booster-");
    let with_meta = |name: &String| {
        let path = format!("boot/{name}");
        match root.meta(&path) {
            Observed::Present(meta) => Some((path, meta)),
            _ => None,
        }
    };
    names.iter().filter(is_image).filter_map(with_meta).collect()
}
