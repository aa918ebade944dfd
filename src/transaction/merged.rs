//! Taking a change back out of a file that somebody else has edited since.

use crate::config::merge::merge;
use crate::config::own_words::Form;
use crate::sys::writer::Found;

/// The three texts of a file that was edited after us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreeWay {
    /// As it was before us; empty where there was none.
    pub before: String,
    /// As we left it; empty where we removed it.
    pub after: String,
    /// As it is now.
    pub now: String,
    /// There was a file before us.
    pub existed: bool,
}

/// What becomes of such a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// It goes: nothing but ours was in it.
    Absent,
    /// Their edits without ours.
    Text(String),
    /// Both changed the same lines.
    Conflict,
}

impl ThreeWay {
    /// `None` where one of the texts is none.
    pub fn new(before: Option<Vec<u8>>, after: Option<Vec<u8>>, now: &Found) -> Option<Self> {
        let existed = before.is_some();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
        Some(Self {
            before: text(before.unwrap_or_default())?,
            after: text(after.unwrap_or_default())?,
            now: text(now.bytes.clone())?,
            existed,
        })
    }

    /// Their edits without our change, line by line.
    pub fn merged(&self) -> Merged {
        match merge(&self.after, &self.before, &self.now) {
            Ok(text) if text.is_empty() && !self.existed => Merged::Absent,
            Ok(text) => Merged::Text(text),
            Err(_) => Merged::Conflict,
        }
    }

    /// Their edits without the words that our change put there.
    pub fn without_our_words(&self, path: &str) -> Option<String> {
        Form::of(path).filter(|_| self.existed)?.take_out(&self.before, &self.after, &self.now)
    }
}
