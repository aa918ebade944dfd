//! The kernel command line: what the kernel makes of it, and edits by whole words.
//!
//! Splitting and quoting follow `next_arg` in the kernel's lib/cmdline.c, keys
//! compare as in `parameq` and `--` ends the parameters as in `parse_args`, both in
//! kernel/params.c (6.12).

use std::fmt;
use std::ops::Range;

use super::EditError;
use super::cut::{cuts, without};

/// A kernel command line, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cmdline {
    text: String,
    /// Every word, those for init included.
    words: Vec<Range<usize>>,
    /// How many of the words are before `--`.
    parameters: usize,
}

/// One word as the kernel takes it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// The name as spelt; `-` and `_` are the same in it.
    pub key: &'a str,
    /// What follows `=`, without quotes around it.
    pub value: Option<&'a str>,
    /// The word as written.
    pub word: &'a str,
}

impl<'a> Parameter<'a> {
    /// Takes one word apart.
    pub fn parse(word: &'a str) -> Self {
        let quoted = word.starts_with('"');
        let inner = word.strip_prefix('"').unwrap_or(word);
        // `next_arg` does not count `=` as the first character.
        let equals = inner.char_indices().skip(1).find(|(_, c)| *c == '=').map(|(at, _)| at);
        let key = inner.get(..equals.unwrap_or(inner.len())).unwrap_or_default();
        let value = equals.and_then(|at| inner.get(at + 1..));
        let unquote = |text: &'a str| text.strip_suffix('"').unwrap_or(text);
        let value = value.map(|value| match value.strip_prefix('"') {
            Some(value) => unquote(value),
            None if quoted => unquote(value),
            None => value,
        });
        let key = if quoted && value.is_none() { unquote(key) } else { key };
        Parameter { key, value, word }
    }

    /// Whether this parameter has that name.
    pub fn is(&self, key: &str) -> bool {
        self.key.len() == key.len()
            && self.key.bytes().map(underscore).eq(key.bytes().map(underscore))
    }
}

fn underscore(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte }
}

/// Byte ranges of the words the kernel would see in `text`.
pub(super) fn words(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut in_quote = false;
    for (at, byte) in text.bytes().enumerate() {
        if is_space(byte) && !in_quote {
            words.extend(start.take().map(|start| start..at));
            continue;
        }
        start.get_or_insert(at);
        in_quote ^= byte == b'"';
    }
    words.extend(start.map(|start| start..text.len()));
    words
}

/// `isspace` of the kernel's lib/ctype.c, as far as it applies to UTF-8 text.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

impl Cmdline {
    /// Reads any text.
    pub fn parse(text: &str) -> Self {
        let words = words(text);
        let ends = |range: &Range<usize>| {
            let parameter = Parameter::parse(text.get(range.clone()).unwrap_or_default());
            parameter.key == "--" && parameter.value.is_none()
        };
        let parameters = words.iter().position(ends).unwrap_or(words.len());
        let text = text.to_owned();
        Cmdline { text, words, parameters }
    }

    /// The text, as it was read or edited.
    pub fn render(&self) -> &str {
        &self.text
    }

    fn word(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }

    fn ranges(&self) -> &[Range<usize>] {
        self.words.get(..self.parameters).unwrap_or_default()
    }

    /// The kernel's parameters in order.
    pub fn parameters(&self) -> impl DoubleEndedIterator<Item = Parameter<'_>> {
        self.ranges().iter().map(|range| Parameter::parse(self.word(range)))
    }

    /// Whether a `--` ends the parameters.
    pub fn ends_parameters(&self) -> bool {
        self.parameters < self.words.len()
    }

    /// The words after `--`, which init receives.
    pub fn init_arguments(&self) -> impl Iterator<Item = &str> {
        self.words.iter().skip(self.parameters + 1).map(|range| self.word(range))
    }

    /// The first parameter of that name.
    pub fn first(&self, key: &str) -> Option<Parameter<'_>> {
        self.parameters().find(|parameter| parameter.is(key))
    }

    /// The last parameter of that name, the one that counts for a module parameter
    /// (each one overwrites the one before, `param_set_copystring`).
    pub fn last(&self, key: &str) -> Option<Parameter<'_>> {
        self.parameters().rfind(|parameter| parameter.is(key))
    }

    /// The values given to that name, in order.
    pub fn values(&self, key: &str) -> Vec<&str> {
        self.parameters().filter(|p| p.is(key)).filter_map(|p| p.value).collect()
    }

    /// The parts of all comma-separated values given to that name, in order.
    pub fn list_value(&self, key: &str) -> Vec<&str> {
        let parts = self.values(key).into_iter().flat_map(|value| value.split(','));
        parts.filter(|part| !part.is_empty()).collect()
    }

    /// Whether exactly this word is among the parameters.
    pub fn contains_word(&self, word: &str) -> bool {
        self.ranges().iter().any(|range| self.word(range) == word)
    }

    /// Those of `words` that are not there yet; what a later removal has to take out.
    pub fn missing(&self, words: &[&str]) -> Vec<String> {
        let mut missing: Vec<String> = Vec::new();
        for word in words {
            if !self.contains_word(word) && !missing.iter().any(|own| own == word) {
                missing.push((*word).to_owned());
            }
        }
        missing
    }

    /// Adds each word once, after the last parameter.
    pub fn add(&self, words: &[&str]) -> Result<Self, EditError> {
        for word in words {
            check(word)?;
        }
        let missing = self.missing(words).join(" ");
        if missing.is_empty() {
            return Ok(self.clone());
        }
        let last = self.ranges().last();
        let last_word = last.map_or("", |range| self.word(range));
        if last_word.matches('"').count() % 2 == 1 {
            return Err(EditError::unsafe_word(&missing, "the line before it has an open quote"));
        }
        let at = last.map_or(0, |range| range.end);
        let (before, after) = self.text.split_at_checked(at).unwrap_or((&self.text, ""));
        let alone = last.is_none();
        let gap = if alone { "" } else { " " };
        let follow = if alone && !after.trim_end_matches('\n').is_empty() { " " } else { "" };
        Ok(Cmdline::parse(&format!("{before}{gap}{missing}{follow}{after}")))
    }

    /// Puts `word` where `key` first stands and drops its other occurrences.
    pub fn replace(&self, key: &str, word: &str) -> Result<Self, EditError> {
        check(word)?;
        let is_key = |range: &&Range<usize>| Parameter::parse(self.word(range)).is(key);
        let Some(first) = self.ranges().iter().find(is_key) else {
            return self.add(&[word]);
        };
        let later = self.ranges().iter().position(|range| range == first).unwrap_or_default() + 1;
        let rest = self.cut(|index, own| index >= later && Parameter::parse(own).is(key));
        let (before, after) = rest.split_at_checked(first.start).unwrap_or((&rest, ""));
        let after = after.get(first.len()..).unwrap_or_default();
        Ok(Cmdline::parse(&format!("{before}{word}{after}")))
    }

    /// Takes out every parameter that is exactly one of `words`.
    #[must_use]
    pub fn remove(&self, words: &[&str]) -> Self {
        Cmdline::parse(&self.cut(|_, own| words.contains(&own)))
    }

    fn cut(&self, gone: impl Fn(usize, &str) -> bool) -> String {
        let gone = |index: usize| {
            let range = self.ranges().get(index);
            range.is_some_and(|range| gone(index, self.word(range)))
        };
        let blank = |at: usize| matches!(self.text.as_bytes().get(at), Some(b' ' | b'\t'));
        without(&self.text, &cuts(self.ranges(), gone, blank))
    }
}

impl fmt::Display for Cmdline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A word must stay one word, and a parameter.
fn check(word: &str) -> Result<(), EditError> {
    let whole = words(word).first() == Some(&(0..word.len()));
    if !whole || word.matches('"').count() % 2 == 1 || word.contains(['\0', '\n', '\r']) {
        return Err(EditError::unsafe_word(word, "it is not exactly one word to the kernel"));
    }
    let parameter = Parameter::parse(word);
    if parameter.key == "--" && parameter.value.is_none() {
        return Err(EditError::unsafe_word(word, "it ends the kernel's parameters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
