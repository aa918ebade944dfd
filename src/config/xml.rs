//! XML with the place of every element in its text, so that an edit cuts or inserts text and all
//! other bytes stay as they are.
//!
//! The tree is for looking; it is never printed again.

mod edit;
mod text;

use std::ops::Range;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

pub use edit::Edits;
pub use text::Written;

/// A text that is no XML, and where that shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct XmlError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// One element with where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Name as written, prefix included.
    pub name: String,
    /// Attributes in order, values unescaped.
    pub attributes: Vec<(String, String)>,
    /// Elements inside, in order.
    pub children: Vec<Element>,
    /// Text directly inside, unescaped, CDATA included.
    pub text: String,
    /// From `<` to the byte behind the last `>`.
    pub span: Range<usize>,
    /// Between the tags; nothing of an element written as `<a/>`.
    pub inside: Option<Range<usize>>,
}

impl Element {
    /// Reads the one root element of a text.
    ///
    /// # Errors
    /// It is not well formed.
    pub fn parse(text: &str) -> Result<Self, XmlError> {
        Parser { reader: Reader::from_str(text), text }.root()
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first child of a name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The element at the end of a path of first children.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// Text of the element at the end of a path, without spaces around it.
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path).map(|element| element.text.trim())
    }

    /// An attribute of the element at the end of a path.
    pub fn attribute_at(&self, path: &[&str], name: &str) -> Option<&str> {
        self.at(path)?.attribute(name)
    }

    /// The namespace that a prefix stands for, where this element declares it.
    pub fn namespace(&self) -> Option<&str> {
        match self.name.split_once(':') {
            Some((prefix, _)) => self.attribute(&format!("xmlns:{prefix}")),
            None => self.attribute("xmlns"),
        }
    }

    /// Name without its prefix.
    pub fn local_name(&self) -> &str {
        self.name.split_once(':').map_or(self.name.as_str(), |(_, name)| name)
    }
}

struct Parser<'a> {
    reader: Reader<&'a [u8]>,
    text: &'a str,
}

impl Parser<'_> {
    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX).min(self.text.len())
    }

    fn wrong(&self, at: usize, reason: impl Into<String>) -> XmlError {
        let line = self.text.as_bytes()[..at.min(self.text.len())].iter();
        XmlError { line: line.filter(|byte| **byte == b'\n').count() + 1, reason: reason.into() }
    }

    fn root(mut self) -> Result<Element, XmlError> {
        let mut open: Vec<Element> = Vec::new();
        let mut root = None;
        loop {
            let start = self.position();
            let event = self.reader.read_event();
            let event = event.map_err(|error| self.wrong(start, error.to_string()))?;
            let end = self.position();
            let done = match event {
                Event::Eof => break,
                Event::Start(tag) => {
                    let mut element = self.element(&tag, start..end)?;
                    element.inside = Some(end..end);
                    open.push(element);
                    if open.len() > 256 {
                        return Err(self.wrong(start, "elements are nested too deep"));
                    }
                    continue;
                }
                Event::Empty(tag) => self.element(&tag, start..end)?,
                Event::End(_) => {
                    let Some(mut element) = open.pop() else {
                        return Err(self.wrong(start, "an end without a beginning"));
                    };
                    let inside = element.inside.map_or(end, |inside| inside.start);
                    element.inside = Some(inside..start);
                    element.span.end = end;
                    element
                }
                Event::DocType(_) => return Err(self.wrong(start, "it has a document type")),
                other => {
                    self.text_of(&other, start, open.last_mut())?;
                    continue;
                }
            };
            match open.last_mut() {
                Some(parent) => parent.children.push(done),
                None if root.is_none() => root = Some(done),
                None => return Err(self.wrong(start, "it has more than one root element")),
            }
        }
        match (root, open.last()) {
            (_, Some(open)) => {
                Err(self.wrong(open.span.start, format!("<{}> has no end", open.name)))
            }
            (Some(root), None) => Ok(root),
            (None, None) => Err(self.wrong(0, "it has no element")),
        }
    }

    fn element(&self, tag: &BytesStart<'_>, span: Range<usize>) -> Result<Element, XmlError> {
        let wrong = |reason: String| self.wrong(span.start, reason);
        let name = self.utf8(tag.name().as_ref(), span.start)?;
        let mut attributes = Vec::new();
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| wrong(error.to_string()))?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|error| wrong(error.to_string()))?.into_owned();
            attributes.push((self.utf8(attribute.key.as_ref(), span.start)?, value));
        }
        let (children, text) = (Vec::new(), String::new());
        Ok(Element { name, attributes, children, text, span, inside: None })
    }

    fn utf8(&self, bytes: impl AsRef<[u8]>, at: usize) -> Result<String, XmlError> {
        let text = String::from_utf8(bytes.as_ref().to_vec());
        text.map_err(|_| self.wrong(at, "it is not UTF-8"))
    }

    fn text_of(
        &self,
        event: &Event<'_>,
        at: usize,
        parent: Option<&mut Element>,
    ) -> Result<(), XmlError> {
        let text = match event {
            Event::Text(text) => self.utf8(&**text, at)?,
            Event::CData(text) => self.utf8(&**text, at)?,
            Event::GeneralRef(name) => {
                let whole = format!("&{};", self.utf8(&**name, at)?);
                let text = quick_xml::escape::unescape(&whole);
                text.map_err(|error| self.wrong(at, error.to_string()))?.into_owned()
            }
            _ => return Ok(()), // comments, processing instructions, the declaration
        };
        match parent {
            Some(parent) => parent.text.push_str(&text),
            None if text.trim().is_empty() || text == "\u{feff}" => {}
            None => return Err(self.wrong(at, "it has text outside of its root element")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
