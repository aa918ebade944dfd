//! What happened to a transaction: one line an event, on the disk before the next effect.

use serde::{Deserialize, Serialize};

use crate::verify::Verdict;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// Everything is kept; effects follow.
    Begun,
    /// A program ended well.
    Ran {
        /// Program and arguments.
        argv: Vec<String>,
        /// How long it took.
        milliseconds: u64,
    },
    /// Boot menu and images were read back and hold what they should.
    ReadBack {
        /// What was looked at.
        looked: Vec<String>,
    },
    /// A disk image is being made, where nothing was.
    MakingImage {
        /// Absolute path.
        path: String,
    },
    /// A disk image was made.
    ImageMade {
        /// Absolute path.
        path: String,
        /// SHA-256 of the file while it is empty.
        digest: String,
    },
    /// libvirt has the domain as wanted.
    Defined {
        /// SHA-256 of the XML that it gave back; kept beside the others.
        digest: String,
    },
    /// A device is being plugged into a running domain that had it not.
    Plugging,
    /// The boot loader was told to start an entry once.
    Selected {
        /// What the loader calls it.
        entry: String,
        /// In which boot; nothing where that could not be read.
        boot_id: Option<String>,
        /// It becomes the default by itself if everything holds in its boot.
        promote: bool,
    },
    /// After a boot, the expectations were looked at.
    Judged {
        /// Which boot.
        boot_id: String,
        /// What came of it.
        verdict: Verdict,
    },
    /// All other effects are done, and what nothing brings back goes.
    Removing {
        /// Absolute path.
        path: String,
    },
    /// All effects are done.
    Applied {
        /// Programs that were not run, since this is not the running system.
        to_run: Vec<Vec<String>>,
    },
    /// It cannot go on; everything is taken back.
    Failed {
        /// Why.
        reason: String,
    },
    /// Everything is as it was before.
    RolledBack {
        /// Files left as they are, since somebody else changed them meanwhile.
        kept: Vec<String>,
    },
}

/// An event with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: String,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What the journal says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Journal {
    entries: Vec<Entry>,
}

/// An entry was selected for one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selected<'a> {
    /// When.
    pub at: &'a str,
    /// In which boot.
    pub boot_id: Option<&'a str>,
    /// It becomes the default by itself.
    pub promote: bool,
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// No effect was made.
    NotBegun,
    /// Some effects may have been made, and others not.
    Unfinished,
    /// All effects are done.
    Applied,
    /// All effects are taken back.
    RolledBack,
}

impl Journal {
    /// Reads the lines of a journal. A last line without its end was being written when the
    /// machine stopped, and counts as not written.
    ///
    /// # Errors
    /// The number of a line, from 1, that is no event.
    pub fn parse(text: &str) -> Result<Self, usize> {
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = whole.lines().enumerate();
        let entries = lines.map(|(at, line)| serde_json::from_str(line).map_err(|_| at + 1));
        Ok(Self { entries: entries.collect::<Result<_, _>>()? })
    }

    /// Where the transaction stands.
    pub fn state(&self) -> State {
        let mut state = State::NotBegun;
        for entry in &self.entries {
            state = match entry.event {
                Event::Applied { .. } => State::Applied,
                Event::RolledBack { .. } => State::RolledBack,
                // They may come after the effects too, where an entry is selected once more.
                Event::Ran { .. }
                | Event::ReadBack { .. }
                | Event::Selected { .. }
                | Event::Judged { .. }
                | Event::MakingImage { .. }
                | Event::ImageMade { .. }
                | Event::Defined { .. }
                | Event::Plugging
                | Event::Removing { .. } => state,
                Event::Begun | Event::Failed { .. } => State::Unfinished,
            };
        }
        state
    }

    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<&str> {
        self.entries.iter().rev().find_map(|entry| match &entry.event {
            Event::Failed { reason } => Some(reason.as_str()),
            _ => None,
        })
    }

    /// Digest of a domain as libvirt had it afterwards.
    pub fn defined(&self) -> Option<&str> {
        self.entries.iter().rev().find_map(|entry| match &entry.event {
            Event::Defined { digest } => Some(digest.as_str()),
            _ => None,
        })
    }

    /// A disk image was begun: what is at its path may be ours.
    pub fn was_making_image(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.event, Event::MakingImage { .. }))
    }

    /// Plugging was begun: the device in the running domain may be ours.
    pub fn was_plugging(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.event, Event::Plugging))
    }

    /// All effects are done but one, which cannot be taken back once it is done, too.
    pub fn was_removing(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.event, Event::Removing { .. }))
    }

    /// Digest of a disk image that was made, while it is empty.
    pub fn image(&self) -> Option<&str> {
        self.entries.iter().rev().find_map(|entry| match &entry.event {
            Event::ImageMade { digest, .. } => Some(digest.as_str()),
            _ => None,
        })
    }

    /// Files that a rollback left as they were.
    pub fn kept(&self) -> &[String] {
        let kept = self.entries.iter().rev().find_map(|entry| match &entry.event {
            Event::RolledBack { kept } => Some(kept.as_slice()),
            _ => None,
        });
        kept.unwrap_or_default()
    }

    /// The last judgement after a boot since the entry was selected: its time, which boot, and
    /// what came of it.
    pub fn judged(&self) -> Option<(&str, &str, Verdict)> {
        let last = self.entries.iter().rev();
        let since = last.take_while(|entry| !matches!(entry.event, Event::Selected { .. }));
        since.into_iter().find_map(|entry| match &entry.event {
            Event::Judged { boot_id, verdict } => {
                Some((entry.at.as_str(), boot_id.as_str(), *verdict))
            }
            _ => None,
        })
    }

    /// The last time that an entry was selected for one boot.
    pub fn selected(&self) -> Option<Selected<'_>> {
        self.entries.iter().rev().find_map(|entry| match &entry.event {
            Event::Selected { boot_id, promote, .. } => {
                Some(Selected { at: &entry.at, boot_id: boot_id.as_deref(), promote: *promote })
            }
            _ => None,
        })
    }

    /// Programs that the user has to run.
    pub fn to_run(&self) -> &[Vec<String>] {
        let left = self.entries.iter().find_map(|entry| match &entry.event {
            Event::Applied { to_run } => Some(to_run.as_slice()),
            _ => None,
        });
        left.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_event_tells_the_state_and_a_torn_line_does_not_count() {
        let begun = "{\"at\":\"t\",\"event\":\"begun\"}\n";
        let applied = "{\"at\":\"t\",\"event\":\"applied\",\"to_run\":[]}\n";
        let failed = "{\"at\":\"t\",\"event\":\"failed\",\"reason\":\"no\"}\n";
        let back = "{\"at\":\"t\",\"event\":\"rolled-back\",\"kept\":[]}\n";
        let state = |text: &str| Journal::parse(text).map(|journal| journal.state());
        assert_eq!(state(""), Ok(State::NotBegun));
        assert_eq!(state(begun), Ok(State::Unfinished));
        assert_eq!(state(&[begun, applied].concat()), Ok(State::Applied));
        assert_eq!(state(&[begun, failed].concat()), Ok(State::Unfinished));
        assert_eq!(state(&[begun, failed, back].concat()), Ok(State::RolledBack));
        for cut in 0..applied.len() {
            let torn = format!("{begun}{}", &applied[..cut]);
            assert_eq!(state(&torn), Ok(State::Unfinished), "{torn:?}");
        }
        assert_eq!(state(&format!("{begun}nonsense\n{applied}")), Err(2));
    }
}
