//! What the boot loader is told about the next boot: to start an entry once is the last effect of
//! a transaction, and the first to be taken back.

use super::draft::Draft;
use super::engine::Engine;
use super::journal::Event;
use super::record::{Block, Record, Selection};
use crate::error::Error;
use crate::host::Observed;
use crate::host::boot::GRUB_CFGS;
use crate::host::booted::boot_id;
use crate::host::once::is_empty_block;
use crate::plan::{Command, Trial};
use crate::sys::Sysroot;

/// The command that selects an entry, where one is selected.
pub fn selecting(draft: &Draft) -> Option<Command> {
    match &draft.selection {
        Some(Selection::Select { trial, .. }) => Some(trial.select()),
        _ => None,
    }
}

/// A selection with GRUB's environment block as it is before.
pub fn with_block(selection: Selection, root: &Sysroot) -> Selection {
    let Selection::Select { trial, promote, .. } = selection else { return selection };
    let block = match trial.once.block().map(|path| root.text(path)) {
        None | Some(Observed::Absent) => Block::Absent,
        Some(Observed::Present(text)) if !text.lines().any(is_name) => Block::WithoutName,
        // What cannot be read is left as it is.
        Some(Observed::Present(_) | Observed::Unreadable(_)) => Block::WithName,
    };
    Selection::Select { trial, promote, block }
}

fn is_name(line: &str) -> bool {
    line.starts_with("next_entry=")
}

/// Why an entry may not be selected now, and what to do: somebody else's choice is not replaced.
pub fn in_the_way(trial: &Trial, root: &Sysroot) -> Option<(String, String)> {
    let loader = trial.once.loader();
    match trial.once.selected(root) {
        Observed::Present(other) if other != trial.entry => {
            let clear = trial.clear().argv.join(" ");
            Some((
                format!("{loader} is told already to start {other} with the next boot"),
                format!("Reboot first, or take that back: `{clear}`."),
            ))
        }
        Observed::Unreadable(reason) => Some((
            format!("what {loader} is told about the next boot cannot be read: {reason}"),
            NO_TRIAL.to_owned(),
        )),
        Observed::Present(_) | Observed::Absent => None,
    }
}

impl Engine<'_> {
    /// Tells it to start the entry on trial once, and reads back what it was told.
    ///
    /// # Errors
    /// A program failed, the loader's memory does not say what it should, or the loader would not
    /// look at it.
    pub fn select(&self, record: &Record, promote: bool) -> Result<(), Error> {
        let Some(trial) = record.trial() else { return Ok(()) };
        self.menu_looks(trial)?;
        self.command(record, record.commands.len(), &trial.select())?;
        match trial.once.selected(self.root) {
            Observed::Present(entry) if entry == trial.entry => {}
            other => return Err(not_selected(trial, &other)),
        }
        let entry = trial.entry.clone();
        let boot_id = boot_id(self.root).into_present();
        Ok(self.store.note(record.id, Event::Selected { entry, boot_id, promote })?)
    }

    /// GRUB looks at the selection only where its menu says so, and would start the entry with
    /// every boot if the menu did not empty it (00_header of grub-mkconfig).
    fn menu_looks(&self, trial: &Trial) -> Result<(), Error> {
        if trial.once.block().is_none() {
            return Ok(());
        }
        let menu = GRUB_CFGS.iter().find_map(|path| self.root.text(path).into_present());
        let menu = menu.unwrap_or_default();
        let parts = ["set default=\"${next_entry}\"", "save_env next_entry"];
        match parts.iter().find(|part| !menu.contains(**part)) {
            None => Ok(()),
            Some(part) => Err(Error::new(format!(
                "the boot menu has no `{part}`, so GRUB would not start an entry once"
            ))
            .hint("grub-mkconfig makes these lines with /etc/grub.d/00_header: is it executable?")
            .hint(NO_TRIAL)),
        }
    }

    /// What is left for the user to tell it, in a root that is not the running system.
    pub fn left_to_select(&self, record: &Record) -> Option<Vec<String>> {
        match record.selection.as_ref()? {
            Selection::Select { trial, .. } => Some(trial.select().argv),
            Selection::Clear { trial, .. } => {
                self.is_selected(trial).unwrap_or(true).then(|| trial.clear().argv)
            }
        }
    }

    /// Takes back what an earlier transaction told it.
    ///
    /// # Errors
    /// The program failed.
    pub fn clear_selection(&self, record: &Record) -> Result<(), Error> {
        match &record.selection {
            Some(Selection::Clear { trial, block }) => self.clear(record, trial, *block),
            _ => Ok(()),
        }
    }

    /// Takes a selection of this transaction back.
    ///
    /// # Errors
    /// The program failed.
    pub fn unselect(&self, record: &Record) -> Result<(), Error> {
        match &record.selection {
            Some(Selection::Select { trial, block, .. }) if self.root.is_live() => {
                self.clear(record, trial, *block)
            }
            _ => Ok(()),
        }
    }

    fn is_selected(&self, trial: &Trial) -> Result<bool, Error> {
        match trial.once.selected(self.root) {
            Observed::Present(entry) => Ok(entry == trial.entry),
            Observed::Absent => Ok(false),
            Observed::Unreadable(reason) => {
                let loader = trial.once.loader();
                Err(Error::new(format!("cannot read what {loader} is told about the next boot"))
                    .cause(reason))
            }
        }
    }

    /// A selection that is somebody else's, or gone, stays so.
    fn clear(&self, record: &Record, trial: &Trial, block: Block) -> Result<(), Error> {
        let path = trial.once.block();
        let text = || path.and_then(|path| self.root.text(path).into_present());
        // GRUB leaves the name without a value.
        let emptied = || text().is_some_and(|text| text.lines().any(|l| l == "next_entry="));
        if self.is_selected(trial)? || (block != Block::WithName && emptied()) {
            self.command(record, record.commands.len(), &trial.clear())?;
        }
        match path {
            Some(path)
                if block == Block::Absent && text().is_some_and(|text| is_empty_block(&text)) =>
            {
                Ok(self.disk.remove(path)?)
            }
            _ => Ok(()),
        }
    }
}

const NO_TRIAL: &str = "`--no-trial` puts the configuration into the normal entries at once.";

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
    .hint(NO_TRIAL)
}
