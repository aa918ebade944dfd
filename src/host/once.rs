//! Whether the boot loader in use can be told to start one entry once, and then its default
//! again; and what it is told now.

use serde::{Deserialize, Serialize};

use super::Host;
use super::boot::{BootloaderKind, GRUB_ENTRIES};
use super::firmware::{EFIVARS, LOADER, utf16};
use super::parameters::entry_id;
use crate::config::MARK;
use crate::config::bls::Entry;
use crate::config::cmdline::Cmdline;
use crate::config::mounts::holding;
use crate::sys::{Observed, Sysroot};

/// Judges a trial boot once the system is up.
pub const UNIT: &str = "etc/systemd/system/passthru-verify.service";
/// Has it started: a drop-in, which is a file like any, in place of the link that
/// `systemctl enable` makes (systemd.unit(5)).
pub const WANTS: &str = "etc/systemd/system/multi-user.target.d/passthru.conf";
/// Ids of entries in GRUB's menu that are on trial begin so; the submenu has the first part.
pub const GRUB_TRIAL: &str = "passthru-trial";
/// Names of entry files that are on trial end so.
pub const TRIAL_SUFFIX: &str = "-trial";

/// How an entry is selected for one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BootOnce {
    /// `next_entry` in GRUB's environment block, which GRUB empties before it starts the entry
    /// (00_header of grub-mkconfig). `GRUB_DEFAULT` may have any value.
    Grub,
    /// The same, for a GRUB that is called grub2.
    Grub2,
    /// The EFI variable `LoaderEntryOneShot`, which the loader removes (Boot Loader Interface).
    SystemdBoot,
}

impl BootOnce {
    /// The program that selects, with the word that comes before the entry where there is one.
    pub fn selecting(self) -> &'static [&'static str] {
        match self {
            Self::Grub => &["grub-reboot"],
            Self::Grub2 => &["grub2-reboot"],
            Self::SystemdBoot => &["bootctl", "set-oneshot"],
        }
    }

    /// The command that selects nothing any more.
    pub fn clearing(self) -> &'static [&'static str] {
        match self {
            Self::Grub => &["grub-editenv", "-", "unset", "next_entry"],
            Self::Grub2 => &["grub2-editenv", "-", "unset", "next_entry"],
            Self::SystemdBoot => &["bootctl", "set-oneshot", ""],
        }
    }

    /// The environment block, inside the root; none where the selection is no file.
    pub fn block(self) -> Option<&'static str> {
        match self {
            Self::Grub => Some("boot/grub/grubenv"),
            Self::Grub2 => Some("boot/grub2/grubenv"),
            Self::SystemdBoot => None,
        }
    }

    /// The boot loader's name.
    pub fn loader(self) -> &'static str {
        match self {
            Self::Grub | Self::Grub2 => "GRUB",
            Self::SystemdBoot => "systemd-boot",
        }
    }

    /// The entry that is selected now; absent where none is.
    pub fn selected(self, root: &Sysroot) -> Observed<String> {
        let name = match self.block() {
            Some(path) => root.text(path).map(|text| next_entry(&text).unwrap_or("").to_owned()),
            None => root.read(&format!("{EFIVARS}/LoaderEntryOneShot-{LOADER}")).map(|bytes| {
                // Four bytes of attributes come first (efivarfs.rst).
                utf16(bytes.get(4..).unwrap_or_default())
            }),
        };
        name.and_then(|name| match name.as_str() {
            "" => Observed::Absent,
            _ => Observed::Present(name),
        })
    }
}

/// `next_entry` of an environment block: a line a variable, `#` up to its end (grub-editenv(1)).
fn next_entry(block: &str) -> Option<&str> {
    block.lines().find_map(|line| line.strip_prefix("next_entry="))
}

/// True for an environment block in which nothing stands.
pub fn is_empty_block(block: &str) -> bool {
    block.lines().all(|line| line.starts_with('#') || line.trim().is_empty())
}

/// Words that are on trial: the file that has them, and which.
pub fn on_trial(host: &Host) -> Option<(String, Vec<String>)> {
    let script = || {
        let text = host.files.text(GRUB_ENTRIES).filter(|text| text.contains(GRUB_TRIAL))?;
        let line = text.lines().find_map(|line| line.strip_prefix("add='")?.strip_suffix('\''))?;
        Some((GRUB_ENTRIES.to_owned(), line.split_whitespace().map(str::to_owned).collect()))
    };
    let entry = || {
        let dir = format!("{}/loader/entries", host.bootloader.loader_dir.as_deref()?);
        let own = |(path, text): &(&str, &str)| {
            text.contains(MARK) && entry_id(path).ends_with(TRIAL_SUFFIX)
        };
        let mut all = host.files.below(&dir).map(|(path, file)| (path, file.text.as_str()));
        let (path, text) = all.find(own)?;
        let options = Entry::parse(text).options();
        let words = Cmdline::parse(&options).parameters().map(|p| p.word.to_owned()).collect();
        Some((path.to_owned(), words))
    };
    match host.bootloader.kind {
        BootloaderKind::Grub => script(),
        BootloaderKind::SystemdBoot => entry(),
        _ => None,
    }
}

/// How one boot can be selected on a host, or why it cannot.
///
/// # Errors
/// The reason, as the part of a sentence.
pub fn find(host: &Host) -> Result<BootOnce, String> {
    match host.bootloader.kind {
        BootloaderKind::Grub => grub(host),
        BootloaderKind::SystemdBoot => systemd_boot(host),
        other => Err(format!("passthru cannot select an entry of {} for one boot", other.word())),
    }
}

/// GRUB writes the environment block through the blocks of the file. It can do so on a plain
/// disk without checksums, and not through LVM, RAID or encryption (GRUB manual, "The GRUB
/// environment block"). Where it cannot, the selection would stay for every boot.
fn grub(host: &Host) -> Result<BootOnce, String> {
    // grub-reboot comes with grub-mkconfig.
    let once = if host.os.has("grub-mkconfig") || host.os.has("update-grub") {
        BootOnce::Grub
    } else if host.os.has("grub2-mkconfig") {
        BootOnce::Grub2
    } else {
        return Err("grub-reboot is not installed".to_owned());
    };
    if !host.bootloader.runs_10_linux {
        return Err(
            "/etc/grub.d/10_linux is not there, or may not be executed, and the entry would be made with it"
                .to_owned(),
        );
    }
    let block = once.block().unwrap_or_default();
    let path = format!("/{block}");
    if host.bootloader.linked_block {
        return Err(format!("{path} is a link, and the filesystem that it leads to is not known"));
    }
    let Some(mount) = holding(&host.uses.mounts, &path) else {
        return Err(format!("the filesystem of {path} could not be told"));
    };
    let plain_fs = ["ext2", "ext3", "ext4", "xfs", "vfat"];
    if !plain_fs.contains(&mount.fstype.as_str()) {
        return Err(format!("GRUB cannot write to {} ({path})", mount.fstype));
    }
    let plain = ["sd", "nvme", "vd", "hd", "xvd", "mmcblk"];
    let device = mount.source.strip_prefix("/dev/").unwrap_or_default();
    if !plain.iter().any(|start| device.starts_with(start)) {
        return Err(format!(
            "GRUB can write to a plain disk only, and {path} is on {}",
            mount.source
        ));
    }
    Ok(once)
}

fn systemd_boot(host: &Host) -> Result<BootOnce, String> {
    let info = host.firmware.efi.loader_info.as_deref().unwrap_or_default();
    if !info.starts_with("systemd-boot") {
        return Err("no EFI variable says that systemd-boot started this system".to_owned());
    }
    // EFI_LOADER_FEATURE_ENTRY_ONESHOT; versions before 240 have the feature and not the variable.
    if host.firmware.efi.loader_features.is_some_and(|features| features & (1 << 3) == 0) {
        return Err(format!("{info} does not offer it (LoaderFeatures)"));
    }
    if !host.os.has("bootctl") {
        return Err("bootctl is not installed".to_owned());
    }
    Ok(BootOnce::SystemdBoot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_block_is_read() {
        let head = "# GRUB Environment Block\n# WARNING: Do not edit this file\n";
        let block = format!("{head}saved_entry=0\nnext_entry=a>b\n#####");
        assert_eq!(next_entry(&block), Some("a>b"));
        assert_eq!(next_entry(&format!("{head}next_entry=\n###")), Some(""));
        assert_eq!(next_entry(head), None);
        assert!(is_empty_block(&format!("{head}####")));
        assert!(!is_empty_block(&block));
    }
}
