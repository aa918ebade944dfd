//! Elements to be written.

use std::fmt::Write as _;

/// Text as it stands in XML. Line ends are written as references, so that a change of
/// indentation is no change of the text.
fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).replace('\n', "&#10;")
}

/// An element to be written, with two spaces for every level and single quotes, as libvirt does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    name: String,
    attributes: Vec<(String, String)>,
    held: Held,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    Elements(Vec<Written>),
    Text(String),
}

impl Written {
    /// An element that holds nothing yet.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), attributes: Vec::new(), held: Held::Elements(Vec::new()) }
    }

    /// An element that holds text.
    pub fn text(name: &str, text: impl std::fmt::Display) -> Self {
        Self { held: Held::Text(text.to_string()), ..Self::new(name) }
    }

    /// With an attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.attributes.push((name.to_owned(), value.to_string()));
        self
    }

    /// With an element inside.
    #[must_use]
    pub fn and(self, element: Self) -> Self {
        self.and_all([element])
    }

    /// With elements inside.
    #[must_use]
    pub fn and_all(mut self, elements: impl IntoIterator<Item = Self>) -> Self {
        match &mut self.held {
            Held::Elements(all) => all.extend(elements),
            Held::Text(_) => self.held = Held::Elements(elements.into_iter().collect()),
        }
        self
    }

    /// The XML, without a line end behind it.
    pub fn render(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out
    }

    fn write(&self, out: &mut String, level: usize) {
        let pad = "  ".repeat(level);
        let _ = write!(out, "{pad}<{}", self.name);
        for (name, value) in &self.attributes {
            let _ = write!(out, " {name}='{}'", escaped(value));
        }
        match &self.held {
            Held::Elements(all) if all.is_empty() => out.push_str("/>"),
            Held::Elements(all) => {
                out.push('>');
                for element in all {
                    out.push('\n');
                    element.write(out, level + 1);
                }
                let _ = write!(out, "\n{pad}</{}>", self.name);
            }
            Held::Text(text) => {
                let _ = write!(out, ">{}</{}>", escaped(text), self.name);
            }
        }
    }
}
