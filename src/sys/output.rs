//! Standard streams, the terminal's width, the environment.

use std::borrow::Cow;
use std::io::{BufRead as _, IsTerminal, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
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

/// There is a person at both ends: a terminal to read from, and one that shows the question.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// One line from standard input; empty at its end.
///
/// # Errors
/// It cannot be read.
pub fn read_answer() -> std::io::Result<String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line)
}

/// An environment variable, where it is set and UTF-8.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The beginning of a file, of at most so many bytes. A FIFO does not hold it up.
///
/// # Errors
/// It cannot be read.
pub fn read_at_most(path: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The first line of a file, of at most so many bytes, with its end. It waits for who writes into a
/// FIFO.
///
/// # Errors
/// It cannot be read.
pub fn first_line(path: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let file = std::fs::File::open(path)?;
    std::io::BufReader::new(file.take(most as u64)).read_until(b'\n', &mut line)?;
    Ok(line)
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
