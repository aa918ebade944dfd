//! What every writing verb does first: a root that can be written, its lock, and an end to
//! whatever an earlier run left unfinished.

use std::cell::RefCell;
use std::time::Duration;

use super::Global;
use crate::error::Error;
use crate::host::Host;
use crate::host::rom::Probe;
use crate::sys::writer::Writer;
use crate::sys::{StopRequest, Sysroot, process};
use crate::transaction::{
    self, DIR, Done, Draft, Ending, Engine, Failure, Held, Record, Run, Secret, TakenBack, prepare,
};
use crate::ui::Ui;

/// Seconds that a program may take unless asked otherwise.
pub const DEADLINE: u64 = 3600;

/// Options of every verb that runs programs.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Stop a program that is not done after so many seconds, and take everything back
    #[arg(long, value_name = "SECONDS", default_value_t = DEADLINE,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub deadline: u64,
}

impl RunArgs {
    /// Asks, unless that was answered on the command line.
    ///
    /// # Errors
    /// There is nobody to ask, or nobody was shown what is asked about.
    pub fn confirmed(&self, question: &str, global: &Global, ui: &Ui) -> Result<bool, Error> {
        if self.yes {
            return Ok(true);
        }
        let answer = if global.json { None } else { ui.ask(question)? };
        answer.ok_or_else(|| {
            Error::new("there is no terminal to ask at, and nothing was changed")
                .hint("Give --yes to go on without a question.")
        })
    }
}

/// A root that is going to be written.
pub struct Session<'a> {
    /// For reading.
    pub root: Sysroot,
    /// For writing.
    pub disk: Writer,
    ui: &'a Ui,
    limit: Duration,
    stop: RefCell<StopRequest>,
}

impl<'a> Session<'a> {
    /// Opens it.
    ///
    /// # Errors
    /// It cannot be written: a recording, or somebody else's.
    pub fn open(global: &Global, ui: &'a Ui, deadline: u64) -> Result<Self, Error> {
        let root = global.open_root()?;
        if root.tree().is_some() {
            return Err(Error::new("a recorded machine cannot be changed").hint(
                "`passthru --host NAME capture --unpack DIR` makes real files of it, and --root DIR changes those.",
            ));
        }
        if root.is_live() && !process::is_root() {
            return Err(Error::new("changing this machine needs root")
                .hint("Run it with sudo. `passthru plan` shows without root what would change."));
        }
        let disk = Writer::open(&global.root).map_err(|error| {
            Error::because(format!("cannot open the root {}", global.root.display()), &error)
        })?;
        let limit = Duration::from_secs(deadline);
        Ok(Self { root, disk, ui, limit, stop: RefCell::default() })
    }

    /// Takes the lock and ends what is unfinished, where there is a state directory; a root
    /// without one has nothing to end, and gets none before something is written.
    ///
    /// # Errors
    /// Another process has the lock, or what is unfinished cannot be ended.
    pub fn resume(&self) -> Result<Option<Held<'_>>, Error> {
        if self.disk.meta(DIR)?.is_none() {
            return Ok(None);
        }
        let held = Held::take(&self.disk)?;
        for (record, ending) in self.recover(&held)? {
            self.ui.status(&crate::ui::apply::recovered(&record, &ending));
        }
        Ok(Some(held))
    }

    /// The same for who comes at the same time as another: right after a boot both the unit and the
    /// user look. It waits until whoever has the lock is done.
    ///
    /// # Errors
    /// As [`Self::resume`], and where that takes too long.
    pub fn resume_patiently(&self) -> Result<Option<Held<'_>>, Error> {
        const SECONDS: u32 = 600;
        for second in 0..SECONDS {
            match self.resume() {
                Err(error) if error.is_busy() => {
                    if second == 0 {
                        self.ui.status(&format!("Waiting: {error}."));
                    }
                    crate::sys::pause(Duration::from_secs(1));
                }
                other => return other,
            }
        }
        self.resume()
    }

    /// Ends what is unfinished, and says what that was.
    ///
    /// # Errors
    /// A transaction cannot be read, or the disk refuses.
    pub fn recover(&self, held: &Held<'_>) -> Result<Vec<(Record, Ending)>, Error> {
        let stop = StopRequest::default();
        let say = |text: &str| self.ui.status(text);
        transaction::recover(&self.engine(held, &stop, &say, None))
    }

    fn engine<'e>(
        &'e self,
        held: &'e Held<'_>,
        stop: &'e StopRequest,
        say: &'e dyn Fn(&str),
        secret: Option<&'e Secret>,
    ) -> Engine<'e> {
        let run = Run { limit: self.limit, stop, say };
        Engine { disk: &self.disk, root: &self.root, store: held, run, secret }
    }

    /// Carries a draft out. From here on a stop request takes everything back.
    ///
    /// # Errors
    /// What went wrong, and that everything is as before, or that it is not.
    pub fn carry_out(
        &self,
        held: Option<Held<'_>>,
        draft: &Draft,
        host: &Host,
    ) -> Result<(Record, Done), Error> {
        let stop = StopRequest::watch()
            .map_err(|error| Error::because("cannot watch for signals", &error))?;
        self.stop.replace(stop.clone());
        let held = match held {
            Some(held) => held,
            None => Held::take(&self.disk)?,
        };
        let record = prepare(draft, held.next_id()?, &self.disk, &self.root, host)?;
        let record = held
            .begin(record, &draft.contents)
            .map_err(|error| Error::from(error).hint("It had not begun: nothing was changed."))?;
        let say = |text: &str| self.ui.status(text);
        let engine = self.engine(&held, &stop, &say, draft.secret.as_ref());
        let done = engine.carry_out(&record).map_err(|failure| explain(&record, *failure))?;
        Ok((record, done))
    }

    /// Has the boot loader start the entry on trial once more.
    ///
    /// # Errors
    /// The program failed, or the loader was not told.
    pub fn select_again(
        &self,
        held: &Held<'_>,
        record: &Record,
        promote: bool,
    ) -> Result<(), Error> {
        let stop = StopRequest::default();
        let say = |text: &str| self.ui.status(text);
        self.engine(held, &stop, &say, None).select(record, promote)
    }

    /// The machine as it is now.
    pub fn host(&self) -> Host {
        Host::read(&self.root, Probe::No)
    }
}

fn explain(record: &Record, failure: Failure) -> Error {
    let Failure { cause, back } = failure;
    match back {
        Ok(Ending::Finished) => cause.hint(
            "All was done by then, and the volume with the answers is gone for good: nothing was taken back.",
        ),
        Ok(Ending::Back(TakenBack { kept })) if kept.is_empty() => {
            cause.hint("Everything was taken back: all files are as before.")
        }
        Ok(Ending::Back(TakenBack { kept })) => cause.hint(format!(
            "Everything was taken back, except in {}: somebody changed it meanwhile, and it was left as it is. `passthru log show {}` has what was meant to be there.",
            kept.join(", "),
            record.id
        )),
        Err(error) => cause
            .cause(format!("and taking it back failed as well: {error}"))
            .hint("Run `passthru recover` when the cause is gone; it goes on from here."),
    }
}
