//! What assignments make of a variable, as bash(1) says under "Parameters" and
//! "Arrays".

use super::word::Item;
use super::{Assignment, RawValue};

/// What a variable holds after the file was sourced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Scalar(String),
    /// An indexed array without gaps.
    Array(Vec<String>),
}

impl Value {
    /// The words of a string split at blanks, or the items of an array.
    pub fn words(&self) -> Vec<&str> {
        match self {
            Value::Scalar(text) => {
                text.split([' ', '\t', '\n']).filter(|w| !w.is_empty()).collect()
            }
            Value::Array(items) => items.iter().map(String::as_str).collect(),
        }
    }

    /// The value as `$NAME` expands it: an array stands for its first item (bash(1), Arrays).
    pub fn scalar(&self) -> &str {
        match self {
            Value::Scalar(text) => text,
            Value::Array(items) => items.first().map_or("", String::as_str),
        }
    }

    fn into_items(self) -> Vec<String> {
        match self {
            Value::Scalar(text) => vec![text],
            Value::Array(items) => items,
        }
    }
}

impl Assignment {
    /// The value after this assignment.
    pub(super) fn apply(&self, before: Option<Value>) -> Result<Value, &'static str> {
        match &self.value {
            RawValue::Scalar(word) => {
                let old = before.as_ref().map_or("", Value::scalar);
                let prefix = if self.append { old } else { "" };
                let text = format!("{prefix}{}", word.text(old));
                Ok(match before {
                    Some(Value::Array(mut items)) => {
                        match items.first_mut() {
                            Some(first) => *first = text,
                            None => items.push(text),
                        }
                        Value::Array(items)
                    }
                    _ => Value::Scalar(text),
                })
            }
            RawValue::Array(array) => {
                let old = before.map_or_else(Vec::new, Value::into_items);
                let mut items = if self.append { old.clone() } else { Vec::new() };
                for item in &array.items {
                    match item {
                        Item::Word(word) => items.push(word.text("")),
                        Item::Spread { quoted: true, .. } => items.extend(old.iter().cloned()),
                        Item::Spread { .. } => items.extend(resplit(&old)?),
                    }
                }
                Ok(Value::Array(items))
            }
        }
    }
}

/// An unquoted `${NAME[@]}`: items are split again and expanded as file names.
fn resplit(items: &[String]) -> Result<Vec<String>, &'static str> {
    if items.iter().any(|item| item.contains(['*', '['])) {
        return Err("an unquoted array expansion would match file names");
    }
    let words = items.iter().flat_map(|item| item.split([' ', '\t', '\n']));
    Ok(words.filter(|w| !w.is_empty()).map(str::to_owned).collect())
}
