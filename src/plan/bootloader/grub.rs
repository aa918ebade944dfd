//! GRUB with a generated menu.

use super::{BECAUSE, words};
use crate::check::Case;
use crate::config::EditError;
use crate::config::assignments::Assignments;
use crate::config::cmdline::Parameter;
use crate::host::Host;
use crate::host::boot::GRUB_ENTRIES;
use crate::host::once::GRUB_TRIAL;
use crate::host::parameters::{grub_files, grub_reads_drop_ins, grub_value, grub_without_recovery};
use crate::host::selected::{BIND, IDS};
use crate::plan::edits::{CannotEdit, Edits, MARK};
use crate::plan::kernel_parameters::ParameterChange;

const DROP_IN: &str = "etc/default/grub.d/passthru.cfg";
const VARIABLE: &str = "GRUB_CMDLINE_LINUX_DEFAULT";
const ENTRIES_SCRIPT: &str = include_str!("../assets/grub-entries");

/// A submenu of our own.
struct Submenu<'a> {
    id: &'a str,
    title: &'a str,
    why: &'a str,
    remove: &'a [&'a str],
    add: &'a [&'a str],
}

impl Submenu<'_> {
    /// The script that has grub-mkconfig make it.
    fn script(&self) -> String {
        ENTRIES_SCRIPT
            .replace("@REMOVE@", &quoted(&self.remove.join(" ")))
            .replace("@ADD@", &quoted(&self.add.join(" ")))
            .replace("@ID@", self.id)
            .replace("@TITLE@", self.title)
            .replace("@WHY@", self.why)
    }
}

const STOCK: &str = "passthru-stock";

/// What `GRUB_DEFAULT` names, where that is not the first entry.
pub fn other_default(host: &Host) -> Option<String> {
    let value = grub_value(host, "GRUB_DEFAULT").ok().flatten()?.1.scalar().to_owned();
    (!value.is_empty() && value != "0").then_some(value)
}

/// Entries with the words, beside those that stay as they are. The first of them starts the
/// newest kernel, as the first entry of 10_linux does, and after an update too.
pub fn trial(change: &ParameterChange, edits: &mut Edits<'_>) -> Result<String, CannotEdit> {
    let submenu = Submenu {
        id: GRUB_TRIAL,
        title: "With passthru, on trial",
        why: "The other\n# entries stay as they are until `passthru promote`.",
        remove: &words(&change.remove),
        add: &words(&change.add),
    };
    edits.own(GRUB_ENTRIES, &submenu.script(), 0o755, &BECAUSE)?;
    Ok(format!("{GRUB_TRIAL}>0"))
}

/// The words go into the variable that recovery entries do not get (grub-mkconfig's 10_linux),
/// in a drop-in where grub-mkconfig reads some, else at the end of the variable's value.
pub fn plan(
    case: &Case<'_>,
    change: &ParameterChange,
    edits: &mut Edits<'_>,
) -> Result<(), CannotEdit> {
    let host = case.host;
    let removed = words(&change.remove);
    for path in grub_files(host) {
        if path == DROP_IN || removed.is_empty() {
            continue;
        }
        edits.edit(path, &BECAUSE, |text| {
            let file = Assignments::parse(text).remove_words("GRUB_CMDLINE_LINUX", &removed)?;
            Ok(file.remove_words(VARIABLE, &removed)?.render().to_owned())
        })?;
    }
    if grub_reads_drop_ins(host) {
        grub_drop_in(change, edits)?;
    } else {
        edits.edit("etc/default/grub", &BECAUSE, |text| {
            Ok(Assignments::parse(text)
                .append_words(VARIABLE, &words(&change.add))?
                .render()
                .to_owned())
        })?;
    }
    stock_entries(host, change, edits)
}

/// Where GRUB makes no recovery entries, a script of our own has it make entries without our
/// words. The words that it has already stay in it: once they are configured, nothing tells ours
/// from those of others.
fn stock_entries(
    host: &Host,
    change: &ParameterChange,
    edits: &mut Edits<'_>,
) -> Result<(), CannotEdit> {
    if grub_without_recovery(host).is_none() || !host.bootloader.runs_10_linux {
        return Ok(());
    }
    let known = edits.current(GRUB_ENTRIES)?;
    let is_stock = known.text().contains(STOCK);
    let mut own = if is_stock { stock_words(known.text()) } else { Vec::new() };
    for word in change.add.iter().map(String::as_str) {
        let selects = [BIND, IDS].iter().any(|key| Parameter::parse(word).is(key));
        if !selects && !own.contains(&word) {
            own.push(word);
        }
    }
    let submenu = Submenu {
        id: STOCK,
        title: "Without passthru (as before)",
        why: "GRUB makes no\n# recovery entries on this machine, so no other entry would start it as it was.",
        remove: &own,
        add: &[],
    };
    edits.own(GRUB_ENTRIES, &submenu.script(), 0o755, &["grub-no-recovery"])
}

/// The words that a script of ours takes out.
fn stock_words(script: &str) -> Vec<&str> {
    let list = script.lines().find_map(|line| line.strip_prefix("words='")?.strip_suffix('\''));
    let plain = |word: &&str| !word.contains(['\'', '\\']);
    list.unwrap_or_default().split_whitespace().filter(plain).collect()
}

/// One word to the shell, whatever stands in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The drop-in is written anew from the words that it has and those that are added.
fn grub_drop_in(change: &ParameterChange, edits: &mut Edits<'_>) -> Result<(), CannotEdit> {
    let current = edits.current(DROP_IN)?;
    let refuse =
        |error: EditError| CannotEdit { path: DROP_IN.to_owned(), reason: error.to_string() };
    let seed = format!("{MARK}\n{VARIABLE}=\"${VARIABLE}\"\n");
    let text = if current.text().is_empty() { seed.clone() } else { current.text().to_owned() };
    let file =
        Assignments::parse(&text).remove_words(VARIABLE, &words(&change.remove)).map_err(refuse)?;
    let file = file.append_words(VARIABLE, &words(&change.add)).map_err(refuse)?;
    if file.render() == seed {
        return Ok(()); // nothing to say: no file
    }
    edits.own(DROP_IN, file.render(), 0o644, &BECAUSE)
}

#[cfg(test)]
mod tests {
    use super::{quoted, stock_words};

    #[test]
    fn a_quote_ends_no_word() {
        assert_eq!(quoted("a'b $(c)"), r"'a'\''b $(c)'");
        assert_eq!(stock_words("words=''\n"), [""; 0]);
        assert_eq!(stock_words(&format!("x\nwords={}\n", quoted("a b"))), ["a", "b"]);
    }
}
