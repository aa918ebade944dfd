//! The state directory: one directory a transaction, with its record, its journal, the contents
//! of files by digest, and what programs printed.

use super::domain::ImageChange;
use super::journal::{Journal, State};
use super::record::{Record, Saved, TransactionId, VERSION};
use crate::error::Error;
use crate::plan::{PROGRAMS, may_change, may_make};
use crate::sys::writer::{WriteError, Writer, digest};
use crate::vm::looking_glass;

/// Where it is, inside the root.
pub const DIR: &str = "var/lib/passthru";

/// A transaction as read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// What it is.
    pub record: Record,
    /// What happened.
    pub journal: Journal,
}

/// A transaction that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Its number.
    pub id: TransactionId,
    /// What is wrong with it.
    pub reason: String,
    /// Whether it had begun when that can be told.
    pub state: Option<State>,
    /// Its record is there.
    pub has_record: bool,
}

/// The state directory of one root.
#[derive(Debug)]
pub struct Store<'a> {
    disk: &'a Writer,
}

impl<'a> Store<'a> {
    /// For reading. A directory that is not there holds no transactions.
    pub fn new(disk: &'a Writer) -> Self {
        Self { disk }
    }

    pub(super) fn disk(&self) -> &'a Writer {
        self.disk
    }

    /// All transactions, in order.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn all(&self) -> Result<Vec<Result<Transaction, Damaged>>, Error> {
        let ids = self.ids()?;
        Ok(ids.into_iter().map(|id| self.read(id)).collect())
    }

    /// Those that had begun, in order; `Err` names the first that cannot be read.
    ///
    /// # Errors
    /// The directory, or one of them, cannot be read.
    pub fn begun(&self) -> Result<Vec<Transaction>, Error> {
        let mut begun = Vec::new();
        for transaction in self.all()? {
            match transaction {
                Ok(transaction) if transaction.journal.state() == State::NotBegun => {}
                Ok(transaction) => begun.push(transaction),
                Err(damaged) if damaged.state == Some(State::NotBegun) => {}
                Err(damaged) => return Err(damaged.into()),
            }
        }
        Ok(begun)
    }

    /// Numbers of all transactions, in order.
    pub(super) fn ids(&self) -> Result<Vec<TransactionId>, Error> {
        let names = self.disk.names(DIR).map_err(|error| cannot_read(&error))?;
        let mut ids: Vec<TransactionId> =
            names.iter().filter_map(|name| name.parse().ok()).filter(|id| *id > 0).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// One transaction.
    ///
    /// # Errors
    /// It is damaged, or another version of this program wrote it.
    pub fn read(&self, id: TransactionId) -> Result<Transaction, Damaged> {
        let mut state = None;
        let damaged =
            |reason: String, state| Damaged { id, reason, state, has_record: state.is_none() };
        let text = |name: &str| -> Result<Option<String>, String> {
            let path = format!("{DIR}/{id}/{name}");
            let found = self.disk.look(&path).map_err(|error| error.to_string())?;
            let found = found.map(|found| String::from_utf8(found.bytes));
            found.transpose().map_err(|_| format!("/{path} is not text"))
        };
        let journal = text("journal.jsonl").map_err(|reason| damaged(reason, None))?;
        let journal = match Journal::parse(&journal.unwrap_or_default()) {
            Ok(journal) => journal,
            Err(line) => {
                let reason = format!("line {line} of /{DIR}/{id}/journal.jsonl is no event");
                return Err(damaged(reason, None));
            }
        };
        state.replace(journal.state());
        let record = text("record.json").map_err(|reason| damaged(reason, state))?;
        let Some(record) = record else {
            return Err(damaged(format!("/{DIR}/{id}/record.json is not there"), state));
        };
        let record = parse(&record, id)
            .map_err(|reason| Damaged { has_record: true, ..damaged(reason, state) })?;
        Ok(Transaction { record, journal })
    }

    /// The bytes of a file before or after; `None` where there was none.
    ///
    /// # Errors
    /// They cannot be read, or are not those that were kept.
    pub fn content(&self, id: TransactionId, saved: &Saved) -> Result<Option<Vec<u8>>, Error> {
        let Some(wanted) = saved.digest() else { return Ok(None) };
        let path = blob(id, wanted);
        let found = self.disk.look(&path).map_err(|error| {
            Error::because(format!("cannot read what transaction {id} kept"), &error)
                .hint("Contents of files are for root only: run it as root.")
        })?;
        match found {
            Some(found) if digest(&found.bytes) == wanted => Ok(Some(found.bytes)),
            Some(_) => Err(Error::new(format!("/{path} is damaged: its digest is another"))),
            None => Err(Error::new(format!("/{path} is not there any more"))),
        }
    }
}

/// Where contents are, by digest.
pub(super) fn blob(id: TransactionId, digest: &str) -> String {
    format!("{DIR}/{id}/blobs/{digest}")
}

fn cannot_read(error: &WriteError) -> Error {
    Error::because(format!("cannot read the transactions in /{DIR}"), error)
}

fn parse(text: &str, id: TransactionId) -> Result<Record, String> {
    let path = format!("/{DIR}/{id}/record.json");
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("{path} is damaged: {error}"))?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => {
            return Err(format!(
                "{path} has version {version}, and this program knows version {VERSION}: use the newer passthru that wrote it"
            ));
        }
        None => return Err(format!("{path} is damaged: it names no version")),
    }
    let record: Record =
        serde_json::from_value(value).map_err(|error| format!("{path} is damaged: {error}"))?;
    if record.id != id {
        return Err(format!("{path} is damaged: it is the record of transaction {}", record.id));
    }
    match unknown_path(&record) {
        Some(path) => Err(format!(
            "{path_of_record} is damaged: passthru never writes {path}",
            path_of_record = path_of(id)
        )),
        None => Ok(record),
    }
}

fn path_of(id: TransactionId) -> String {
    format!("/{DIR}/{id}/record.json")
}

/// A path or program in a record that no transaction has.
fn unknown_path(record: &Record) -> Option<&str> {
    let change = record.changes.iter().map(|change| change.path.as_str()).find(|p| !may_change(p));
    let dirs = record.directories.iter().chain(&record.leftovers).map(String::as_str);
    let dir = dirs.into_iter().find(|dir| !may_make(dir));
    let output = record.outputs.iter().map(|output| output.path.as_str());
    let output = output.into_iter().find(|path| !is_product(path));
    let programs = record.commands.iter().map(|c| c.argv.first().map_or("", String::as_str));
    let known = |program: &&str| PROGRAMS.contains(program) || *program == looking_glass::PROGRAM;
    let program = programs.into_iter().find(|program| !known(program));
    let image = record.domain.as_ref().and_then(|domain| domain.image.as_ref());
    let image = image.map(ImageChange::path).filter(|path| !is_product(path));
    change.or(dir).or(output).or(program).or(image)
}

/// A path that something made may have: absolute, without detours, and no configuration.
pub fn is_product(path: &str) -> bool {
    path.starts_with('/') && !path.starts_with("/etc/") && !path.split('/').any(|part| part == "..")
}

impl From<Damaged> for Error {
    fn from(damaged: Damaged) -> Self {
        Self::new(format!("cannot read transaction {}: {}", damaged.id, damaged.reason)).hint(
            format!(
                "Nothing is changed while it is not known what that one did. If you are sure that it is of no use, move /{DIR}/{} away.",
                damaged.id
            ),
        )
    }
}
