//! Option ROMs: does the card carry an EFI image?

use super::pci::{DEVICES, PciDevice};
use crate::sys::{Observed, Sysroot};

/// Whether attributes may be read that touch the hardware of a live system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Cached attributes only.
    No,
    /// The user asked for it, as root.
    Yes,
}

/// True or false only where a whole ROM was read; unreadable says why it was not.
pub fn has_efi_image(
    root: &Sysroot,
    display: &PciDevice,
    boot_display: bool,
    probe: Probe,
) -> Observed<bool> {
    let path = format!("{DEVICES}/{}/rom", display.address);
    let unknown = |reason: &str| {
        root.note_unreadable(&path, reason);
        Observed::Unreadable(reason.to_owned())
    };
    if root.exists(&path).is_absent() {
        return Observed::Absent;
    }
    if boot_display {
        // arch/x86/pci/fixup.c points the boot display's ROM at the shadow copy at 0xC0000.
        return unknown(
            "the boot display's ROM is the firmware's shadow copy, which proves nothing",
        );
    }
    let bytes = match (root.is_live(), probe) {
        (false, _) => root.read(&path),
        (true, Probe::No) => {
            return unknown("reading it touches the card: ask with --probe, as root");
        }
        (true, Probe::Yes) if display.driver.is_some() && !display.on_vfio() => {
            return unknown(
                "a driver uses the card: its ROM is read only without one or on vfio-pci",
            );
        }
        (true, Probe::Yes) => root.probe_rom(&path),
    };
    bytes.and_then(|bytes| match images(&bytes) {
        Some(images) => Observed::Present(images.iter().any(|image| image.code_type == 3)),
        None => unknown("it holds no valid image"),
    })
}

/// One image of an option ROM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Vendor and device in its data structure.
    pub vendor: u16,
    /// Device half.
    pub device: u16,
    /// 0 for a PC-AT image, 3 for EFI (PCI Firmware Specification 3.3, 5.1).
    pub code_type: u8,
}

/// Walks the images: 55 AA, a pointer at 0x18 to `PCIR`, length in units of 512 bytes
/// (drivers/pci/rom.c pci_get_rom_size). `None` where the first image is not valid.
pub fn images(rom: &[u8]) -> Option<Vec<Image>> {
    let mut found = Vec::new();
    let mut start = 0_usize;
    loop {
        let Some((image, length, last)) = image(rom.get(start..)?) else {
            return (!found.is_empty()).then_some(found);
        };
        found.push(image);
        if last || length == 0 {
            return Some(found);
        }
        start += length;
        if start >= rom.len() {
            return Some(found);
        }
    }
}

fn image(rom: &[u8]) -> Option<(Image, usize, bool)> {
    if rom.get(..2)? != [0x55, 0xaa] {
        return None;
    }
    let word = |at: usize| Some(u16::from_le_bytes([*rom.get(at)?, *rom.get(at + 1)?]));
    let data = usize::from(word(0x18)?);
    if rom.get(data..data + 4)? != b"PCIR" {
        return None;
    }
    let image = Image {
        vendor: word(data + 4)?,
        device: word(data + 6)?,
        code_type: *rom.get(data + 0x14)?,
    };
    let last = rom.get(data + 0x15)? & 0x80 != 0;
    Some((image, usize::from(word(data + 0x10)?) * 512, last))
}

/// A ROM with the same image headers and no code, for captures.
pub fn without_code(rom: &[u8]) -> Option<Vec<u8>> {
    let images = images(rom)?;
    let mut out = Vec::new();
    for (index, image) in images.iter().enumerate() {
        let mut block = vec![0_u8; 512];
        block[..3].copy_from_slice(&[0x55, 0xaa, 1]);
        block[0x18] = 0x40;
        block[0x40..0x44].copy_from_slice(b"PCIR");
        block[0x44..0x46].copy_from_slice(&image.vendor.to_le_bytes());
        block[0x46..0x48].copy_from_slice(&image.device.to_le_bytes());
        block[0x4a] = 0x18;
        block[0x50] = 1;
        block[0x54] = image.code_type;
        block[0x55] = if index + 1 == images.len() { 0x80 } else { 0 };
        out.extend(block);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn two_images() -> Vec<u8> {
        let mut rom = vec![0_u8; 1024 + 512];
        for (start, units, code, last) in [(0, 2_u8, 0, 0), (1024, 1, 3, 0x80)] {
            rom[start..start + 2].copy_from_slice(&[0x55, 0xaa]);
            rom[start + 0x18] = 0x40;
            rom[start + 0x40..start + 0x44].copy_from_slice(b"PCIR");
            rom[start + 0x50] = units;
            rom[start + 0x54] = code;
            rom[start + 0x55] = last;
        }
        rom
    }

    #[test]
    fn every_image_counts() {
        let rom = two_images();
        let codes: Vec<u8> = images(&rom).unwrap().iter().map(|image| image.code_type).collect();
        assert_eq!(codes, [0, 3]);
        assert_eq!(images(&without_code(&rom).unwrap()), images(&rom));
        assert_eq!(images(&rom[..1024]).unwrap().len(), 1);
        assert_eq!(images(&[0; 512]), None);
        assert_eq!(images(&[]), None);
    }

    proptest! {
        #[test]
        fn damaged_roms_end(mut rom in prop::collection::vec(any::<u8>(), 0..2000), cut in 0_usize..1536) {
            let _ = images(&rom);
            rom.clear();
            rom.extend(&two_images()[..cut]);
            let _ = images(&rom);
        }
    }
}
