//! The one interpreter of transactions: forward, and back.
//!
//! The files themselves are the record of how far it came: each is as before, as after, or
//! somebody else changed it. So every step can be done again, and nothing depends on the place
//! where the machine stopped.

use std::time::Duration;

use super::domain::Secret;
use super::held::Held;
use super::journal::Event;
use super::record::{Change, Record, Saved};
use super::rollback::{Ending, When};
use super::store::DIR;
use crate::error::Error;
use crate::host::Host;
use crate::host::rom::Probe;
use crate::plan::artefacts::{Artefacts, ReadBack};
use crate::plan::{Command, Stage};
use crate::proof::read_back;
use crate::sys::process::{self, Ended};
use crate::sys::writer::{Attributes, Found, Writer};
use crate::sys::{StopRequest, Sysroot};

/// How programs are run, and who is told.
pub struct Run<'a> {
    /// A program that is not done by then is stopped.
    pub limit: Duration,
    /// Looked at between effects.
    pub stop: &'a StopRequest,
    /// Says in one line what goes on.
    pub say: &'a dyn Fn(&str),
}

/// A machine that is written to, by the process that holds its state directory.
pub struct Engine<'a> {
    /// Its files.
    pub disk: &'a Writer,
    /// The same for reading.
    pub root: &'a Sysroot,
    /// Its transactions.
    pub store: &'a Held<'a>,
    /// How programs are run.
    pub run: Run<'a>,
    /// What is written and kept nowhere.
    pub secret: Option<&'a Secret>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Programs that the user has to run in that root.
    pub to_run: Vec<Vec<String>>,
    /// What was read back; nothing where no program ran.
    pub looked: Vec<String>,
}

/// Something went wrong, and what became of it.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub cause: Error,
    /// Whether everything is as before.
    pub back: Result<Ending, Error>,
}

impl Engine<'_> {
    /// Makes all effects of a transaction that has begun; if one fails, takes all back.
    ///
    /// # Errors
    /// What went wrong, and whether all is as before.
    pub fn carry_out(&self, record: &Record) -> Result<Done, Box<Failure>> {
        match self.effects(record) {
            Ok(done) => Ok(done),
            Err(cause) => {
                let event = Event::Failed { reason: cause.to_string() };
                let noted = self.store.note(record.id, event);
                let back = self.roll_back(record, When::AtOnce).map_err(|error| match noted {
                    Ok(()) => error,
                    Err(first) => error.hint(format!("The journal could not be written: {first}")),
                });
                Err(Box::new(Failure { cause, back }))
            }
        }
    }

    fn effects(&self, record: &Record) -> Result<Done, Error> {
        // Before the entry is gone: of an id that is nowhere GRUB makes its first entry.
        if self.root.is_live() {
            self.go_on()?;
            self.clear_selection(record)?;
        }
        for dir in &record.directories {
            self.go_on()?;
            self.disk.make_dir(dir.trim_start_matches('/'), 0o755)?;
        }
        self.files(record, Stage::BeforeCommands)?;
        let live = self.root.is_live();
        if live {
            for (number, command) in record.commands.iter().enumerate() {
                self.go_on()?;
                self.command(record, number, command)?;
            }
        }
        self.files(record, Stage::AfterCommands)?;
        for dir in record.leftovers.iter().rev() {
            self.go_on()?;
            self.disk.remove_dir(dir.trim_start_matches('/'))?;
        }
        self.go_on()?;
        let looked = match &record.domain {
            Some(change) => {
                self.domain(record, change)?;
                Vec::new()
            }
            None if live => self.read_back(record.id, &record.aims.done.artefacts)?,
            None => Vec::new(),
        };
        let commands = record.commands.iter().filter(|_| !live);
        let mut to_run: Vec<_> = commands.map(|command| command.argv.clone()).collect();
        self.go_on()?;
        if live {
            self.select(record, record.promotes_itself())?;
        } else {
            to_run.extend(self.left_to_select(record));
        }
        // Nothing looks for a stop after this.
        self.remove_for_good(record)?;
        self.store.note(record.id, Event::Applied { to_run: to_run.clone() })?;
        self.store.drop_outputs(record);
        Ok(Done { to_run, looked })
    }

    fn go_on(&self) -> Result<(), Error> {
        match self.run.stop.came() {
            None => Ok(()),
            Some(signal) => Err(Error::new(format!("stopped by {signal}"))),
        }
    }

    fn files(&self, record: &Record, stage: Stage) -> Result<(), Error> {
        for change in record.changes.iter().filter(|change| change.stage == stage) {
            self.go_on()?;
            let found = self.disk.look(change.inside())?;
            if change.after.is(found.as_ref()) && !change.is_mode_only() {
                continue;
            }
            if !change.before.is(found.as_ref()) {
                return Err(Error::new(format!("{} was changed meanwhile", change.path)).hint(
                    "Somebody else edits this file right now. Try again when they are done.",
                ));
            }
            self.put(record, change, &change.after, found.as_ref())?;
        }
        Ok(())
    }

    /// Puts one side of a change. Of a file that is there, owner and mode stay unless the change
    /// is about the mode.
    pub(super) fn put(
        &self,
        record: &Record,
        change: &Change,
        side: &Saved,
        found: Option<&Found>,
    ) -> Result<(), Error> {
        let Some(attributes) = side.attributes() else {
            return Ok(self.disk.remove(change.inside())?);
        };
        let modes = [&change.before, &change.after].map(|side| side.attributes().map(|a| a.mode));
        let bytes = self.store.content(record.id, side)?.unwrap_or_default();
        let attributes = found.map_or(attributes, |found| Attributes {
            mode: if modes[0] == modes[1] { found.meta.mode } else { attributes.mode },
            uid: found.meta.uid,
            gid: found.meta.gid,
        });
        Ok(self.disk.replace(change.inside(), &bytes, attributes)?)
    }

    pub(super) fn command(
        &self,
        record: &Record,
        number: usize,
        command: &Command,
    ) -> Result<(), Error> {
        let argv = &command.argv;
        let words = argv.join(" ");
        let name = argv.first().map_or("", String::as_str).rsplit('/').next().unwrap_or_default();
        let log = format!("{DIR}/{}/output/{}-{name}.log", record.id, number + 1);
        (self.run.say)(&format!("Running {words} (it prints to /{log})"));
        let output = self.disk.output_file(&log)?;
        let clock = crate::sys::Stopwatch::start();
        let lock = self.store.lock_for_program();
        let ended = lock
            .and_then(|lock| process::run(argv, output, lock, self.run.limit, self.run.stop))
            .map_err(|error| Error::because(format!("cannot start {words}"), &error))?;
        if ended != Ended::Code(0) {
            return Err(self.command_failed(&words, &ended, &log));
        }
        for pattern in &command.writes {
            let inside = pattern.trim_start_matches('/');
            self.disk.sync(inside.rsplit_once('/').map_or("", |(dir, _)| dir));
        }
        let milliseconds = clock.milliseconds();
        (self.run.say)(&format!(
            "  done in {}.{} s",
            milliseconds / 1000,
            milliseconds % 1000 / 100
        ));
        Ok(self.store.note(record.id, Event::Ran { argv: argv.to_vec(), milliseconds })?)
    }

    fn command_failed(&self, words: &str, ended: &Ended, log: &str) -> Error {
        const LINES: usize = 12;
        let printed = self.disk.look(log).ok().flatten();
        let printed = printed.map(|found| String::from_utf8_lossy(&found.bytes).into_owned());
        let printed = printed.unwrap_or_default();
        let lines: Vec<&str> = printed.lines().collect();
        let mut error = Error::new(format!("{words} failed: {ended}"));
        for line in lines.iter().skip(lines.len().saturating_sub(LINES)) {
            error = error.cause(*line);
        }
        match ended {
            Ended::Deadline(_) => error.hint("`--deadline SECONDS` gives programs more time."),
            _ => error.hint(format!("Everything it printed is in /{log}.")),
        }
    }

    /// Success is what the artefacts say (they are read, not assumed).
    fn read_back(&self, id: u32, wanted: &Artefacts) -> Result<Vec<String>, Error> {
        let host = Host::read(self.root, Probe::No);
        let (wanted, elsewhere) = wanted.without_words_of_others(&host);
        for (word, path) in elsewhere {
            (self.run.say)(&format!(
                "{word} stays: /{path} has it, which is not passthru's doing."
            ));
        }
        let seen = read_back(self.root, &host, &wanted);
        let holds = seen.holds();
        let ReadBack { looked, problems } = seen;
        if holds {
            self.store.note(id, Event::ReadBack { looked: looked.clone() })?;
            return Ok(looked);
        }
        let mut error = Error::new("the boot menu or the images do not hold what they should");
        for problem in &problems {
            error = error.cause(format!("{}: {}", problem.path, problem.text));
        }
        if looked.is_empty() {
            error = error.cause("nothing could be looked at");
        }
        Err(error)
    }
}
