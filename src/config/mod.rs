//! Text formats of the files that decide how a machine boots: what they say, and
//! the smallest edit that changes it.
//!
//! Everything here is a pure function of text. Parsers accept any input and keep
//! every byte; a construct whose effect cannot be known is reported as
//! [`NotUnderstood`] when, and only when, it bears on the question asked.
#![allow(
    dead_code,
    reason = "the formats are read and edited in full; undo, verify and trial boots ask more of them than a plan does"
)]

pub mod assignments;
pub mod bls;
pub mod cmdline;
pub mod grub_cfg;
pub mod intent;
pub mod merge;
pub mod modprobe;
pub mod modules_list;
pub mod mounts;
pub mod own_words;
pub mod xml;

mod cut;
mod glob;

use thiserror::Error;

/// First words of every file that passthru owns.
pub const MARK: &str = "# Written by passthru. Take it back with: passthru undo";

/// A line whose effect on the question asked cannot be known.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line} is not understood ({reason}): {text}")]
pub struct NotUnderstood {
    /// Line number, from 1.
    pub line: usize,
    /// The line as written, without its line end.
    pub text: String,
    /// What about it is not understood.
    pub reason: &'static str,
}

impl NotUnderstood {
    /// Quotes the line of `text` that contains byte `at`.
    fn at(text: &str, at: usize, reason: &'static str) -> Self {
        let at = at.min(text.len());
        let before = text.as_bytes().get(..at).unwrap_or_default();
        let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |p| p + 1);
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        let quoted = text.get(start..).unwrap_or_default();
        let quoted = quoted.split('\n').next().unwrap_or_default();
        NotUnderstood { line, text: quoted.trim_end_matches('\r').to_owned(), reason }
    }
}

/// Why an edit was not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EditError {
    /// The file says something about the edited value that is not understood.
    #[error(transparent)]
    NotUnderstood(#[from] NotUnderstood),
    /// The word would not survive unchanged in this place.
    #[error("{word:?} cannot be written here: {reason}")]
    UnsafeWord {
        /// The word that was to be written.
        word: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl EditError {
    fn unsafe_word(word: &str, reason: &'static str) -> Self {
        EditError::UnsafeWord { word: word.to_owned(), reason }
    }
}
