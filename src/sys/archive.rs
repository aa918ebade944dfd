//! What an initramfs image holds: cpio archives one after another, plain or compressed.
//!
//! Read as the kernel unpacks it (init/initramfs.c, lib/decompress.c), in one pass and without
//! ever holding an image in memory. Nothing is unpacked to files.

mod compression;
mod cpio;

use std::fs::File;
use std::io::{BufReader, Read, Seek as _};

use compression::Compression;
use cpio::Archives;

/// Content of a wanted file is kept up to this size: 1 MiB.
const MAX_CONTENT: u32 = 1 << 20;
/// More than any image unpacks to: 8 GiB. What goes on after that was made to harm.
const MAX_UNPACKED: u64 = 8 << 30;
/// More entries than any image has.
const MAX_ENTRIES: usize = 1 << 20;

/// One thing in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// Path without `/` or `./` in front.
    pub path: String,
    /// Kind and permission bits, as in stat(2).
    pub mode: u32,
    /// Its bytes: of a wanted regular file that is not larger than 1 MiB.
    pub content: Option<Vec<u8>>,
    /// Where a symbolic link leads.
    pub target: Option<String>,
}

/// An image that cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The system says no.
    #[error("it cannot be read: {0}")]
    Read(std::io::Error),
    /// No archive at all.
    #[error("it holds no archive")]
    Empty,
    /// It ends too early.
    #[error("it is cut off: it ends in the middle of an archive")]
    CutOff,
    /// Bytes that neither an archive nor compressed data begins with.
    #[error(
        "what stands at byte {0} is neither an archive nor compressed in a way the kernel knows"
    )]
    Unknown(u64),
    /// The bytes contradict the format.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It unpacks to more than any image does.
    #[error("it unpacks to more than {} GiB or {MAX_ENTRIES} entries", MAX_UNPACKED >> 30)]
    TooLarge,
    /// The decompressor is not installed.
    #[error(
        "it is compressed, and the program `{program}` is not here to read it: install {package}"
    )]
    NoProgram {
        /// Its name.
        program: &'static str,
        /// Names of packages that have it.
        package: &'static str,
    },
    /// The decompressor refused it.
    #[error("`{program}` cannot unpack it: {said}")]
    Program {
        /// The program with its arguments.
        program: String,
        /// The end of what it said.
        said: String,
    },
}

impl ArchiveError {
    fn of_io(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::CutOff,
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Read(error),
        }
    }
}

/// Shows every entry of an image to `see`, in order; a later entry of the same path replaces an
/// earlier one, as it does for the kernel.
///
/// # Errors
/// The image cannot be read from its beginning to its end. What was seen until then proves
/// nothing.
pub fn walk(
    file: File,
    want: &dyn Fn(&str) -> bool,
    see: &mut dyn FnMut(ArchiveEntry),
) -> Result<(), ArchiveError> {
    let mut image = BufReader::with_capacity(64 << 10, file);
    let mut archives = Archives::new(want, see);
    while let Some(first) = next_byte(&mut image)? {
        if first == b'0' {
            archives.read_one(&mut image, first)?;
            continue;
        }
        let at = image.stream_position().map_err(ArchiveError::of_io)?.saturating_sub(1);
        let mut second = [0];
        image.read_exact(&mut second).map_err(ArchiveError::of_io)?;
        let kind = Compression::of([first, second[0]]).ok_or(ArchiveError::Unknown(at))?;
        image.seek_relative(-2).map_err(ArchiveError::of_io)?;
        image = kind.unpack(image, |stream| archives.read_all(stream))?;
    }
    archives.finish()
}

/// The next byte that is no padding; `None` at the end.
fn next_byte(stream: &mut dyn Read) -> Result<Option<u8>, ArchiveError> {
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) if byte[0] == 0 => {}
            Ok(_) => return Ok(Some(byte[0])),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ArchiveError::of_io(error)),
        }
    }
}

#[cfg(test)]
mod tests;
