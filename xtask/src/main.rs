//! The tasks of this project: `cargo xtask` lists them.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the rules for files and processes are those of the program"
)]

mod generate;
mod kernel;
mod lab;
mod packages;
mod steps;
mod test;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask test [--deny-skips]   everything that has to hold before a commit
cargo xtask kernel [WORD]         boot real kernels in QEMU; only the cases with WORD in their name
cargo xtask lab [WORD | --all]    boot whole hosts in QEMU and tell stories of them; takes minutes each
cargo xtask generate [--check]    docs/cli.md and docs/schema; --check only compares";

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["test"] => test::run(test::Skips::Allowed),
        ["test", "--deny-skips"] => test::run(test::Skips::Denied),
        ["kernel"] => kernel::run(""),
        ["kernel", word] => kernel::run(word),
        ["lab"] => lab::run(&lab::Stories::Usual),
        ["lab", "--all"] => lab::run(&lab::Stories::All),
        ["lab", word] => lab::run(&lab::Stories::With(word)),
        ["generate"] => generate::write(),
        ["generate", "--check"] => generate::check(),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("there is no task `{}`\n{USAGE}", args.join(" ")),
    }
}

/// The root of the working tree.
fn project() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}
