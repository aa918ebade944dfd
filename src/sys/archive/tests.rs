use std::io::{Seek as _, Write as _};
use std::process::Stdio;

use proptest::prelude::*;

use super::*;

mod programs;

/// One entry: path, mode, content or link target, inode and number of names.
struct Made<'a>(&'a str, u32, &'a [u8], u32, u32);

const FILE: u32 = 0o100_644;
const SCRIPT: u32 = 0o100_755;
const DIR: u32 = 0o040_755;
const LINK: u32 = 0o120_777;

fn cpio(entries: &[Made<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let trailer = Made("TRAILER!!!", 0, b"", 0, 1);
    for Made(path, mode, content, inode, links) in entries.iter().chain([&trailer]) {
        let size = content.len();
        let name = path.len() + 1;
        write!(out, "070701{inode:08x}{mode:08x}{:08x}{:08x}{links:08x}{:08x}", 0, 0, 0).unwrap();
        write!(out, "{size:08X}{:08x}{:08x}{:08x}{:08x}{name:08x}{:08x}", 8, 1, 0, 0, 0).unwrap();
        out.extend_from_slice(path.as_bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

fn main_archive() -> Vec<u8> {
    cpio(&[
        Made(".", DIR, b"", 1, 2),
        Made("./etc/modprobe.d/a.conf", FILE, b"softdep x pre: y\n", 2, 1),
        Made("/init", SCRIPT, b"#!/bin/sh\n", 3, 1),
        Made("lib", LINK, b"usr/lib", 4, 1),
        Made("usr/lib/big", FILE, &[7; 5000], 5, 1),
        Made("bin/first", SCRIPT, b"", 6, 2),
        Made("bin/second", SCRIPT, b"shared", 6, 2),
        Made("empty/one", FILE, b"", 7, 2),
        Made("empty/two", FILE, b"", 7, 2),
        Made("dev/console", 0o020_600, b"", 8, 1),
    ])
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

fn read(bytes: &[u8]) -> Result<Vec<ArchiveEntry>, ArchiveError> {
    let mut seen = Vec::new();
    let want = |path: &str| path != "usr/lib/big";
    walk(file_of(bytes), &want, &mut |entry| seen.push(entry)).map(|()| seen)
}

fn paths(seen: &[ArchiveEntry]) -> Vec<&str> {
    seen.iter().map(|entry| entry.path.as_str()).collect()
}

/// The output of a program for this input; `None` where it is not installed.
fn through(argv: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut command = std::process::Command::new(argv[0]);
    command.args(&argv[1..]).stdin(file_of(input)).stdout(Stdio::piped());
    let output = command.output().ok()?;
    assert!(output.status.success(), "{argv:?}");
    Some(output.stdout)
}

const PROGRAMS: [&[&str]; 9] = [
    &["gzip", "-c"],
    &["zstd", "-q", "-c"],
    &["xz", "--check=crc32", "-c"],
    &["xz", "--format=lzma", "-c"],
    &["lz4", "-l", "-c"],
    &["lz4", "-c"],
    &["bzip2", "-c"],
    &["lzop", "-c"],
    &["cat"],
];

/// The same content in every form that a program here can make.
fn every_form(content: &[u8]) -> Vec<(String, Vec<u8>)> {
    let made = PROGRAMS.iter().filter_map(|argv| match through(argv, content) {
        Some(image) => Some((argv.join(" "), image)),
        None => {
            let line = format!("SKIPPED: images made by {0}: {0} is not installed\n", argv[0]);
            std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            None
        }
    });
    made.collect()
}

#[test]
fn everything_in_an_archive_is_seen() {
    let seen = read(&main_archive()).unwrap();
    let all = [
        "etc/modprobe.d/a.conf",
        "init",
        "lib",
        "usr/lib/big",
        "bin/first",
        "bin/second",
        "dev/console",
        "empty/one",
        "empty/two",
    ];
    assert_eq!(paths(&seen), all);
    let entry = |path: &str| seen.iter().find(|entry| entry.path == path).unwrap();
    assert_eq!(entry("etc/modprobe.d/a.conf").content.as_deref(), Some(&b"softdep x pre: y\n"[..]));
    assert_eq!(entry("init").mode, SCRIPT);
    assert_eq!(entry("lib").target.as_deref(), Some("usr/lib"));
    assert_eq!(entry("usr/lib/big").content, None, "not wanted");
    assert_eq!(entry("bin/first").content.as_deref(), Some(&b"shared"[..]), "a second name");
    assert_eq!(entry("empty/one").content.as_deref(), Some(&b""[..]));
    assert_eq!(entry("dev/console").content, None);
}

#[test]
fn one_wanted_name_of_several_is_enough() {
    let entries =
        [Made("a", FILE, b"", 6, 3), Made("b", FILE, b"", 6, 3), Made("c", FILE, b"x", 6, 3)];
    for wanted in ["a", "b", "c"] {
        let mut seen = Vec::new();
        let want = |path: &str| path == wanted;
        walk(file_of(&cpio(&entries)), &want, &mut |entry| seen.push(entry)).unwrap();
        for entry in seen {
            let content = (entry.path == wanted).then(|| b"x".to_vec());
            assert_eq!(entry.content, content, "{} of {wanted}", entry.path);
        }
    }
}

#[test]
fn content_that_is_too_large_is_passed_over() {
    let large = vec![b'x'; (1 << 20) + 1];
    let image = cpio(&[Made("large", FILE, &large, 1, 1), Made("after", FILE, b"y", 2, 1)]);
    let seen = read(&image).unwrap();
    assert_eq!((seen[0].content.as_ref(), seen[1].content.as_deref()), (None, Some(&b"y"[..])));
}

#[test]
fn archives_follow_each_other_with_padding_and_in_every_form() {
    let early = cpio(&[Made("kernel/x86/microcode/a.bin", FILE, &[1; 99], 1, 1)]);
    for (form, main) in every_form(&main_archive()) {
        for padding in [0, 4, 512, 70_000] {
            let image = [early.clone(), vec![0; padding], main.clone()].concat();
            let seen = read(&image).unwrap_or_else(|error| panic!("{form}: {error}"));
            assert_eq!(seen.len(), 10, "{form}");
            assert_eq!(seen[0].path, "kernel/x86/microcode/a.bin");
        }
    }
    // Two archives in one stream, two gzip members, and padding behind the last.
    let both = [early.clone(), vec![0; 512], main_archive()].concat();
    for (form, image) in every_form(&both) {
        assert_eq!(read(&image).unwrap().len(), 10, "{form}");
    }
    let member = through(&["gzip", "-c"], &early).unwrap();
    let main = through(&["gzip", "-c"], &main_archive()).unwrap();
    let image = [member, vec![0; 8], main, vec![0; 100]].concat();
    assert_eq!(read(&image).unwrap().len(), 10);
}

/// Cut anywhere, an image is refused. What stands behind the trailer is padding, and lz4 has
/// nothing behind its last block.
#[test]
fn an_image_that_is_cut_off_is_refused_at_every_length() {
    let content = cpio(&[
        Made("etc/a", FILE, b"text of a file\n", 1, 1),
        Made("lib", LINK, b"usr/lib", 2, 1),
    ]);
    for (form, image) in every_form(&content) {
        // A program is started for each: not every length of those.
        let step = if ["gzip -c", "cat"].contains(&form.as_str()) { 1 } else { 5 };
        for length in (0..image.len()).step_by(step).chain([image.len() - 1]) {
            let cut = read(&image[..length]);
            assert!(cut.is_err(), "{form}: {length} of {} bytes", image.len());
        }
        assert_eq!(read(&image).unwrap().len(), 2, "{form}");
    }
}

#[test]
fn damage_is_named() {
    let said = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert_eq!(said(b""), "it holds no archive");
    assert_eq!(said(&[0; 2000]), "it holds no archive");
    assert!(said(b"\x7fELF").contains("byte 0 is neither"));
    let image = main_archive();
    let at = |offset: usize, with: &[u8]| {
        let mut image = image.clone();
        image[offset..offset + with.len()].copy_from_slice(with);
        image
    };
    assert!(said(&at(0, b"070707")).contains("newc"));
    assert!(said(&at(94, b"ffffffff")).contains("too long"));
    assert!(said(&at(94, b"00000000")).contains("empty"));
    assert!(said(&at(54, b"ffffffff")).contains("cut off"));
    let mut link = cpio(&[Made("lib", LINK, b"usr/lib", 4, 1)]);
    link[54..62].copy_from_slice(b"ffffffff");
    assert!(said(&link).contains("leads too far"));
    assert!(said(&at(54, b"+0000001")).contains("numbers"));
    let mut broken = through(&["gzip", "-c"], &image).unwrap();
    let crc = broken.len() - 8;
    broken[crc] ^= 1;
    assert!(said(&broken).contains("damaged"), "{}", said(&broken));
    // A compressed part without an archive, behind a good one.
    let empty = through(&["gzip", "-c"], b"").unwrap();
    assert_eq!(said(&[image.clone(), empty].concat()), "it holds no archive");
    assert!(said(&[image, b"behind".to_vec()].concat()).contains("neither"));
}

#[test]
fn what_cpio_itself_writes_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("d")).unwrap();
    std::fs::write(at("d/one"), "text").unwrap();
    std::fs::hard_link(at("d/one"), at("d/two")).unwrap();
    std::os::unix::fs::symlink("one", at("d/link")).unwrap();
    let script = "cd \"$1\" && find . | sort | cpio --quiet -o -H ";
    for form in ["newc", "crc"] {
        let script = format!("{script}{form}");
        let argv = ["sh", "-c", script.as_str(), "sh", dir.path().to_str().unwrap()];
        let Some(image) = through(&argv, b"").filter(|image| !image.is_empty()) else { return };
        let seen = read(&image).unwrap();
        let text = |path: &str| {
            let entry = seen.iter().find(|entry| entry.path == path).unwrap();
            String::from_utf8(entry.content.clone().unwrap()).unwrap()
        };
        assert_eq!((text("d/one"), text("d/two")), ("text".to_owned(), "text".to_owned()));
        let link = seen.iter().find(|entry| entry.path == "d/link").unwrap();
        assert_eq!(link.target.as_deref(), Some("one"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn garbage_is_refused_and_never_worse(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        // Programs are left out: they cost a process each.
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = [0, b'0', 0x1f][usize::from(*first % 3)];
        }
        let _ = read(&bytes);
    }

    #[test]
    fn a_changed_byte_is_read_or_refused(at: prop::sample::Index, byte: u8) {
        let mut image = main_archive();
        let at = at.index(image.len());
        image[at] = byte;
        let _ = read(&image);
    }
}
