//! Words and separators of GRUB's script language.

use crate::config::NotUnderstood;

/// What a script is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A word.
    Word(Word),
    /// `{`
    Open,
    /// `}`
    Close,
    /// A line end or `;`.
    End,
    /// From `#` to the end of the line.
    Comment(String),
}

/// A word without its quotes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// What it says; variables stand in it as written.
    pub text: String,
    /// Some of it was quoted.
    pub quoted: bool,
    /// Byte where it begins.
    pub at: usize,
}

impl Word {
    /// As GRUB puts it on the kernel's command line: quoted where it holds a blank, with a
    /// backslash before quotes and backslashes (grub-core/lib/cmdline.c).
    pub fn passed_on(&self) -> String {
        let mut out = String::new();
        for character in self.text.chars() {
            if matches!(character, '\\' | '\'' | '"') {
                out.push('\\');
            }
            out.push(character);
        }
        if self.text.contains(char::is_whitespace) { format!("\"{out}\"") } else { out }
    }
}

/// All of them, each with the byte where it begins.
pub fn tokens(text: &str) -> Result<Vec<(usize, Token)>, NotUnderstood> {
    let mut lexer = Lexer { text, at: 0, word: None, tokens: Vec::new() };
    while let Some(character) = lexer.peek() {
        lexer.step(character)?;
    }
    lexer.end_word();
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    word: Option<Word>,
    tokens: Vec<(usize, Token)>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn refuse(&self, at: usize, reason: &'static str) -> NotUnderstood {
        NotUnderstood::at(self.text, at, reason)
    }

    fn word(&mut self) -> &mut Word {
        let at = self.at;
        self.word.get_or_insert_with(|| Word { at, ..Word::default() })
    }

    fn end_word(&mut self) {
        if let Some(word) = self.word.take() {
            self.tokens.push((word.at, Token::Word(word)));
        }
    }

    fn separate(&mut self, token: Token) {
        self.end_word();
        self.tokens.push((self.at, token));
        self.take();
    }

    fn step(&mut self, character: char) -> Result<(), NotUnderstood> {
        match character {
            ' ' | '\t' => {
                self.end_word();
                self.take();
            }
            '\n' | ';' => self.separate(Token::End),
            '{' => self.separate(Token::Open),
            '}' => self.separate(Token::Close),
            '|' | '&' | '<' | '>' => {
                return Err(self.refuse(self.at, "GRUB has no such command separator"));
            }
            '#' if self.word.is_none() => {
                let line = self.rest().split('\n').next().unwrap_or_default();
                let (line, length) = (line.trim_end().to_owned(), line.len());
                self.tokens.push((self.at, Token::Comment(line)));
                self.at += length;
            }
            '\'' => self.single_quoted()?,
            '"' => self.double_quoted()?,
            '\\' => self.escaped()?,
            '$' => self.variable()?,
            other => {
                self.word().text.push(other);
                self.take();
            }
        }
        Ok(())
    }

    /// A backslash and a line end are nothing; with another character it is that character.
    fn escaped(&mut self) -> Result<(), NotUnderstood> {
        let at = self.at;
        if self.rest().starts_with("\\\n") {
            self.at += 2;
            return Ok(());
        }
        let word = self.word();
        word.quoted = true;
        self.take();
        let Some(character) = self.take() else {
            return Err(self.refuse(at, "the text ends after a backslash"));
        };
        self.word().text.push(character);
        Ok(())
    }

    fn single_quoted(&mut self) -> Result<(), NotUnderstood> {
        let at = self.at;
        self.word().quoted = true;
        self.take();
        let Some((inside, _)) = self.rest().split_once('\'') else {
            return Err(self.refuse(at, "the quote does not end"));
        };
        let inside = inside.to_owned();
        self.at += inside.len() + 1;
        self.word().text.push_str(&inside);
        Ok(())
    }

    /// In double quotes a backslash quotes `$`, `"`, itself and a line end only.
    fn double_quoted(&mut self) -> Result<(), NotUnderstood> {
        let at = self.at;
        self.word().quoted = true;
        self.take();
        loop {
            match self.take() {
                None => return Err(self.refuse(at, "the quote does not end")),
                Some('"') => return Ok(()),
                Some('\\') => match self.take() {
                    None => return Err(self.refuse(at, "the quote does not end")),
                    Some('\n') => {}
                    Some(character @ ('$' | '"' | '\\')) => self.word().text.push(character),
                    Some(other) => self.word().text.extend(['\\', other]),
                },
                Some(character) => self.word().text.push(character),
            }
        }
    }

    /// `$name`, `${name}`, or a translated string: `$"text"`.
    fn variable(&mut self) -> Result<(), NotUnderstood> {
        let at = self.at;
        self.word();
        self.take();
        let rest = self.rest();
        if rest.starts_with('"') {
            return self.double_quoted();
        }
        let name = |text: &str| {
            let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            end.unwrap_or(text.len())
        };
        let special = |text: &str| usize::from(text.starts_with(['?', '#', '*', '@']));
        let length = match rest.strip_prefix('{') {
            Some(inside) => match name(inside).max(special(inside)) {
                0 => 0,
                length if inside.get(length..).is_some_and(|t| t.starts_with('}')) => length + 2,
                _ => 0,
            },
            None => name(rest).max(special(rest)),
        };
        if length == 0 {
            return Err(self.refuse(at, "no variable is named after the `$`"));
        }
        let variable = format!("${}", rest.get(..length).unwrap_or_default());
        self.at += length;
        self.word().text.push_str(&variable);
        Ok(())
    }
}
