//! `recover`: end what a crash left unfinished, and nothing else.

use super::session::Session;
use super::{Answer, Global};
use crate::document::RecoverDocument;
use crate::error::Error;
use crate::transaction::{DIR, Held};
use crate::ui::Ui;

/// Take back what a crash or a power cut left half done
///
/// Every writing verb does this first; this one does nothing else.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stop a program that is not done after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    deadline: u64,
}

/// Recovers, and says what was found.
///
/// # Errors
/// A transaction cannot be read, or the disk refuses.
pub fn run(args: &Args, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let session = Session::open(global, ui, args.deadline)?;
    let recovered = match session.disk.meta(DIR)? {
        None => Vec::new(),
        Some(_) => session.recover(&Held::take(&session.disk)?)?,
    };
    let document = RecoverDocument::of(&recovered);
    if global.json {
        ui.json(&document)?;
    } else {
        ui.answer(&crate::ui::apply::recover(&recovered))?;
    }
    Ok(Answer::Yes)
}
