//! loader.conf of systemd-boot (loader.conf(5)) and which entry it selects.

use super::order::{Listed, menu};
use crate::config::glob;

/// How long the menu is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// The key is not there: no menu unless a key is held.
    Unset,
    /// `menu-disabled`, `menu-hidden` and 0: no menu.
    Hidden,
    /// `menu-force`: until a choice is made.
    Forced,
    /// So many seconds.
    Seconds(u32),
}

/// The settings that decide what is booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderConf {
    /// Pattern of the default entry, in lower case; `@saved` for the last booted.
    pub default: Option<String>,
    /// The menu timeout. The EFI variable LoaderConfigTimeout overrides it.
    pub timeout: Timeout,
}

impl LoaderConf {
    /// Reads any text; of a repeated key the last good value counts.
    pub fn parse(text: &str) -> Self {
        let conf = super::Entry::parse(text);
        let timeouts = conf.values("timeout").into_iter();
        // Other values with @ are ignored with a warning (`config_defaults_load_from_file`).
        let usable = |value: &&str| !value.starts_with('@') || value.eq_ignore_ascii_case("@saved");
        let default = conf.values("default").into_iter().rfind(usable);
        LoaderConf {
            default: default.map(str::to_lowercase),
            timeout: timeouts.filter_map(timeout).next_back().unwrap_or(Timeout::Unset),
        }
    }
}

fn timeout(value: &str) -> Option<Timeout> {
    match value {
        "menu-disabled" | "menu-hidden" => Some(Timeout::Hidden),
        "menu-force" => Some(Timeout::Forced),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse().ok()? {
            0 => Some(Timeout::Hidden),
            seconds => Some(Timeout::Seconds(seconds)),
        },
        _ => None,
    }
}

/// The entry booted without a choice, as `config_select_default_entry` of systemd's
/// src/boot/boot.c selects it among type-1 entries.
///
/// `None` when there are no entries, and for `@saved`, which is decided by the EFI
/// variable LoaderEntryLastBooted. LoaderEntryOneShot and LoaderEntryDefault come
/// first; pass the latter as `default` if it is set. Unified kernel images take
/// part in the order too, under their file names.
pub fn default_entry<'a>(entries: &'a [Listed], default: Option<&str>) -> Option<&'a Listed> {
    let ordered = menu(entries);
    let pattern = default.map(str::to_lowercase);
    if pattern.as_deref() == Some("@saved") {
        return None;
    }
    let selected = pattern.and_then(|pattern| {
        let mut fitting = ordered.iter().filter(|entry| glob::matches(&pattern, &entry.id));
        fitting.next().copied()
    });
    selected.or(ordered.first().copied())
}
