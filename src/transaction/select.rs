//! What the boot loader is told about the next boot: the last effect of a transaction, and the
//! first to be taken back.

use super::engine::Engine;
use super::journal::Event;
use super::record::{Record, Selection};
use crate::error::Error;
use crate::host::Observed;
use crate::host::once::is_empty_block;
use crate::plan::Trial;

impl Engine<'_> {
    /// Tells it, and reads back what it was told.
    ///
    /// # Errors
    /// A program failed, or the loader's memory does not say what it should.
    pub fn select(&self, record: &Record) -> Result<(), Error> {
        match &record.selection {
            None => Ok(()),
            Some(Selection::Clear { trial, made_block }) => self.clear(record, trial, *made_block),
            Some(Selection::Select { trial, .. }) => {
                self.command(record, record.commands.len(), &trial.select())?;
                match trial.once.selected(self.root) {
                    Observed::Present(entry) if entry == trial.entry => {}
                    other => return Err(not_selected(trial, &other)),
                }
                let entry = trial.entry.clone();
                Ok(self.store.note(record.id, Event::Selected { entry })?)
            }
        }
    }

    /// What is left for the user to tell it, in a root that is not the running system.
    pub fn left_to_select(&self, record: &Record) -> Option<Vec<String>> {
        match record.selection.as_ref()? {
            Selection::Select { trial, .. } => Some(trial.select().argv),
            Selection::Clear { trial, .. } => self.is_selected(trial).then(|| trial.clear().argv),
        }
    }

    /// Takes a selection of this transaction back.
    ///
    /// # Errors
    /// The program failed.
    pub fn unselect(&self, record: &Record) -> Result<(), Error> {
        match record.trial() {
            Some(trial) if self.root.is_live() => {
                self.clear(record, trial, record.made_block(trial))
            }
            _ => Ok(()),
        }
    }

    fn is_selected(&self, trial: &Trial) -> bool {
        trial.once.selected(self.root).into_present().is_some_and(|entry| entry == trial.entry)
    }

    /// A selection that is somebody else's, or gone, stays so.
    fn clear(&self, record: &Record, trial: &Trial, made_block: bool) -> Result<(), Error> {
        let block = trial.once.block().filter(|_| made_block);
        let text = |path: &str| self.root.text(path).into_present();
        // GRUB leaves the name without a value in a block that the selection made.
        let emptied =
            |path: &str| text(path).is_some_and(|t| t.lines().any(|l| l == "next_entry="));
        if self.is_selected(trial) || block.is_some_and(emptied) {
            self.command(record, record.commands.len(), &trial.clear())?;
        }
        match block {
            Some(path) if text(path).is_some_and(|text| is_empty_block(&text)) => {
                Ok(self.disk.remove(path)?)
            }
            _ => Ok(()),
        }
    }
}

fn not_selected(trial: &Trial, found: &Observed<String>) -> Error {
    let found = match found {
        Observed::Present(other) => format!("it is told to start {other}"),
        Observed::Absent => "it is told nothing".to_owned(),
        Observed::Unreadable(reason) => format!("that cannot be read: {reason}"),
    };
    Error::new(format!(
        "{} was told to start {} once, and {found}",
        trial.once.loader(),
        trial.entry
    ))
    .hint("`--no-trial` puts the configuration into the normal entries at once.")
}
