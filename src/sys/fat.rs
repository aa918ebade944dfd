//! A FAT volume in memory: the one kind of file system that every guest reads.

use std::io::{Cursor, Write as _};

/// Label of the volume, for people.
const LABEL: [u8; 11] = *b"PASSTHRU   ";

/// Serial number of the volume.
const SERIAL: u32 = 0x7061_7373;

/// Bytes of a volume.
pub const VOLUME_SIZE: usize = 2 << 20;

/// A FAT volume of 2 MiB with one file.
///
/// # Errors
/// The file does not fit.
pub fn fat_volume(file: &str, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut image = vec![0_u8; VOLUME_SIZE];
    let options = fatfs::FormatVolumeOptions::new().volume_label(LABEL).volume_id(SERIAL);
    fatfs::format_volume(Cursor::new(&mut image), options)?;
    {
        let volume = fatfs::FileSystem::new(Cursor::new(&mut image), fatfs::FsOptions::new())?;
        let mut entry = volume.root_dir().create_file(file)?;
        entry.write_all(bytes)?;
        entry.flush()?;
        drop(entry);
        volume.unmount()?;
    }
    Ok(image)
}

/// Whether bytes are a volume that [`fat_volume`] made: its size, serial number and label, in the
/// fields of the boot sector (Microsoft, FAT specification 1.03, section 3.2).
pub fn is_own_volume(image: &[u8]) -> bool {
    image.len() == VOLUME_SIZE && image[39..43] == SERIAL.to_le_bytes() && image[43..54] == LABEL
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "Autounattend.xml";

    #[test]
    fn the_volume_holds_the_file() {
        let image = fat_volume(NAME, b"text").expect("a volume");
        assert_eq!(image, fat_volume(NAME, b"text").expect("a volume"), "the same every time");
        let cursor = std::io::Cursor::new(image);
        let volume = fatfs::FileSystem::new(cursor, fatfs::FsOptions::new()).expect("FAT");
        assert_eq!(volume.volume_label(), "PASSTHRU");
        let names: Vec<String> =
            volume.root_dir().iter().map(|entry| entry.expect("one").file_name()).collect();
        assert_eq!(names, [NAME]);
    }

    #[test]
    fn an_own_volume_is_told_from_others() {
        let image = fat_volume(NAME, b"text").expect("a volume");
        assert!(is_own_volume(&image));
        assert!(!is_own_volume(&image[1..]) && !is_own_volume(b""));
        let mut others = vec![0_u8; VOLUME_SIZE];
        assert!(!is_own_volume(&others));
        let options = fatfs::FormatVolumeOptions::new().volume_label(*b"SOMEBODYS  ");
        fatfs::format_volume(Cursor::new(&mut others), options).expect("formatted");
        assert!(!is_own_volume(&others));
    }
}
