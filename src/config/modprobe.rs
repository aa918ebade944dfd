//! modprobe.d(5): what modprobe is told about modules.
//!
//! Reads as libkmod/libkmod-config.c of kmod 30 does. A carriage return belongs to
//! the word it stands in, as it does there. Files are not edited: a file of our own
//! is the better change.

mod ids;
mod search;

pub use ids::{FunctionIds, IdEntry, parse_ids};
pub use search::{ModprobeConfig, Placed};

use super::cmdline;

/// A module name as spelt, comparable as kmod does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleName {
    /// The spelling in the file.
    pub spelt: String,
    /// With `_` for every `-` outside brackets; may be a pattern.
    pub normal: String,
}

/// One directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    /// `options MODULE PARAM...`.
    Options {
        /// The module that takes the parameters.
        module: ModuleName,
        /// The parameters as written.
        params: Vec<String>,
    },
    /// `softdep MODULE pre: ... post: ...`.
    Softdep {
        /// The module loaded.
        module: ModuleName,
        /// What is loaded before it.
        pre: Vec<ModuleName>,
        /// What is loaded after it.
        post: Vec<ModuleName>,
    },
    /// `install MODULE COMMAND`.
    Install {
        /// The module not loaded, or a pattern.
        module: ModuleName,
        /// What is run in its place.
        command: String,
    },
    /// `remove MODULE COMMAND`.
    Remove {
        /// The module not removed, or a pattern.
        module: ModuleName,
        /// What is run in its place.
        command: String,
    },
    /// `blacklist MODULE`.
    Blacklist {
        /// The module whose aliases do not count.
        module: ModuleName,
    },
    /// `alias PATTERN MODULE`.
    Alias {
        /// The further name.
        pattern: ModuleName,
        /// The module it stands for.
        module: ModuleName,
    },
    /// Anything else.
    Unknown {
        /// The line, continued lines joined.
        text: String,
    },
}

/// A directive and the line it starts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Line number, from 1.
    pub line: usize,
    /// What it says.
    pub directive: Directive,
}

impl ModuleName {
    /// Reads a name or pattern.
    pub fn new(spelt: &str) -> Self {
        let mut bracket = false;
        let normal = spelt.chars().map(|c| match c {
            '[' | ']' => {
                bracket = c == '[';
                c
            }
            '-' if !bracket => '_',
            other => other,
        });
        let normal = normal.collect();
        let spelt = spelt.to_owned();
        ModuleName { spelt, normal }
    }

    /// Whether this is that module.
    pub fn is(&self, module: &str) -> bool {
        self.normal == ModuleName::new(module).normal
    }

    /// Whether this name, taken as a pattern, covers that module.
    pub fn covers(&self, module: &str) -> bool {
        let module = ModuleName::new(module).normal;
        self.normal == module || super::glob::matches(&self.normal, &module)
    }
}

/// Reads one file.
pub fn parse(text: &str) -> Vec<Line> {
    let joined = logical_lines(text).into_iter();
    joined
        .filter(|(_, text)| {
            !text.starts_with('#') && !text.trim_matches([' ', '\t', '\r']).is_empty()
        })
        .map(|(line, text)| Line { line, directive: directive(&text) })
        .collect()
}

/// Lines with their first number; a backslash joins the next line without a blank,
/// in comments too, and vanishes elsewhere (`freadline_wrapped` in shared/util.c).
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let (mut number, mut start, mut line) = (1, 1, String::new());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let next = if c == '\\' { chars.next() } else { None };
        match (c, next) {
            ('\n', _) => {
                lines.push((start, std::mem::take(&mut line)));
                number += 1;
                start = number;
            }
            ('\\', Some('\n')) => number += 1,
            ('\\', next) => line.extend(next),
            (c, _) => line.push(c),
        }
    }
    lines.push((start, line));
    lines
}

fn directive(text: &str) -> Directive {
    known(text).unwrap_or_else(|| Directive::Unknown { text: text.trim().to_owned() })
}

/// `None` where kmod reports a syntax error and goes on.
fn known(text: &str) -> Option<Directive> {
    let (command, rest) = next_word(text)?;
    let (name, rest) = next_word(rest)?;
    let module = ModuleName::new(name);
    // What follows one separator is taken whole (`strtok_r(NULL, "\0", ...)`).
    let whole = || Some(rest.to_owned()).filter(|rest| !rest.is_empty());
    Some(match command {
        "options" => Directive::Options { params: params(&whole()?), module },
        "softdep" => softdep(module, &whole()?),
        "install" => Directive::Install { command: whole()?, module },
        "remove" => Directive::Remove { command: whole()?, module },
        "blacklist" => Directive::Blacklist { module },
        "alias" => {
            Directive::Alias { pattern: module, module: ModuleName::new(next_word(rest)?.0) }
        }
        _ => return None,
    })
}

fn next_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end)?;
    let rest = rest.strip_prefix([' ', '\t']).unwrap_or(rest);
    (!word.is_empty()).then_some((word, rest))
}

/// The kernel splits what modprobe hands over, with its own quoting.
fn params(text: &str) -> Vec<String> {
    let words = cmdline::words(text).into_iter();
    words.filter_map(|range| text.get(range).map(str::to_owned)).collect()
}

fn softdep(module: ModuleName, text: &str) -> Directive {
    let (mut pre, mut post) = (Vec::new(), Vec::new());
    let mut side = None;
    for word in text.split([' ', '\t', '\r']).filter(|word| !word.is_empty()) {
        match (word, &side) {
            ("pre:" | "post:", _) => side = Some(word == "pre:"),
            (_, Some(true)) => pre.push(ModuleName::new(word)),
            (_, Some(false)) => post.push(ModuleName::new(word)),
            (_, None) => {}
        }
    }
    Directive::Softdep { module, pre, post }
}

#[cfg(test)]
mod tests;
