//! /etc/passthru.toml: what a machine is meant to give to a guest.

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::MARK;

/// The only version of the file so far.
const VERSION: i64 = 1;

/// Where the ids of the `id` method are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum IdsIn {
    /// `vfio-pci.ids=` on the kernel command line.
    #[default]
    CommandLine,
    /// `options vfio-pci ids=` in modprobe.d.
    Modprobe,
}

impl IdsIn {
    /// The word of the file and of the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::CommandLine => "command-line",
            Self::Modprobe => "modprobe",
        }
    }
}

/// One card, by both of its keys, and how it is given away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Address of its display function, as sysfs writes it.
    pub gpu: String,
    /// `vendor:device:subvendor:subdevice` of its functions, the display function first.
    pub ids: Vec<String>,
    /// Where ids go.
    pub ids_in: IdsIn,
    /// Set `kvm.ignore_msrs`.
    pub ignore_msrs: bool,
    /// Codes of blockers that the user lifts, sorted.
    pub allow: Vec<String>,
}

/// What is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct IntentError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: String,
}

impl IntentError {
    fn at(text: &str, at: usize, reason: String) -> Self {
        let before = text.as_bytes().get(..at).unwrap_or_default();
        Self { line: before.iter().filter(|byte| **byte == b'\n').count() + 1, reason }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    #[serde(rename = "version")]
    _version: i64,
    gpu: Spanned<String>,
    ids: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    ids_in: IdsIn,
    #[serde(default)]
    ignore_msrs: bool,
    #[serde(default)]
    allow: Vec<Spanned<String>>,
}

/// The version alone: a later one may have fields that this program does not know.
#[derive(Deserialize)]
struct Version {
    version: Spanned<i64>,
}

impl Intent {
    /// Reads the file.
    ///
    /// # Errors
    /// It is no TOML, has a field too many or too few, or a value that means nothing.
    pub fn parse(text: &str) -> Result<Self, IntentError> {
        let version = read::<Version>(text)?.version;
        if *version.get_ref() != VERSION {
            let reason = format!("version {} is not known here, only {VERSION}", version.get_ref());
            return Err(IntentError::at(text, version.span().start, reason));
        }
        let file: File = read(text)?;
        if file.ids.get_ref().is_empty() {
            let reason = "ids names no function of the card".to_owned();
            return Err(IntentError::at(text, file.ids.span().start, reason));
        }
        let all = |values: Vec<Spanned<String>>, is: fn(&str) -> bool, what: &str| {
            let values = values.into_iter().map(|value| valid(text, value, is, what));
            values.collect::<Result<Vec<String>, IntentError>>()
        };
        let mut allow = all(file.allow, is_code, "a code of a finding")?;
        allow.sort();
        allow.dedup();
        Ok(Self {
            gpu: valid(text, file.gpu, is_address, ADDRESS)?,
            ids: all(file.ids.into_inner(), is_identity, IDENTITY)?,
            ids_in: file.ids_in,
            ignore_msrs: file.ignore_msrs,
            allow,
        })
    }

    /// The file. Nothing in it needs escapes: no value holds a quote or a backslash.
    pub fn render(&self) -> String {
        let list = |words: &[String]| {
            let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            format!("[{}]", quoted.join(", "))
        };
        format!(
            "{MARK}\n\
             #\n\
             # The card that this machine gives to a guest, by its address and the ids of its\n\
             # functions. `passthru plan` without a card plans for this one.\n\
             version = {VERSION}\n\
             gpu = \"{}\"\n\
             ids = {}\n\
             ids-in = \"{}\"\n\
             ignore-msrs = {}\n\
             allow = {}\n",
            self.gpu,
            list(&self.ids),
            self.ids_in.word(),
            self.ignore_msrs,
            list(&self.allow)
        )
    }

    /// What another one has instead, a phrase for each field.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let list = |words: &[String]| {
            if words.is_empty() { "none".to_owned() } else { words.join(" ") }
        };
        let fields = [
            ("gpu", self.gpu.clone(), other.gpu.clone()),
            ("ids", list(&self.ids), list(&other.ids)),
            ("ids-in", self.ids_in.word().to_owned(), other.ids_in.word().to_owned()),
            ("ignore-msrs", self.ignore_msrs.to_string(), other.ignore_msrs.to_string()),
            ("allow", list(&self.allow), list(&other.allow)),
        ];
        let differ = fields.into_iter().filter(|(_, own, other)| own != other);
        differ.map(|(name, own, other)| format!("{name} from {own} to {other}")).collect()
    }
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, IntentError> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let reason = error.message().lines().collect::<Vec<_>>().join(", ");
        IntentError::at(text, at, reason)
    })
}

fn valid(
    text: &str,
    value: Spanned<String>,
    is: fn(&str) -> bool,
    what: &str,
) -> Result<String, IntentError> {
    if is(value.get_ref()) {
        return Ok(value.into_inner());
    }
    let shown: String = value.get_ref().chars().take(60).collect();
    Err(IntentError::at(text, value.span().start, format!("{shown:?} is not {what}")))
}

const ADDRESS: &str = "a whole PCI address such as 0000:07:00.0";
const IDENTITY: &str =
    "vendor:device:subvendor:subdevice in lower case, such as 1002:73ff:1462:5022";

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// As sysfs writes it.
fn is_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '.']).collect();
    let shape = text.match_indices([':', '.']).map(|(_, mark)| mark).eq([":", ":", "."]);
    let [domain, bus, device, function] = parts.as_slice() else { return false };
    shape
        && parts.iter().all(|part| is_hex(part))
        && (4..=8).contains(&domain.len())
        && bus.len() == 2
        && device.len() == 2
        && *device < "20"
        && function.len() == 1
        && *function < "8"
}

fn is_identity(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() == 4 && parts.iter().all(|part| part.len() == 4 && is_hex(part))
}

fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'-'))
}

#[cfg(test)]
mod tests;
