//! Programs of the distribution that tests run: the real readers of what passthru writes.

use std::process::Command;

use anyhow::Result;

use crate::steps::{Output, output};

/// Packages of Debian and its relatives.
const DEBIAN: &[&str] = &[
    "bash",
    "busybox",
    "bzip2",
    "cpio",
    "dracut-core",
    "e2fsprogs",
    "grub-common",
    "grub2-common",
    "initramfs-tools-core",
    "klibc-utils",
    "kmod",
    "lz4",
    "lzop",
    "mount",
    "pciutils",
    "strace",
    "udev",
    "util-linux",
    "xz-utils",
    "zstd",
];

/// Packages of Arch and its relatives that have the same programs, as far as Arch has them.
const ARCH: &[&str] = &[
    "bash",
    "busybox",
    "bzip2",
    "cpio",
    "dracut",
    "e2fsprogs",
    "grub",
    "kmod",
    "lz4",
    "lzop",
    "mkinitcpio",
    "pciutils",
    "strace",
    "systemd",
    "util-linux",
    "xz",
    "zstd",
];

/// Installs what is missing as root on Debian and its relatives; elsewhere says how to.
pub fn provide() -> Result<Output> {
    let Some((missing, install)) = missing() else {
        return Ok(done("No known package manager: tests skip what they lack a program for."));
    };
    if missing.is_empty() {
        return Ok(done(""));
    }
    let root = output(Command::new("id").arg("-u"))?.text.trim() == "0";
    if !root || install[0] != "apt-get" {
        let mut words = vec!["sudo"];
        words.extend(install);
        words.extend(missing);
        return Ok(done(&format!(
            "Some tests will be skipped. To run them too:\n  {}",
            words.join(" ")
        )));
    }
    let apt = |args: &[&str]| {
        output(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "--quiet"])?; // without success the lists at hand may do
    let mut installed = apt(&[&install[1..], &missing].concat())?;
    if !installed.success {
        installed.text += "\nTests skip what they lack a program for.";
    }
    Ok(installed)
}

fn done(text: &str) -> Output {
    Output { success: true, text: text.to_owned() }
}

type Words = Vec<&'static str>;

/// Packages that are not there, and the command that installs packages.
fn missing() -> Option<(Words, Words)> {
    let query = ["-W", "-f=${Package} ${db:Status-Status}\n"];
    if let Ok(known) = output(Command::new("dpkg-query").args(query).args(DEBIAN)) {
        let there = |name: &str| known.text.lines().any(|line| line == format!("{name} installed"));
        let missing = DEBIAN.iter().copied().filter(|name| !there(name)).collect();
        return Some((missing, vec!["apt-get", "install", "--yes", "--no-install-recommends"]));
    }
    let lacking = output(Command::new("pacman").arg("-T").args(ARCH)).ok()?;
    let lacks = |name: &&str| lacking.text.lines().any(|line| line == *name);
    let missing = ARCH.iter().copied().filter(lacks).collect();
    Some((missing, vec!["pacman", "-S", "--needed"]))
}
