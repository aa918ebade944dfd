//! A FAT volume in memory: the one kind of file system that every guest reads.

use std::io::{Cursor, Write as _};

/// Label of the volume, for people.
const LABEL: [u8; 11] = *b"PASSTHRU   ";

/// A FAT volume of 2 MiB with one file.
///
/// # Errors
/// The file does not fit.
pub fn fat_volume(file: &str, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    const SIZE: usize = 2 << 20;
    let mut image = vec![0_u8; SIZE];
    let options = fatfs::FormatVolumeOptions::new().volume_label(LABEL).volume_id(0x7061_7373);
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
}
