//! A recorded machine as one text file: directories, links, file contents.
//!
//! The format is made for reading and reviewing: one line for a directory, a link or a
//! one-line file, an indented block for a longer one. `docs/tree-format.md` specifies it.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::meta::{FileKind, Meta, Space};
use super::observed::Observed;

/// First line of every tree file.
pub const MAGIC: &str = "passthru-tree 1";
const MAX_LINKS: usize = 40; // as the kernel: include/linux/namei.h MAXSYMLINKS

/// One entry of a recorded machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory; its entries have paths of their own.
    Dir,
    /// A file whose content was read.
    File {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Mode, owner and time, where they were looked at.
        meta: Option<Meta>,
    },
    /// Something that is there and whose content nobody read.
    Present(Option<Meta>),
    /// Something that could not be read, with the reason.
    Unreadable(String),
}

impl Node {
    /// One form for what says the same: attributes of a plain file of root are left out, and
    /// the size of a file with content is that of its content.
    fn normal(self) -> Self {
        let worth = |meta: Meta| (meta != Meta::default()).then_some(meta);
        match self {
            Self::File { bytes, meta } => {
                let meta = meta.and_then(|meta| worth(Meta { size: 0, ..meta }));
                Self::File { bytes, meta }
            }
            Self::Present(meta) => Self::Present(meta.and_then(worth)),
            other => other,
        }
    }
}

/// A recorded machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Comment lines at the top, without `# `.
    pub header: Vec<String>,
    nodes: BTreeMap<String, Node>,
    links: BTreeMap<String, String>,
    spaces: BTreeMap<String, Space>,
}

/// A tree file that cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TreeError {
    /// The first line is not [`MAGIC`].
    #[error("not a passthru capture: the first line is not `{MAGIC}`")]
    NotATree,
    /// A line that fits no form.
    #[error("line {line}: {reason}: `{text}`")]
    Line {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
        /// Its beginning.
        text: String,
    },
}

impl Tree {
    /// Puts a node at a path, making its parent directories.
    pub fn insert(&mut self, path: &str, node: Node) {
        self.make_parents(path);
        self.nodes.insert(path.to_owned(), node.normal());
    }

    /// Puts a symbolic link at a path.
    pub fn insert_link(&mut self, path: &str, target: &str) {
        self.make_parents(path);
        self.nodes.remove(path);
        self.links.insert(path.to_owned(), target.to_owned());
    }

    /// Sets the free space of the filesystem at a path.
    pub fn insert_space(&mut self, path: &str, space: Space) {
        self.spaces.insert(path.to_owned(), space);
    }

    fn make_parents(&mut self, path: &str) {
        let mut end = path.len();
        while let Some(at) = path[..end].rfind('/') {
            let parent = &path[..at];
            if self.links.contains_key(parent) || matches!(self.nodes.get(parent), Some(Node::Dir))
            {
                return;
            }
            self.nodes.insert(parent.to_owned(), Node::Dir);
            end = at;
        }
    }

    /// Every node with its path, in path order.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Every link with its target, in path order.
    pub fn links(&self) -> impl Iterator<Item = (&str, &str)> {
        self.links.iter().map(|(path, target)| (path.as_str(), target.as_str()))
    }

    /// Every recorded free space with its path.
    pub fn spaces(&self) -> impl Iterator<Item = (&str, &Space)> {
        self.spaces.iter().map(|(path, space)| (path.as_str(), space))
    }

    /// The node a path leads to, following links inside the tree.
    pub fn look(&self, path: &str) -> Option<&Node> {
        let real = self.resolve(path)?;
        if real.is_empty() { Some(&Node::Dir) } else { self.nodes.get(&real) }
    }

    /// The target text of the link at a path (links of parent directories are followed).
    pub fn link(&self, path: &str) -> Option<&str> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.resolve(parent)?;
        let key = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
        self.links.get(&key).map(String::as_str)
    }

    /// Free space recorded at a path.
    pub fn space(&self, path: &str) -> Option<Space> {
        self.spaces.get(path).copied()
    }

    /// The content of a file.
    pub fn read(&self, path: &str) -> Observed<Vec<u8>> {
        match self.look(path) {
            Some(Node::File { bytes, .. }) => Observed::Present(bytes.clone()),
            Some(Node::Dir) => Observed::Unreadable("it is a directory".to_owned()),
            Some(Node::Present(_)) => {
                Observed::Unreadable("its content was not recorded".to_owned())
            }
            Some(Node::Unreadable(reason)) => Observed::Unreadable(reason.clone()),
            None => Observed::Absent,
        }
    }

    /// Size, time, mode and owner.
    pub fn meta(&self, path: &str) -> Observed<Meta> {
        Observed::Present(match self.look(path) {
            Some(Node::Present(meta)) => meta.clone().unwrap_or_default(),
            Some(Node::File { bytes, meta }) => {
                Meta { size: bytes.len() as u64, ..meta.clone().unwrap_or_default() }
            }
            Some(Node::Dir) => Meta { kind: FileKind::Directory, mode: 0o755, ..Meta::default() },
            Some(Node::Unreadable(reason)) => return Observed::Unreadable(reason.clone()),
            None => return Observed::Absent,
        })
    }

    /// Canonical path of a directory.
    pub fn dir(&self, path: &str) -> Observed<String> {
        match (self.resolve(path), self.look(path)) {
            (Some(real), Some(Node::Dir)) => Observed::Present(real),
            (_, Some(Node::Unreadable(reason))) => Observed::Unreadable(reason.clone()),
            _ => Observed::Absent,
        }
    }

    /// Names of the entries of a directory, sorted.
    pub fn list(&self, path: &str) -> Observed<Vec<String>> {
        self.dir(path).map(|real| {
            let prefix = if real.is_empty() { String::new() } else { format!("{real}/") };
            let names: BTreeSet<String> =
                below(&self.nodes, &prefix).chain(below(&self.links, &prefix)).collect();
            names.into_iter().collect()
        })
    }

    /// Canonical path: every link on the way is followed, `..` never leaves the root.
    pub fn resolve(&self, path: &str) -> Option<String> {
        let mut todo: Vec<&str> = path.split('/').rev().collect();
        let mut real = String::new();
        let mut followed = 0;
        while let Some(part) = todo.pop() {
            match part {
                "" | "." => {}
                ".." => real.truncate(real.rfind('/').unwrap_or(0)),
                name => {
                    let parent_len = real.len();
                    if !real.is_empty() {
                        real.push('/');
                    }
                    real.push_str(name);
                    if let Some(target) = self.links.get(&real) {
                        followed += 1;
                        if followed > MAX_LINKS {
                            return None;
                        }
                        real.truncate(if target.starts_with('/') { 0 } else { parent_len });
                        todo.extend(target.split('/').rev());
                    }
                }
            }
        }
        Some(real)
    }

    /// Makes the tree as real files below a new directory. Files whose content was not
    /// recorded get their size and no content; what could not be read gets mode 0000.
    ///
    /// # Errors
    /// The directory exists, or something in it cannot be made.
    pub fn lay_out(&self, dir: &Path) -> std::io::Result<()> {
        std::fs::create_dir(dir)?;
        for (path, node) in &self.nodes {
            let to = dir.join(path);
            match node {
                Node::Dir => std::fs::create_dir_all(&to)?,
                Node::File { bytes, meta } => lay_file(&to, bytes, meta.as_ref())?,
                Node::Present(meta) => {
                    lay_file(&to, &[], meta.as_ref())?;
                    let size = meta.as_ref().map_or(0, |meta| meta.size);
                    std::fs::OpenOptions::new().write(true).open(&to)?.set_len(size)?;
                }
                Node::Unreadable(_) => {
                    lay_file(&to, &[], None)?;
                    std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o000))?;
                }
            }
        }
        for (path, target) in &self.links {
            let to = dir.join(path);
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::os::unix::fs::symlink(target, to)?;
        }
        Ok(())
    }

    fn has_children(&self, path: &str) -> bool {
        let prefix = format!("{path}/");
        below(&self.nodes, &prefix).next().is_some() || below(&self.links, &prefix).next().is_some()
    }
}

/// Names directly below `prefix` among the keys of a map.
fn below<'a, V>(
    map: &'a BTreeMap<String, V>,
    prefix: &'a str,
) -> Box<dyn Iterator<Item = String> + 'a> {
    Box::new(
        map.range(prefix.to_owned()..)
            .map(|(key, _)| key)
            .take_while(move |key| key.starts_with(prefix))
            .map(move |key| &key[prefix.len()..])
            .filter(|rest| !rest.is_empty() && !rest.contains('/'))
            .map(str::to_owned),
    )
}

fn lay_file(to: &Path, bytes: &[u8], meta: Option<&Meta>) -> std::io::Result<()> {
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(to, bytes)?;
    let Some(meta) = meta else { return Ok(()) };
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(meta.mode))?;
    let changed = u64::try_from(meta.mtime).unwrap_or(0);
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(changed);
    std::fs::OpenOptions::new().write(true).open(to)?.set_modified(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Tree {
        let mut tree = Tree::default();
        tree.header.push("a machine".into());
        tree.insert("sys/a b/%x", Node::File { bytes: b"1\n".to_vec(), meta: None });
        tree.insert("etc/conf", Node::File { bytes: b"x\r\ny".to_vec(), meta: None });
        tree.insert(
            "etc/two",
            Node::File { bytes: b"x\n\ny".to_vec(), meta: Meta::parse("mode=0600") },
        );
        tree.insert("boot/img", Node::Present(Meta::parse("size=12 mtime=-3")));
        tree.insert("sys/none", Node::Dir);
        tree.insert_link("lib", "/usr/lib");
        tree.insert_link("usr/lib/up", "../../../../sys");
        tree.insert("usr/lib/file", Node::File { bytes: vec![], meta: None });
        tree.insert("root", Node::Unreadable("permission denied".into()));
        tree.insert_space("boot", Space { free: 1, total: 2 });
        tree.insert_space("", Space { free: 3, total: 4 });
        tree
    }

    #[test]
    fn text_and_tree_are_the_same() {
        let tree = sample();
        let text = tree.render();
        assert_eq!(Tree::parse(&text).as_ref(), Ok(&tree), "{text}");
    }

    #[test]
    fn links_stay_inside() {
        let tree = sample();
        assert_eq!(tree.resolve("lib/up/none").as_deref(), Some("sys/none"));
        assert_eq!(tree.link("lib/up"), Some("../../../../sys"));
        assert!(matches!(tree.look("lib/file"), Some(Node::File { .. })));
        assert_eq!(tree.list("lib"), Observed::Present(vec!["file".to_owned(), "up".to_owned()]));
        let mut knot = Tree::default();
        knot.insert_link("a", "b");
        knot.insert_link("b", "a");
        assert_eq!(knot.resolve("a/x"), None);
    }

    #[test]
    fn damage_is_named_by_line() {
        for (text, want) in [
            ("", TreeError::NotATree),
            ("passthru-tree 1\n  |x", line(2, "text that belongs to no file", "  |x")),
            ("passthru-tree 1\na base64:\n  +!", line(3, "damaged base64 content", "end of file")),
            (
                "passthru-tree 1\n../a = x",
                line(2, "a path that is not plain and relative", "../a = x"),
            ),
            ("passthru-tree 1\na ? x", line(2, "an entry of no known form", "a ? x")),
        ] {
            assert_eq!(Tree::parse(text), Err(want), "{text:?}");
        }
    }

    fn line(line: usize, reason: &'static str, text: &str) -> TreeError {
        TreeError::Line { line, reason, text: text.to_owned() }
    }

    proptest! {
        #[test]
        fn any_content_survives(bytes: Vec<u8>, name in "[^/\0.][^/\0]{0,9}") {
            let mut tree = Tree::default();
            tree.insert(&format!("d/{name}"), Node::File { bytes, meta: None });
            prop_assert_eq!(Tree::parse(&tree.render()), Ok(tree));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(passthru-tree 1\n)?[\\PC\n%{}|+\\\\]{0,200}") {
            let _ = Tree::parse(&text);
        }
    }
}
