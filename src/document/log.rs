//! `log` and `recover`: what was done to a machine, and what was left half done.

use serde::Serialize;

use super::Schema;
use super::apply::Diff;
use crate::transaction::{
    Damaged, Ending, Record, State, Transaction, TransactionId, VmVerb, undone_by,
};

/// What was left unfinished, and is no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct RecoverDocument {
    /// Name and version of this form.
    schema: Schema,
    /// Transactions that were taken back, the last first.
    pub rolled_back: Vec<Recovered>,
    /// Transactions that were finished, since the volume with the answers was gone already.
    pub finished: Vec<Recovered>,
}

/// A transaction that was taken back, or finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Recovered {
    /// Its number.
    pub transaction: TransactionId,
    /// When it began.
    pub begun: String,
    /// Files left as they are, since somebody changed them meanwhile.
    pub kept: Vec<String>,
}

impl RecoverDocument {
    /// After it is done.
    pub fn of(recovered: &[(Record, Ending)]) -> Self {
        let (mut rolled_back, mut finished) = (Vec::new(), Vec::new());
        for (record, ending) in recovered {
            let (list, kept) = match ending {
                Ending::Back(back) => (&mut rolled_back, back.kept.clone()),
                Ending::Finished => (&mut finished, Vec::new()),
            };
            list.push(Recovered { transaction: record.id, begun: record.begun.clone(), kept });
        }
        Self { schema: Schema { name: "recover", version: 1 }, rolled_back, finished }
    }
}

/// The transactions of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct LogDocument {
    /// Name and version of this form.
    schema: Schema,
    /// In order.
    pub transactions: Vec<Logged>,
    /// Those that cannot be read.
    pub damaged: Vec<Unread>,
}

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Logged {
    /// Its number.
    pub transaction: TransactionId,
    /// When it began, in RFC 3339.
    pub begun: String,
    /// The transaction that it takes back.
    pub undoes: Option<TransactionId>,
    /// The transaction whose entry on trial became the default.
    pub promotes: Option<TransactionId>,
    /// The entry that it put on trial.
    pub trial: Option<String>,
    /// Display function of the card; `null` where it is about none.
    pub gpu: Option<crate::host::pci::PciAddress>,
    /// What was done to a virtual machine, where it is about one.
    pub vm: Option<LoggedVm>,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// The transaction that took it back.
    pub undone_by: Option<TransactionId>,
    /// Why it failed.
    pub failure: Option<String>,
    /// Files that a rollback left as they were.
    pub kept: Vec<String>,
    /// Programs that were left to the user.
    pub to_run: Vec<Vec<String>>,
}

/// A virtual machine that was made or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct LoggedVm {
    /// What was done.
    pub verb: VmVerb,
    /// URI of the libvirt connection.
    pub connect: String,
    /// Name of the domain.
    pub domain: String,
}

/// A transaction that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Unread {
    /// Its number.
    pub transaction: TransactionId,
    /// What is wrong with it.
    pub reason: String,
}

impl LogDocument {
    /// From what the state directory holds; what never began is left out.
    pub fn of(all: Vec<Result<Transaction, Damaged>>) -> Self {
        let mut transactions = Vec::new();
        let mut damaged = Vec::new();
        for found in all {
            match found {
                Ok(transaction) if transaction.journal.state() == State::NotBegun => {}
                Ok(transaction) => transactions.push(transaction),
                Err(unread) if unread.state == Some(State::NotBegun) => {}
                Err(unread) => {
                    damaged.push(Unread { transaction: unread.id, reason: unread.reason });
                }
            }
        }
        let logged = transactions.iter().map(|t| logged(t, undone_by(&transactions, t.record.id)));
        Self { schema: Schema { name: "log", version: 1 }, transactions: logged.collect(), damaged }
    }
}

fn logged(transaction: &Transaction, undone_by: Option<TransactionId>) -> Logged {
    let Transaction { record, journal } = transaction;
    Logged {
        transaction: record.id,
        begun: record.begun.clone(),
        undoes: record.kind.undoes(),
        promotes: record.kind.promotes(),
        trial: record.trial().map(|trial| trial.entry.clone()),
        gpu: record.gpu,
        vm: record.domain.as_ref().map(|domain| LoggedVm {
            verb: domain.verb,
            connect: domain.connect.clone(),
            domain: domain.domain.clone(),
        }),
        name: record.name.clone(),
        state: journal.state(),
        undone_by,
        failure: journal.failure().map(str::to_owned),
        kept: journal.kept().to_vec(),
        to_run: journal.to_run().to_vec(),
    }
}

/// One transaction with the diff of every file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct TransactionDocument {
    /// Name and version of this form.
    schema: Schema,
    /// The same as in the list.
    #[serde(flatten)]
    pub logged: Logged,
    /// Files, in path order.
    pub changes: Vec<Diff>,
    /// Programs that it ran or left to the user.
    pub commands: Vec<Vec<String>>,
}

/// Contents of a file before and after.
pub type Contents = (Option<Vec<u8>>, Option<Vec<u8>>);

impl TransactionDocument {
    /// From a transaction and the contents of its files, in their order, then of its domain.
    pub fn of(
        transaction: &Transaction,
        contents: &[Contents],
        undone_by: Option<TransactionId>,
    ) -> Self {
        let domain = transaction.record.domain.as_ref().map(|domain| domain.label());
        let changes = transaction.record.changes.iter().map(|change| change.path.clone());
        let changes = changes.chain(domain).zip(contents);
        let diffs = changes.map(|(path, (before, after))| {
            Diff::between(&path, before.as_deref(), after.as_deref())
        });
        let commands = &transaction.record.commands;
        Self {
            schema: Schema { name: "transaction", version: 1 },
            logged: logged(transaction, undone_by),
            changes: diffs.collect(),
            commands: commands.iter().map(|command| command.argv.clone()).collect(),
        }
    }
}
