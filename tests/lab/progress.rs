//! Lines about what goes on, as it goes: a story takes minutes.

use std::io::Write as _;
use std::time::Instant;

/// Writes a line, not through print!, which the test runner captures.
pub fn say(line: &str) {
    let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}

/// Does something, and says how long it took.
pub fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    say(&format!("  {:6.1} s  {what}", start.elapsed().as_secs_f64()));
    result
}
