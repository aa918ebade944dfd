//! Standard streams, the terminal's width, the environment.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::path::Path;

use anstream::stream::RawStream;

/// Writes the answer to standard output in one piece, with or without its styles.
///
/// # Errors
/// Whatever the stream says; a closed pipe is [`std::io::ErrorKind::BrokenPipe`].
pub fn write_stdout(text: &str, styles: anstream::ColorChoice) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let text = styled(text, styles, &out);
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a message to standard error; a failure there has nowhere to be told.
pub fn write_stderr(text: &str, styles: anstream::ColorChoice) {
    let mut out = std::io::stderr().lock();
    let text = styled(text, styles, &out);
    let _ = out.write_all(text.as_bytes());
}

fn styled<'a>(
    text: &'a str,
    styles: anstream::ColorChoice,
    stream: &impl RawStream,
) -> Cow<'a, str> {
    let choice = match styles {
        anstream::ColorChoice::Auto => anstream::AutoStream::choice(stream),
        other => other,
    };
    if choice == anstream::ColorChoice::Never {
        Cow::Owned(anstream::adapter::strip_str(text).to_string())
    } else {
        Cow::Borrowed(text)
    }
}

/// Columns of the terminal on standard output; `None` where it is no terminal.
pub fn stdout_width() -> Option<usize> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(out).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// An environment variable, where it is set and UTF-8.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Writes a new file; an existing one is never replaced.
///
/// # Errors
/// The file exists, or its directory cannot be written.
pub fn create_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
