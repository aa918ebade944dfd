//! Signals that ask the program to stop: they set a flag, and whoever works looks at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Stop requests of this process.
#[derive(Debug, Clone, Default)]
pub struct StopRequest(Arc<AtomicUsize>);

impl StopRequest {
    /// From here on SIGINT, SIGTERM and SIGHUP only set the flag.
    ///
    /// # Errors
    /// The system refuses.
    pub fn watch() -> std::io::Result<Self> {
        let flag = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let value = usize::try_from(signal).unwrap_or(1);
            signal_hook::flag::register_usize(signal, Arc::clone(&flag), value)?;
        }
        Ok(Self(flag))
    }

    /// Name of the signal that came, if one did.
    pub fn came(&self) -> Option<&'static str> {
        match i32::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0) {
            0 => None,
            SIGINT => Some("SIGINT"),
            SIGTERM => Some("SIGTERM"),
            _ => Some("SIGHUP"),
        }
    }
}
