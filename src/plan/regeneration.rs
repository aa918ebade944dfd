//! Programs that make images and boot menu anew from changed files, each at most once.

use super::bootloader::{CMDLINE, are_generated};
use super::change::Command;
use super::initramfs::IMAGE_SOURCES;
use super::kernel_parameters::ParameterChange;
use super::outputs;
use crate::host::Host;
use crate::host::boot::{BootloaderKind, GRUB_CFGS};
use crate::host::initramfs::InitramfsKind;

/// Every program that a plan can name.
pub const PROGRAMS: [&str; 8] = [
    "mkinitcpio",
    "update-initramfs",
    "dracut",
    "update-grub",
    "grub-mkconfig",
    "grub2-mkconfig",
    "kernel-install",
    "reinstall-kernels",
];

/// What is out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale {
    /// Images do not hold what their sources say.
    pub images: bool,
    /// The boot menu does not.
    pub menu: bool,
}

impl Stale {
    /// After these files, absolute paths, and these kernel parameters changed.
    pub fn after<'a>(
        mut paths: impl Iterator<Item = &'a str> + Clone,
        parameters: &ParameterChange,
    ) -> Self {
        let of_images = |path: &str| {
            IMAGE_SOURCES.iter().any(|source| path.trim_start_matches('/').starts_with(source))
        };
        Self {
            images: paths.clone().any(of_images),
            menu: !parameters.is_empty()
                || paths.any(|path| path.starts_with("/etc/grub.d/") || path[1..] == *CMDLINE),
        }
    }
}

/// The programs of a host for what is out of date, in order.
pub fn commands(host: &Host, stale: Stale) -> Vec<Command> {
    let images = || images(host).into_iter();
    let generated = host.bootloader.kind == BootloaderKind::SystemdBoot && are_generated(host);
    match host.bootloader.kind {
        BootloaderKind::Grub => {
            let menu = stale.menu.then(|| grub_mkconfig(host));
            images().filter(|_| stale.images).chain(menu).collect()
        }
        // Debian's package refreshes the entries whenever an image was built.
        _ if generated && entries_follow_images(host) => {
            images().filter(|_| stale.images || stale.menu).collect()
        }
        _ if generated => {
            let install = kernel_install(host);
            let builds_images =
                host.initramfs.kind == InitramfsKind::Dracut || host.os.has("reinstall-kernels");
            let alone = stale.images && !builds_images;
            let install = install.into_iter();
            let needed = stale.menu || (builds_images && stale.images);
            images().filter(|_| alone).chain(install.filter(|_| needed)).collect()
        }
        _ => images().filter(|_| stale.images).collect(),
    }
}

fn images(host: &Host) -> Option<Command> {
    let because = "rebuild the images of all kernels with vfio-pci in them";
    let command = match host.initramfs.kind {
        InitramfsKind::Mkinitcpio => {
            let because = "rebuild the images of all presets with vfio-pci in them";
            Command::new(&["mkinitcpio", "-P"], because)
        }
        InitramfsKind::InitramfsTools => {
            Command::new(&["update-initramfs", "-u", "-k", "all"], because)
        }
        InitramfsKind::Dracut => Command::new(&["dracut", "--force", "--regenerate-all"], because),
        InitramfsKind::Booster | InitramfsKind::Nixos | InitramfsKind::Unknown => return None,
    };
    Some(command.writing(outputs::images(host)))
}

fn grub_mkconfig(host: &Host) -> Command {
    let because = "write the boot menu anew with the changed parameters";
    let present = GRUB_CFGS.iter().find(|path| host.files.looked_there(path));
    if host.os.has("update-grub") {
        let output = format!("/{}", present.unwrap_or(&GRUB_CFGS[0]));
        return Command::new(&["update-grub"], because).writing([output]);
    }
    let program = if host.os.has("grub-mkconfig") { "grub-mkconfig" } else { "grub2-mkconfig" };
    let output =
        format!("/{}", present.unwrap_or(&GRUB_CFGS[usize::from(program == "grub2-mkconfig")]));
    Command::new(&[program, "-o", &output], because).writing([output.clone()])
}

fn entries_follow_images(host: &Host) -> bool {
    host.initramfs.kind == InitramfsKind::InitramfsTools
        && host.files.has(outputs::REFRESHES_ENTRIES)
}

fn kernel_install(host: &Host) -> Vec<Command> {
    let because = "write the boot entries anew from /etc/kernel/cmdline";
    // A plugin of kernel-install may build the image, beside the kernel or in /boot.
    let written = |releases: &[String]| {
        let images = outputs::images(host).into_iter();
        images.chain(outputs::entries(host, releases)).collect::<Vec<String>>()
    };
    let releases = outputs::releases(host);
    if host.os.has("reinstall-kernels") {
        let command = Command::new(&["reinstall-kernels"], because);
        return vec![command.writing(written(&releases))];
    }
    let debian = host.os.is_like("debian");
    let commands = releases.iter().map(|release| {
        let image = if debian {
            format!("/boot/vmlinuz-{release}")
        } else {
            format!("/usr/lib/modules/{release}/vmlinuz")
        };
        let writes = written(std::slice::from_ref(release));
        Command::new(&["kernel-install", "add", release, &image], because).writing(writes)
    });
    commands.collect()
}
