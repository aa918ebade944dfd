//! Boot Loader Specification (UAPI.1) type-1 entries, loader.conf, and the order
//! of systemd-boot's menu.
//!
//! Lines are read as `line_get_key_value` of systemd's src/boot/efi-string.c does.

mod loader;
mod order;
mod version;

pub use loader::LoaderConf;
pub use order::{Listed, name_beside, split_counter};

use std::ops::Range;

use super::EditError;
use super::cmdline::Cmdline;

/// One entry file, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    text: String,
    fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    /// The line with its line end.
    line: Range<usize>,
    key: Range<usize>,
    value: Range<usize>,
}

impl Entry {
    /// Reads any text.
    pub fn parse(text: &str) -> Self {
        let mut fields = Vec::new();
        let mut start = 0;
        for line in text.split_inclusive(['\n', '\r']) {
            let found = field(line, start);
            start += line.len();
            let crlf =
                line.ends_with('\r') && text.get(start..).is_some_and(|t| t.starts_with('\n'));
            fields.extend(found.map(|mut field| {
                field.line.end += usize::from(crlf);
                field
            }));
        }
        let text = text.to_owned();
        Entry { text, fields }
    }

    /// The text, as it was read or edited.
    pub fn render(&self) -> &str {
        &self.text
    }

    fn text(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }

    fn with_key<'a>(&'a self, key: &'a str) -> impl DoubleEndedIterator<Item = &'a Field> {
        self.fields.iter().filter(move |field| self.text(&field.key) == key)
    }

    /// The values of a key, in order.
    pub fn values(&self, key: &str) -> Vec<&str> {
        self.with_key(key).map(|field| self.text(&field.value)).collect()
    }

    /// The value that counts where a key may stand once: the last.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.with_key(key).next_back().map(|field| self.text(&field.value))
    }

    /// All `options` lines joined by blanks, as the boot loader passes them.
    pub fn options(&self) -> String {
        self.values("options").join(" ")
    }

    /// The `options` lines that hold kernel parameters: what follows a `--` is for
    /// init, in later lines too.
    fn parameter_lines(&self) -> Vec<&Field> {
        let mut lines = Vec::new();
        for field in self.with_key("options") {
            lines.push(field);
            if Cmdline::parse(self.text(&field.value)).ends_parameters() {
                break;
            }
        }
        lines
    }

    /// Adds kernel parameters that are missing, to the last line that can hold them.
    pub fn add_options(&self, words: &[&str]) -> Result<Self, EditError> {
        let before = Cmdline::parse(&self.options());
        let missing = before.missing(words);
        let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
        // Refuses unsuitable words even where nothing has to be added.
        Cmdline::parse("").add(words)?;
        let edited = match self.parameter_lines().last() {
            _ if missing.is_empty() => return Ok(self.clone()),
            Some(field) => {
                let line = Cmdline::parse(self.text(&field.value)).add(&missing)?;
                self.spliced(&field.value, line.render())
            }
            None => self.with_line(&format!("options {}", missing.join(" "))),
        };
        // systemd-boot drops quotes around a whole value, which can change what the
        // words around them are.
        let after = Cmdline::parse(&edited.options());
        let wanted = before.parameters().map(|p| p.word).chain(missing.iter().copied());
        if after.parameters().map(|p| p.word).eq(wanted) {
            return Ok(edited);
        }
        let words = missing.join(" ");
        Err(EditError::unsafe_word(&words, "the quotes in the options line do not allow it"))
    }

    /// Takes kernel parameters out of every `options` line; a line that has become
    /// empty disappears.
    #[must_use]
    pub fn remove_options(&self, words: &[&str]) -> Self {
        let mut text = self.text.clone();
        for field in self.parameter_lines().into_iter().rev() {
            let value = self.text(&field.value);
            let left = Cmdline::parse(value).remove(words);
            let quoted =
                self.text.get(field.value.end..).is_some_and(|t| t.starts_with(['"', '\'']));
            if left.render().trim().is_empty() && !value.is_empty() && !quoted {
                text.replace_range(self.whole_line(field), "");
            } else {
                text.replace_range(field.value.clone(), left.render());
            }
        }
        Entry::parse(&text)
    }

    /// A line with its line end, or with the one before it at the end of the file.
    fn whole_line(&self, field: &Field) -> Range<usize> {
        let ended = self.text(&field.line).ends_with(['\n', '\r']);
        field.line.start - usize::from(!ended && field.line.start > 0)..field.line.end
    }

    /// The entry without any line of that key.
    #[must_use]
    pub fn without_key(&self, key: &str) -> Self {
        let gone: Vec<_> = self.with_key(key).map(|field| field.line.clone()).collect();
        Entry::parse(&super::cut::without(&self.text, &gone))
    }

    /// The entry under another title, in the place of the old one.
    #[must_use]
    pub fn with_title(&self, title: &str) -> Self {
        let title = title.replace(['\n', '\r'], " ");
        match self.with_key("title").next_back() {
            Some(field) => self.spliced(&field.value, &title),
            None => Entry::parse(&format!("title {title}\n{}", self.text)),
        }
    }

    fn spliced(&self, range: &Range<usize>, new: &str) -> Self {
        let before = self.text.get(..range.start).unwrap_or_default();
        let after = self.text.get(range.end..).unwrap_or_default();
        Entry::parse(&format!("{before}{new}{after}"))
    }

    fn with_line(&self, line: &str) -> Self {
        let gap = if self.text.is_empty() || self.text.ends_with(['\n', '\r']) { "" } else { "\n" };
        let end = if gap.is_empty() { "\n" } else { "" };
        Entry::parse(&format!("{}{gap}{line}{end}", self.text))
    }
}

/// Key and value of a line at `start`, unless it is blank, a comment, or has no value.
fn field(line: &str, start: usize) -> Option<Field> {
    let blank = [' ', '\t'];
    let body = line.trim_end_matches(['\n', '\r']).trim_end_matches(blank);
    let at = body.len() - body.trim_start_matches(blank).len();
    let inner = body.get(at..).filter(|inner| !inner.starts_with('#'))?;
    let (key, rest) = inner.split_once(blank)?;
    let value = rest.trim_start_matches(blank);
    let (mut from, mut to) = (body.len() - value.len(), body.len());
    for quote in ['"', '\''] {
        if value.len() > 1 && value.starts_with(quote) && value.ends_with(quote) {
            (from, to) = (from + 1, to - 1);
            break;
        }
    }
    Some(Field {
        line: start..start + line.len(),
        key: start + at..start + at + key.len(),
        value: start + from..start + to,
    })
}

#[cfg(test)]
mod tests;
