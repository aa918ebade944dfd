//! Which blanks leave together with a word.
//!
//! The rule mirrors how words are inserted (one blank before, or one blank after
//! when inserted at the start), so that removing an insertion restores the bytes.

use std::ops::Range;

/// Ranges to delete so that the words marked in `remove` disappear.
///
/// `blank(i)` tells whether unit `i` may be deleted with a word; line ends must
/// not be, since they separate more than words.
pub(super) fn cuts(
    words: &[Range<usize>],
    remove: impl Fn(usize) -> bool,
    blank: impl Fn(usize) -> bool,
) -> Vec<Range<usize>> {
    let mut cuts: Vec<Range<usize>> = Vec::new();
    for (index, word) in words.iter().enumerate() {
        if !remove(index) {
            continue;
        }
        let free_from = cuts.last().map_or(0, |cut| cut.end);
        if word.start > free_from && blank(word.start - 1) {
            cuts.push(word.start - 1..word.end);
        } else if blank(word.end) {
            cuts.push(word.start..word.end + 1);
        } else {
            cuts.push(word.clone());
        }
    }
    cuts
}

/// `text` without the given ascending, disjoint byte ranges.
pub(super) fn without(text: &str, ranges: &[Range<usize>]) -> String {
    let mut rest = String::with_capacity(text.len());
    let mut from = 0;
    for range in ranges {
        rest.push_str(text.get(from..range.start).unwrap_or_default());
        from = range.end;
    }
    rest.push_str(text.get(from..).unwrap_or_default());
    rest
}
