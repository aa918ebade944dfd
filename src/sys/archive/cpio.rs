//! The `newc` form of cpio (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeMap;
use std::io::{BufReader, Read};

use super::{ArchiveEntry, ArchiveError, MAX_CONTENT, MAX_ENTRIES, MAX_UNPACKED, next_byte};

const HEADER: usize = 110;
/// PATH_MAX of the kernel; names padded with NULs for alignment stay below it too.
const MAX_NAME: u32 = 4096;
const TRAILER: &str = "TRAILER!!!";

const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

/// Reads archives, and shows what is in them.
pub struct Archives<'a> {
    want: &'a dyn Fn(&str) -> bool,
    see: &'a mut dyn FnMut(ArchiveEntry),
    archives: usize,
    entries: usize,
}

/// The fields of a header that say something here.
struct Header {
    inode: u32,
    mode: u32,
    links: u32,
    size: u32,
    device: (u32, u32),
    name: u32,
}

/// Names of one file; its content stands at one of them, the last as cpio writes it.
#[derive(Default)]
struct Linked {
    waiting: Vec<(String, u32)>,
    content: Option<Vec<u8>>,
    seen: bool,
}

type Links = BTreeMap<(u32, (u32, u32)), Linked>;

impl<'a> Archives<'a> {
    /// None read yet.
    pub fn new(want: &'a dyn Fn(&str) -> bool, see: &'a mut dyn FnMut(ArchiveEntry)) -> Self {
        Self { want, see, archives: 0, entries: 0 }
    }

    /// An image without an archive holds nothing that could be judged.
    pub fn finish(self) -> Result<(), ArchiveError> {
        if self.archives == 0 { Err(ArchiveError::Empty) } else { Ok(()) }
    }

    /// Reads the archives of an unpacked stream up to its end, which must be seen: only there
    /// does a decompressor compare its checksum.
    pub fn read_all(&mut self, stream: &mut dyn Read) -> Result<(), ArchiveError> {
        let before = self.archives;
        let mut stream = BufReader::with_capacity(64 << 10, stream.take(MAX_UNPACKED));
        let mut result = Ok(());
        while result.is_ok() {
            match next_byte(&mut stream) {
                Ok(Some(first)) => result = self.read_one(&mut stream, first),
                Ok(None) => break,
                Err(error) => result = Err(error),
            }
        }
        if stream.get_ref().limit() == 0 {
            return Err(ArchiveError::TooLarge);
        }
        result?;
        if self.archives == before { Err(ArchiveError::Empty) } else { Ok(()) }
    }

    /// Reads one archive of which the first byte is known.
    pub fn read_one(&mut self, stream: &mut dyn Read, first: u8) -> Result<(), ArchiveError> {
        let mut links = Links::new();
        let mut header = [0; HEADER];
        header[0] = first;
        stream.read_exact(&mut header[1..]).map_err(ArchiveError::of_io)?;
        while self.entry(stream, &Header::parse(&header)?, &mut links)? {
            stream.read_exact(&mut header).map_err(ArchiveError::of_io)?;
        }
        // Names that no content followed are those of an empty file.
        for (path, mode) in links.into_values().flat_map(|linked| linked.waiting) {
            self.show(path, mode, Some(Vec::new()), None);
        }
        self.archives += 1;
        Ok(())
    }

    /// Reads what follows a header; false behind the trailer.
    fn entry(
        &mut self,
        stream: &mut dyn Read,
        header: &Header,
        links: &mut Links,
    ) -> Result<bool, ArchiveError> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(ArchiveError::TooLarge);
        }
        let name = bytes(stream, header.name)?;
        skip(stream, padding(HEADER as u64 + u64::from(header.name)))?;
        let end = name.iter().position(|byte| *byte == 0);
        let name = end.and_then(|end| name.get(..end)).ok_or_else(|| damaged("an open name"))?;
        let name = String::from_utf8_lossy(name);
        if name == TRAILER {
            skip(stream, u64::from(header.size))?;
            return Ok(false);
        }
        let path = normal(&name);
        match header.mode & S_IFMT {
            S_IFLNK => {
                if header.size > MAX_NAME {
                    return Err(damaged("a link that leads too far"));
                }
                let target = bytes(stream, header.size)?;
                let target = String::from_utf8_lossy(&target).trim_end_matches('\0').to_owned();
                self.show(path, header.mode, None, Some(target));
            }
            S_IFREG => self.file(stream, header, path, links)?,
            _ => {
                skip(stream, u64::from(header.size))?;
                self.show(path, header.mode, None, None);
            }
        }
        skip(stream, padding(u64::from(header.size)))?;
        Ok(true)
    }

    fn file(
        &mut self,
        stream: &mut dyn Read,
        header: &Header,
        path: String,
        links: &mut Links,
    ) -> Result<(), ArchiveError> {
        let wanted = (self.want)(&path);
        if header.links < 2 {
            let content = content(stream, header.size, wanted)?;
            self.show(path, header.mode, content, None);
            return Ok(());
        }
        let linked = links.entry((header.inode, header.device)).or_default();
        let any = wanted || linked.waiting.iter().any(|(path, _)| (self.want)(path));
        linked.waiting.push((path, header.mode));
        if header.size > 0 {
            linked.content = content(stream, header.size, any)?;
            linked.seen = true;
        }
        if linked.seen {
            let (waiting, content) = (std::mem::take(&mut linked.waiting), linked.content.clone());
            for (path, mode) in waiting {
                self.show(path, mode, content.clone(), None);
            }
        }
        Ok(())
    }

    fn show(&mut self, path: String, mode: u32, content: Option<Vec<u8>>, target: Option<String>) {
        if !path.is_empty() {
            let content = content.filter(|_| (self.want)(&path));
            (self.see)(ArchiveEntry { path, mode, content, target });
        }
    }
}

impl Header {
    fn parse(bytes: &[u8; HEADER]) -> Result<Self, ArchiveError> {
        if !matches!(bytes.get(..6), Some(b"070701" | b"070702")) {
            return Err(damaged("an entry that does not begin as one of cpio's `newc` form"));
        }
        let field = |index: usize| {
            let digits = bytes.get(6 + 8 * index..14 + 8 * index).unwrap_or_default();
            let text = std::str::from_utf8(digits).unwrap_or_default();
            let plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let number = u32::from_str_radix(text, 16).ok().filter(|_| plain);
            number.ok_or_else(|| damaged("a header with something else than numbers"))
        };
        let name = field(11)?;
        if name == 0 || name > MAX_NAME {
            return Err(damaged("a name that is empty or too long"));
        }
        Ok(Self {
            inode: field(0)?,
            mode: field(1)?,
            links: field(4)?,
            size: field(6)?,
            device: (field(7)?, field(8)?),
            name,
        })
    }
}

fn damaged(what: &str) -> ArchiveError {
    ArchiveError::Damaged(format!("it has {what}"))
}

/// Headers and contents begin at multiples of four.
fn padding(length: u64) -> u64 {
    length.next_multiple_of(4) - length
}

fn bytes(stream: &mut dyn Read, length: u32) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes).map_err(ArchiveError::of_io)?;
    Ok(bytes)
}

fn content(
    stream: &mut dyn Read,
    size: u32,
    wanted: bool,
) -> Result<Option<Vec<u8>>, ArchiveError> {
    if wanted && size <= MAX_CONTENT {
        return bytes(stream, size).map(Some);
    }
    skip(stream, u64::from(size)).map(|()| None)
}

fn skip(stream: &mut dyn Read, length: u64) -> Result<(), ArchiveError> {
    let copied = std::io::copy(&mut stream.take(length), &mut std::io::sink());
    match copied.map_err(ArchiveError::of_io)? {
        copied if copied == length => Ok(()),
        _ => Err(ArchiveError::CutOff),
    }
}

fn normal(name: &str) -> String {
    let parts: Vec<&str> =
        name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    parts.join("/")
}
