//! The program: see the library.

fn main() -> std::process::ExitCode {
    passthru::run(std::env::args_os())
}
