//! The kernel's log of this boot, as far as it has to do with passthrough.

use rustix::io::Errno;

use super::observed::Observed;
use super::record::Seen;
use super::sysroot::{Source, Sysroot};

/// Where the kernel gives its log, one record a read.
const KMSG: &str = "dev/kmsg";
/// Words that a record of interest has one of, whatever their case.
const WORDS: [&str; 6] = ["passthru:", "vfio", "dmar", "amd-vi", "iommu", "ivrs"];
/// Records kept; a machine with many groups writes a few hundred.
const MOST: usize = 4096;
/// A record is never longer (CONSOLE_EXT_LOG_MAX, include/linux/printk.h of 5.15;
/// PRINTK_MESSAGE_MAX since 6.4 is less).
const RECORD: usize = 8192;
/// The log grows while it is read; a kernel that logs without end must not hold up the program.
const MAX_READS: usize = 1 << 18;

impl Sysroot {
    /// Records of the kernel's log that mention VFIO, the IOMMU, passthru or one of `words`,
    /// oldest first, in the form of `/dev/kmsg`: `level,number,microseconds,flags;text`.
    ///
    /// The kernel lets only root look where `kernel.dmesg_restrict` is set. Elsewhere than in the
    /// running system the same form is read from a file, one record a line.
    pub fn kernel_log(&self, words: &[String]) -> Observed<Vec<String>> {
        let words: Vec<String> = WORDS
            .iter()
            .map(|word| (*word).to_owned())
            .chain(words.iter().map(|word| word.to_ascii_lowercase()))
            .filter(|word| !word.is_empty())
            .collect();
        let wanted = |record: &[u8]| {
            let record = String::from_utf8_lossy(record).to_ascii_lowercase();
            words.iter().any(|word| record.contains(word.as_str()))
        };
        let seen = match &self.source {
            Source::Directory(directory) if self.is_live() => directory.records(KMSG, MOST, wanted),
            _ => self.read_raw(KMSG).map(|bytes| from_file(&bytes, wanted)),
        };
        self.keep(KMSG, &seen, |bytes| Seen::File(bytes.clone(), None));
        seen.map(|bytes| String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
    }
}

/// One read gives one record, EAGAIN comes after the last, and EPIPE says that records were
/// overwritten before they could be read (Documentation/ABI/testing/dev-kmsg).
pub fn collect(
    mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>,
    most: usize,
    mut keep: impl FnMut(&[u8]) -> bool,
) -> Result<Vec<u8>, Errno> {
    let mut record = [0_u8; RECORD];
    let (mut kept, mut count) = (Vec::new(), 0);
    for _ in 0..MAX_READS {
        match read(&mut record) {
            Ok(0) | Err(Errno::AGAIN) => break,
            Ok(n) => {
                let line = record[..n].split(|byte| *byte == b'\n').next().unwrap_or_default();
                if keep(line) {
                    kept.extend_from_slice(line);
                    kept.push(b'\n');
                    count += 1;
                }
            }
            Err(Errno::PIPE | Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        if count == most {
            break;
        }
    }
    Ok(kept)
}

/// Lines that begin with a blank belong to the record above and say nothing of their own.
fn from_file(bytes: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b" "));
    let mut kept = Vec::new();
    for line in lines.filter(|line| !line.is_empty() && wanted(line)).take(MOST) {
        kept.extend_from_slice(line);
        kept.push(b'\n');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Node, Tree};

    fn root(log: Option<Node>) -> Sysroot {
        let mut tree = Tree::default();
        if let Some(log) = log {
            tree.insert(KMSG, log);
        }
        Sysroot::from_tree(tree)
    }

    fn file(text: &str) -> Option<Node> {
        Some(Node::File { bytes: text.as_bytes().to_vec(), meta: None })
    }

    #[test]
    fn only_what_matters_is_kept() {
        let log = "6,1,0,-;Linux version 6.12\n6,2,10,-;DMAR: IOMMU enabled\n\
                   6,3,20,-;amdgpu 0000:07:00.0: enabling device\n SUBSYSTEM=pci vfio\n\
                   12,4,30,-;passthru: 0000:07:00.0 is on vfio-pci\n6,5,40,-;usb 1-1: new\n";
        let seen = root(file(log)).kernel_log(&["0000:07:00.0".to_owned(), String::new()]);
        assert_eq!(
            seen,
            Observed::Present(vec![
                "6,2,10,-;DMAR: IOMMU enabled".to_owned(),
                "6,3,20,-;amdgpu 0000:07:00.0: enabling device".to_owned(),
                "12,4,30,-;passthru: 0000:07:00.0 is on vfio-pci".to_owned(),
            ])
        );
    }

    #[test]
    fn records_are_read_one_by_one() {
        let reads = [
            Err(Errno::PIPE),
            Ok("6,7,1,-;one\n KEY=vfio\n"),
            Err(Errno::INTR),
            Ok("6,8,2,-;two\n"),
            Ok("6,9,3,-;one\n"),
            Err(Errno::AGAIN),
            Ok("6,10,4,-;one after the end\n"),
        ];
        let collected = |most, end: Option<Errno>| {
            let mut reads = reads.iter();
            let read = |record: &mut [u8]| match (reads.next(), end) {
                (None | Some(Err(Errno::AGAIN)), Some(end)) => Err(end),
                (None, None) => Ok(0),
                (Some(Err(errno)), _) => Err(*errno),
                (Some(Ok(text)), _) => {
                    record[..text.len()].copy_from_slice(text.as_bytes());
                    Ok(text.len())
                }
            };
            collect(read, most, |line| line.ends_with(b"one"))
        };
        assert_eq!(collected(9, None), Ok(b"6,7,1,-;one\n6,9,3,-;one\n".to_vec()));
        assert_eq!(collected(1, None), Ok(b"6,7,1,-;one\n".to_vec()));
        assert_eq!(collected(9, Some(Errno::IO)), Err(Errno::IO));
    }

    #[test]
    fn a_log_without_end_is_cut() {
        let log = "6,1,0,-;vfio\n".repeat(MOST + 9);
        let seen = root(file(&log)).kernel_log(&[]);
        assert_eq!(seen.present().map(Vec::len), Some(MOST));
    }

    #[test]
    fn no_log_and_a_hidden_log_differ() {
        assert_eq!(root(None).kernel_log(&[]), Observed::Absent);
        let hidden = root(Some(Node::Unreadable("permission denied".to_owned())));
        assert!(hidden.kernel_log(&[]).is_unreadable());
        assert_eq!(hidden.unreadable().len(), 1);
    }

    /// The live log may be hidden from this user; reading it must come to an end either way.
    #[test]
    fn the_running_kernels_log_ends() {
        let root = Sysroot::open(std::path::Path::new("/")).unwrap();
        if let Observed::Present(records) = root.kernel_log(&["linux".to_owned()]) {
            assert!(records.iter().all(|record| record.contains(';')), "{records:?}");
        }
    }
}
