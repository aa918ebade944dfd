//! A plan document that somebody reviewed, and the plan that this machine would get now.
//!
//! What is carried out is always the plan that was made here; the reviewed one can only keep it
//! from being carried out. So it may come from anybody.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::plan::PlanDocument;
use crate::check::{Desired, IdsIn, Rollout, pages};
use crate::host::pci::PciAddress;
use crate::plan::may_change;

/// A larger file is no plan. Its parts are configuration files of at most a mebibyte, and most
/// have some lines.
pub const MAX_BYTES: usize = 8 << 20;

/// Why a reviewed plan is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// It is no plan document, or one of another form.
    #[error("this is no plan: {0}")]
    NotAPlan(String),
    /// It changes a file that is not passthru's business.
    #[error(
        "it changes {path:?}, and no plan of passthru may do that: where does the file come from?"
    )]
    UnknownPath {
        /// As written there.
        path: String,
    },
    /// A file is not as it was.
    #[error("{path} has changed since the plan was made: make a new plan and review that one")]
    Stale {
        /// The file.
        path: String,
    },
    /// Anything else is not what this machine would get.
    #[error(
        "{what} is not what this machine would get now: the plan is for another machine, from another version of passthru, or was altered; make a new one and review that"
    )]
    Altered {
        /// What it is.
        what: String,
    },
}

/// Reads the bytes of a plan document.
///
/// # Errors
/// It is too large, no JSON, nested too deep (serde_json stops at 128), or no plan document.
pub fn parse(bytes: &[u8]) -> Result<Value, Difference> {
    if bytes.len() > MAX_BYTES {
        return Err(Difference::NotAPlan(format!("it is larger than {} MiB", MAX_BYTES >> 20)));
    }
    let document: Value = serde_json::from_slice(bytes)
        .map_err(|error| Difference::NotAPlan(format!("it cannot be read as JSON: {error}")))?;
    object(&document)?;
    Ok(document)
}

/// What was asked for when it was made; the question to plan for again.
///
/// # Errors
/// It is no plan document, or the wish in it means nothing.
pub fn wish(reviewed: &Value) -> Result<Desired, Difference> {
    let wrong = |name: &str| Difference::NotAPlan(format!("its wish has no good `{name}`"));
    let document = object(reviewed)?;
    let wish = document.get("wish").and_then(Value::as_object).ok_or_else(|| {
        Difference::NotAPlan(
            "it has no `wish`: an older passthru made it, or another program".to_owned(),
        )
    })?;
    let gpu = wish.get("gpu").and_then(Value::as_str).ok_or_else(|| wrong("gpu"))?;
    let whole = |address: &PciAddress| address.to_string() == gpu;
    let address = gpu.parse().ok().filter(whole).ok_or_else(|| wrong("gpu"))?;
    let ids_in = match wish.get("ids_in").and_then(Value::as_str) {
        Some("command-line") => IdsIn::CommandLine,
        Some("modprobe") => IdsIn::Modprobe,
        _ => return Err(wrong("ids_in")),
    };
    let allow = wish.get("allow").and_then(Value::as_array).ok_or_else(|| wrong("allow"))?;
    let known = |code: &Value| {
        let code = code.as_str().filter(|code| pages::page(code).is_some());
        code.map(str::to_owned).ok_or_else(|| wrong("allow"))
    };
    Ok(Desired {
        gpu: Some(address.to_string()),
        identity: Vec::new(),
        ids_in,
        ignore_msrs: wish
            .get("ignore_msrs")
            .and_then(Value::as_bool)
            .ok_or_else(|| wrong("ignore_msrs"))?,
        allow: allow.iter().map(known).collect::<Result<_, _>>()?,
        rollout: match wish.get("trial").and_then(Value::as_bool).ok_or_else(|| wrong("trial"))? {
            true => Rollout::Trial,
            false => Rollout::Standing,
        },
    })
}

/// Whether the reviewed plan is the one that this machine gets now, in every part.
///
/// # Errors
/// The first difference, the worst kind first.
pub fn compare(reviewed: &Value, fresh: &PlanDocument) -> Result<(), Difference> {
    let reviewed_fields = object(reviewed)?;
    let changes = changes(reviewed_fields)?;
    let fresh = serde_json::to_value(fresh)
        .map_err(|error| Difference::NotAPlan(format!("it cannot be compared: {error}")))?;
    let none = Map::new();
    let fresh = fresh.as_object().unwrap_or(&none);
    let now = fresh.get("changes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let same_path =
        |path: &str, all: &[&Value]| all.iter().copied().find(|c| c["path"] == path).cloned();
    let now: Vec<&Value> = now.iter().collect();
    for (path, change) in &changes {
        if same_path(path, &now).is_some_and(|own| own["before"] != change["before"]) {
            return Err(Difference::Stale { path: (*path).to_owned() });
        }
    }
    let then: Vec<&Value> = changes.iter().map(|(_, change)| *change).collect();
    let paths = then.iter().chain(&now).filter_map(|change| change["path"].as_str());
    for path in paths {
        if same_path(path, &now) != same_path(path, &then) {
            return Err(Difference::Altered { what: format!("the change of {path}") });
        }
    }
    let names: BTreeSet<&String> = fresh.keys().chain(reviewed_fields.keys()).collect();
    match names.into_iter().find(|name| fresh.get(*name) != reviewed_fields.get(*name)) {
        Some(name) => Err(Difference::Altered { what: format!("`{}`", shown(name)) }),
        None => Ok(()),
    }
}

/// The fields of a plan document of this form.
fn object(document: &Value) -> Result<&Map<String, Value>, Difference> {
    let wrong = |reason: String| Err(Difference::NotAPlan(reason));
    let Some(fields) = document.as_object() else {
        return wrong("it is no JSON object".to_owned());
    };
    let schema = |key: &str| fields.get("schema").and_then(|schema| schema.get(key));
    match (schema("name").and_then(Value::as_str), schema("version").and_then(Value::as_u64)) {
        (Some("plan"), Some(1)) => Ok(fields),
        (Some("plan"), Some(version)) => {
            wrong(format!("its form has version {version}, and only 1 is known here"))
        }
        (Some(other), _) => wrong(format!(
            "it is a `{}` document; `passthru plan --out FILE` writes a plan",
            shown(other)
        )),
        (None, _) => {
            wrong("it has no `schema`; `passthru plan --out FILE` writes a plan".to_owned())
        }
    }
}

/// Its changes by path, each of them allowed and there once.
fn changes(fields: &Map<String, Value>) -> Result<Vec<(&str, &Value)>, Difference> {
    let list = fields.get("changes").and_then(Value::as_array);
    let list = list.ok_or_else(|| Difference::NotAPlan("it has no list of changes".to_owned()))?;
    let mut seen = BTreeSet::new();
    let each = list.iter().map(|change| {
        let path = change.get("path").and_then(Value::as_str);
        let path = path.ok_or_else(|| Difference::NotAPlan("a change has no path".to_owned()))?;
        if !may_change(path) {
            return Err(Difference::UnknownPath { path: shown(path) });
        }
        if !seen.insert(path) {
            return Err(Difference::NotAPlan(format!("it changes {path} twice")));
        }
        Ok((path, change))
    });
    each.collect()
}

/// Words of strangers, as short as a line and without what a terminal would obey.
fn shown(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests;
