//! Programs of the distribution that tests run: the real readers of what passthru writes.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::steps::{Output, output};

/// Packages of Debian and its relatives.
const DEBIAN: &[&str] = &[
    "bash",
    "busybox",
    "bzip2",
    "cpio",
    "dosfstools",
    "dracut-core",
    "e2fsprogs",
    "fdisk",
    "file",
    "grub-common",
    "grub2-common",
    "initramfs-tools-core",
    "klibc-utils",
    "kmod",
    "libvirt-clients",
    "libvirt-daemon",
    "libvirt-daemon-driver-qemu",
    "libxml2-utils",
    "lz4",
    "lzop",
    "mmdebstrap",
    "mount",
    "mtools",
    "openssh-client",
    "ovmf",
    "pciutils",
    "strace",
    "swtpm",
    "swtpm-tools",
    "systemd",
    "udev",
    "util-linux",
    "virtinst",
    "xz-utils",
    "zstd",
    QEMU,
    QEMU_IMG,
];

/// Boots the machines of `tests/kernel` and `tests/lab`; Debian and Arch call it the same.
const QEMU: &str = "qemu-system-x86";
/// Makes the disks of `tests/lab`.
const QEMU_IMG: &str = "qemu-utils";

/// Packages of Arch and its relatives that have the same programs, as far as Arch has them.
const ARCH: &[&str] = &[
    "bash",
    "busybox",
    "bzip2",
    "cpio",
    "dosfstools",
    "dracut",
    "e2fsprogs",
    "edk2-ovmf",
    "file",
    "grub",
    "kmod",
    "libvirt",
    "libxml2",
    "lz4",
    "lzop",
    "mkinitcpio",
    "mtools",
    "openssh",
    "pciutils",
    "qemu-img",
    "strace",
    "swtpm",
    "systemd",
    "util-linux",
    "virt-install",
    "xz",
    "zstd",
    QEMU,
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
    apt(&["update", "--quiet"])?; // without success the lists at hand may do
    let of_qemu = |name: &&str| [QEMU, QEMU_IMG].contains(name);
    let (qemu, plain): (Words<'_>, Words<'_>) = missing.into_iter().partition(of_qemu);
    let mut installed =
        if plain.is_empty() { done("") } else { apt(&[&install[1..], &plain].concat())? };
    if installed.success && !qemu.is_empty() {
        installed = qemu_of_apt(&qemu)?;
    }
    if !installed.success {
        installed.text += "\nTests skip what they lack a program for.";
    }
    Ok(installed)
}

fn apt(args: &[&str]) -> Result<Output> {
    output(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Installs QEMU without removing anything.
///
/// The programs of QEMU must be of one version: its packages break older ones of each other. Where
/// qemu-utils came from backports, the release's own qemu-system-x86 would take it away, so then
/// all of it comes from backports.
fn qemu_of_apt(packages: &[&str]) -> Result<Output> {
    let install = ["install", "--yes", "--no-install-recommends", "--no-remove"];
    let own = apt(&[&install[..], packages].concat())?;
    if own.success {
        return Ok(own);
    }
    let Some(suite) = backports()? else { return Ok(own) };
    apt(&["update", "--quiet"])?;
    apt(&[&install[..], &["--target-release", &suite], packages].concat())
}

/// Name of Debian's backports suite for this release, which apt knows from now on. Nothing is
/// upgraded to what is in it unless asked for (its Release file says NotAutomatic).
fn backports() -> Result<Option<String>> {
    let format = "$(REPO_URI) $(RELEASE) $(CODENAME) $(COMPONENT) $(LABEL)";
    let mut indexes = Command::new("apt-get");
    indexes.args(["indextargets", "--format", format, "Created-By: Packages"]);
    let known = output(&mut indexes)?.text;
    let known: Vec<Words<'_>> = known.lines().map(|line| line.split(' ').collect()).collect();
    // The release itself: updates and backports have a suite of another name.
    let Some(main) = known.iter().find_map(|words| match words[..] {
        [uri, _, codename, "main", "Debian"] if !codename.contains('-') => Some((uri, codename)),
        _ => None,
    }) else {
        return Ok(None);
    };
    let (uri, codename) = main;
    let suite = format!("{codename}-backports");
    if known.iter().any(|words| words.get(1) == Some(&suite.as_str())) {
        return Ok(Some(suite));
    }
    let keyring = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg");
    let option = if keyring.exists() {
        format!("[signed-by={}] ", keyring.display())
    } else {
        String::new()
    };
    let text = format!(
        "# Beside the release, for the QEMU of passthru's tests.\ndeb {option}{uri} {suite} main\n"
    );
    fs::write("/etc/apt/sources.list.d/passthru-backports.list", text)?;
    Ok(Some(suite))
}

fn done(text: &str) -> Output {
    Output { success: true, text: text.to_owned() }
}

type Words<'a> = Vec<&'a str>;

/// Packages that are not there, and the command that installs packages.
fn missing() -> Option<(Words<'static>, Words<'static>)> {
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
