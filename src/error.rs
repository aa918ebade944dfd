//! What the user sees when the program cannot do its work: what was being done, on what, why
//! not, and what to try next.

use std::error::Error as _;
use std::fmt::Write as _;

/// A failure to answer, as opposed to an answer that is no.
#[derive(Debug)]
pub struct Error {
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
    busy: bool,
}

impl Error {
    /// A failure with its message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hints: Vec::new(), busy: false }
    }

    /// A failure that another error explains.
    pub fn because(message: impl Into<String>, cause: &(dyn std::error::Error + 'static)) -> Self {
        let mut error = Self::new(message);
        let mut next = Some(cause);
        while let Some(cause) = next {
            error.causes.push(cause.to_string());
            next = cause.source();
        }
        error
    }

    /// Adds a reason.
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds what to try next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Somebody else is at work: the same may succeed later.
    pub fn busy(mut self) -> Self {
        self.busy = true;
        self
    }

    /// See [`Self::busy`].
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// The text for standard error.
    pub fn render(&self) -> String {
        let mut out = format!("Error: {}\n", self.message);
        for cause in &self.causes {
            let _ = writeln!(out, "  because: {cause}");
        }
        for hint in &self.hints {
            let _ = writeln!(out, "Hint: {hint}");
        }
        out
    }
}

impl std::fmt::Display for Error {
    /// The message and the reasons, in one line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        for (at, cause) in self.causes.iter().enumerate() {
            write!(f, "{}{cause}", if at == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

impl From<crate::sys::OpenRootError> for Error {
    fn from(error: crate::sys::OpenRootError) -> Self {
        let mut wrapped = Self::new(error.to_string());
        wrapped
            .causes
            .extend(error.source().and_then(|cause| cause.source()).map(ToString::to_string));
        wrapped
    }
}

impl From<crate::sys::writer::WriteError> for Error {
    fn from(error: crate::sys::writer::WriteError) -> Self {
        let full = error.errno() == Some(rustix::io::Errno::NOSPC);
        let wrapped = Self::new(error.to_string());
        if full { wrapped.hint("The disk is full: make room and try again.") } else { wrapped }
    }
}
