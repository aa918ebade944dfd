//! Reads one assigned value: quoting, concatenation, arrays.
//!
//! Every decoded character keeps the bytes it was written with, so that an edit
//! can remove a word whatever its quoting.

use std::ops::Range;

/// A decoded character, or a reference of the variable to itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// `None` for a reference to the variable's earlier value.
    pub character: Option<char>,
    pub raw: Range<usize>,
}

/// One shell word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub units: Vec<Unit>,
    pub range: Range<usize>,
    /// Just after the opening quote, if the word begins with one.
    pub first_quote: Option<usize>,
    /// At the closing quote, if the word ends with one.
    pub last_quote: Option<usize>,
}

/// The inside of `( ... )`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Array {
    /// Just after the opening parenthesis.
    pub open: usize,
    pub items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Word(Word),
    /// `"${NAME[@]}"` of the variable itself, or the same without quotes.
    Spread {
        quoted: bool,
        range: Range<usize>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Scalar,
    Item,
}

pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

type Read<T> = Result<T, &'static str>;

const SUBSTITUTION: &str = "the value is computed by an expansion";
const OPEN: &str = "a quote is not closed";

impl Word {
    /// The text, with references to itself replaced by `old`.
    pub fn text(&self, old: &str) -> String {
        let mut text = String::new();
        for unit in &self.units {
            match unit.character {
                Some(c) => text.push(c),
                None => text.push_str(old),
            }
        }
        text
    }
}

impl Item {
    pub fn range(&self) -> Range<usize> {
        match self {
            Item::Word(word) => word.range.clone(),
            Item::Spread { range, .. } => range.clone(),
        }
    }
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str, at: usize) -> Self {
        Cursor { text, at }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// As [`Self::eat`], together with the blanks that must follow.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let start = self.at;
        let found = self.eat(word) && self.skip_blanks() > 0;
        if !found {
            self.at = start;
        }
        found
    }

    /// Skips blanks and continued line ends; tells how many bytes.
    pub fn skip_blanks(&mut self) -> usize {
        let start = self.at;
        while self.eat(" ") || self.eat("\t") || self.eat("\\\n") {}
        self.at - start
    }

    /// The end of the line if only a comment remains of it.
    pub fn line_end(&self) -> Option<usize> {
        let rest = self.rest();
        let ends = rest.is_empty() || rest.starts_with('\n') || rest.starts_with('#');
        ends.then(|| self.at + rest.find('\n').map_or(rest.len(), |p| p + 1))
    }

    pub fn line_end_after_blanks(&mut self) -> Option<usize> {
        let skipped = self.skip_blanks();
        // `#` begins a comment only at the beginning of a word (POSIX XCU 2.3).
        if skipped == 0 && self.peek() == Some('#') {
            return None;
        }
        self.line_end()
    }

    pub fn name(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let name = rest.get(..end)?;
        let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        self.at += if valid { end } else { 0 };
        valid.then_some(name)
    }

    pub fn scalar(&mut self, name: &str) -> Read<Word> {
        self.word(name, Place::Scalar)
    }

    /// The rest of an array after its opening parenthesis.
    pub fn array(&mut self, name: &str) -> Read<Array> {
        let open = self.at;
        let mut items = Vec::new();
        loop {
            while self.skip_blanks() > 0 || self.eat("\n") {}
            match self.peek() {
                None => return Err("the array is not closed"),
                Some(')') => {
                    self.at += 1;
                    return Ok(Array { open, items });
                }
                Some('#') => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                Some(_) => items.push(self.item(name)?),
            }
        }
    }

    fn item(&mut self, name: &str) -> Read<Item> {
        let start = self.at;
        let quoted = self.eat(&format!("\"${{{name}[@]}}\""));
        if quoted || self.eat(&format!("${{{name}[@]}}")) {
            let range = start..self.at;
            let ends = self.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\n' | ')'));
            return if ends { Ok(Item::Spread { quoted, range }) } else { Err(SUBSTITUTION) };
        }
        let word = self.word(name, Place::Item)?;
        if word.range.is_empty() {
            return Err("the array holds an operator");
        }
        Ok(Item::Word(word))
    }

    fn word(&mut self, name: &str, place: Place) -> Read<Word> {
        let mut word = Word::default();
        let start = self.at;
        while let Some(c) = self.peek() {
            if matches!(c, ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>') {
                break;
            }
            word.last_quote = None;
            match c {
                '\'' | '"' => {
                    self.at += 1;
                    if self.at == start + 1 {
                        word.first_quote = Some(self.at);
                    }
                    let own = if place == Place::Scalar { Some(name) } else { None };
                    self.quoted(c, own, &mut word.units)?;
                    word.last_quote = Some(self.at - 1);
                }
                '$' => self.reference((place == Place::Scalar).then_some(name), &mut word.units)?,
                '\\' => self.escaped(&mut word.units)?,
                _ => {
                    let before = self.text.get(start..self.at).unwrap_or_default();
                    refuse_unquoted(c, before, place)?;
                    self.unit(c, c.len_utf8(), &mut word.units);
                }
            }
        }
        word.range = start..self.at;
        Ok(word)
    }

    fn unit(&mut self, c: char, width: usize, units: &mut Vec<Unit>) {
        let raw = self.at..self.at + width;
        self.at += width;
        units.push(Unit { character: Some(c), raw });
    }

    /// A backslash outside quotes.
    fn escaped(&mut self, units: &mut Vec<Unit>) -> Read<()> {
        if self.eat("\\\n") {
            return Ok(());
        }
        match self.rest().chars().nth(1) {
            None | Some('\0') => Err("a backslash ends the file"),
            Some(c) => {
                self.unit(c, 1 + c.len_utf8(), units);
                Ok(())
            }
        }
    }

    /// From after an opening quote to after its end.
    fn quoted(&mut self, quote: char, name: Option<&str>, units: &mut Vec<Unit>) -> Read<()> {
        loop {
            let c = self.peek().ok_or(OPEN)?;
            let literal = quote == '\'';
            match c {
                _ if c == quote => {
                    self.at += 1;
                    return Ok(());
                }
                '\0' => return Err("the value contains a NUL"),
                '`' if !literal => return Err(SUBSTITUTION),
                '$' if !literal => self.reference(name, units)?,
                '\\' if !literal => {
                    // POSIX XCU 2.2.3: other backslashes stay.
                    match self.rest().chars().nth(1) {
                        Some('\n') => self.at += 2,
                        Some(c @ ('$' | '`' | '"' | '\\')) => self.unit(c, 2, units),
                        _ => self.unit('\\', 1, units),
                    }
                }
                _ => self.unit(c, c.len_utf8(), units),
            }
        }
    }

    /// `$NAME` or `${NAME}` of the variable itself; any other expansion is an error.
    fn reference(&mut self, name: Option<&str>, units: &mut Vec<Unit>) -> Read<()> {
        let start = self.at;
        let name = name.ok_or(SUBSTITUTION)?;
        self.at += 1;
        let braced = self.eat("{");
        let own = self.name() == Some(name);
        if !own || (braced && !self.eat("}")) || (!braced && self.peek() == Some('[')) {
            return Err(SUBSTITUTION);
        }
        let raw = start..self.at;
        units.push(Unit { character: None, raw });
        Ok(())
    }
}

/// Characters that mean something outside quotes in an assignment.
fn refuse_unquoted(c: char, before: &str, place: Place) -> Read<()> {
    match c {
        '`' => Err(SUBSTITUTION),
        '\0' => Err("the value contains a NUL"),
        '{' | '}' => Err("braces may be expanded"),
        '~' if before.is_empty() || before.ends_with([':', '=']) => Err(SUBSTITUTION),
        // A trailing `?` marks an optional module in mkinitcpio.conf(5); where no
        // file name matches it stays as written.
        '*' | '[' if place == Place::Item => Err("the array holds a file name pattern"),
        _ => Ok(()),
    }
}
