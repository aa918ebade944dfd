//! Everything that has to hold before a commit; what CI runs.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::steps::{Output, cargo, output, step};
use crate::{generate, lab, packages};

/// Begins the line with which a test says that it did not look, and why.
const SKIPPED: &str = "SKIPPED: ";
/// Begins the line with which a test says that it looked twice, and why.
const RETRIED: &str = "RETRIED: ";

/// What a skipped test means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Skips {
    /// It is told at the end.
    Allowed,
    /// It is a failure.
    Denied,
}

/// Runs all steps, the later ones too where one fails.
pub fn run(skips: Skips) -> Result<()> {
    let start = Instant::now();
    let mut failed = Vec::new();
    let mut skipped = BTreeMap::new();
    let mut retried = BTreeMap::new();
    let mut go = |name: &'static str, work: &mut dyn FnMut() -> Result<Output>| {
        if !step(name, work) {
            failed.push(name);
        }
    };
    go("packages", &mut || {
        let packages = packages::provide()?;
        if !packages.text.is_empty() && packages.success {
            print!("\n{}\n{:14}", packages.text.trim_end(), "");
        }
        Ok(packages)
    });
    go("format", &mut || {
        component("fmt", "rustfmt")?;
        output(&mut cargo(&["fmt", "--all", "--check"]))
    });
    go("lints", &mut || {
        component("clippy", "clippy")?;
        let args = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
        output(&mut cargo(&args))
    });
    go("tests", &mut || {
        let tests = output(&mut cargo(&["test", "--workspace", "--", "--show-output"]))?;
        skipped = skipped_in(&tests.text);
        retried = retried_in(&tests.text);
        Ok(Output { text: without_successes(&tests.text), ..tests })
    });
    go("documentation", &mut || {
        let args = ["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"];
        // The pages are for those who work on the program: private items are in them.
        let flags = "-D warnings -A rustdoc::private-intra-doc-links";
        output(cargo(&args).env("RUSTDOCFLAGS", flags))
    });
    go("generated", &mut || {
        generate::check()?;
        Ok(Output { success: true, text: String::new() })
    });
    println!("lab");
    match lab::tell(&lab::Stories::Usual) {
        Ok(told) => {
            if !told.failed.is_empty() {
                failed.push("lab");
            }
            for (all, told) in [(&mut skipped, told.skipped), (&mut retried, told.retried)] {
                told.into_iter().for_each(|reason| *all.entry(reason).or_default() += 1);
            }
        }
        Err(error) => {
            println!("{error:#}");
            failed.push("lab");
        }
    }
    let count: usize = skipped.values().sum();
    if count == 0 {
        println!("\nNo test was skipped.");
    } else {
        println!("\nSkipped {count}, for these reasons:");
        for (reason, count) in &skipped {
            println!("  {count} x {reason}");
        }
    }
    for (reason, count) in &retried {
        println!("Retried, {count} x {reason}");
    }
    println!("{:.0} s in all.", start.elapsed().as_secs_f64());
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    if skips == Skips::Denied && count > 0 {
        bail!("tests were skipped, and --deny-skips was given");
    }
    Ok(())
}

/// Fails with the way out where rustup left a component out.
fn component(command: &str, component: &str) -> Result<()> {
    match output(&mut cargo(&[command, "--version"])) {
        Ok(version) if version.success => Ok(()),
        _ => bail!("`cargo {command}` is missing; get it with: rustup component add {component}"),
    }
}

/// Reasons that tests gave for not looking, and how often.
pub fn skipped_in(text: &str) -> BTreeMap<String, usize> {
    told_in(text, SKIPPED)
}

/// Reasons that tests gave for looking twice, and how often.
pub fn retried_in(text: &str) -> BTreeMap<String, usize> {
    told_in(text, RETRIED)
}

fn told_in(text: &str, mark: &str) -> BTreeMap<String, usize> {
    let mut reasons = BTreeMap::new();
    // A test that shares its line with the harness's own word is seen as well.
    for line in text.lines() {
        if let Some((_, reason)) = line.split_once(mark) {
            *reasons.entry(reason.trim().to_owned()).or_default() += 1;
        }
    }
    reasons
}

/// Leaves out what tests printed that passed.
fn without_successes(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in text.lines() {
        inside = match line {
            "successes:" => true,
            "failures:" => false,
            line if line.starts_with("test result:") => false,
            _ => inside,
        };
        if !inside {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted() {
        let text = "test a ... SKIPPED: no dracut\nok\nSKIPPED: no dracut \nx\nSKIPPED: no pacman\nRETRIED: slow\n";
        let want = [("no dracut".to_owned(), 2), ("no pacman".to_owned(), 1)];
        assert_eq!(skipped_in(text), BTreeMap::from(want));
        assert_eq!(retried_in(text), BTreeMap::from([("slow".to_owned(), 1)]));
    }

    #[test]
    fn failures_are_kept() {
        let text = "test a ... ok\nsuccesses:\n---- a\nwords\nfailures:\n---- b\ntest result: no\n";
        assert_eq!(without_successes(text), "test a ... ok\nfailures:\n---- b\ntest result: no\n");
    }
}
