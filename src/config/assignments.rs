//! Shell-style `NAME=value` files: /etc/default/grub and grub.d, os-release,
//! mkinitcpio.conf and presets, dracut.conf, initramfs.conf.
//!
//! Plain assignments (quoted, appended, simple arrays, references of a variable to
//! itself) are understood as bash(1) evaluates them; everything else is kept as
//! text and makes the variables it may touch [`NotUnderstood`].
//!
//! A carriage return is an ordinary character to the shell, so it is one here.

mod edit;
mod extent;
mod removal;
mod value;
mod word;

pub use value::Value;

use std::ops::Range;

use super::NotUnderstood;
use extent::Reach;
use word::{Array, Cursor, Word};

/// A value and where it was last changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The value after all files.
    pub value: Value,
    /// Position of the deciding file in the sequence.
    pub file: usize,
    /// Line of the deciding assignment, from 1.
    pub line: usize,
}

/// One file of assignments, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignments {
    text: String,
    statements: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    range: Range<usize>,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Blank, comment, or `export NAME`: changes no value.
    Neutral,
    Assignment(Assignment),
    Opaque {
        reach: Reach,
        reason: &'static str,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Assignment {
    name: String,
    append: bool,
    value: RawValue,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum RawValue {
    Scalar(Word),
    Array(Array),
}

impl Assignments {
    /// Reads any text.
    pub fn parse(text: &str) -> Self {
        let mut statements = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let (kind, end) = statement(text, at);
            statements.push(Statement { range: at..end, kind });
            at = end;
        }
        let text = text.to_owned();
        Assignments { text, statements }
    }

    /// The text, as it was read or edited.
    pub fn render(&self) -> &str {
        &self.text
    }

    /// The value of `name` after this file alone.
    pub fn value(&self, name: &str) -> Result<Option<Value>, NotUnderstood> {
        self.value_after(name, None)
    }

    /// The value of `name` after this file, sourced where it held `earlier`.
    pub fn value_after(
        &self,
        name: &str,
        earlier: Option<Value>,
    ) -> Result<Option<Value>, NotUnderstood> {
        let mut value = earlier;
        for statement in &self.statements {
            match &statement.kind {
                Kind::Neutral => {}
                Kind::Opaque { reach, reason } => self.refuse(statement, *reach, reason, name)?,
                Kind::Assignment(own) if own.name == name => {
                    let next = own.apply(value.take()).map_err(|reason| {
                        NotUnderstood::at(&self.text, statement.range.start, reason)
                    })?;
                    value = Some(next);
                }
                Kind::Assignment(_) => {}
            }
        }
        Ok(value)
    }

    /// The line of the last plain assignment to `name`.
    pub fn line_of(&self, name: &str) -> Option<usize> {
        let (start, _) = self.assignments(name).last()?;
        let before = self.text.as_bytes().get(..start)?;
        Some(before.iter().filter(|&&b| b == b'\n').count() + 1)
    }

    fn refuse(
        &self,
        statement: &Statement,
        reach: Reach,
        reason: &'static str,
        name: &str,
    ) -> Result<(), NotUnderstood> {
        let start = statement.range.start;
        if let Reach::Everything(reason) = reach {
            return Err(NotUnderstood::at(&self.text, start, reason));
        }
        let text = self.text.get(statement.range.clone()).unwrap_or_default();
        match mention(text, name) {
            Some(offset) => Err(NotUnderstood::at(&self.text, start + offset, reason)),
            None => Ok(()),
        }
    }

    /// The plain assignments to `name` and where their statements start.
    fn assignments<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (usize, &'a Assignment)> {
        self.statements.iter().filter_map(move |s| match &s.kind {
            Kind::Assignment(own) if own.name == name => Some((s.range.start, own)),
            _ => None,
        })
    }
}

/// The value of `name` after all `files` were sourced in order.
///
/// The error carries the position of the file that is not understood.
pub fn evaluate(
    files: &[&Assignments],
    name: &str,
) -> Result<Option<Located>, (usize, NotUnderstood)> {
    let mut value = None;
    let mut place = None;
    for (index, file) in files.iter().enumerate() {
        value = file.value_after(name, value).map_err(|error| (index, error))?;
        place = file.line_of(name).map(|line| (index, line)).or(place);
    }
    Ok(value.zip(place).map(|(value, (file, line))| Located { value, file, line }))
}

/// Kind and end of the statement at `start`.
fn statement(text: &str, start: usize) -> (Kind, usize) {
    let mut cursor = Cursor::new(text, start);
    cursor.skip_blanks();
    if let Some(end) = cursor.line_end() {
        return (Kind::Neutral, end);
    }
    match assignment(&mut cursor) {
        Ok((kind, end)) => (kind, end),
        Err(reason) => {
            let found = extent::extent(text, start);
            let reach = found.reach;
            // An empty extent would stop the reader.
            (Kind::Opaque { reach, reason }, found.end.max(start + 1))
        }
    }
}

const OTHER: &str = "it is not a plain assignment";

fn assignment(cursor: &mut Cursor<'_>) -> Result<(Kind, usize), &'static str> {
    let exported = cursor.eat_word("export");
    let name = cursor.name().ok_or(OTHER)?.to_owned();
    let append = cursor.eat("+=");
    if !append && !cursor.eat("=") {
        let end = cursor.line_end_after_blanks().filter(|_| exported);
        return Ok((Kind::Neutral, end.ok_or(OTHER)?));
    }
    let value = if cursor.eat("(") {
        RawValue::Array(cursor.array(&name)?)
    } else {
        RawValue::Scalar(cursor.scalar(&name)?)
    };
    let end = cursor.line_end_after_blanks().ok_or("more commands follow in the line")?;
    Ok((Kind::Assignment(Assignment { name, append, value }), end))
}

/// Where `name` occurs in shell text other than being read as `$name` or `${name...}`.
fn mention(text: &str, name: &str) -> Option<usize> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).map(|(at, _)| at).find(|&at| {
        let before = text.get(..at).unwrap_or_default();
        let after = text.get(at + name.len()..).unwrap_or_default();
        if before.ends_with(part) || after.starts_with(part) {
            return false;
        }
        let indexed = after.strip_prefix('[').and_then(|index| index.split_once(']'));
        let after = indexed.map_or(after, |(_, rest)| rest);
        let assigned = after.starts_with('=') || after.starts_with(":=");
        let braced = ["${", "${#", "${!"].iter().any(|open| before.ends_with(open));
        !(before.ends_with('$') || (braced && !assigned))
    })
}

#[cfg(test)]
mod tests;
