//! What became of an entry that was selected for one boot.

use serde::Serialize;

use super::{Reboot, Then, Verdict};
use crate::config::cmdline::Cmdline;
use crate::host::booted::Facts;
use crate::host::{Host, Observed};
use crate::plan::{ParameterChange, Trial};

/// How far a trial came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The next boot starts the entry.
    Selected,
    /// The machine was not rebooted, and the loader is not told to start the entry any more.
    Unselected,
    /// It was not rebooted, and what the loader is told could not be read.
    Unknown,
    /// This boot was started from it.
    Running,
    /// The loader is still told to start it, and started another one.
    Ignored,
    /// It was started, and everything held; this boot is the default entry again.
    Passed,
    /// It was started, and not everything held; this boot is the default entry again.
    Failed,
    /// The loader forgot the selection as it does when it starts the entry, and nobody judged
    /// that boot.
    Lost,
}

/// What is known of it from before.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The words that only this entry has, and those that only it lacks.
    pub change: &'a ParameterChange,
    /// When the entry was selected, and in which boot.
    pub selected: Option<(&'a str, Option<&'a str>)>,
    /// When its boot was judged, and what came of it.
    pub judged: Option<(&'a str, Verdict)>,
}

impl Told<'_> {
    /// A boot with this command line was started from the entry.
    fn started(&self, active: &Cmdline) -> bool {
        let ParameterChange { add, remove } = self.change;
        !self.change.is_empty()
            && add.iter().all(|word| active.contains_word(word))
            && !remove.iter().any(|word| active.contains_word(word))
    }
}

/// A trial, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnTrial {
    /// The entry, and how it is selected.
    pub trial: Trial,
    /// How far it came.
    pub stage: Stage,
    /// When it was selected.
    pub selected_at: String,
    /// When it was judged.
    pub judged_at: Option<String>,
}

impl OnTrial {
    /// Judges it; `selected` is what the loader is told now.
    pub fn new(
        trial: &Trial,
        then: &Then,
        (host, facts): (&Host, &Facts),
        selected: &Observed<String>,
        told: Told<'_>,
    ) -> Self {
        let active = Cmdline::parse(host.command_line().unwrap_or_default());
        let is_selected = selected.present().is_some_and(|entry| *entry == trial.entry);
        let booted = match (told.selected, facts.boot_id.present()) {
            // Where the programs are left to the user, nobody noted that it was selected.
            (None, _) => false,
            (Some((_, Some(then))), Some(now)) => then != now,
            (Some(_), _) => then.reboot(host, facts) != Reboot::NotYet,
        };
        let stage = match told.judged {
            _ if !booted && is_selected => Stage::Selected,
            _ if told.started(&active) => Stage::Running,
            _ if !booted && selected.is_unreadable() => Stage::Unknown,
            _ if !booted => Stage::Unselected,
            _ if is_selected => Stage::Ignored,
            Some((_, Verdict::Met)) => Stage::Passed,
            Some(_) => Stage::Failed,
            None => Stage::Lost,
        };
        Self {
            trial: trial.clone(),
            stage,
            selected_at: told.selected.map_or("", |(at, _)| at).to_owned(),
            judged_at: told.judged.map(|(at, _)| at.to_owned()),
        }
    }

    /// What became of it, in one or two sentences.
    pub fn text(&self) -> String {
        let (entry, loader) = (&self.trial.entry, self.trial.once.loader());
        let judged = self.judged_at.as_deref().unwrap_or_default();
        match self.stage {
            Stage::Selected => {
                format!(
                    "The next boot starts {entry}, which is on trial; every later one the default entry."
                )
            }
            Stage::Unselected => {
                format!(
                    "{entry} is on trial, and {loader} is not told to start it with the next boot."
                )
            }
            Stage::Unknown => {
                format!(
                    "{entry} is on trial; what {loader} is told about the next boot could not be read."
                )
            }
            Stage::Running => {
                format!(
                    "This boot was started from {entry}, which is on trial; the default entry is as before."
                )
            }
            Stage::Ignored => format!(
                "{loader} is still told to start {entry} once, and another entry was started: another boot loader, or one that does not look."
            ),
            Stage::Passed => format!(
                "{entry} was started on trial, and everything held ({judged}). This boot is the default entry again, as before passthru."
            ),
            Stage::Failed => format!(
                "{entry} was started on trial, and not everything held ({judged}). This boot is the default entry again, as before passthru."
            ),
            Stage::Lost => format!(
                "{loader} was told at {} to start {entry} once, and has done so; that boot did not come as far as its judgement. It hung, the machine was reset too early, another entry was picked in the menu, or passthru-verify.service could not run. This boot is the default entry again, as before passthru.",
                self.selected_at
            ),
        }
    }

    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self.stage {
            Stage::Selected => "Reboot; then `passthru verify` says what came of it.",
            Stage::Unselected => "`passthru apply` selects it once more.",
            Stage::Unknown => "Run the same command with sudo.",
            Stage::Running => {
                "If everything holds, `passthru promote` makes it the default; `passthru undo` takes it back."
            }
            Stage::Ignored => {
                "Pick the entry in the boot menu, or take everything back with `passthru undo`."
            }
            Stage::Passed => {
                "`passthru apply` selects it once more; `passthru promote` in that boot makes it the default."
            }
            Stage::Failed => {
                "`journalctl -u passthru-verify` has the account of that boot. `passthru apply` selects it once more, `passthru undo` takes everything back."
            }
            Stage::Lost => {
                "`journalctl -b -1` shows how far that boot came. `passthru apply` selects the entry once more, `passthru undo` takes everything back."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::booted;
    use crate::host::once::BootOnce;
    use crate::host::rom::Probe;
    use crate::sys::{Node, Sysroot, host_tree};

    /// The guide's machine in the boot after the one in which the entry was selected, or in that
    /// same one.
    fn stage(
        rebooted: bool,
        word: &str,
        selected: Option<&str>,
        judged: Option<Verdict>,
    ) -> (Stage, String) {
        let mut tree = host_tree("z490-arch").unwrap().unwrap();
        tree.insert(booted::BOOT_ID, Node::File { bytes: b"boot-2\n".to_vec(), meta: None });
        let root = Sysroot::from_tree(tree);
        let host = Host::read(&root, Probe::No);
        let facts = booted::read(&root, &host);
        let boot_id = if rebooted { "boot-1" } else { "boot-2" };
        let then = Then { boot_id: Some(boot_id.to_owned()), ..Then::default() };
        let trial = Trial { once: BootOnce::Grub, entry: "passthru-trial>0".to_owned() };
        let selected =
            selected.map_or(Observed::Absent, |entry| Observed::Present(entry.to_owned()));
        let change = ParameterChange { add: vec![word.to_owned()], remove: Vec::new() };
        let told = Told {
            change: &change,
            selected: Some(("noon", Some(boot_id))),
            judged: judged.map(|verdict| ("one", verdict)),
        };
        let on_trial = OnTrial::new(&trial, &then, (&host, &facts), &selected, told);
        (on_trial.stage, on_trial.text() + " " + on_trial.hint())
    }

    #[test]
    fn what_became_of_a_trial() {
        let own = Some("passthru-trial>0");
        let (old, new) = ("quiet", "passthru.bind=x");
        for (rebooted, word, selected, judged, expected, said) in [
            (false, new, own, None, Stage::Selected, "The next boot starts passthru-trial>0"),
            (false, new, None, None, Stage::Unselected, "is not told to start it"),
            (false, new, Some("other"), None, Stage::Unselected, "`passthru apply` selects it"),
            (true, old, None, None, Stage::Running, "This boot was started from passthru-trial>0"),
            (true, old, None, Some(Verdict::Met), Stage::Running, "`passthru promote` makes it"),
            (
                true,
                new,
                own,
                None,
                Stage::Ignored,
                "another boot loader, or one that does not look",
            ),
            (true, new, None, Some(Verdict::Met), Stage::Passed, "everything held (one)"),
            (true, new, None, Some(Verdict::Unmet), Stage::Failed, "not everything held (one)"),
            (
                true,
                new,
                None,
                Some(Verdict::Unknown),
                Stage::Failed,
                "journalctl -u passthru-verify",
            ),
            (true, new, None, None, Stage::Lost, "GRUB was told at noon to start"),
        ] {
            let (stage, text) = stage(rebooted, word, selected, judged);
            assert_eq!(stage, expected, "{said}");
            assert!(text.contains(said), "{said}: {text}");
        }
    }

    #[test]
    fn what_could_not_be_read_is_not_called_unselected() {
        let root = Sysroot::from_tree(host_tree("z490-arch").unwrap().unwrap());
        let host = Host::read(&root, Probe::No);
        let facts = booted::read(&root, &host);
        let trial = Trial { once: BootOnce::SystemdBoot, entry: "arch-trial.conf".to_owned() };
        let change =
            ParameterChange { add: vec!["passthru.bind=x".to_owned()], remove: Vec::new() };
        let told = Told { change: &change, selected: None, judged: None };
        let hidden = Observed::Unreadable("permission denied".to_owned());
        let on_trial = OnTrial::new(&trial, &Then::default(), (&host, &facts), &hidden, told);
        assert_eq!(on_trial.stage, Stage::Unknown);
    }

    #[test]
    fn a_boot_is_told_by_what_comes_and_by_what_goes() {
        let started = |add: &[&str], remove: &[&str], line: &str| {
            let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
            let change = ParameterChange { add: words(add), remove: words(remove) };
            let told = Told { change: &change, selected: None, judged: None };
            told.started(&Cmdline::parse(line))
        };
        assert!(started(&["a=1"], &["b"], "quiet a=1"));
        assert!(!started(&["a=1"], &["b"], "quiet b a=1"));
        assert!(!started(&["a=1", "c"], &[], "a=1"));
        assert!(started(&[], &["b"], "quiet") && !started(&[], &["b"], "quiet b"));
        assert!(!started(&[], &[], "quiet"), "nothing tells it");
    }
}
