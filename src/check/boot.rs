//! The boot loader, its configuration, and the filesystems that it lives on.

use super::case::Case;
use super::finding::{Evidence, Found};
use crate::config::assignments::Assignments;
use crate::host::Host;
use crate::host::boot::{BootloaderKind, ESP_DIRS, GRUB_ENTRIES};
use crate::host::parameters::grub_without_recovery;

fn clues(host: &Host) -> Vec<Evidence> {
    host.bootloader
        .clues
        .iter()
        .map(|clue| {
            Evidence::new(clue.path.clone(), format!("{} ({})", clue.found, clue.kind.word()))
        })
        .collect()
}

/// `bootloader-conflict`: The signs disagree about which boot loader is in use.
pub fn bootloader_conflict(case: &Case<'_>) -> Vec<Found> {
    let mut evidence = clues(case.host).into_iter();
    let (true, Some(first)) = (case.host.bootloader.disagree, evidence.next()) else {
        return Vec::new();
    };
    let text = "It is not clear which boot loader starts this system. A change to the wrong one would do nothing, silently.";
    vec![Found::blocker(text, first)
        .and_all(evidence)
        .manual("Remove what is left of an old loader, or set the kernel parameters by hand in the one that you use.")]
}

/// Loaders that are recognised, with the tool or file that sets their parameters.
fn manual_steps(kind: BootloaderKind, host: &Host) -> Option<&'static str> {
    Some(match kind {
        BootloaderKind::Kernelstub => "sudo kernelstub --add-options \"PARAMETERS\"",
        BootloaderKind::GrubBls => "sudo grubby --update-kernel=ALL --args=\"PARAMETERS\"",
        BootloaderKind::Limine if host.files.has("etc/default/limine") => {
            "add a line KERNEL_CMDLINE[default]+=\" PARAMETERS\" to /etc/default/limine, then run sudo limine-mkinitcpio"
        }
        BootloaderKind::Limine => {
            "add PARAMETERS to the cmdline: line of a copy of your entry in limine.conf"
        }
        BootloaderKind::Refind => {
            "add PARAMETERS inside the quotes of the first line of /boot/refind_linux.conf, and keep the old line as the second one"
        }
        BootloaderKind::Uki => {
            "add PARAMETERS to /etc/kernel/cmdline, and rebuild the image with the tool that made it"
        }
        BootloaderKind::RpmOstree => {
            "sudo rpm-ostree kargs --append-if-missing=WORD for each of PARAMETERS, in one call; then sudo rpm-ostree initramfs --enable"
        }
        BootloaderKind::ProxmoxBootTool => {
            "add PARAMETERS to the one line of /etc/kernel/cmdline, then run sudo proxmox-boot-tool refresh"
        }
        BootloaderKind::Nixos => {
            "add PARAMETERS to boot.kernelParams in configuration.nix, then run sudo nixos-rebuild boot"
        }
        BootloaderKind::SystemdBoot if host.files.has("etc/sdboot-manage.conf") => {
            "add PARAMETERS to LINUX_OPTIONS in /etc/sdboot-manage.conf, then run sudo sdboot-manage gen"
        }
        BootloaderKind::SystemdBoot if host.os.has("sdbootutil") => {
            "add PARAMETERS to /etc/kernel/cmdline, then run sudo sdbootutil update-all-entries"
        }
        BootloaderKind::Unknown => {
            "add PARAMETERS to the kernel command line in the configuration of your boot loader"
        }
        BootloaderKind::Grub | BootloaderKind::SystemdBoot => return None,
    })
}

/// How a user sets these parameters where passthru does not.
pub fn by_hand(host: &Host, parameters: &[String]) -> Option<String> {
    let steps = manual_steps(host.bootloader.kind, host)?;
    Some(steps.replace("PARAMETERS", &parameters.join(" ")))
}

/// `bootloader-manual`: The boot loader is known, but its parameters are set by hand.
pub fn bootloader_manual(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    let kind = host.bootloader.kind;
    if case.gpu().is_none() || host.bootloader.disagree {
        return Vec::new();
    }
    let Some(steps) = manual_steps(kind, host) else {
        return Vec::new();
    };
    let mut evidence = clues(host).into_iter();
    let first = evidence.next().unwrap_or_else(|| Evidence::new("boot", "no boot loader found"));
    vec![
        Found::warning(
            format!(
                "Kernel parameters of this boot loader ({}) are not set by passthru.",
                kind.word()
            ),
            first,
        )
        .and_all(evidence)
        .manual(format!(
            "Set them by hand: {steps}. `passthru plan` prints it with the exact words."
        )),
    ]
}

/// A directory of modprobe.d(5) or modules-load.d(5), or a file there that its tool reads.
fn of_modprobe(path: &str) -> bool {
    let dirs = crate::host::MODPROBE_DIRS.iter().chain(&crate::host::MODULES_LOAD_DIRS);
    let mut rests = dirs.filter_map(|dir| path.strip_prefix(dir));
    rests.any(|rest| rest.is_empty() || (rest.starts_with('/') && rest.ends_with(".conf")))
}

/// `config-unreadable`: A configuration file could not be read.
pub fn config_unreadable(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    let relevant = |path: &&(String, String)| {
        let path = path.0.as_str();
        let loader = match host.bootloader.kind {
            BootloaderKind::Grub => path.starts_with("etc/default/grub"),
            BootloaderKind::SystemdBoot => {
                path.starts_with("etc/kernel/")
                    || ESP_DIRS.iter().any(|dir| {
                        path == format!("{dir}/loader/loader.conf")
                            || path.starts_with(&format!("{dir}/loader/entries"))
                    })
            }
            _ => false,
        };
        let generator = host.initramfs.kind.word();
        let of_generator = ["etc/mkinitcpio", "etc/dracut", "etc/initramfs-tools"]
            .iter()
            .any(|prefix| path.starts_with(prefix) && generator.starts_with(&prefix[4..]));
        loader || of_generator || of_modprobe(path)
    };
    let found = host.unreadable.iter().filter(relevant).map(|(path, reason)| {
        Found::blocker(
            format!("/{path} belongs to what a plan builds on, and could not be read: {reason}."),
            Evidence::new(path.clone(), reason.clone()),
        )
        .manual("Run the same command with sudo, or repair the file.")
    });
    found.collect()
}

/// `config-not-understood`: A configuration file has a construct that passthru will not edit.
pub fn config_not_understood(case: &Case<'_>) -> Vec<Found> {
    let mut problems: Vec<(String, crate::config::NotUnderstood)> =
        case.configured.problems.clone();
    if case.host.initramfs.kind == crate::host::initramfs::InitramfsKind::Mkinitcpio {
        let path = "etc/mkinitcpio.conf";
        let file = Assignments::parse(case.host.files.text(path).unwrap_or_default());
        for name in ["MODULES", "HOOKS"] {
            problems.extend(file.value(name).err().map(|problem| (path.to_owned(), problem)));
        }
    }
    let found = problems.into_iter().map(|(path, problem)| {
        Found::warning(
            format!(
                "/{path}, line {}: {}. passthru does not edit what it does not understand.",
                problem.line, problem.reason
            ),
            Evidence::new(path, problem.text),
        )
        .manual("Write it as a plain assignment, or make the change by hand.")
    });
    found.collect()
}

/// `esp-not-mounted`: The EFI partition is not mounted.
pub fn esp_not_mounted(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    let needs_esp = matches!(
        host.bootloader.kind,
        BootloaderKind::SystemdBoot
            | BootloaderKind::Uki
            | BootloaderKind::Limine
            | BootloaderKind::Refind
            | BootloaderKind::Kernelstub
    );
    if host.uses.mounts.is_empty() {
        return Vec::new();
    }
    let wanted = host.uses.fstab.iter().filter(|mount| match mount.target.trim_end_matches('/') {
        "/boot" => true,
        "/efi" | "/boot/efi" => needs_esp,
        _ => false,
    });
    let missing =
        wanted.filter(|mount| host.uses.mounted_at(mount.target.trim_end_matches('/')).is_none());
    let found = missing.map(|mount| {
        Found::blocker(format!("{} is named in /etc/fstab but not mounted. What is written there now would never be booted.", mount.target), Evidence::new("etc/fstab", format!("line {}: {} {}", mount.line, mount.source, mount.target)))
            .and(Evidence::new("proc/mounts", format!("nothing at {}", mount.target)))
            .manual(format!("Mount it: `sudo mount {}`.", mount.target))
    });
    found.collect()
}

/// A tool writes the new image beside the old one, or over it with what is free: a quarter
/// more than the largest image must be there.
pub fn boot_space_low(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    let Some((image, largest)) =
        host.initramfs.images.iter().map(|(p, m)| (p, m.size)).max_by_key(|(_, size)| *size)
    else {
        return Vec::new();
    };
    let Some((point, space)) = host
        .boot_space
        .iter()
        .find(|(point, _)| point == "/boot")
        .or_else(|| host.boot_space.iter().find(|(point, _)| point == "/"))
    else {
        return Vec::new();
    };
    let needed = largest + largest / 4;
    if largest == 0 || space.free >= needed {
        return Vec::new();
    }
    let mib = |bytes: u64| bytes >> 20;
    vec![
        Found::blocker(
            format!(
                "{point} has {} MiB free; rebuilding an image of {} MiB safely needs {} MiB.",
                mib(space.free),
                mib(largest),
                mib(needed)
            ),
            Evidence::new(
                point.clone(),
                format!("{} of {} MiB free", mib(space.free), mib(space.total)),
            ),
        )
        .and(Evidence::new(image.clone(), format!("{} MiB", mib(largest))))
        .manual("Remove old kernels, or make the partition larger."),
    ]
}

/// `grub-no-recovery`: GRUB makes no recovery entry.
pub fn grub_no_recovery(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    if host.bootloader.kind != BootloaderKind::Grub || host.files.has(GRUB_ENTRIES) {
        return Vec::new();
    }
    let Some((path, found)) = grub_without_recovery(host) else {
        return Vec::new();
    };
    let evidence = Evidence::new(path, found);
    let detail = "GRUB makes no recovery entries here, so no entry of its menu boots without the new parameters.";
    let found = Found::warning(detail, evidence);
    vec![if host.bootloader.runs_10_linux {
        found.planned("The plan adds entries without them, in a submenu behind the others.")
    } else {
        found.manual("In GRUB's menu, `e` edits an entry for one boot: delete the words there. Or set GRUB_DISABLE_RECOVERY=false.")
    }]
}
