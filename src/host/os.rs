//! The distribution, and which programs it has.

use std::collections::BTreeSet;

use crate::config::assignments::Assignments;
use crate::sys::{Observed, Sysroot};

/// os-release(5) and a few marks beside it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Os {
    /// `ID=`.
    pub id: Option<String>,
    /// `ID_LIKE=`, split.
    pub like: Vec<String>,
    /// `PRETTY_NAME=` or `NAME=`.
    pub name: Option<String>,
    /// An image-based system: /run/ostree-booted.
    pub ostree: bool,
    /// NixOS: /etc/NIXOS.
    pub nixos: bool,
    /// Proxmox VE, which calls itself Debian in os-release.
    pub proxmox: bool,
    /// Programs of interest that are installed, by name.
    pub programs: BTreeSet<String>,
    /// This program, in a directory where only root installs some; without leading slash.
    pub own_program: Option<String>,
}

impl Os {
    /// True where the distribution is this one or one made from it.
    pub fn is_like(&self, id: &str) -> bool {
        self.id.as_deref() == Some(id) || self.like.iter().any(|like| like == id)
    }

    /// True where a program is installed.
    pub fn has(&self, program: &str) -> bool {
        self.programs.contains(program)
    }
}

/// Programs that decide which tool a host uses.
const PROGRAMS: [&str; 27] = [
    "mkinitcpio",
    "dracut",
    "update-initramfs",
    "booster",
    "grub-mkconfig",
    "grub2-mkconfig",
    "update-grub",
    "grubby",
    "kernel-install",
    "bootctl",
    "kernelstub",
    "sdboot-manage",
    "sdbootutil",
    "limine-mkinitcpio",
    "limine-update",
    "rpm-ostree",
    "proxmox-boot-tool",
    "pveversion",
    "nixos-rebuild",
    "reinstall-kernels",
    "qemu-system-x86_64",
    "qemu-kvm",
    "kvm",
    "virsh",
    "libvirtd",
    "virtqemud",
    "modprobe",
];

/// Reads os-release and looks for the programs.
pub fn read(root: &Sysroot) -> Os {
    let text = ["etc/os-release", "usr/lib/os-release"]
        .into_iter()
        .find_map(|path| root.text(path).into_present())
        .unwrap_or_default();
    let file = Assignments::parse(&text);
    let value = |name: &str| Some(file.value(name).ok()??.scalar().to_owned());
    let mut os = Os {
        id: value("ID"),
        like: value("ID_LIKE").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
        name: value("PRETTY_NAME").or_else(|| value("NAME")),
        ostree: root.exists("run/ostree-booted").is_present(),
        nixos: root.exists("etc/NIXOS").is_present(),
        proxmox: false,
        programs: programs(root),
        own_program: own_program(root),
    };
    os.nixos |= os.id.as_deref() == Some("nixos");
    os.proxmox = os.has("pveversion") || root.exists("etc/pve").is_present();
    os
}

/// Looked for in the order of systemd's own search (systemd.exec(5), ExecSearchPath).
fn own_program(root: &Sysroot) -> Option<String> {
    let dirs = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"];
    let mut paths = dirs.iter().map(|dir| format!("{dir}/passthru"));
    paths.find(|path| root.exists(path).is_present())
}

fn programs(root: &Sysroot) -> BTreeSet<String> {
    let mut dirs = vec!["usr/bin", "usr/libexec"];
    for dir in ["usr/sbin", "bin", "sbin", "usr/local/bin", "usr/local/sbin"] {
        if matches!(root.link(dir), Observed::Absent) {
            dirs.push(dir);
        }
    }
    dirs.push("run/current-system/sw/bin");
    let open: Vec<_> = dirs.into_iter().filter(|dir| root.exists(dir).is_present()).collect();
    let has =
        |name: &&str| open.iter().any(|dir| root.exists(&format!("{dir}/{name}")).is_present());
    PROGRAMS.iter().filter(|name| has(name)).map(|name| (*name).to_owned()).collect()
}
