//! Changes to files, as complete data: what stands there now, and what will.

use serde::{Deserialize, Serialize};

/// A configuration file as it is before or after a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase", tag = "state", deny_unknown_fields)]
pub enum FileState {
    /// There is none.
    Absent,
    /// This one.
    Present {
        /// Its text.
        text: String,
        /// Permission bits, in octal.
        mode: String,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

impl FileState {
    /// A file of root with this text.
    pub fn owned(text: impl Into<String>, mode: u32) -> Self {
        Self::Present { text: text.into(), mode: format!("{mode:04o}"), uid: 0, gid: 0 }
    }

    /// Its text; nothing where there is no file.
    pub fn text(&self) -> &str {
        match self {
            Self::Absent => "",
            Self::Present { text, .. } => text,
        }
    }

    /// The same file with another text.
    pub fn with_text(&self, new: impl Into<String>) -> Self {
        match self {
            Self::Absent => Self::owned(new, 0o644),
            Self::Present { mode, uid, gid, .. } => {
                Self::Present { text: new.into(), mode: mode.clone(), uid: *uid, gid: *gid }
            }
        }
    }
}

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It is new.
    Create,
    /// Some of its lines change.
    Edit,
    /// It goes.
    Remove,
}

/// When a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Before the commands: they read it, or it has no effect on the next boot by itself.
    #[default]
    BeforeCommands,
    /// After the commands: it takes effect with the next boot by itself, which needs what the
    /// commands make.
    AfterCommands,
}

/// A change to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Absolute path.
    pub path: String,
    /// What must stand there for the change to be made.
    pub before: FileState,
    /// What stands there afterwards.
    pub after: FileState,
    /// Codes of the findings that it answers.
    pub because: Vec<&'static str>,
    /// When it is made.
    pub stage: Stage,
}

impl FileChange {
    /// Create, edit or remove.
    pub fn kind(&self) -> ChangeKind {
        match (&self.before, &self.after) {
            (FileState::Absent, _) => ChangeKind::Create,
            (_, FileState::Absent) => ChangeKind::Remove,
            _ => ChangeKind::Edit,
        }
    }

    /// Unified diff, as `diff -u` and `git apply` have it.
    pub fn diff(&self) -> String {
        let name = |state: &FileState, prefix: &str| match state {
            FileState::Absent => "/dev/null".to_owned(),
            FileState::Present { .. } => format!("{prefix}{}", self.path),
        };
        let diff = similar::TextDiff::from_lines(self.before.text(), self.after.text());
        let body = diff
            .unified_diff()
            .context_radius(3)
            .header(&name(&self.before, "a"), &name(&self.after, "b"))
            .to_string();
        if !body.is_empty() {
            return body;
        }
        format!("--- {}\n+++ {}\n", name(&self.before, "a"), name(&self.after, "b"))
    }
}

/// A program to run after the files are changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What it is for.
    pub because: String,
    /// Files that it writes: absolute paths, or patterns with one `*` in the last part.
    pub writes: Vec<String>,
}

impl Command {
    /// One command; what it writes is added with [`Command::writing`].
    pub fn new(argv: &[&str], because: &str) -> Self {
        Self {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            because: because.to_owned(),
            writes: Vec::new(),
        }
    }

    /// Names files that it writes.
    #[must_use]
    pub fn writing(mut self, files: impl IntoIterator<Item = String>) -> Self {
        self.writes.extend(files);
        self
    }
}
