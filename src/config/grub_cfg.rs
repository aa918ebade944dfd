//! A generated grub.cfg: which entries the menu has, and what each hands to the kernel.
//!
//! Words, quotes and comments are read as GRUB's own lexer does (grub-core/script/yylex.l);
//! variables are not expanded and stand in words as they are written. A text that ends inside
//! something is refused: what is left of it would look like a small menu.

mod lexer;

use super::NotUnderstood;
use lexer::{Token, Word, tokens};

/// One `linux` command of the menu, with the entry that it stands in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Title of the menu entry.
    pub title: String,
    /// Its id, where it has one.
    pub id: Option<String>,
    /// Titles of the submenus around it, the outermost first.
    pub submenus: Vec<String>,
    /// Name of the script that wrote it: `10_linux`.
    pub section: Option<String>,
    /// File of the kernel, as written.
    pub linux: String,
    /// What follows the file, each as GRUB passes it on.
    pub words: Vec<String>,
    /// Files of the initramfs, as written.
    pub initrds: Vec<String>,
    /// Line of the `linux` command, from 1.
    pub line: usize,
}

/// Every `linux` command inside a menu entry, in order. An entry with several, in branches of
/// an `if`, is there several times; one without is left out.
///
/// # Errors
/// Something in it has no end, or ends without having begun, as in a text that is cut off.
pub fn parse(text: &str) -> Result<Vec<Entry>, NotUnderstood> {
    let mut menu = Menu { text, open: Vec::new(), section: None, entries: Vec::new() };
    let mut command: Vec<Word> = Vec::new();
    for (at, token) in tokens(text)? {
        match token {
            Token::Word(word) => {
                command.push(word);
                menu.keyword(&mut command, at)?;
            }
            Token::Open => menu.open(std::mem::take(&mut command), at),
            Token::Close => {
                menu.end(std::mem::take(&mut command))?;
                menu.close(at, |open| matches!(open, Open::Block | Open::Menu { .. }))?;
            }
            Token::End => menu.end(std::mem::take(&mut command))?,
            Token::Comment(comment) => menu.comment(&comment, at)?,
        }
    }
    menu.end(command)?;
    menu.finish()
}

/// What has begun and not ended.
enum Open {
    Block,
    Menu { title: String, id: Option<String>, entry: bool, first: usize },
    If,
    Loop,
}

struct Menu<'a> {
    text: &'a str,
    open: Vec<(usize, Open)>,
    section: Option<(usize, String)>,
    entries: Vec<Entry>,
}

impl Menu<'_> {
    fn refuse(&self, at: usize, reason: &'static str) -> NotUnderstood {
        NotUnderstood::at(self.text, at, reason)
    }

    /// A reserved word in the place of a command; the next word is a command again.
    fn keyword(&mut self, command: &mut Vec<Word>, at: usize) -> Result<(), NotUnderstood> {
        let [word] = command.as_slice() else { return Ok(()) };
        if word.quoted {
            return Ok(());
        }
        match word.text.as_str() {
            "if" => self.open.push((at, Open::If)),
            // `for` has a name and words behind it, which are none of ours.
            "while" | "until" | "for" => self.open.push((at, Open::Loop)),
            "fi" => self.close(at, |open| matches!(open, Open::If))?,
            "done" => self.close(at, |open| matches!(open, Open::Loop))?,
            "then" | "else" | "elif" | "do" => {}
            _ => return Ok(()),
        }
        command.clear();
        Ok(())
    }

    fn open(&mut self, command: Vec<Word>, at: usize) {
        let name = command.first().map(|word| word.text.as_str());
        let open = match name {
            Some(name @ ("menuentry" | "submenu")) => {
                let (title, id) = title_and_id(command.get(1..).unwrap_or_default());
                Open::Menu { title, id, entry: name == "menuentry", first: self.entries.len() }
            }
            _ => Open::Block,
        };
        self.open.push((at, open));
    }

    fn close(&mut self, at: usize, fits: impl Fn(&Open) -> bool) -> Result<(), NotUnderstood> {
        match self.open.pop() {
            Some((_, open)) if fits(&open) => Ok(()),
            _ => Err(self.refuse(at, "it ends something that has not begun")),
        }
    }

    /// `### BEGIN /etc/grub.d/10_linux ###`, as grub-mkconfig writes around each script's part.
    fn comment(&mut self, comment: &str, at: usize) -> Result<(), NotUnderstood> {
        let named = |mark: &str| {
            let name = comment.strip_prefix(mark)?.strip_suffix(" ###")?;
            Some(name.rsplit('/').next().unwrap_or_default().to_owned())
        };
        if let Some(name) = named("### BEGIN ") {
            if self.section.is_some() || !self.open.is_empty() {
                return Err(self.refuse(at, "a part begins inside another"));
            }
            self.section = Some((at, name));
        } else if let Some(name) = named("### END ") {
            let fits = self.section.take().is_some_and(|(_, begun)| begun == name);
            if !fits || !self.open.is_empty() {
                return Err(self.refuse(at, "a part ends that has not begun"));
            }
        }
        Ok(())
    }

    /// A whole command; those outside of entries say nothing here.
    fn end(&mut self, command: Vec<Word>) -> Result<(), NotUnderstood> {
        let Some((name, arguments)) = command.split_first() else { return Ok(()) };
        let Some(first) = self.open.iter().rev().find_map(|(_, open)| match open {
            Open::Menu { entry: true, first, .. } => Some(*first),
            _ => None,
        }) else {
            return Ok(());
        };
        let mut arguments = arguments.iter().map(Word::passed_on);
        match name.text.as_str() {
            "linux" | "linux16" | "linuxefi" => {
                let Some(linux) = arguments.next() else {
                    return Err(self.refuse(name.at, "a `linux` command without a file"));
                };
                let words = arguments.collect();
                let entry = Entry { linux, words, ..self.entry_at(name.at) };
                self.entries.push(entry);
            }
            "initrd" | "initrd16" | "initrdefi" => {
                // Each command replaces what an earlier one loaded (grub-core/loader/i386).
                if let Some(entry) = self.entries.get_mut(first..).and_then(|own| own.last_mut()) {
                    entry.initrds = arguments.collect();
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Where a command stands: in which entry, submenus and part.
    fn entry_at(&self, at: usize) -> Entry {
        let mut found = Entry {
            section: self.section.as_ref().map(|(_, name)| name.clone()),
            line: self.text.get(..at).unwrap_or_default().matches('\n').count() + 1,
            ..Entry::default()
        };
        for (_, open) in &self.open {
            match open {
                Open::Menu { title, id, entry: true, .. } => {
                    (found.title, found.id) = (title.clone(), id.clone());
                }
                Open::Menu { title, .. } => found.submenus.push(title.clone()),
                _ => {}
            }
        }
        found
    }

    fn finish(self) -> Result<Vec<Entry>, NotUnderstood> {
        if let Some((at, _)) = self.open.last() {
            return Err(self.refuse(*at, "it does not end"));
        }
        if let Some((at, _)) = &self.section {
            return Err(self.refuse(*at, "this part does not end"));
        }
        Ok(self.entries)
    }
}

/// From the words behind `menuentry`. GRUB puts `--id` into `menuentry_id_option` where it
/// knows the option (util/grub.d/00_header.in).
fn title_and_id(words: &[Word]) -> (String, Option<String>) {
    let (mut title, mut id) = (None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "--class" | "--users" | "--hotkey" | "--source" => {
                words.next();
            }
            "--id" | "$menuentry_id_option" | "${menuentry_id_option}" => {
                id = words.next().map(|word| word.text.clone());
            }
            text => match text.strip_prefix("--id=") {
                Some(text) => id = Some(text.to_owned()),
                None if text.starts_with("--") && !word.quoted => {}
                None => title = title.or(Some(text.to_owned())),
            },
        }
    }
    (title.unwrap_or_default(), id)
}

#[cfg(test)]
mod tests;
