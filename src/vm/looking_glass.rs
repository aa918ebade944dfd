//! How much memory Looking Glass shares with the host.

use std::str::FromStr;

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

/// What the user has to do so that the client may open it.
pub const PERMISSIONS: &str = "QEMU makes /dev/shm/looking-glass for itself alone. For your user, write `f /dev/shm/looking-glass 0660 USER kvm -` into /etc/tmpfiles.d/looking-glass.conf and run `systemd-tmpfiles --create`; libvirt itself tells AppArmor and SELinux about the file.";

#[cfg(test)]
mod tests {
    use super::Frame;

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
}
