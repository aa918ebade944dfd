//! Takes words out of a variable again.

use std::ops::Range;

use super::super::EditError;
use super::super::cut::{cuts, without};
use super::word::{Array, Item, Word};
use super::{Assignment, Assignments, Kind, RawValue, Statement, Value};

impl Assignments {
    /// Takes words (of strings) and items (of arrays) out of every plain assignment that has
    /// an effect on the value.
    ///
    /// A last line that only [`Self::append_words`] and its like write disappears
    /// when it has become empty.
    pub fn remove_words(&self, name: &str, words: &[&str]) -> Result<Self, EditError> {
        let old = self.value(name)?;
        // What an assignment that starts over has replaced has no effect, and stays as it is.
        let over = |statement: &Statement| match &statement.kind {
            Kind::Assignment(own) => own.name == name && own.starts_over(),
            _ => false,
        };
        let first = self.statements.iter().rposition(over).unwrap_or(0);
        let mut wanted = old.as_ref().map_or_else(Vec::new, Value::words);
        wanted.retain(|word| !words.contains(word));
        let everywhere = self.without_words(name, words, first);
        let last =
            self.statements.iter().rposition(|statement| statement.assigns(name)).unwrap_or(0);
        // `NAME+=x` can glue a word to the one before: then only the last line is ours.
        let cut = self.checked(&everywhere, name, &wanted);
        Ok(cut.or_else(|refused| {
            self.checked(&self.without_words(name, words, last), name, &wanted).map_err(|_| refused)
        })?)
    }

    /// The text without these words in the assignments from one statement on.
    fn without_words(&self, name: &str, words: &[&str], first: usize) -> String {
        let mut ranges = Vec::new();
        for statement in self.statements.iter().skip(first) {
            if let Kind::Assignment(own) = &statement.kind
                && own.name == name
            {
                let cuts = own.cuts(words);
                let line = without_within(&self.text, &statement.range, &cuts);
                if !cuts.is_empty() && is_leftover(name, &line) {
                    ranges.push(self.whole_line(&statement.range));
                } else {
                    ranges.extend(cuts);
                }
            }
        }
        without(&self.text, &ranges)
    }

    fn whole_line(&self, range: &Range<usize>) -> Range<usize> {
        let ended = self.text.get(range.clone()).is_some_and(|line| line.ends_with('\n'));
        range.start - usize::from(!ended && range.start > 0)..range.end
    }
}

impl Statement {
    fn assigns(&self, name: &str) -> bool {
        matches!(&self.kind, Kind::Assignment(own) if own.name == name)
    }
}

impl Assignment {
    /// It does not build on what the variable held before.
    fn starts_over(&self) -> bool {
        let builds = match &self.value {
            RawValue::Scalar(word) => word.units.iter().any(|unit| unit.character.is_none()),
            RawValue::Array(array) => {
                array.items.iter().any(|item| matches!(item, Item::Spread { .. }))
            }
        };
        !self.append && !builds
    }

    /// What to delete from the file so that this assignment loses `words`.
    fn cuts(&self, words: &[&str]) -> Vec<Range<usize>> {
        match &self.value {
            RawValue::Scalar(word) => word.cuts(words),
            RawValue::Array(array) => array.cuts(words),
        }
    }
}

impl Word {
    fn cuts(&self, words: &[&str]) -> Vec<Range<usize>> {
        let blank =
            |i: usize| self.units.get(i).is_some_and(|u| matches!(u.character, Some(' ' | '\t')));
        let divides =
            |i: usize| blank(i) || self.units.get(i).is_some_and(|u| u.character == Some('\n'));
        let mut found: Vec<Range<usize>> = Vec::new();
        for i in (0..self.units.len()).filter(|&i| !divides(i)) {
            match found.last_mut() {
                Some(last) if last.end == i => last.end = i + 1,
                _ => found.push(i..i + 1),
            }
        }
        let text = |range: &Range<usize>| -> Option<String> {
            self.units.get(range.clone())?.iter().map(|u| u.character).collect()
        };
        let wanted = |i: usize| {
            let own = found.get(i).and_then(text);
            own.is_some_and(|own| words.contains(&own.as_str()))
        };
        let units = cuts(&found, wanted, blank).into_iter().flatten();
        units.filter_map(|i| self.units.get(i)).map(|unit| unit.raw.clone()).collect()
    }
}

impl Array {
    /// Items behind a kept one leave with the blank before them, others with the
    /// blank after them; the layout next to the parentheses is not ours.
    fn cuts(&self, words: &[&str]) -> Vec<Range<usize>> {
        let gone = |item: &Item| match item {
            Item::Word(word) => words.contains(&word.text("").as_str()),
            Item::Spread { .. } => false,
        };
        let first_kept = self.items.iter().position(|item| !gone(item));
        let mut cuts = Vec::new();
        for (index, item) in self.items.iter().enumerate().filter(|(_, item)| gone(item)) {
            let Range { start, end } = item.range();
            let next = self.items.get(index + 1).map(|next| next.range().start);
            let previous = index.checked_sub(1).and_then(|i| self.items.get(i));
            let previous = previous.map(|previous| previous.range().end);
            cuts.push(match first_kept {
                // One blank apart, as written by an insertion.
                Some(kept) if index < kept && next == Some(end + 1) => start..end + 1,
                Some(kept) if index < kept => start..end,
                _ if previous == Some(start - 1) => start - 1..end,
                _ => start..end,
            });
        }
        cuts
    }
}

fn without_within(text: &str, range: &Range<usize>, cuts: &[Range<usize>]) -> String {
    let line = text.get(range.clone()).unwrap_or_default();
    let shifted: Vec<_> =
        cuts.iter().map(|cut| cut.start - range.start..cut.end - range.start).collect();
    without(line, &shifted)
}

/// A line as an addition writes it, with nothing left in it.
fn is_leftover(name: &str, line: &str) -> bool {
    let line = line.strip_suffix('\n').unwrap_or(line);
    let forms = [
        format!("{name}=\"${name}\""),
        format!("{name}+=()"),
        format!("{name}=(\"${{{name}[@]}}\")"),
    ];
    forms.iter().any(|form| form == line)
}
