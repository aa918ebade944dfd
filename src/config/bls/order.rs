//! The order of systemd-boot's menu, and names that stay behind in it.

use std::cmp::Ordering;

use super::loader::default_entry;
use super::{Entry, version};

/// What the order of an entry depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// File name in loader/entries.
    pub file: String,
    /// What patterns are compared with: the name in lower case, without boot counter.
    pub id: String,
    sort_key: Option<String>,
    machine_id: String,
    version: String,
    /// Boots left and boots done, where the name counts them.
    tries: Option<(u64, u64)>,
}

impl Listed {
    /// An entry under its file name; `None` if systemd-boot would not list that name
    /// (`valid_type1_filename` in src/boot/boot.c).
    pub fn new(file: &str, entry: &Entry) -> Option<Self> {
        let lower = file.to_lowercase();
        if lower.starts_with('.') || lower.starts_with("auto-") || !lower.ends_with(".conf") {
            return None;
        }
        let text = |key| entry.value(key).unwrap_or_default().to_owned();
        let (name, tries) = split_counter(file);
        Some(Listed {
            file: file.to_owned(),
            id: name.to_lowercase(),
            sort_key: entry.value("sort-key").map(str::to_owned),
            machine_id: text("machine-id"),
            version: text("version"),
            tries,
        })
    }

    /// Whether all counted boots failed; such entries come last.
    fn exhausted(&self) -> bool {
        self.tries.is_some_and(|(left, _)| left == 0)
    }

    /// `boot_entry_compare` in src/boot/boot.c.
    fn compare(&self, other: &Self) -> Ordering {
        let by_key = match (&self.sort_key, &other.sort_key) {
            (Some(a), Some(b)) => a
                .cmp(b)
                .then_with(|| self.machine_id.cmp(&other.machine_id))
                .then_with(|| version::compare(&other.version, &self.version)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        let by_tries = || match (self.tries, other.tries) {
            (Some((left, done)), Some((other_left, other_done))) => {
                other_left.cmp(&left).then(done.cmp(&other_done))
            }
            _ => Ordering::Equal,
        };
        self.exhausted()
            .cmp(&other.exhausted())
            .then(by_key)
            .then_with(|| version::compare(&other.id, &self.id))
            .then_with(by_tries)
    }
}

/// The entries from top to bottom.
pub fn menu(entries: &[Listed]) -> Vec<&Listed> {
    let mut ordered: Vec<&Listed> = entries.iter().collect();
    ordered.sort_by(|a, b| a.compare(b));
    ordered
}

/// A file name without its boot counter, and the boots left and done:
/// `x+3-1.conf` is `x.conf` with 3 and 1 (UAPI.1, "Boot counting").
pub fn split_counter(file: &str) -> (String, Option<(u64, u64)>) {
    let whole = || (file.to_owned(), None);
    let at = file.len().saturating_sub(".conf".len());
    let Some((stem, suffix)) = file.split_at_checked(at) else {
        return whole();
    };
    let Some((name, counter)) = stem.rsplit_once('+') else {
        return whole();
    };
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // systemd refuses counters that do not fit a C int.
        let number = text.parse::<u64>().ok().filter(|n| i32::try_from(*n).is_ok());
        number.filter(|_| digits)
    };
    let (left, done) = counter.split_once('-').unwrap_or((counter, "0"));
    match (number(left), number(done)) {
        (Some(left), Some(done)) if suffix.eq_ignore_ascii_case(".conf") => {
            (format!("{name}{suffix}"), Some((left, done)))
        }
        _ => whole(),
    }
}

/// A file name for `entry`, derived from `original` by a suffix, under which it is not booted
/// by default now; `None` if every such name would be.
///
/// Names that sort behind everything are preferred, so that it stays so when the
/// present default entry is removed. The entry should have no sort-key.
pub fn name_beside(
    existing: &[Listed],
    default: Option<&str>,
    original: &str,
    suffix: &str,
    entry: &Entry,
) -> Option<String> {
    let (name, _) = split_counter(original);
    let stem = name.strip_suffix(".conf").unwrap_or(&name);
    // A leading `~` makes a name older than any other. Not the first choice, since
    // it looks like a backup file.
    let names = [format!("{stem}{suffix}.conf"), format!("~{stem}{suffix}.conf")];
    let judge = |name: &String| {
        let listed = Listed::new(name, entry)?;
        let taken = existing.iter().any(|own| own.id == listed.id);
        let mut all = existing.to_vec();
        all.push(listed.clone());
        let selected = default_entry(&all, default).is_some_and(|entry| entry.id == listed.id);
        let ordered = menu(&all);
        let last = ordered.iter().rfind(|own| !own.exhausted());
        let last = last.is_some_and(|last| last.id == listed.id);
        // Where the last boot decides, a name that is last is not taken before there was one.
        let saved = default.is_some_and(|default| default.eq_ignore_ascii_case("@saved"));
        (!taken && !selected && (last || !saved)).then_some(last)
    };
    let judged: Vec<_> =
        names.iter().filter_map(|name| judge(name).map(|last| (name, last))).collect();
    let best = judged.iter().find(|(_, last)| *last).or(judged.first());
    best.map(|(name, _)| (*name).clone())
}
