//! The boot menu that GRUB's own tools made.

use super::root::Root;
use crate::tools::Planned;

/// What is wrong with the entries of grub.cfg.
pub fn problems(root: &Root, planned: &Planned) -> Vec<String> {
    let config = "boot/grub/grub.cfg";
    root.run(&["grub-script-check", &format!("/{config}")]);
    let text = std::fs::read_to_string(root.path.join(config)).expect("update-grub wrote it");
    let lines = text.lines().map(str::split_whitespace).map(Iterator::collect::<Vec<_>>);
    let entries: Vec<Vec<&str>> = lines.filter(|words| words.first() == Some(&"linux")).collect();
    // 10_linux gives recovery entries this word, and not GRUB_CMDLINE_LINUX_DEFAULT.
    let (recovery, normal): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|words| words.contains(&"single"));
    let mut problems = Vec::new();
    if normal.is_empty() || recovery.is_empty() {
        problems.push(format!("{} normal and {} recovery entries", normal.len(), recovery.len()));
    }
    for word in planned.words("/kernel_parameters/add") {
        let count = |words: &Vec<&str>| words.iter().filter(|other| **other == word).count();
        if normal.iter().any(|words| count(words) != 1) {
            problems.push(format!("{word} is not in every normal entry once"));
        }
        if recovery.iter().any(|words| count(words) != 0) {
            problems.push(format!("{word} is in a recovery entry"));
        }
    }
    problems
}
