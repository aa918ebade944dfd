//! What the machine says itself that it is meant to give away.

use super::{Host, Observed};
pub use crate::config::intent::{Intent, IntentError};

/// The file, without leading slash.
pub const INTENT: &str = "etc/passthru.toml";

/// Reads it.
pub fn read(host: &Host) -> Observed<Result<Intent, IntentError>> {
    host.files.get(INTENT).map(|file| Intent::parse(&file.text))
}
