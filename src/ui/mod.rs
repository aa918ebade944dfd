//! Words for people: streams, width, colour. Renderers take a document and compute nothing.

pub mod apply;
pub mod check;
mod diff;
pub mod groups;
pub mod inspect;
pub mod log;
pub mod plan;
mod style;
pub mod verify;
pub mod vm;

pub use style::Page;

pub use anstream::ColorChoice;
use serde::Serialize;

use crate::error::Error;
use crate::sys;

/// Columns where the output is no terminal.
const PLAIN_WIDTH: usize = 100;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The answer, and nothing beside it.
    AnswerOnly,
    /// The answer, with a word beside it where that helps.
    Usual,
    /// The evidence too.
    Everything,
}

/// Where words go, and how they look.
#[derive(Debug)]
pub struct Ui {
    color: ColorChoice,
    page: Page,
    detail: Detail,
}

impl Ui {
    /// From what was asked for, the terminal and the environment.
    pub fn new(color: ColorChoice, detail: Detail) -> Self {
        let width = sys::stdout_width();
        let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| sys::environment(name).filter(|value| !value.is_empty()))
            .is_some_and(|value| value.to_lowercase().replace('-', "").contains("utf8"));
        let page = Page {
            width: width.unwrap_or(PLAIN_WIDTH).max(40),
            lines: utf8,
            verbose: detail == Detail::Everything,
        };
        Self { color, page, detail }
    }

    /// How a renderer should lay out its text.
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// Prints the answer. A closed pipe ends quietly.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn answer(&self, text: &str) -> Result<(), Error> {
        match sys::write_stdout(text, self.color) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::because("cannot write to standard output", &error))
            }
            _ => Ok(()),
        }
    }

    /// Prints one JSON document.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn json(&self, document: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(document)
            .map_err(|error| Error::because("cannot write the JSON document", &error))?;
        self.answer(&(text + "\n"))
    }

    /// Says something beside the answer.
    pub fn status(&self, text: &str) {
        if self.detail != Detail::AnswerOnly {
            sys::write_stderr(&format!("{text}\n"), self.color);
        }
    }

    /// Asks a question that is answered with yes or no; `None` where there is no terminal.
    ///
    /// # Errors
    /// The terminal cannot be read.
    pub fn ask(&self, question: &str) -> Result<Option<bool>, Error> {
        if !sys::can_ask() {
            return Ok(None);
        }
        sys::write_stderr(&format!("{question} [y/N] "), self.color);
        let line =
            sys::read_answer().map_err(|error| Error::because("cannot read the answer", &error))?;
        Ok(Some(matches!(line.trim().to_lowercase().as_str(), "y" | "yes")))
    }

    /// Says why the program could not answer.
    pub fn error(&self, error: &Error) {
        sys::write_stderr(&error.render(), self.color);
    }
}
