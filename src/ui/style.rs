//! Layout helpers: tones, wrapping, tree lines.

use anstyle::{AnsiColor, Style};

/// How much room there is, and how much to show.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Columns.
    pub width: usize,
    /// Line-drawing characters can be shown.
    pub lines: bool,
    /// Show everything.
    pub verbose: bool,
}

/// What a piece of text is; colour only ever repeats what the words say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A heading.
    Heading,
    /// Something in the way, or a removed line.
    Bad,
    /// A warning.
    Caution,
    /// Good, or an added line.
    Good,
    /// Less important.
    Faint,
}

impl Tone {
    /// The text in this tone.
    pub fn paint(self, text: &str) -> String {
        let color = |color: AnsiColor| Style::new().fg_color(Some(color.into()));
        let style = match self {
            Self::Heading => Style::new().bold(),
            Self::Bad => color(AnsiColor::Red),
            Self::Caution => color(AnsiColor::Yellow),
            Self::Good => color(AnsiColor::Green),
            Self::Faint => Style::new().dimmed(),
        };
        format!("{style}{text}{style:#}")
    }
}

impl Page {
    /// Text wrapped at words, every line indented.
    pub fn wrap(&self, text: &str, indent: usize) -> String {
        let room = self.width.saturating_sub(indent).max(20);
        let pad = " ".repeat(indent);
        let mut out = String::new();
        let mut column = 0;
        for word in text.split_whitespace() {
            let length = word.chars().count();
            if column > 0 && column + 1 + length > room {
                out.push('\n');
                column = 0;
            }
            out.push_str(if column == 0 { &pad } else { " " });
            out.push_str(word);
            column += length + usize::from(column > 0);
        }
        out.push('\n');
        out
    }

    /// Text cut to a width, with a mark where something is missing.
    pub fn fit(&self, text: &str, width: usize) -> String {
        if text.chars().count() <= width {
            return text.to_owned();
        }
        let mark = if self.lines { "…" } else { "..." };
        let keep = width.saturating_sub(mark.chars().count());
        text.chars().take(keep).chain(mark.chars()).collect()
    }
}
