//! The way back: every file and every output as it was, from whatever state it is in.

use rustix::io::Errno;

use super::engine::{Engine, Run};
use super::journal::Event;
use super::merged::{Merged, ThreeWay};
use super::record::{Change, Output, Record, Saved};
use crate::error::Error;
use crate::plan::Stage;
use crate::sys::StopRequest;
use crate::sys::writer::Attributes;

/// When a rollback happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// In the run that made the effects.
    AtOnce,
    /// In a later one. The machine may have been used meanwhile.
    Later,
}

/// What a rollback came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TakenBack {
    /// Files left as they are, since somebody else changed them meanwhile.
    pub kept: Vec<String>,
}

/// How a transaction ended that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It was taken back.
    Back(TakenBack),
    /// It was finished: its last effect was done, and that one cannot be taken back.
    Finished,
}

impl Engine<'_> {
    /// Brings everything back to what it was before, whatever state it is in. A file that
    /// somebody else changed keeps their changes.
    ///
    /// # Errors
    /// The disk refuses; the same call again goes on from there.
    pub fn roll_back(&self, record: &Record, when: When) -> Result<Ending, Error> {
        if self.is_removed_for_good(record)? {
            self.store.note(record.id, Event::Applied { to_run: Vec::new() })?;
            self.store.drop_outputs(record);
            return Ok(Ending::Finished);
        }
        let mut back = TakenBack::default();
        self.unselect(record)?;
        self.domain_back(record, &mut back)?;
        for change in &record.changes {
            self.disk.sweep(change.inside())?;
        }
        for dir in &record.leftovers {
            match self.disk.make_dir(dir.trim_start_matches('/'), 0o755) {
                // Somebody removed more than was ours, with the program that it belonged to.
                Err(error) if error.errno() == Some(Errno::NOENT) => {}
                made => made?,
            }
        }
        for change in record.changes.iter().rev().filter(|c| c.stage == Stage::AfterCommands) {
            self.take_back(record, change, &mut back)?;
        }
        for change in record.changes.iter().rev().filter(|c| c.stage == Stage::BeforeCommands) {
            self.take_back(record, change, &mut back)?;
        }
        for dir in record.directories.iter().rev() {
            self.disk.remove_dir(dir.trim_start_matches('/'))?;
        }
        self.outputs_back(record, when)?;
        self.store.note(record.id, Event::RolledBack { kept: back.kept.clone() })?;
        self.store.drop_outputs(record);
        Ok(Ending::Back(back))
    }

    /// At once, what programs wrote is put back. Later, somebody may have installed a kernel, whose
    /// image must not be replaced by an older one: then the programs make everything anew from the
    /// sources as they were, and what was kept is put back only if they cannot.
    fn outputs_back(&self, record: &Record, when: When) -> Result<(), Error> {
        let mut differ = false;
        for Output { path, before } in &record.outputs {
            self.disk.sweep(path.trim_start_matches('/'))?;
            differ |= !self.store.is_as_before(path, before)?;
        }
        let kept = record.outputs.iter().all(|output| output.before != Saved::NotKept);
        if !differ {
            return Ok(());
        }
        if self.root.is_live() && (when == When::Later || !kept) {
            match self.make_anew(record) {
                Ok(()) => return Ok(()),
                Err(error) if !kept => return Err(error),
                Err(error) => (self.run.say)(&format!(
                    "What was there before is put back, since it could not be made anew: {error}"
                )),
            }
        }
        for Output { path, before } in &record.outputs {
            self.store.put_output_back(record.id, path, before)?;
        }
        Ok(())
    }

    fn make_anew(&self, record: &Record) -> Result<(), Error> {
        let stop = StopRequest::default();
        let again = Engine { run: Run { stop: &stop, ..self.run }, ..*self };
        let mut numbered = record.commands.iter().enumerate();
        numbered.try_for_each(|(number, command)| again.command(record, number, command))
    }

    fn take_back(
        &self,
        record: &Record,
        change: &Change,
        back: &mut TakenBack,
    ) -> Result<(), Error> {
        let found = self.disk.look(change.inside())?;
        if change.before.is(found.as_ref()) && !change.is_mode_only() {
            return Ok(());
        }
        if change.after.is(found.as_ref()) {
            let place = self.disk.place(change.inside());
            if found.is_none() && place.is_err_and(|error| error.errno() == Some(Errno::NOENT)) {
                back.kept.push(change.path.clone());
                return Ok(());
            }
            return self.put(record, change, &change.before, found.as_ref());
        }
        let Some(found) = found else { return Ok(()) }; // taken away: that stays
        let texts = ThreeWay::new(
            self.store.content(record.id, &change.before)?,
            self.store.content(record.id, &change.after)?,
            &found,
        );
        match texts.map_or(Merged::Conflict, |texts| texts.merged()) {
            Merged::Absent => self.disk.remove(change.inside())?,
            Merged::Text(text) => {
                let attributes =
                    Attributes { mode: found.meta.mode, uid: found.meta.uid, gid: found.meta.gid };
                self.disk.replace(change.inside(), text.as_bytes(), attributes)?;
            }
            Merged::Conflict => back.kept.push(change.path.clone()),
        }
        Ok(())
    }
}
