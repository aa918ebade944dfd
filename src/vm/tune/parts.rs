//! Elements in a domain that may have their parent already, and out again.

use std::fmt;
use std::str::FromStr;

use crate::config::xml::{Edits, Element, Written};
use crate::vm::domain::Domain;

/// What a domain had in the place of a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Had {
    /// Nothing: the parent was made.
    Nothing,
    /// The parent as one tag.
    Tag,
    /// The parent with a beginning and an end.
    Pair,
}

impl fmt::Display for Had {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "made",
            Self::Tag => "opened",
            Self::Pair => "there",
        })
    }
}

impl FromStr for Had {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::Nothing, Self::Tag, Self::Pair];
        all.into_iter().find(|had| had.to_string() == text).ok_or(())
    }
}

/// Puts elements into a child of the domain, which is made behind others if it is not there.
pub fn put(
    edits: &mut Edits<'_>,
    domain: &Domain<'_>,
    parent: &str,
    behind: &[&str],
    elements: Vec<Written>,
) -> Had {
    if let Some(parent) = domain.root.child(parent) {
        let elements: Vec<String> = elements.iter().map(Written::render).collect();
        edits.append(parent, &elements);
        return if parent.inside.is_some() { Had::Pair } else { Had::Tag };
    }
    let made = [Written::new(parent).and_all(elements).render()];
    let known = behind.iter().filter_map(|name| domain.root.all(name).next_back());
    match known.max_by_key(|element| element.span.end) {
        Some(sibling) => edits.behind(sibling, &made),
        None => edits.append(&domain.root, &made),
    }
    Had::Nothing
}

/// Cuts elements out of their parent, and the parent with them if it was made for them and holds
/// nothing else.
pub fn take(
    edits: &mut Edits<'_>,
    domain: &Domain<'_>,
    parent: &Element,
    ours: impl Fn(&Element) -> bool,
    had: Had,
) {
    let alone = parent.children.iter().all(&ours);
    match (had, &parent.inside) {
        (Had::Nothing, _) if alone => edits.remove(parent),
        (Had::Tag, Some(inside)) if alone => {
            let tag = domain.text[parent.span.start..inside.start].trim_end_matches('>');
            edits.replace(parent.span.clone(), format!("{tag}/>"));
        }
        _ => {
            parent.children.iter().filter(|child| ours(child)).for_each(|child| edits.remove(child))
        }
    }
}
