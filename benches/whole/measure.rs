//! Timing whole processes.

use std::process::{Command, Stdio};
use std::time::Instant;

/// A program with its arguments.
pub struct Contender {
    /// What the table calls it.
    pub name: &'static str,
    program: String,
    args: Vec<String>,
}

impl Contender {
    /// One command.
    pub fn new(name: &'static str, program: &str, args: &[&str]) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self { name, program: program.to_owned(), args }
    }

    fn seconds(&self) -> f64 {
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let status = command.status().unwrap_or_else(|error| panic!("{}: {error}", self.program));
        let seconds = start.elapsed().as_secs_f64();
        assert!(status.success(), "{} {:?} failed", self.program, self.args);
        seconds
    }
}

/// Seconds of each, the median of so many rounds after one that does not count.
pub fn medians(contenders: &[Contender], rounds: usize) -> Vec<f64> {
    for contender in contenders {
        contender.seconds();
    }
    let mut times = vec![Vec::new(); contenders.len()];
    for _ in 0..rounds {
        for (contender, times) in contenders.iter().zip(&mut times) {
            times.push(contender.seconds());
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    times.into_iter().map(median).collect()
}

/// Whether a program can be started.
pub fn available(program: &str) -> bool {
    let quiet = |mut command: Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()
    };
    let mut command = Command::new(program);
    command.arg("--version");
    quiet(command).is_ok()
}

/// Whether `lspci -k` finds the modules of the running kernel.
pub fn lspci_knows_modules() -> bool {
    let output = Command::new("lspci").arg("-k").stdin(Stdio::null()).output();
    output.is_ok_and(|output| !String::from_utf8_lossy(&output.stderr).contains("libkmod"))
}

/// The largest resident size, as GNU time tells it.
pub fn peak_memory_kib(command: &Command) -> Option<u64> {
    let mut time = Command::new("/usr/bin/time");
    time.args(["-f", "%M"]).arg(command.get_program()).args(command.get_args());
    let output = time.stdin(Stdio::null()).stdout(Stdio::null()).output().ok()?;
    String::from_utf8_lossy(&output.stderr).trim().lines().last()?.parse().ok()
}
