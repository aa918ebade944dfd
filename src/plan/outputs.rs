//! What the commands write, so that it can be saved before they run.
//!
//! A path is absolute; a `*` stands for any part of its last component.

use crate::config::assignments::Assignments;
use crate::host::Host;
use crate::host::boot::BootloaderKind;
use crate::host::initramfs::InitramfsKind;
use crate::host::parameters::current_entry;

/// initrd.img-RELEASE of Debian, initramfs-RELEASE.img of Fedora and Arch.
const IMAGES: &str = "/boot/initr*";
/// Of Debian's systemd-boot package: each new image goes through kernel-install.
pub const REFRESHES_ENTRIES: &str = "etc/initramfs/post-update.d/systemd-boot";

/// What the image generator in use writes.
pub fn images(host: &Host) -> Vec<String> {
    let mut paths = vec![IMAGES.to_owned()];
    match host.initramfs.kind {
        InitramfsKind::Mkinitcpio => paths.extend(preset_images(host)),
        InitramfsKind::InitramfsTools if host.files.has(REFRESHES_ENTRIES) => {
            paths.extend(entries(host, &releases(host)));
        }
        // An image goes beside its kernel where kernel-install put that (dracut(8),
        // --regenerate-all).
        InitramfsKind::Dracut if host.bootloader.kind == BootloaderKind::SystemdBoot => {
            paths.extend(kernel_files(host, &releases(host)));
        }
        _ => {}
    }
    paths.sort();
    paths.dedup();
    paths
}

/// What kernel-install writes for these kernels: entries, and files beside the kernel.
pub fn entries(host: &Host, releases: &[String]) -> Vec<String> {
    let dir = host.bootloader.loader_dir.iter().map(|dir| format!("/{dir}/loader/entries/*.conf"));
    dir.chain(kernel_files(host, releases)).collect()
}

/// Installed kernels, or the one that runs.
pub fn releases(host: &Host) -> Vec<String> {
    if host.kernel.installed.is_empty() {
        host.kernel.release.iter().cloned().collect()
    } else {
        host.kernel.installed.clone()
    }
}

/// kernel-install(8), "Entry token": a directory of the boot partition for each kernel.
fn kernel_files(host: &Host, releases: &[String]) -> Vec<String> {
    let (Some(dir), Some(token)) = (&host.bootloader.loader_dir, token(host)) else {
        return Vec::new();
    };
    let plain = releases.iter().filter(|release| is_component(release));
    plain.map(|release| format!("/{dir}/{token}/{release}/*")).collect()
}

/// What its entries begin with: it is seen in the current one, else written in a file.
fn token(host: &Host) -> Option<String> {
    let current = current_entry(&host.bootloader, host).unwrap_or_default();
    let name = current.rsplit('/').next().unwrap_or_default();
    let releases = releases(host);
    let seen = releases.iter().find_map(|release| name.split_once(&format!("-{release}")));
    let written = || {
        let files = ["etc/kernel/entry-token", "etc/machine-id"];
        files.iter().find_map(|path| host.files.text(path)).map(str::trim)
    };
    let token = seen.map(|(token, _)| token).or_else(written)?;
    is_component(token).then(|| token.to_owned())
}

/// Images that presets name (mkinitcpio(8), "About presets").
fn preset_images(host: &Host) -> Vec<String> {
    let mut paths = Vec::new();
    for (_, file) in host.files.below("etc/mkinitcpio.d") {
        let preset = Assignments::parse(&file.text);
        let value = |name: &str| preset.value(name).ok().flatten();
        let names = value("PRESETS");
        for name in names.iter().flat_map(|names| names.words()) {
            for kind in ["image", "uki", "efi_image"] {
                let path = value(&format!("{name}_{kind}"));
                paths.extend(path.map(|path| path.scalar().to_owned()));
            }
        }
    }
    let known = |path: &String| {
        path.rsplit_once('/').is_some_and(|(dir, name)| dir == "/boot" && name.starts_with("initr"))
    };
    paths.retain(|path| is_path(path) && !known(path));
    paths
}

fn is_path(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_component))
}

fn is_component(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && !name.contains(['/', '*', '?', '[', '\\'])
        && !name.contains(char::is_control)
}
