//! Three-way merge by lines: what one side changed and what the other side changed, in one text.

use similar::{Algorithm, DiffOp, capture_diff_slices};

/// Both sides changed the same lines in different ways.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("both sides changed line {line}")]
pub struct Conflict {
    /// Line of the base, from 1.
    pub line: usize,
}

/// A run of lines of the base, and what one side has in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hunk<'a> {
    start: usize,
    end: usize,
    new: &'a [&'a str],
}

impl Hunk<'_> {
    /// They replace some of the same lines, or something is put where the other takes lines
    /// away around it, or both put something at one place. Changes that only touch are apart.
    fn meets(&self, other: &Self) -> bool {
        let inside = |a: &Self, b: &Self| a.start == a.end && b.start < a.start && a.start < b.end;
        let same_place =
            self.start == self.end && (other.start, other.end) == (self.start, self.end);
        self.start.max(other.start) < self.end.min(other.end)
            || inside(self, other)
            || inside(other, self)
            || same_place
    }
}

/// The base with the changes of both sides.
///
/// # Errors
/// The sides disagree about some lines.
pub fn merge(base: &str, one: &str, two: &str) -> Result<String, Conflict> {
    let [base, one, two] = [base, one, two].map(lines);
    let (ones, twos) = (hunks(&base, &one), hunks(&base, &two));
    let mut all: Vec<&Hunk<'_>> = Vec::new();
    for hunk in &ones {
        if let Some(other) = twos.iter().find(|other| hunk.meets(other) && *other != hunk) {
            return Err(Conflict { line: hunk.start.min(other.start) + 1 });
        }
        all.push(hunk);
    }
    all.extend(twos.iter().filter(|hunk| !ones.contains(hunk)));
    // At one place, what is put there comes before what is taken away from there on.
    all.sort_by_key(|hunk| (hunk.start, hunk.end));
    let mut out = String::new();
    let mut at = 0;
    for hunk in all {
        out.extend(base.get(at..hunk.start).unwrap_or_default().iter().copied());
        out.extend(hunk.new.iter().copied());
        at = at.max(hunk.end);
    }
    out.extend(base.get(at..).unwrap_or_default().iter().copied());
    Ok(out)
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn hunks<'a>(base: &[&str], new: &'a [&'a str]) -> Vec<Hunk<'a>> {
    let ops = capture_diff_slices(Algorithm::Myers, base, new);
    let changed = ops.into_iter().filter(|op| !matches!(op, DiffOp::Equal { .. }));
    let mut hunks: Vec<Hunk<'a>> = Vec::new();
    for op in changed {
        let (old, new_range) = (op.old_range(), op.new_range());
        let hunk =
            Hunk { start: old.start, end: old.end, new: new.get(new_range).unwrap_or_default() };
        hunks.push(hunk);
    }
    hunks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_one_side_adds_stays_when_the_other_takes_away() {
        let ours = "# mark\nsoftdep a\nsoftdep b\n";
        let cases = [
            ("# mark\nsoftdep a\nsoftdep b\nuser\n", "user\n"),
            ("user\n# mark\nsoftdep a\nsoftdep b\n", "user\n"),
            ("# mark\nsoftdep a\nsoftdep b\n", ""),
        ];
        for (edited, left) in cases {
            assert_eq!(merge(ours, "", edited).as_deref(), Ok(left), "{edited:?}");
        }
    }

    #[test]
    fn edits_of_other_lines_stay() {
        let base = "a\nGRUB=\"quiet ours\"\nc\nd\n";
        let before = "a\nGRUB=\"quiet\"\nc\nd\n";
        let edited = "a changed\nGRUB=\"quiet ours\"\nc\nnew\nd\n";
        let merged = merge(base, before, edited);
        assert_eq!(merged.as_deref(), Ok("a changed\nGRUB=\"quiet\"\nc\nnew\nd\n"));
    }

    #[test]
    fn edits_of_the_same_line_are_a_conflict() {
        let base = "a\nGRUB=\"quiet ours\"\n";
        let conflict = merge(base, "a\nGRUB=\"quiet\"\n", "a\nGRUB=\"splash ours\"\n");
        assert_eq!(conflict, Err(Conflict { line: 2 }));
        assert_eq!(merge("a\nb\nc\n", "", "a\nb\nuser\nc\n"), Err(Conflict { line: 1 }));
    }

    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec("[ab]?\n?", 0..8).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn a_side_without_changes_gives_the_other(base in text(), new in text()) {
            prop_assert_eq!(merge(&base, &base, &new), Ok(new.clone()));
            prop_assert_eq!(merge(&base, &new, &base), Ok(new.clone()));
            prop_assert_eq!(merge(&base, &new, &new), Ok(new));
        }

        #[test]
        fn no_line_of_a_side_is_lost(base in text(), added in "[xyz]{1,3}", at in 0_usize..8) {
            let mut edited: Vec<&str> = base.split_inclusive('\n').collect();
            let line = format!("{added}\n");
            edited.insert(at.min(edited.len()), &line);
            if let Ok(merged) = merge(&base, "", &edited.concat()) {
                prop_assert!(merged.contains(&added), "{merged:?}");
            }
        }
    }
}
