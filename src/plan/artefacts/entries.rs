//! Whether the entries of the boot menu have the words that they must have.

use super::{Artefacts, MENU, Problem, problem};
use crate::config::cmdline::Parameter;
use crate::host::menu::MenuEntry;
use crate::host::once::{GRUB_TRIAL, TRIAL_SUFFIX};
use crate::host::selected::{BIND, IDS};

/// An entry that starts the system as every day. Recovery entries, those that passthru keeps
/// for the way back, and what people keep for bad days stay as they are.
pub fn is_normal(entry: &MenuEntry) -> bool {
    let title = entry.title.to_lowercase();
    let own = ["before passthru", "without passthru", "passthru, on trial"];
    let kept = ["fallback", "rescue", "recovery"];
    // In grub.cfg the file says nothing about one entry of it.
    let file = entry.place.rsplit('/').next().filter(|name| name.ends_with(".conf"));
    let file = file.unwrap_or_default().to_lowercase();
    // Words and ids are those of grub-mkconfig's 10_linux, whose titles are translated.
    let id = entry.id.as_deref().unwrap_or_default();
    let recovery = entry.words.iter().any(|word| word == "single" || word == "recovery")
        || ["-recovery-", "-fallback-"].iter().any(|mark| id.contains(mark));
    !recovery
        && !entry.section.as_deref().is_some_and(|section| section.contains("passthru"))
        && !own.iter().chain(&kept).any(|mark| title.contains(mark))
        && !kept.iter().any(|mark| file.contains(mark))
}

/// An entry that is started once, before its words go into the normal ones.
pub fn is_trial(entry: &MenuEntry) -> bool {
    let id = entry.id.as_deref().unwrap_or_default();
    let own = entry.section.as_deref().is_some_and(|section| section.contains("passthru"));
    let file = entry.place.ends_with(".conf");
    (own && id.starts_with(GRUB_TRIAL)) || (file && id.ends_with(TRIAL_SUFFIX))
}

/// Everything that is wrong with the entries.
pub fn problems(wanted: &Artefacts, entries: &[MenuEntry]) -> Vec<Problem> {
    let normal: Vec<&MenuEntry> = entries.iter().filter(|entry| is_normal(entry)).collect();
    let place = entries.first().map_or(MENU, |entry| entry.place.as_str());
    let mut problems = Vec::new();
    if normal.is_empty() {
        let text = "No entry starts this system as every day";
        problems.push(problem(place, format!("{text}; there are {}.", titles(entries))));
    }
    for release in &wanted.kernels {
        if !normal.iter().any(|entry| entry.release() == Some(release)) {
            let text = "No entry starts this kernel, which is installed";
            problems.push(problem(place, format!("{text}: {release}.")));
        }
    }
    for entry in &normal {
        problems.extend(of_entry(wanted, entry));
    }
    problems.extend(on_trial(wanted, entries, place));
    for entry in entries {
        for word in wanted.nowhere.iter().filter(|word| entry.words.contains(word)) {
            let text = "still has a word that was to go";
            problems.push(problem(&entry.place, format!("{} {text}: {word}.", named(entry))));
        }
    }
    problems.extend(no_way_back(wanted, entries).map(|text| problem(place, text)));
    problems
}

/// What is tried stands in entries of its own, and nowhere else.
fn on_trial(wanted: &Artefacts, entries: &[MenuEntry], place: &str) -> Vec<Problem> {
    if wanted.trial.is_empty() {
        return Vec::new();
    }
    let mut problems = Vec::new();
    if !entries.iter().any(is_trial) {
        let text = "No entry is there to be tried";
        problems.push(problem(place, format!("{text}; there are {}.", titles(entries))));
    }
    for entry in entries.iter().filter(|entry| is_trial(entry)) {
        problems.extend(has_words(&wanted.trial, entry));
    }
    for entry in entries.iter().filter(|entry| is_normal(entry)) {
        for word in wanted.ours.iter().filter(|word| entry.words.contains(word)) {
            let text = "has a word that is to be tried first";
            problems.push(problem(&entry.place, format!("{} {text}: {word}.", named(entry))));
        }
    }
    problems
}

fn of_entry(wanted: &Artefacts, entry: &MenuEntry) -> Vec<Problem> {
    let mut problems = has_words(&wanted.words, entry);
    for word in wanted.removed.iter().filter(|word| entry.words.contains(word)) {
        let text = format!("{} still has a word that was to go: {word}.", named(entry));
        problems.push(problem(&entry.place, text));
    }
    problems
}

/// Words that an entry must have, the last one counting.
fn has_words(words: &[String], entry: &MenuEntry) -> Vec<Problem> {
    let mut problems = Vec::new();
    for word in words {
        if !entry.words.contains(word) {
            let found = entry.words.join(" ");
            problems.push(format!("{} must have {word}, and has: {found}.", named(entry)));
        } else if let Some(other) = replaced_by(word, entry) {
            problems.push(format!(
                "{} must be started with {word}, and a later word takes its place: {other}.",
                named(entry)
            ));
        }
    }
    problems.into_iter().map(|text| problem(&entry.place, text)).collect()
}

/// Of the words that select a card the last one counts, for vfio-pci (kernel/params.c) and for
/// our script.
fn replaced_by<'a>(word: &str, entry: &'a MenuEntry) -> Option<&'a str> {
    let own = Parameter::parse(word);
    let key = [IDS, BIND].into_iter().find(|key| own.is(key))?;
    let last = entry.words.iter().rfind(|other| Parameter::parse(other).is(key))?;
    (last != word).then_some(last)
}

/// Where all entries changed, nothing starts the machine as it was.
fn no_way_back(wanted: &Artefacts, entries: &[MenuEntry]) -> Option<String> {
    let as_before = |entry: &MenuEntry| !wanted.ours.iter().any(|word| entry.words.contains(word));
    if wanted.ours.is_empty() || entries.iter().any(as_before) {
        return None;
    }
    let words = wanted.ours.join(" ");
    Some(format!(
        "No entry is left that starts the machine as it was, without any of {words}; there are {}.",
        titles(entries)
    ))
}

fn named(entry: &MenuEntry) -> String {
    format!("The entry \"{}\"", entry.title)
}

fn titles(entries: &[MenuEntry]) -> String {
    if entries.is_empty() {
        return "none at all".to_owned();
    }
    let titles = entries.iter().map(|entry| format!("\"{}\"", entry.title));
    titles.collect::<Vec<_>>().join(", ")
}
