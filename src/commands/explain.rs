//! `explain`: the pages of the findings.

use super::{Answer, Global};
use crate::check::pages::{PAGES, page, title};
use crate::error::Error;
use crate::ui::Ui;

/// Print the page of a finding; without a code, list all
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The code, as `check` shows it
    code: Option<String>,
}

/// Prints one page, or the list of all codes.
///
/// # Errors
/// There is no such finding.
pub fn run(args: &Args, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let Some(code) = &args.code else {
        if global.json {
            let all: Vec<_> = PAGES
                .iter()
                .map(|(code, _)| serde_json::json!({"code": code, "title": title(code)}))
                .collect();
            ui.json(&all)?;
        } else {
            let width = PAGES.iter().map(|(code, _)| code.len()).max().unwrap_or(0);
            let lines = PAGES.iter().map(|(code, _)| format!("{code:width$}  {}\n", title(code)));
            ui.answer(&lines.collect::<String>())?;
        }
        return Ok(Answer::Yes);
    };
    let Some(text) = page(code) else {
        return Err(Error::new(format!("there is no finding `{code}`"))
            .hint("`passthru explain` lists all codes."));
    };
    if global.json {
        ui.json(&serde_json::json!({"code": code, "title": title(code), "page": text}))?;
    } else {
        ui.answer(text)?;
    }
    Ok(Answer::Yes)
}
