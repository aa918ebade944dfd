//! Running programs as steps: one line each, with its time, and the output where it failed.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::project;

/// What a step printed.
pub struct Output {
    /// It ended well.
    pub success: bool,
    /// Its standard output and standard error, one after the other.
    pub text: String,
}

/// A cargo command in the working tree.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// Runs a command without input and keeps what it prints.
pub fn output(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .current_dir(project())
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{name}`"))?;
    let text = [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned());
    Ok(Output { success: output.status.success(), text: text.concat() })
}

/// Does one step, prints its line, and says whether it ended well.
pub fn step(name: &str, work: impl FnOnce() -> Result<Output>) -> bool {
    print!("{name:<14}");
    let _ = std::io::stdout().flush();
    let start = Instant::now();
    let result = work();
    let seconds = start.elapsed().as_secs_f64();
    let (word, text) = match &result {
        Ok(output) if output.success => ("ok", None),
        Ok(output) => ("FAILED", Some(output.text.clone())),
        Err(error) => ("FAILED", Some(format!("{error:#}"))),
    };
    println!("{word:<7}{seconds:6.1} s");
    if let Some(text) = text {
        println!("{}\n", text.trim_end());
    }
    word == "ok"
}
