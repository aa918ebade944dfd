//! How much memory Looking Glass shares with the host.

use std::str::FromStr;

use crate::config::MARK;

/// Size of a frame, and whether its colours take more room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    width: u32,
    height: u32,
    hdr: bool,
}

/// A text that is no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no frame: write it as 2560x1440, or 3840x2160@hdr")]
pub struct BadFrame(String);

impl FromStr for Frame {
    type Err = BadFrame;

    fn from_str(text: &str) -> Result<Self, BadFrame> {
        let bad = || BadFrame(text.chars().take(40).collect());
        let (size, hdr) = match text.strip_suffix("@hdr") {
            Some(size) => (size, true),
            None => (text, false),
        };
        let (width, height) = size.split_once('x').ok_or_else(bad)?;
        let side = |text: &str| {
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let side = plain.then(|| text.parse().ok()).flatten();
            side.filter(|side| (320..=16384).contains(side)).ok_or_else(bad)
        };
        Ok(Self { width: side(width)?, height: side(height)?, hdr })
    }
}

impl Frame {
    /// Memory in MiB, a power of two: three frames with rows of whole 256 bytes, and 4 MiB for
    /// everything else (Looking Glass, documentation of the IVSHMEM size). Frames of HDR have
    /// twice the bytes.
    pub fn mebibytes(self) -> u32 {
        const MIB: u64 = 1 << 20;
        let pixel = if self.hdr { 8 } else { 4 };
        let row = (u64::from(self.width) * pixel).next_multiple_of(256);
        let bytes = row * u64::from(self.height) * 3 + 4 * MIB;
        u32::try_from(bytes.div_ceil(MIB).next_power_of_two()).unwrap_or(u32::MAX)
    }
}

/// Program that sets the permissions.
pub const PROGRAM: &str = "systemd-tmpfiles";
/// The shared memory on the host.
pub const MEMORY: &str = "/dev/shm/looking-glass";
/// Group of the processes that are QEMU.
pub const GROUP: &str = "kvm";

/// A name that is none of a user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name of a user")]
pub struct BadUser(String);

/// Whether the host has SELinux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selinux {
    /// It has: files carry a type, which decides who may open them.
    On,
    /// It has not.
    Off,
}

/// The lines of a file in tmpfiles.d that let a user and QEMU open the shared memory, which QEMU
/// makes for itself alone otherwise. systemd makes it empty at boot, before any guest, and QEMU
/// gives it its size (QEMU, backends/hostmem-file.c; tmpfiles.d(5)).
///
/// AppArmor knows of it: libvirt writes the path into the profile of the guest (libvirt,
/// src/security/virt-aa-helper.c). SELinux lets guests open shared memory of the type
/// svirt_tmpfs_t, which a file that QEMU did not make has not.
///
/// # Errors
/// The user is none.
pub fn tmpfiles(user: &str, selinux: Selinux) -> Result<String, BadUser> {
    let plain = |c: char| c.is_alphanumeric() || "._-@+".contains(c);
    if user.is_empty() || user.len() > 256 || user.starts_with('-') || !user.chars().all(plain) {
        return Err(BadUser(user.chars().take(40).collect()));
    }
    let label = match selinux {
        Selinux::On => {
            format!("t {MEMORY} - - - - security.selinux=system_u:object_r:svirt_tmpfs_t:s0\n")
        }
        Selinux::Off => String::new(),
    };
    Ok(format!("{MARK}\nf {MEMORY} 0660 {user} {GROUP} -\n{label}"))
}

/// Whether lines of tmpfiles.d are about the shared memory.
pub fn is_named_in(text: &str) -> bool {
    text.lines().any(|line| line.split_whitespace().nth(1) == Some(MEMORY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_its_documentation() {
        for (frame, mebibytes) in [
            ("1920x1080", 32),
            ("2560x1440", 64),
            ("3840x2160", 128),
            ("5120x2880", 256),
            ("7680x4320", 512),
            ("1920x1080@hdr", 64),
        ] {
            assert_eq!(frame.parse::<Frame>().expect(frame).mebibytes(), mebibytes, "{frame}");
        }
        for bad in ["", "1920", "x", "1920x", "1920x1080@sdr", "99999x1", "+640x480"] {
            assert!(bad.parse::<Frame>().is_err(), "{bad}");
        }
    }
    #[test]
    fn permissions_name_the_user_and_the_type() {
        let off = tmpfiles("zoe", Selinux::Off).expect("a user");
        assert_eq!(off, format!("{MARK}\nf /dev/shm/looking-glass 0660 zoe kvm -\n"));
        let on = tmpfiles("zoe@home.example", Selinux::On).expect("a user");
        assert_eq!(
            on.lines().nth(2),
            Some(
                "t /dev/shm/looking-glass - - - - security.selinux=system_u:object_r:svirt_tmpfs_t:s0"
            )
        );
        assert!(is_named_in(&on) && is_named_in("f+\t/dev/shm/looking-glass 0666"));
        assert!(!is_named_in("# /dev/shm/looking-glass-2 x") && !is_named_in(""));
        for bad in ["", "-", "-x", "a b", "a\n", "%u", "a\\x20", "a'b"] {
            assert!(tmpfiles(bad, Selinux::Off).is_err(), "{bad}");
        }
    }
}
