//! Whole hosts in QEMU: the stories of `tests/lab`, one at a time, whose lines are shown as they
//! come.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::packages;
use crate::project;
use crate::steps::{cargo, output, step};
use crate::test::{retried_in, skipped_in};

const TEST: [&str; 4] = ["test", "--quiet", "--test", "lab"];

/// Run before every commit: one whole story for each boot loader and each generator of images,
/// and a trial boot that hangs.
const USUAL: [&str; 2] = ["stories::guide::", "stories::trial::grub"];

/// Which stories to run.
pub enum Stories<'a> {
    Usual,
    With(&'a str),
    All,
}

/// What became of them.
pub struct Told {
    /// Names of those that failed.
    pub failed: Vec<String>,
    /// Reasons of those that did not look, one each.
    pub skipped: Vec<String>,
    /// Reasons of those that looked twice, one each.
    pub retried: Vec<String>,
}

/// The task of its own: packages, then stories.
pub fn run(which: &Stories<'_>) -> Result<()> {
    let start = Instant::now();
    step("packages", packages::provide);
    let told = tell(which)?;
    for reason in &told.skipped {
        println!("SKIPPED: {reason}");
    }
    for reason in &told.retried {
        println!("Retried: {reason}");
    }
    println!("{:.0} s in all.", start.elapsed().as_secs_f64());
    if !told.failed.is_empty() {
        bail!("failed: {}", told.failed.join(", "));
    }
    Ok(())
}

/// Runs stories, the later ones too where one fails, and says which were not run.
pub fn tell(which: &Stories<'_>) -> Result<Told> {
    let list = output(cargo(&TEST).args(["--", "--ignored", "--list"]))?;
    if !list.success {
        bail!("cannot build the stories\n{}", list.text);
    }
    let names: Vec<&str> =
        list.text.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let wanted = |name: &&str| match which {
        Stories::Usual => USUAL.iter().any(|usual| name.starts_with(usual)),
        Stories::With(word) => name.contains(word),
        Stories::All => true,
    };
    let (run, left): (Vec<&str>, Vec<&str>) = names.into_iter().partition(wanted);
    if run.is_empty() {
        bail!("there is no such story");
    }
    let mut told = Told { failed: Vec::new(), skipped: Vec::new(), retried: Vec::new() };
    for name in run {
        let start = Instant::now();
        println!("{}", short(name));
        let (success, text) = one(name)?;
        told.skipped.extend(skipped_in(&text).into_keys());
        told.retried.extend(retried_in(&text).into_keys());
        let word = if success { "ok" } else { "FAILED" };
        println!("  {:6.1} s  {word}: {}", start.elapsed().as_secs_f64(), short(name));
        if !success {
            told.failed.push(name.to_owned());
        }
    }
    if !left.is_empty() {
        let left: Vec<&str> = left.into_iter().map(short).collect();
        println!("Not run (cargo xtask lab --all runs them): {}", left.join(", "));
    }
    Ok(told)
}

fn short(name: &str) -> &str {
    name.strip_prefix("stories::").unwrap_or(name)
}

/// Runs one story and shows what it says while it says it.
fn one(name: &str) -> Result<(bool, String)> {
    let mut command = cargo(&TEST);
    command.args(["--", "--ignored", "--exact", name]).current_dir(project());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let mut text = String::new();
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let line = line.context("cannot read what the story says")?;
        if !of_runner(&line) {
            println!("{line}");
        }
        text.push_str(&line);
        text.push('\n');
    }
    Ok((child.wait()?.success(), text))
}

/// The test runner says this, and not the story.
fn of_runner(line: &str) -> bool {
    let lines = ["", ".", "running 1 test"];
    lines.contains(&line)
        || line.starts_with("test result: ok")
        || line.ends_with("has been running for over 60 seconds")
}
