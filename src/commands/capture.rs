//! `capture`: the machine as one text file.

use std::path::PathBuf;

use super::{Answer, Global};
use crate::capture::capture;
use crate::error::Error;
use crate::host::rom::Probe;
use crate::sys::create_new;
use crate::ui::Ui;

/// Write this machine as one text file, with private data masked
///
/// The file holds everything that passthru looked at and nothing else. It can be read before it
/// is given away, and be used as --root anywhere.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write it to a new file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Make it as real files below a new directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    unpack: Option<PathBuf>,
    /// Read option ROMs too, which touches the cards (root only)
    #[arg(long)]
    probe: bool,
}

/// Writes the machine as one text file, or as real files.
///
/// # Errors
/// The root or the named file cannot be used.
pub fn run(args: &Args, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let root = global.open_root()?;
    let tree = match root.tree() {
        Some(tree) if args.unpack.is_some() => tree.clone(),
        _ => capture(&root, if args.probe { Probe::Yes } else { Probe::No }),
    };
    if let Some(dir) = &args.unpack {
        tree.lay_out(dir).map_err(|error| {
            Error::because(format!("cannot make the machine below {}", dir.display()), &error)
                .hint("Name a directory that does not exist yet, where you may write.")
        })?;
        return Ok(Answer::Yes);
    }
    let text = tree.render();
    if global.json {
        ui.json(&serde_json::json!({"schema": {"name": "capture", "version": 1}, "tree": text}))?;
    } else if let Some(path) = &args.out {
        create_new(path, text.as_bytes()).map_err(|error| {
            Error::because(format!("cannot write the capture to {}", path.display()), &error)
                .hint("Name a file that does not exist yet, in a directory that you may write.")
        })?;
        ui.status(&format!(
            "The capture is in {}. Read it before you give it away.",
            path.display()
        ));
    } else {
        ui.answer(&text)?;
    }
    Ok(Answer::Yes)
}
