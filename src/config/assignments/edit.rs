//! Adds words to a variable.
//!
//! Every edit is checked by reading its result: if the new value is not the old
//! one with exactly the wanted change, the edit is refused.

use super::super::{EditError, NotUnderstood};
use super::word::Word;
use super::{Assignment, Assignments, RawValue, Value};

/// At which end of a value words are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Front,
    Back,
}

const MIXTURE: &str = "the variable is assigned as a string and as an array";
const CHECK: &str = "an edit here would not have the intended effect";

impl Assignments {
    /// Those of `words` that the value of `name` in this file does not have yet.
    ///
    /// These, and no others, are what a later removal has to take out.
    pub fn missing(&self, name: &str, words: &[&str]) -> Result<Vec<String>, NotUnderstood> {
        let value = self.value(name)?;
        let present = value.as_ref().map_or_else(Vec::new, Value::words);
        let mut missing: Vec<String> = Vec::new();
        for word in words {
            if !present.contains(word) && !missing.iter().any(|m| m == word) {
                missing.push((*word).to_owned());
            }
        }
        Ok(missing)
    }

    /// Adds words at the end of a string.
    ///
    /// In place where the file assigns `name` exactly once in quotes; else by a
    /// last line that extends whatever the variable holds there, so that it is
    /// right in a drop-in too. Arrays are extended as arrays.
    pub fn append_words(&self, name: &str, words: &[&str]) -> Result<Self, EditError> {
        if let Some(Value::Array(_)) = self.value(name)? {
            return self.append_items(name, words);
        }
        self.add(name, words, End::Back, |line| format!("{name}=\"${name} {line}\""))
    }

    /// Adds items at the end of an array, or words at the end of a plain string.
    pub fn append_items(&self, name: &str, items: &[&str]) -> Result<Self, EditError> {
        self.add_items(name, items, End::Back)
    }

    /// Adds items at the front of an array, or words at the front of a plain string.
    pub fn prepend_items(&self, name: &str, items: &[&str]) -> Result<Self, EditError> {
        self.add_items(name, items, End::Front)
    }

    fn add_items(&self, name: &str, items: &[&str], end: End) -> Result<Self, EditError> {
        for item in items {
            check_item(item)?;
        }
        let string = matches!(self.value(name)?, Some(Value::Scalar(_)));
        self.add(name, items, end, |line| match (string, end) {
            (true, End::Back) => format!("{name}=\"${name} {line}\""),
            (true, End::Front) => format!("{name}=\"{line} ${name}\""),
            (false, End::Back) => format!("{name}+=({line})"),
            (false, End::Front) => format!("{name}=({line} \"${{{name}[@]}}\")"),
        })
    }

    fn add(
        &self,
        name: &str,
        words: &[&str],
        end: End,
        last_line: impl Fn(&str) -> String,
    ) -> Result<Self, EditError> {
        for word in words {
            check_word(word)?;
        }
        self.refuse_mixture(name)?;
        let old = self.value(name)?;
        let missing = self.missing(name, words)?;
        if missing.is_empty() {
            return Ok(self.clone());
        }
        let added = missing.join(" ");
        let text = match self.place(name, end) {
            Some((at, insertion)) => {
                let (before, after) = self.text.split_at_checked(at).unwrap_or((&self.text, ""));
                format!("{before}{}{after}", insertion.around(&added))
            }
            None => self.with_last_line(&last_line(&added)),
        };
        let mut wanted = old.as_ref().map_or_else(Vec::new, Value::words);
        let place = if end == End::Front { 0 } else { wanted.len() };
        wanted.splice(place..place, missing.iter().map(String::as_str));
        Ok(self.checked(&text, name, &wanted)?)
    }

    /// A string assigned to an array replaces its first item, blanks and all: words
    /// and items cannot be told apart there.
    fn refuse_mixture(&self, name: &str) -> Result<(), NotUnderstood> {
        let is_array = |own: &Assignment| matches!(own.value, RawValue::Array(_));
        let mut all = self.assignments(name);
        let first = all.next().map(|(_, own)| is_array(own));
        match all.find(|(_, own)| Some(is_array(own)) != first) {
            Some((start, _)) => Err(NotUnderstood::at(&self.text, start, MIXTURE)),
            None => Ok(()),
        }
    }

    /// Where to insert, if `name` is assigned once, plainly, and with room for words.
    fn place(&self, name: &str, end: End) -> Option<(usize, Insertion)> {
        let mut all = self.assignments(name);
        let (_, only) = all.next().filter(|(_, own)| !own.append)?;
        if all.next().is_some() {
            return None;
        }
        match &only.value {
            // Filled in, this line could not be told from one of our own on removal.
            RawValue::Scalar(word) if is_bare_reference(word) => None,
            RawValue::Scalar(word) => {
                let at = if end == End::Front { word.first_quote } else { word.last_quote };
                Some((at?, Insertion::at(end, word.units.is_empty())))
            }
            RawValue::Array(array) => {
                let item = match end {
                    End::Front => array.items.first().map(|item| item.range().start),
                    End::Back => array.items.last().map(|item| item.range().end),
                };
                Some((item.unwrap_or(array.open), Insertion::at(end, item.is_none())))
            }
        }
    }

    /// Adds a line; without a line end if the text has none, so that removal is exact.
    fn with_last_line(&self, line: &str) -> String {
        if self.text.is_empty() || self.text.ends_with('\n') {
            format!("{}{line}\n", self.text)
        } else {
            format!("{}\n{line}", self.text)
        }
    }

    pub(super) fn checked(
        &self,
        text: &str,
        name: &str,
        wanted: &[&str],
    ) -> Result<Self, NotUnderstood> {
        let edited = Assignments::parse(text);
        let value = edited.value(name)?;
        let words = value.as_ref().map_or_else(Vec::new, Value::words);
        if words == wanted {
            return Ok(edited);
        }
        let at = self.assignments(name).last().map_or(self.text.len(), |(start, _)| start);
        Err(NotUnderstood::at(&self.text, at, CHECK))
    }
}

/// How added words are set apart from their neighbours.
#[derive(Debug, Clone, Copy)]
struct Insertion {
    before: &'static str,
    after: &'static str,
}

impl Insertion {
    fn at(end: End, empty: bool) -> Self {
        let (before, after) = match end {
            _ if empty => ("", ""),
            End::Front => ("", " "),
            End::Back => (" ", ""),
        };
        Insertion { before, after }
    }

    fn around(self, words: &str) -> String {
        format!("{}{words}{}", self.before, self.after)
    }
}

fn is_bare_reference(word: &Word) -> bool {
    matches!(word.units.as_slice(), [unit] if unit.character.is_none())
}

/// Both the shell and GRUB read these words again: `{ } | & $ ; < >` and blanks are
/// metacharacters of grub.cfg (GRUB manual, "Words and quoting").
fn check_word(word: &str) -> Result<(), EditError> {
    let special = |c: char| c.is_whitespace() || c.is_control() || "{}|&$;<>\"'`\\".contains(c);
    if word.is_empty() {
        return Err(EditError::unsafe_word(word, "it is empty"));
    }
    if word.contains(special) {
        let reason = "it contains a character that the shell or GRUB would interpret";
        return Err(EditError::unsafe_word(word, reason));
    }
    Ok(())
}

/// Items stand outside quotes, where more characters are special.
fn check_item(item: &str) -> Result<(), EditError> {
    if item.contains(['(', ')', '*', '[', ']', '~']) || item.starts_with('#') {
        let reason = "it contains a character that the shell would interpret outside quotes";
        return Err(EditError::unsafe_word(item, reason));
    }
    Ok(())
}
