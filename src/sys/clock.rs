//! The time, for people: nothing is decided by it, so a clock that runs backwards does no harm.

/// Now, as RFC 3339 has it, in whole seconds of UTC.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Waits.
pub fn pause(time: std::time::Duration) {
    std::thread::sleep(time);
}

/// Time that passes.
#[derive(Debug)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// From now on.
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Since the start.
    pub fn milliseconds(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
