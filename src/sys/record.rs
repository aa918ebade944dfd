//! What was looked at, kept while a host is read, so that it can be written as a tree.

use std::collections::BTreeMap;

use super::meta::{Meta, Space};
use super::tree::{Node, Tree};

/// One thing that was seen at a path.
#[derive(Debug, Clone)]
pub enum Seen {
    /// The target text of a link.
    Link(String),
    /// Bytes of a file; mode and owner where they were looked at.
    File(Vec<u8>, Option<Meta>),
    /// Names in a directory.
    List(Vec<String>),
    /// It is there.
    Present(Option<Meta>),
    /// It could not be read.
    Unreadable(String),
    /// Free space of its filesystem.
    Space(Space),
}

/// Everything seen at one reading of a host.
#[derive(Debug, Default)]
pub struct Recording {
    links: BTreeMap<String, String>,
    seen: Vec<(String, Seen)>,
}

impl Recording {
    /// Adds what was seen at a path.
    pub fn add(&mut self, path: &str, seen: Seen) {
        match seen {
            Seen::Link(target) => {
                self.links.insert(path.to_owned(), target);
            }
            other => self.seen.push((path.to_owned(), other)),
        }
    }

    /// The same as a tree: paths are stored where the recorded links lead.
    pub fn into_tree(self) -> Tree {
        let mut tree = Tree::default();
        // In path order, so that a link is known before what was seen below it.
        for (path, target) in &self.links {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            let Some(parent) = tree.resolve(parent) else { continue };
            let real = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
            tree.insert_link(&real, target);
        }
        for (path, seen) in self.seen {
            let Some(real) = tree.resolve(&path) else {
                continue;
            };
            if let Seen::Space(space) = seen {
                tree.insert_space(&path, space);
                continue;
            }
            if real.is_empty() {
                continue;
            }
            match seen {
                Seen::Link(_) | Seen::Space(_) => {}
                Seen::File(bytes, meta) => {
                    let old = meta_at(&tree, &real);
                    tree.insert(&real, Node::File { bytes, meta: meta.or(old) });
                }
                Seen::Unreadable(reason) => put_if_less(&mut tree, &real, Node::Unreadable(reason)),
                Seen::Present(meta) => match (tree.look(&real).cloned(), meta) {
                    (Some(Node::File { bytes, .. }), Some(meta)) => {
                        tree.insert(&real, Node::File { bytes, meta: Some(meta) });
                    }
                    (_, meta) => put_if_less(&mut tree, &real, Node::Present(meta)),
                },
                Seen::List(names) => {
                    put_if_less(&mut tree, &real, Node::Dir);
                    for name in names {
                        let child = format!("{real}/{name}");
                        if tree.link(&child).is_none() {
                            put_if_less(&mut tree, &child, Node::Present(None));
                        }
                    }
                }
            }
        }
        tree
    }
}

fn meta_at(tree: &Tree, path: &str) -> Option<Meta> {
    match tree.look(path) {
        Some(Node::Present(meta) | Node::File { meta, .. }) => meta.clone(),
        _ => None,
    }
}

/// Puts a node where nothing that says more stands already.
fn put_if_less(tree: &mut Tree, path: &str, node: Node) {
    let rank = |node: Option<&Node>| match node {
        None => 0,
        Some(Node::Present(None)) => 1,
        Some(Node::Present(Some(_)) | Node::Dir) => 2,
        Some(Node::Unreadable(_)) => 3,
        Some(Node::File { .. }) => 4,
    };
    if rank(tree.look(path)) < rank(Some(&node)) {
        tree.insert(path, node);
    }
}
