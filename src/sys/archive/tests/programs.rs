//! Other programs, which unpack what is not gzip.

use super::*;
use crate::sys::archive::compression::Compression;

#[test]
fn a_program_says_itself_what_is_wrong() {
    let Some(image) = through(&["zstd", "-q", "-c"], &main_archive()) else { return };
    let mut broken = image.clone();
    let middle = broken.len() / 2;
    broken[middle..].fill(0xff);
    let said = read(&broken).unwrap_err().to_string();
    assert!(said.starts_with("`zstd -dc` cannot unpack it: "), "{said}");
}

#[test]
fn a_missing_program_is_named_with_its_package() {
    let kind = Compression::By { program: "no-such-program", package: "a-package" };
    let image = BufReader::new(file_of(b"x"));
    let error = kind.unpack(image, |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("`no-such-program` is not here"), "{error}");
    assert!(error.ends_with("install a-package"), "{error}");
}

/// Damage early in a long stream: the program still writes, and must neither hang nor stay.
#[test]
fn a_program_is_ended_when_its_output_is_damaged() {
    let mut content = cpio(&[Made("a", FILE, b"", 1, 1)]);
    content.extend_from_slice(b"no archive");
    content.resize(64 << 20, 7);
    for (form, image) in every_form(&content).into_iter().filter(|(form, _)| form != "cat") {
        let error = read(&image).unwrap_err();
        assert!(matches!(error, ArchiveError::Damaged(_)), "{form}: {error}");
    }
}
