//! Unpacking what the kernel can unpack: gzip here, everything else by the program that the
//! generator needed to make the image.

use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use super::ArchiveError;

/// Where programs are looked for, whatever the environment says.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// So much of what a program says on standard error is kept: the end.
const MAX_SAID: usize = 1024;

/// How a part of an image is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Read by this program itself.
    Gzip,
    /// Read by a program of the system.
    By {
        /// Its name.
        program: &'static str,
        /// Names of packages that have it.
        package: &'static str,
    },
}

impl Compression {
    /// From the first two bytes (compressed_formats in lib/decompress.c). The kernel takes the
    /// legacy form of lz4 only; `lz4` reads the other one too.
    pub fn of(magic: [u8; 2]) -> Option<Self> {
        let by = |program, package| Some(Self::By { program, package });
        match magic {
            [0x1f, 0x8b | 0x9e] => Some(Self::Gzip),
            [0x42, 0x5a] => by("bzip2", "bzip2"),
            [0x5d, 0x00] | [0xfd, 0x37] => by("xz", "xz (on Debian: xz-utils)"),
            [0x89, 0x4c] => by("lzop", "lzop"),
            [0x02, 0x21] | [0x04, 0x22] => by("lz4", "lz4"),
            [0x28, 0xb5] => by("zstd", "zstd"),
            _ => None,
        }
    }

    /// Hands the unpacked stream to `read`, which reads it to its end, and gives back the image
    /// behind the compressed part. Programs take everything up to the end of the image.
    pub fn unpack(
        self,
        image: BufReader<File>,
        read: impl FnOnce(&mut dyn Read) -> Result<(), ArchiveError>,
    ) -> Result<BufReader<File>, ArchiveError> {
        match self {
            Self::Gzip => {
                let mut stream = flate2::bufread::GzDecoder::new(image);
                read(&mut stream)?;
                Ok(stream.into_inner())
            }
            Self::By { program, package } => {
                let mut image = image;
                let at = image.stream_position().map_err(ArchiveError::of_io)?;
                let mut file = image.into_inner();
                file.seek(SeekFrom::Start(at)).map_err(ArchiveError::of_io)?;
                let rest = file.try_clone().map_err(ArchiveError::of_io)?;
                Program::start(program, package, file)?.read(read)?;
                let mut rest = BufReader::new(rest);
                rest.seek(SeekFrom::End(0)).map_err(ArchiveError::of_io)?;
                Ok(rest)
            }
        }
    }
}

/// A running decompressor.
struct Program {
    name: &'static str,
    child: Child,
    /// Reads standard error, so that a program with much to say does not wait for a reader.
    said: JoinHandle<Vec<u8>>,
}

impl Program {
    fn start(name: &'static str, package: &'static str, input: File) -> Result<Self, ArchiveError> {
        let mut command = Command::new(name);
        command.arg("-dc").env_clear().env("PATH", PATH).env("LC_ALL", "C").current_dir("/");
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ArchiveError::NoProgram { program: name, package },
            _ => ArchiveError::Program { program: name.to_owned(), said: error.to_string() },
        })?;
        let stderr = child.stderr.take();
        let said = std::thread::spawn(move || stderr.map_or_else(Vec::new, end_of));
        Ok(Self { name, child, said })
    }

    /// What the program itself complains about comes before what its output then lacks.
    fn read(
        mut self,
        read: impl FnOnce(&mut dyn Read) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        let mut result = Err(ArchiveError::CutOff);
        if let Some(mut stdout) = self.child.stdout.take() {
            result = read(&mut stdout);
            let at_end = result.is_ok() || is_at_end(&mut stdout);
            drop(stdout);
            if !at_end {
                let _ = self.child.kill(); // it may have ended by itself
            }
            let status = self.child.wait().map_err(ArchiveError::of_io)?;
            if at_end && !status.success() {
                result = Err(self.failure(status));
            }
        }
        result
    }

    fn failure(self, status: ExitStatus) -> ArchiveError {
        let said = self.said.join().unwrap_or_default();
        let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
        let said = if said.is_empty() { status.to_string() } else { said };
        ArchiveError::Program { program: format!("{} -dc", self.name), said }
    }
}

/// True where nothing more comes. A reader that stopped at damage leaves the rest unread.
fn is_at_end(stream: &mut impl Read) -> bool {
    matches!(stream.read(&mut [0]), Ok(0))
}

/// The last bytes of a stream.
fn end_of(mut stream: impl Read) -> Vec<u8> {
    let mut end = Vec::new();
    let mut part = [0; MAX_SAID];
    while let Ok(length @ 1..) = stream.read(&mut part) {
        end.extend_from_slice(part.get(..length).unwrap_or_default());
        let over = end.len().saturating_sub(MAX_SAID);
        end.drain(..over);
    }
    end
}
