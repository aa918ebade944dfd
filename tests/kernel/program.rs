//! passthru, linked statically, and the programs of the system that build what a guest boots.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// As users get it: optimized, which an emulated processor needs too, and linked statically, since
/// the image has no libraries but those of busybox and kmod.
pub fn static_program() -> PathBuf {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("static");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--release", "--bin", "passthru", "--target", TARGET]);
    cargo.arg("--target-dir").arg(&dir).current_dir(env!("CARGO_MANIFEST_DIR"));
    // Cargo prefers the encoded form, which a surrounding cargo may have set.
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
    run(&mut cargo);
    dir.join(TARGET).join("release/passthru")
}

/// Copies a file, making its directories.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a parent")).expect("directories");
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// Where a program is; administrators' directories count for everyone.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    dirs.map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// Standard output of a command that must succeed.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
