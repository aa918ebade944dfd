//! Changes of files, for people.

use std::fmt::Write as _;

use super::style::{Page, Tone};
use crate::plan::ChangeKind;

/// What happens to a file, in a word.
pub fn word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Create => "new",
        ChangeKind::Edit => "edit",
        ChangeKind::Remove => "remove",
    }
}

/// The hunks of a unified diff without its heading.
pub fn hunks(diff: &str) -> Vec<&str> {
    diff.lines().skip(2).collect()
}

/// Lines of hunks, indented and painted.
pub fn lines(hunks: &[&str]) -> String {
    let mut out = String::new();
    for line in hunks {
        let painted = match line.as_bytes().first() {
            Some(b'+') => Tone::Good.paint(line),
            Some(b'-') => Tone::Bad.paint(line),
            Some(b'@') => Tone::Faint.paint(line),
            _ => (*line).to_owned(),
        };
        let _ = writeln!(out, "    {painted}");
    }
    out
}

/// Lines of hunks. Of a long new file only the first, since such files are the same on every host;
/// none of a file that goes, since only files of passthru's own do.
pub fn body(kind: ChangeKind, diff: &str, page: &Page) -> String {
    const LONG: usize = 16;
    const SHOWN: usize = 6;
    let hunks = hunks(diff);
    if kind == ChangeKind::Remove && !page.verbose {
        return String::new();
    }
    if page.verbose || kind == ChangeKind::Edit || hunks.len() <= LONG {
        return lines(&hunks);
    }
    let left =
        format!("({} more lines, the same on every host; -v shows them)", hunks.len() - SHOWN);
    format!("{}    {}\n", lines(&hunks[..SHOWN]), Tone::Faint.paint(&left))
}

/// A change: the path, what happens, the lines.
pub fn change(path: &str, kind: ChangeKind, diff: &str, page: &Page) -> String {
    format!("  {path} ({})\n{}", word(kind), body(kind, diff, page))
}
