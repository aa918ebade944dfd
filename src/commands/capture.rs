use super::Answer;
use crate::cli::Global;
use crate::error::Error;
use crate::ui::Ui;

/// Write this machine as one text file, with private data masked
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: &Args, _global: &Global, _ui: &Ui) -> Result<Answer, Error> {
    Err(Error::new("capture"))
}
