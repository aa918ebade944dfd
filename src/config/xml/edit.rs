//! Cuts and insertions in a text, made all at once.

use std::ops::Range;

use super::Element;

/// Edits of one text. They may be noted in any order and must not overlap.
#[derive(Debug, Clone)]
pub struct Edits<'a> {
    text: &'a str,
    edits: Vec<(Range<usize>, String)>,
}

impl<'a> Edits<'a> {
    /// None yet.
    pub fn of(text: &'a str) -> Self {
        Self { text, edits: Vec::new() }
    }

    /// Puts other text in place of a range.
    pub fn replace(&mut self, range: Range<usize>, with: impl Into<String>) {
        self.edits.push((range, with.into()));
    }

    /// Adds elements behind everything that an element holds, each on a line of its own where the
    /// text is laid out in lines, indented by two spaces more than the element.
    ///
    /// [`Edits::remove`] takes out exactly what this put in.
    pub fn append(&mut self, parent: &Element, elements: &[String]) {
        let (start, end) = (parent.span.start, parent.span.end);
        let indent = self.indent(start);
        let added = laid(indent.map(|indent| format!("{indent}  ")).as_deref(), elements);
        match &parent.inside {
            Some(inside) => {
                let held = self.text[inside.clone()].trim_end().len();
                let at = inside.start + held;
                self.replace(at..at, added);
            }
            None => {
                let tag = self.text[start..end].trim_end_matches("/>").trim_end();
                let close = indent.map(|indent| format!("\n{indent}")).unwrap_or_default();
                let whole = format!("{tag}>{added}{close}</{}>", parent.name);
                self.replace(start..end, whole);
            }
        }
    }

    /// Adds elements behind one that is there, laid out as it is. [`Edits::remove`] takes out
    /// exactly what this put in.
    pub fn behind(&mut self, sibling: &Element, elements: &[String]) {
        let (start, end) = (sibling.span.start, sibling.span.end);
        self.replace(end..end, laid(self.indent(start), elements));
    }

    /// What stands in front of a place on its line, where that is space alone.
    fn indent(&self, start: usize) -> Option<&'a str> {
        let line = self.text[..start].rfind('\n').map(|at| &self.text[at + 1..start]);
        line.filter(|line| line.bytes().all(|b| b == b' ' || b == b'\t'))
    }

    /// Takes out an element, with the space in front of it.
    pub fn remove(&mut self, element: &Element) {
        let before = self.text[..element.span.start].trim_end().len();
        self.replace(before..element.span.end, "");
    }

    /// The text with all edits.
    pub fn done(mut self) -> String {
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut out = String::with_capacity(self.text.len());
        let mut at = 0;
        for (range, with) in &self.edits {
            out.push_str(self.text.get(at..range.start).unwrap_or_default());
            out.push_str(with);
            at = at.max(range.end);
        }
        out.push_str(&self.text[at..]);
        out
    }
}

fn laid(indent: Option<&str>, elements: &[String]) -> String {
    let mut added = String::new();
    for element in elements {
        if let Some(indent) = indent {
            let pad = format!("\n{indent}");
            added.push_str(&pad);
            added.push_str(&element.replace('\n', &pad));
        } else {
            added.extend(element.lines().map(str::trim));
        }
    }
    added
}
