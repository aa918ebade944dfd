//! Words of a command: which are reserved, and which reach beyond the file.

use super::{ELSEWHERE, Frame, Kind, Reach, Scan};

impl Scan<'_> {
    /// One word, or its beginning up to a nested construct.
    pub(super) fn word(&mut self) -> Option<()> {
        self.joined = false;
        let start = self.at;
        let mut plain_to = None;
        loop {
            let byte = self.peek(0).unwrap_or(b'\n');
            let nests = byte == b'"' || (byte == b'$' && matches!(self.peek(1), Some(b'(' | b'{')));
            if nests || matches!(byte, b'\'' | b'\\' | b'`') {
                plain_to.get_or_insert(self.at);
            }
            match byte {
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => {
                    let plain = self.bytes.get(start..plain_to.unwrap_or(self.at))?;
                    return self.word_read(plain, plain_to.is_none());
                }
                _ if nests => {
                    let plain = self.bytes.get(start..plain_to.unwrap_or(self.at))?;
                    self.word_read(plain, false)?;
                    if byte == b'"' {
                        self.push(Kind::DoubleQuote, 1);
                    } else {
                        self.expansion(byte)?;
                    }
                    return Some(());
                }
                b'\\' => self.at = (self.at + 2).min(self.bytes.len()),
                b'\'' if self.bytes.get(start..self.at)?.ends_with(b"$") => {
                    self.skip_escaped(b'\'')?;
                }
                b'\'' => self.skip_past(b'\'')?,
                b'`' => self.skip_escaped(b'`')?,
                _ => self.at += 1,
            }
        }
    }

    /// Accounts for a word whose unquoted beginning is `plain`.
    fn word_read(&mut self, plain: &[u8], whole: bool) -> Option<()> {
        if std::mem::take(&mut self.target) {
            return Some(());
        }
        if whole && self.reserved && self.reserved_word(plain)? {
            return Some(());
        }
        self.reserved = false;
        if !self.command || is_assignment(plain) {
            return Some(());
        }
        let subshell = |f: &Frame| matches!(f.kind, Kind::Paren | Kind::Substitution);
        match plain {
            b"builtin" | b"command" => return Some(()),
            b"eval" | b"source" | b"." | b"exit" | b"return" | b"exec"
                if !self.stack.iter().any(subshell) =>
            {
                self.reach = Reach::Everything(ELSEWHERE);
            }
            _ => {}
        }
        self.command = false;
        Some(())
    }

    /// Whether the word is reserved; `None` when it closes what is not open.
    fn reserved_word(&mut self, word: &[u8]) -> Option<bool> {
        match word {
            b"if" => self.push(Kind::If, 0),
            b"while" | b"until" => self.push(Kind::Loop, 0),
            b"for" | b"select" => {
                self.push(Kind::Loop, 0);
                self.reserved = false;
                self.command = false;
            }
            b"case" => {
                self.push(Kind::Case, 0);
                self.reserved = false;
                self.command = false;
            }
            b"{" => self.push(Kind::Group, 0),
            b"fi" => self.pop(Kind::If)?,
            b"done" => self.pop(Kind::Loop)?,
            b"esac" => self.pop(Kind::Case)?,
            b"}" => self.pop(Kind::Group)?,
            b"then" | b"else" | b"elif" => return (self.top()? == Kind::If).then_some(true),
            b"do" => return (self.top()? == Kind::Loop).then_some(true),
            b"!" | b"time" => {}
            // The name that follows is a word; its body starts where a reserved
            // word is recognised.
            b"function" | b"coproc" => self.target = true,
            _ => return Some(false),
        }
        Some(true)
    }
}

fn is_assignment(plain: &[u8]) -> bool {
    let name = plain.split(|&b| b == b'=').next().unwrap_or_default();
    let name = name.strip_suffix(b"+").unwrap_or(name);
    let name = name.split(|&b| b == b'[').next().unwrap_or_default();
    plain.contains(&b'=')
        && !name.is_empty()
        && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}
