//! Files that are made from the program itself.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::project;

/// Columns of the help texts in docs/cli.md: what the program takes where it has no terminal.
const WIDTH: usize = 100;

/// Writes every generated file that differs.
pub fn write() -> Result<()> {
    for (path, text) in files()? {
        let to = project().join(&path);
        if fs::read_to_string(&to).is_ok_and(|old| old == text) {
            continue;
        }
        if let Some(dir) = to.parent() {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
        println!("wrote {path}");
    }
    Ok(())
}

/// Fails where a generated file is not what it would be now.
pub fn check() -> Result<()> {
    let stale: Vec<String> = files()?
        .into_iter()
        .filter(|(path, text)| {
            !fs::read_to_string(project().join(path)).is_ok_and(|old| old == *text)
        })
        .map(|(path, _)| path)
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    bail!("not up to date: {}\nRun `cargo xtask generate` and commit the result.", stale.join(", "))
}

/// Path and text of every generated file.
fn files() -> Result<Vec<(String, String)>> {
    let mut all = vec![("docs/cli.md".to_owned(), cli())];
    for (name, schema) in passthru::docs::schemas() {
        let text = serde_json::to_string_pretty(&schema)
            .with_context(|| format!("cannot write the schema of {name}"))?;
        all.push((format!("docs/schema/{name}.json"), text + "\n"));
    }
    Ok(all)
}

fn cli() -> String {
    let mut out = String::from(
        "# Command line\n\nMade by `cargo xtask generate` from the program's own help.\n",
    );
    let mut command = passthru::docs::command();
    command.build();
    sections(&mut out, &command, "passthru");
    out
}

/// A command, then those below it.
fn sections(out: &mut String, command: &clap::Command, name: &str) {
    section(out, &mut command.clone().term_width(WIDTH), name);
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        sections(out, verb, &format!("{name} {}", verb.get_name()));
    }
}

fn section(out: &mut String, command: &mut clap::Command, name: &str) {
    let help = command.render_long_help().to_string();
    let _ = write!(out, "\n## {name}\n\n```text\n");
    for line in help.trim_end().lines() {
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out.push_str("```\n");
}
