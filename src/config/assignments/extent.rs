//! Where a shell statement that is not a plain assignment ends.
//!
//! Follows the token rules of POSIX.1-2017 XCU 2.2-2.4 and 2.7.4 far enough to find
//! the end of compound commands. Every doubt ends in [`Reach::Everything`]: taking
//! too much text for opaque only refuses, taking too little would guess.

/// Which variables an opaque statement may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Those whose names appear in it.
    Mentioned,
    /// Any, for the reason given.
    Everything(&'static str),
}

/// The bytes of one opaque statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub end: usize,
    pub reach: Reach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    If,
    Loop,
    Case,
    Group,
    Paren,
    Substitution,
    Parameter,
    DoubleQuote,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    kind: Kind,
    /// Whether a command name was still expected around the frame.
    command: bool,
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Frame>,
    /// A reserved word would be recognised here.
    reserved: bool,
    /// The next word names a command.
    command: bool,
    /// The next word is the target of a redirection.
    target: bool,
    /// The list goes on in the next line (`&&`, `||`, `|`).
    joined: bool,
    heredocs: Vec<(Vec<u8>, bool)>,
    reach: Reach,
}

mod command;

const UNBALANCED: &str = "a quote or a compound command does not balance";
const ELSEWHERE: &str = "the script runs other text or ends early here";

/// Finds the end of the statement that starts at `start`, just after its line end.
pub(super) fn extent(text: &str, start: usize) -> Extent {
    let mut scan = Scan {
        bytes: text.as_bytes(),
        at: start,
        stack: Vec::new(),
        reserved: true,
        command: true,
        target: false,
        joined: false,
        heredocs: Vec::new(),
        reach: Reach::Mentioned,
    };
    if scan.run().is_none() {
        scan.at = text.len();
        scan.reach = Reach::Everything(UNBALANCED);
    }
    Extent { end: scan.at, reach: scan.reach }
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn top(&self) -> Option<Kind> {
        self.stack.last().map(|frame| frame.kind)
    }

    fn complete(&self) -> bool {
        self.stack.is_empty() && self.heredocs.is_empty() && !self.joined
    }

    /// `None` when the text ends inside a construct or closes one never opened.
    fn run(&mut self) -> Option<()> {
        loop {
            let Some(byte) = self.peek(0) else {
                return self.complete().then_some(());
            };
            match self.top() {
                Some(Kind::DoubleQuote) => self.quoted(byte, b'"')?,
                Some(Kind::Parameter) => self.quoted(byte, b'}')?,
                _ if byte == b'\n' => {
                    self.at += 1;
                    self.line_end()?;
                    if self.complete() {
                        return Some(());
                    }
                }
                _ => self.token(byte)?,
            }
        }
    }

    fn push(&mut self, kind: Kind, width: usize) {
        let command = self.command;
        self.stack.push(Frame { kind, command });
        self.at += width;
        self.reserved = true;
        self.command = true;
    }

    fn pop(&mut self, kind: Kind) -> Option<()> {
        let frame = self.stack.pop().filter(|frame| frame.kind == kind)?;
        self.command = frame.command;
        Some(())
    }

    fn line_end(&mut self) -> Option<()> {
        self.reserved = true;
        self.command = true;
        self.target = false;
        for (end, strip_tabs) in std::mem::take(&mut self.heredocs) {
            loop {
                let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
                let length = rest.iter().position(|&b| b == b'\n');
                let line = rest.get(..length.unwrap_or(rest.len()))?;
                self.at += length.map_or(rest.len(), |length| length + 1);
                let tabs = line.iter().take_while(|&&b| strip_tabs && b == b'\t').count();
                if line.get(tabs..) == Some(&end[..]) {
                    break;
                }
            }
        }
        Some(())
    }

    /// Inside double quotes or `${...}`.
    fn quoted(&mut self, byte: u8, close: u8) -> Option<()> {
        match byte {
            b if b == close => {
                self.at += 1;
                let kind = self.top()?;
                self.pop(kind)?;
                self.reserved = false;
            }
            b'\\' => self.at += 2,
            b'"' => self.push(Kind::DoubleQuote, 1),
            b'\'' if !self.stack.iter().any(|f| f.kind == Kind::DoubleQuote) => {
                self.skip_past(b'\'')?;
            }
            _ => {
                if !self.expansion(byte)? {
                    self.at += 1;
                }
            }
        }
        Some(())
    }

    /// Enters `$(`, `${` or skips a backquoted command.
    fn expansion(&mut self, byte: u8) -> Option<bool> {
        match (byte, self.peek(1)) {
            (b'$', Some(b'(')) => self.push(Kind::Substitution, 2),
            (b'$', Some(b'{')) => self.push(Kind::Parameter, 2),
            (b'`', _) => self.skip_escaped(b'`')?,
            _ => return Some(false),
        }
        Some(true)
    }

    /// Skips from an opening delimiter to after the next one.
    fn skip_past(&mut self, delimiter: u8) -> Option<()> {
        let rest = self.bytes.get(self.at + 1..)?;
        self.at += rest.iter().position(|&b| b == delimiter)? + 2;
        Some(())
    }

    /// As [`Self::skip_past`], where a backslash protects the delimiter.
    fn skip_escaped(&mut self, delimiter: u8) -> Option<()> {
        self.at += 1;
        loop {
            match self.peek(0)? {
                b'\\' => self.at += 2,
                byte => {
                    self.at += 1;
                    if byte == delimiter {
                        return Some(());
                    }
                }
            }
        }
    }

    fn token(&mut self, byte: u8) -> Option<()> {
        match byte {
            b' ' | b'\t' => self.at += 1,
            b'\\' if self.peek(1) == Some(b'\n') => self.at += 2,
            b'#' => {
                while self.peek(0).is_some_and(|b| b != b'\n') {
                    self.at += 1;
                }
            }
            b'&' if self.peek(1) == Some(b'>') => self.at += 1,
            b'<' | b'>' => self.redirection(byte)?,
            b';' | b'&' | b'|' => self.operator(byte),
            b'(' => {
                self.joined = false;
                self.push(Kind::Paren, 1);
            }
            b')' => self.closing_paren()?,
            _ => self.word()?,
        }
        Some(())
    }

    fn operator(&mut self, byte: u8) {
        let doubled = self.peek(1) == Some(byte);
        self.joined = byte == b'|' || (byte == b'&' && doubled);
        self.at += if doubled { 2 } else { 1 };
        self.reserved = true;
        self.command = true;
        self.target = false;
    }

    fn closing_paren(&mut self) -> Option<()> {
        self.at += 1;
        match self.top() {
            Some(Kind::Substitution) => {
                self.pop(Kind::Substitution)?;
                self.reserved = false;
            }
            Some(Kind::Paren) => {
                self.pop(Kind::Paren)?;
                // `f() {` and `(list) done`: reserved words are recognised again.
                self.reserved = true;
                self.command = true;
            }
            Some(Kind::Case) => {
                self.reserved = true;
                self.command = true;
            }
            _ => return None,
        }
        Some(())
    }

    fn redirection(&mut self, byte: u8) -> Option<()> {
        let here = byte == b'<' && self.peek(1) == Some(b'<') && self.peek(2) != Some(b'<');
        if here {
            let strip_tabs = self.peek(2) == Some(b'-');
            self.at += if strip_tabs { 3 } else { 2 };
            return self.heredoc(strip_tabs);
        }
        while matches!(self.peek(0), Some(b'<' | b'>')) {
            self.at += 1;
        }
        if matches!(self.peek(0), Some(b'&' | b'|')) {
            self.at += 1;
        }
        self.target = self.peek(0) != Some(b'(');
        Some(())
    }

    fn heredoc(&mut self, strip_tabs: bool) -> Option<()> {
        while matches!(self.peek(0), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        let mut end = Vec::new();
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\'' | b'"' => {
                    let from = self.at + 1;
                    self.skip_past(byte)?;
                    end.extend_from_slice(self.bytes.get(from..self.at - 1)?);
                }
                b'\\' => {
                    end.push(self.peek(1)?);
                    self.at += 2;
                }
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => break,
                _ => {
                    end.push(byte);
                    self.at += 1;
                }
            }
        }
        self.heredocs.push((end, strip_tabs));
        Some(())
    }
}
