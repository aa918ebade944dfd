//! Real kernels in QEMU: `tests/kernel`, one case at a time, with its time.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::packages;
use crate::steps::{cargo, output, step};
use crate::test::{retried_in, skipped_in};

const TEST: [&str; 4] = ["test", "--quiet", "--test", "kernel"];

/// Runs the cases with this word in their name, the later ones too where one fails.
pub fn run(word: &str) -> Result<()> {
    let start = Instant::now();
    let mut failed = Vec::new();
    if !step("packages", packages::provide) {
        failed.push("packages".to_owned());
    }
    let mut built = None;
    step("build", || {
        let list = output(cargo(&TEST).args(["--", "--list"]))?;
        built = list.success.then(|| list.text.clone());
        Ok(list)
    });
    let Some(list) = built else { bail!("failed: build") };
    let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
    let names: Vec<&str> = names.filter(|name| name.contains(word)).collect();
    if names.is_empty() {
        bail!("no case has `{word}` in its name");
    }
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    for name in names {
        let mut told = Vec::new();
        let ok = step(&format!("{name:<width$} "), || {
            let case = output(cargo(&TEST).args(["--", "--exact", name, "--show-output"]))?;
            told.extend(skipped_in(&case.text).into_keys().map(|why| format!("SKIPPED: {why}")));
            told.extend(retried_in(&case.text).into_keys().map(|why| format!("RETRIED: {why}")));
            Ok(case)
        });
        if !ok {
            failed.push(name.to_owned());
        }
        for line in told {
            println!("  {line}");
        }
    }
    println!("{:.0} s in all.", start.elapsed().as_secs_f64());
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}
