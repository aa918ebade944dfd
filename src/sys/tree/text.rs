//! The text form of a tree; `docs/tree-format.md` specifies it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{MAGIC, Node, Tree, TreeError};
use crate::sys::meta::{Meta, Space};

/// The root itself, of which only the free space is recorded.
const ROOT: &str = ".";

impl Tree {
    /// Reads the text form.
    ///
    /// # Errors
    /// The first line that fits no form of the format.
    pub fn parse(text: &str) -> Result<Self, TreeError> {
        let mut lines = text.lines().enumerate();
        if lines.next().map(|(_, line)| line.trim_end()) != Some(MAGIC) {
            return Err(TreeError::NotATree);
        }
        let mut tree = Self::default();
        let mut block: Option<Block> = None;
        for (index, line) in lines {
            let bad = |reason| TreeError::Line {
                line: index + 1,
                reason,
                text: line.chars().take(80).collect(),
            };
            if let Some(body) = line.strip_prefix("  ") {
                block
                    .as_mut()
                    .ok_or_else(|| bad("text that belongs to no file"))?
                    .push(body)
                    .map_err(bad)?;
                continue;
            }
            if let Some(done) = block.take() {
                done.close(&mut tree).map_err(bad)?;
            }
            if let Some(comment) = line.strip_prefix('#') {
                tree.header.push(comment.strip_prefix(' ').unwrap_or(comment).to_owned());
            } else if !line.is_empty() {
                block = tree.parse_entry(line).map_err(bad)?;
            }
        }
        if let Some(done) = block.take() {
            let line = text.lines().count();
            let end = |reason| TreeError::Line { line, reason, text: "end of file".into() };
            done.close(&mut tree).map_err(end)?;
        }
        Ok(tree)
    }

    fn parse_entry(&mut self, line: &str) -> Result<Option<Block>, &'static str> {
        let (path, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (dir, path) = match path.strip_suffix('/') {
            Some(path) => (true, path),
            None => (false, path),
        };
        let path = decode(path).ok_or("a path that cannot be decoded")?;
        if let Some(value) = rest.strip_prefix("space ").filter(|_| path == ROOT && !dir) {
            let space = Space::parse(value).ok_or("space needs free= and total=")?;
            self.insert_space("", space);
            return Ok(None);
        }
        if path.is_empty() || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err("a path that is not plain and relative");
        }
        if dir {
            self.insert(&path, Node::Dir);
            return if rest.is_empty() { Ok(None) } else { Err("text behind a directory") };
        }
        let (meta, rest) = match rest.strip_prefix('{') {
            Some(rest) => {
                let (words, rest) = rest.split_once('}').ok_or("`{` without `}`")?;
                (Some(Meta::parse(words).ok_or("unknown attribute")?), rest.trim_start())
            }
            None => (None, rest),
        };
        let (form, value) = rest.split_once(' ').unwrap_or((rest, ""));
        match form {
            "->" => self.insert_link(&path, &decode(value).ok_or("undecodable target")?),
            "=" => {
                let bytes = format!("{value}\n").into_bytes();
                self.insert(&path, Node::File { bytes, meta });
            }
            "empty" => self.insert(&path, Node::File { bytes: Vec::new(), meta }),
            "present" => self.insert(&path, Node::Present(meta)),
            "unreadable" => self.insert(&path, Node::Unreadable(value.to_owned())),
            "space" => {
                let space = Space::parse(value).ok_or("space needs free= and total=")?;
                self.insert_space(&path, space);
            }
            ":" => return Ok(Some(Block::new(path, meta, Encoding::Text))),
            "base64:" => return Ok(Some(Block::new(path, meta, Encoding::Base64))),
            _ => return Err("an entry of no known form"),
        }
        Ok(None)
    }

    /// Writes the text form; [`Tree::parse`] gives the same tree back.
    pub fn render(&self) -> String {
        let mut out = format!("{MAGIC}\n");
        for line in &self.header {
            let _ = writeln!(out, "{}", format!("# {line}").trim_end());
        }
        let paths: BTreeSet<&String> = self.nodes.keys().chain(self.links.keys()).collect();
        for path in paths {
            let name = encode(path);
            if let Some(target) = self.links.get(path) {
                let _ = writeln!(out, "{name} -> {}", encode(target));
                continue;
            }
            let node = &self.nodes[path];
            match node {
                Node::Dir => {
                    if !self.has_children(path) {
                        let _ = writeln!(out, "{name}/");
                    }
                }
                Node::Present(_) => {
                    let _ = writeln!(out, "{name}{} present", attributes(node));
                }
                Node::Unreadable(reason) => {
                    let _ = writeln!(out, "{name} unreadable {}", reason.replace('\n', " "));
                }
                Node::File { bytes, .. } => {
                    render_file(&mut out, &format!("{name}{}", attributes(node)), bytes);
                }
            }
        }
        for (path, space) in &self.spaces {
            let name = if path.is_empty() { ROOT.to_owned() } else { encode(path) };
            let _ = writeln!(out, "{name} space {space}");
        }
        out
    }
}

enum Encoding {
    Text,
    Base64,
}

/// The indented lines of one file while they are read.
struct Block {
    path: String,
    meta: Option<Meta>,
    encoding: Encoding,
    text: String,
    ended: bool,
}

impl Block {
    fn new(path: String, meta: Option<Meta>, encoding: Encoding) -> Self {
        Self { path, meta, encoding, text: String::new(), ended: false }
    }

    fn push(&mut self, body: &str) -> Result<(), &'static str> {
        if self.ended {
            return Err("text behind the last, unterminated line of a file");
        }
        match (&self.encoding, body.chars().next()) {
            (Encoding::Text, Some('|')) => {
                self.text.push_str(&body[1..]);
                self.text.push('\n');
            }
            (Encoding::Text, Some('\\')) => {
                self.text.push_str(&body[1..]);
                self.ended = true;
            }
            (Encoding::Base64, Some('+')) => self.text.push_str(&body[1..]),
            _ => return Err("a content line without its mark"),
        }
        Ok(())
    }

    fn close(self, tree: &mut Tree) -> Result<(), &'static str> {
        let bytes = match self.encoding {
            Encoding::Text => self.text.into_bytes(),
            Encoding::Base64 => BASE64.decode(&self.text).map_err(|_| "damaged base64 content")?,
        };
        tree.insert(&self.path, Node::File { bytes, meta: self.meta });
        Ok(())
    }
}

fn render_file(out: &mut String, name: &str, bytes: &[u8]) {
    let plain = |text: &&str| text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control());
    let Some(text) = std::str::from_utf8(bytes).ok().filter(plain) else {
        let _ = writeln!(out, "{name} base64:");
        for chunk in BASE64.encode(bytes).as_bytes().chunks(76) {
            let _ = writeln!(out, "  +{}", String::from_utf8_lossy(chunk));
        }
        return;
    };
    if text.is_empty() {
        let _ = writeln!(out, "{name} empty");
        return;
    }
    if let Some(line) =
        text.strip_suffix('\n').filter(|line| !line.is_empty() && !line.contains('\n'))
    {
        let _ = writeln!(out, "{name} = {line}");
        return;
    }
    let _ = writeln!(out, "{name} :");
    for line in text.split_inclusive('\n') {
        let _ = match line.strip_suffix('\n') {
            Some(line) => writeln!(out, "  |{line}"),
            None => writeln!(out, "  \\{line}"),
        };
    }
}

fn attributes(node: &Node) -> String {
    match node {
        Node::File { meta: Some(meta), .. } | Node::Present(Some(meta)) => format!(" {{{meta}}}"),
        _ => String::new(),
    }
}

/// Percent-encodes what would make a path ambiguous in a line.
fn encode(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let pair = [bytes.next()?, bytes.next()?];
            out.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok().filter(|path| !path.contains('\0'))
}
