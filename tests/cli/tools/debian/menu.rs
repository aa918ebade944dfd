//! The boot menu that GRUB's own tools made.

use std::collections::BTreeSet;

use super::root::Root;
use crate::tools::Planned;

const CONFIG: &str = "boot/grub/grub.cfg";
const OWN: &str = "etc/grub.d/42_passthru";

/// What is wrong with the entries of grub.cfg.
pub fn problems(root: &Root, planned: &Planned) -> Vec<String> {
    root.run(&["grub-script-check", &format!("/{CONFIG}")]);
    let text = std::fs::read_to_string(root.path.join(CONFIG)).expect("update-grub wrote it");
    let (others, own) = split(&text);
    let entries = linux_lines(&others);
    // 10_linux gives recovery entries this word, and not GRUB_CMDLINE_LINUX_DEFAULT.
    let (recovery, normal): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|words| words.contains(&"single"));
    let stock = linux_lines(&own);
    let mut problems = Vec::new();
    if normal.is_empty() || recovery.is_empty() == stock.is_empty() {
        problems.push(format!(
            "{} normal, {} recovery and {} stock entries",
            normal.len(),
            recovery.len(),
            stock.len()
        ));
    }
    for word in planned.words("/kernel_parameters/add") {
        let count = |words: &Vec<&str>| words.iter().filter(|other| **other == word).count();
        if normal.iter().any(|words| count(words) != 1) {
            problems.push(format!("{word} is not in every normal entry once"));
        }
        if recovery.iter().chain(&stock).any(|words| count(words) != 0) {
            problems.push(format!("{word} is in an entry that is to stay as it was"));
        }
    }
    if !own.is_empty() {
        problems.extend(beside_the_others(root, &others, &own));
    }
    problems
}

/// What 42_passthru printed, and the rest.
fn split(text: &str) -> (String, String) {
    let (begin, end) = (format!("### BEGIN /{OWN} ###\n"), format!("### END /{OWN} ###\n"));
    match text.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?)))
    {
        Some((before, (own, after))) => {
            (format!("{}{after}", before.trim_end_matches('\n')), own.to_owned())
        }
        None => (text.to_owned(), String::new()),
    }
}

fn linux_lines(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().map(str::split_whitespace).map(Iterator::collect::<Vec<_>>);
    lines.filter(|words| words.first() == Some(&"linux")).collect()
}

/// Our entries change nothing about the others: these are as without our script, no id occurs
/// twice, and nothing is saved as the default.
fn beside_the_others(root: &Root, others: &str, own: &str) -> Vec<String> {
    let mut problems = Vec::new();
    root.set_mode(OWN, 0o644);
    let without = root.run(&["grub-mkconfig"]);
    root.set_mode(OWN, 0o755);
    let squeezed = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    if squeezed(&without) != squeezed(others) {
        problems.push("the other entries are not as without our script".to_owned());
    }
    let ids = |text: &str| -> Vec<String> {
        let id = |line: &str| {
            let rest = ["$menuentry_id_option '", "--id "]
                .iter()
                .find_map(|option| line.split_once(option).map(|(_, rest)| rest.to_owned()))?;
            Some(rest.split(['\'', ' ']).next()?.to_owned())
        };
        text.lines().filter(|line| line.contains("menu")).filter_map(id).collect()
    };
    let (theirs, ours) = (ids(others), ids(own));
    let all: BTreeSet<&String> = theirs.iter().chain(&ours).collect();
    if theirs.is_empty() || ours.len() < 2 || all.len() != theirs.len() + ours.len() {
        problems.push(format!("ids: {theirs:?} {ours:?}"));
    }
    if ours.first().is_none_or(|id| id != "passthru-stock") || !own.starts_with("submenu ") {
        problems.push(format!("no submenu: {own}"));
    }
    if own.contains("savedefault") || own.contains("set default") {
        problems.push(format!("it changes the default: {own}"));
    }
    problems
}
