//! systemd-boot: entries that people wrote, and entries that kernel-install makes.

use super::{BECAUSE, words};
use crate::check::Case;
use crate::config::NotUnderstood;
use crate::config::bls::{Entry, Listed, LoaderConf, name_beside};
use crate::config::cmdline::{Cmdline, Parameter};
use crate::host::Host;
use crate::host::boot::ESP_DIRS;
use crate::host::once::TRIAL_SUFFIX;
use crate::host::parameters::{FALLBACK_SUFFIX, copied_from, current_entry, entry_id};
use crate::host::selected::{BIND, IDS};
use crate::plan::edits::{CannotEdit, Edits, MARK};
use crate::plan::kernel_parameters::ParameterChange;

/// What kernel-install makes new entries from (kernel-install(8)).
pub const CMDLINE: &str = "etc/kernel/cmdline";

/// True where kernel-install makes the entries of this system.
pub fn are_generated(host: &Host) -> bool {
    current_entry(&host.bootloader, host)
        .is_some_and(|current| is_from_kernel_install(host, &current))
}

/// The entry that starts this system.
fn current(host: &Host) -> Result<String, CannotEdit> {
    current_entry(&host.bootloader, host).ok_or_else(|| CannotEdit {
        path: format!("{}/loader/entries", host.bootloader.loader_dir.as_deref().unwrap_or("boot")),
        reason: "it cannot be told which of the entries starts this system".to_owned(),
    })
}

/// An entry with the words beside the current one, which stays the default. Gives the id that
/// `bootctl set-oneshot` takes: the name of the file.
pub fn trial(
    case: &Case<'_>,
    change: &ParameterChange,
    edits: &mut Edits<'_>,
) -> Result<String, CannotEdit> {
    let host = case.host;
    let current = current(host)?;
    let all = entries_beside(host, &current);
    let own = all.iter().filter(|(path, entry)| is_trial(path, entry));
    let (same, other): (Vec<_>, Vec<_>) = own
        .partition(|(path, _)| copied_from(&entry_id(path)) == Some(entry_id(&current).as_str()));
    let (dir, original) = current.rsplit_once('/').unwrap_or(("", &current));
    let Some((_, entry)) = all.iter().find(|(path, _)| *path == current) else {
        return Err(CannotEdit { path: current, reason: "it is not there".to_owned() });
    };
    let title = format!("{} (passthru, on trial)", entry.value("title").unwrap_or("Linux"));
    let copy = entry.without_key("sort-key").with_title(&title);
    let copy = copy.remove_options(&words(&change.remove));
    let copy = copy
        .add_options(&words(&change.add))
        .map_err(|error| CannotEdit { path: current.clone(), reason: error.to_string() })?;
    let path = match same.first() {
        Some((path, _)) => path.clone(),
        None => format!("{dir}/{}", beside(host, &all, original, TRIAL_SUFFIX, &copy)?),
    };
    edits.own(&path, &format!("{MARK}\n{}", copy.render()), 0o644, &BECAUSE)?;
    edits.after_commands(&path);
    other.iter().try_for_each(|(path, _)| edits.remove_own(path))?;
    Ok(id_of(host, path.rsplit('/').next().unwrap_or_default()))
}

/// What the loader compares: the name of the file in lower case, before version 245 without its
/// suffix (systemd-boot of that time; a loader may be older than the system). The entry that it
/// started tells which.
fn id_of(host: &Host, file: &str) -> String {
    let id = file.to_lowercase();
    let selected = host.firmware.efi.entry_selected.as_deref();
    match selected.is_none_or(|selected| selected.ends_with(".conf")) {
        true => id,
        false => id.trim_end_matches(".conf").to_owned(),
    }
}

/// A name for a new entry that the loader does not make its default.
fn beside(
    host: &Host,
    all: &[(String, Entry)],
    original: &str,
    suffix: &str,
    copy: &Entry,
) -> Result<String, CannotEdit> {
    let named = all.iter().filter_map(|(path, entry)| {
        Listed::new(path.rsplit('/').next().unwrap_or_default(), entry)
    });
    let listed: Vec<Listed> = named.collect();
    // Not always beside the entries: it is on the EFI partition even where there is an XBOOTLDR.
    let text =
        ESP_DIRS.iter().find_map(|dir| host.files.text(&format!("{dir}/loader/loader.conf")));
    let conf = LoaderConf::parse(text.unwrap_or_default());
    name_beside(&listed, conf.default.as_deref(), original, suffix, copy).ok_or_else(|| {
        CannotEdit {
            path: original.to_owned(),
            reason: "no name was found for a new entry that the loader would not make its default"
                .to_owned(),
        }
    })
}

/// An entry of ours that is tried before the words go into the normal ones.
fn is_trial(path: &str, entry: &Entry) -> bool {
    entry.render().contains(MARK) && entry_id(path).ends_with(TRIAL_SUFFIX)
}

/// Plans the entries of this system, or what they are made from.
pub fn plan(
    case: &Case<'_>,
    change: &ParameterChange,
    edits: &mut Edits<'_>,
) -> Result<(), CannotEdit> {
    let host = case.host;
    let current = current(host)?;
    let generated = is_from_kernel_install(host, &current);
    let (tried, system): (Vec<_>, Vec<_>) =
        same_system(host, &current).into_iter().partition(|(path, entry)| is_trial(path, entry));
    tried.iter().try_for_each(|(path, _)| edits.remove_own(path))?;
    let (mut spare, normal): (Vec<_>, Vec<_>) =
        system.into_iter().partition(|(path, entry)| *path != current && is_fallback(path, entry));
    if generated {
        spare.retain(|(path, entry)| !is_outlived(host, path, entry));
        remove_outlived(host, &current, edits)?;
    }
    let selects = normal.iter().any(|(_, entry)| !selecting(entry).is_empty());
    let keeps_one = spare.iter().any(|(_, entry)| selecting(entry).is_empty());
    if (selects || !change.is_empty()) && !keeps_one {
        fallback(host, &current, change, edits)?;
    }
    if generated {
        return kernel_install(case, change, &current, edits);
    }
    for (path, _) in &normal {
        edits.edit(path, &BECAUSE, |text| {
            let entry = Entry::parse(text).remove_options(&words(&change.remove));
            Ok(entry.add_options(&words(&change.add))?.render().to_owned())
        })?;
        // The loader reads it at the next boot, whether the images are ready or not.
        edits.after_commands(path);
    }
    Ok(())
}

/// All entries beside this one, itself included.
fn entries_beside(host: &Host, current: &str) -> Vec<(String, Entry)> {
    let dir = current.rsplit_once('/').map_or("", |(dir, _)| dir);
    // systemd-boot lists no hidden files (`valid_type1_filename` in src/boot/boot.c).
    let below = host.files.below(dir).filter(|(path, _)| !path.contains("/."));
    below.map(|(path, file)| (path.to_owned(), Entry::parse(&file.text))).collect()
}

/// Those of the same system: they have the same root.
fn same_system(host: &Host, current: &str) -> Vec<(String, Entry)> {
    let root_of =
        |entry: &Entry| Cmdline::parse(&entry.options()).last("root").map(|p| p.word.to_owned());
    let mut all = entries_beside(host, current);
    let own = all.iter().find(|(path, _)| path == current).and_then(|(_, entry)| root_of(entry));
    all.retain(|(_, entry)| root_of(entry) == own);
    all
}

/// Words of an entry that select a card.
fn selecting(entry: &Entry) -> Vec<String> {
    let options = Cmdline::parse(&entry.options());
    let selects = |parameter: &Parameter<'_>| [BIND, IDS].iter().any(|key| parameter.is(key));
    options.parameters().filter(selects).map(|parameter| parameter.word.to_owned()).collect()
}

/// An entry of ours for a kernel that is no longer installed: kernel-install removes a kernel and
/// the entries that it made for it, and no other.
fn is_outlived(host: &Host, path: &str, entry: &Entry) -> bool {
    let installed = &host.kernel.installed;
    let names = |release: &String| path.contains(release) || entry.render().contains(release);
    !installed.is_empty() && entry.render().contains(MARK) && !installed.iter().any(names)
}

fn remove_outlived(host: &Host, current: &str, edits: &mut Edits<'_>) -> Result<(), CannotEdit> {
    let all = same_system(host, current);
    let mut outlived = all.iter().filter(|(path, entry)| is_outlived(host, path, entry));
    outlived.try_for_each(|(path, _)| edits.remove_own(path))
}

/// Entries that people keep for when the normal one does not boot.
fn is_fallback(path: &str, entry: &Entry) -> bool {
    let marks = ["fallback", "rescue", "recovery"];
    let title = entry.value("title").unwrap_or_default().to_lowercase();
    let name = path.rsplit('/').next().unwrap_or_default().to_lowercase();
    marks.iter().any(|mark| title.contains(mark) || name.contains(mark))
}

/// An entry that stays as the machine was: a copy of the current one without our words, under a
/// name that the loader never makes its default.
fn fallback(
    host: &Host,
    current: &str,
    change: &ParameterChange,
    edits: &mut Edits<'_>,
) -> Result<(), CannotEdit> {
    let mut entries = entries_beside(host, current);
    entries.retain(|(path, entry)| !is_outlived(host, path, entry));
    let (dir, original) = current.rsplit_once('/').unwrap_or(("", current));
    let Some((_, entry)) = entries.iter().find(|(path, _)| path == current) else { return Ok(()) };
    let title = format!("{} (as before passthru)", entry.value("title").unwrap_or("Linux"));
    let copy = entry.without_key("sort-key").with_title(&title);
    let ours: Vec<String> = selecting(entry).into_iter().chain(change.add.clone()).collect();
    let copy = copy.remove_options(&words(&ours));
    let name = beside(host, &entries, original, FALLBACK_SUFFIX, &copy)?;
    edits.own(&format!("{dir}/{name}"), &format!("{MARK}\n{}", copy.render()), 0o644, &BECAUSE)
}

/// kernel-install names entries after the machine and the kernel (kernel-install(8)).
fn is_from_kernel_install(host: &Host, entry: &str) -> bool {
    let name = entry.rsplit('/').next().unwrap_or_default();
    let names_kernel = host
        .kernel
        .installed
        .iter()
        .chain(&host.kernel.release)
        .any(|release| name.contains(release.as_str()));
    let parsed = Entry::parse(host.files.text(entry).unwrap_or_default());
    names_kernel
        && (parsed.value("machine-id").is_some()
            || host.os.has("kernel-install")
            || host.files.has("etc/kernel/cmdline"))
}

/// /etc/kernel/cmdline is what new entries are made from; without it kernel-install would take
/// the running kernel's command line, so it is made from the entry first.
fn kernel_install(
    case: &Case<'_>,
    change: &ParameterChange,
    entry: &str,
    edits: &mut Edits<'_>,
) -> Result<(), CannotEdit> {
    let host = case.host;
    let options = Entry::parse(host.files.text(entry).unwrap_or_default()).options();
    let write = |text: &str| {
        let line =
            if text.trim().is_empty() { format!("{}\n", options.trim()) } else { text.to_owned() };
        if line.trim().lines().count() > 1 {
            let reason = "more than one line of parameters";
            return Err(NotUnderstood {
                line: 2,
                text: line.lines().nth(1).unwrap_or_default().to_owned(),
                reason,
            }
            .into());
        }
        let line = Cmdline::parse(&line).remove(&words(&change.remove));
        Ok(line.add(&words(&change.add))?.render().to_owned())
    };
    if !change.is_empty() {
        edits.edit(CMDLINE, &BECAUSE, write)?;
    }
    Ok(())
}
