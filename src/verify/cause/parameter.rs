//! A word did not reach the kernel, or still does.

use super::{
    AGAIN, Cause, PICK_ENTRY, changed_since, is_menu, kernel_changed, problems, recovery_word,
};
use crate::check::{Evidence, bootloader_by_hand};
use crate::config::bls::Entry;
use crate::config::cmdline::{Cmdline, Parameter};
use crate::host::boot::{BootloaderKind, GRUB_CFGS};
use crate::host::parameters::current_entry;
use crate::verify::scene::Scene;
use crate::verify::{Reboot, Stage};

/// Why a word that was expected is not there.
pub fn missing(scene: &Scene<'_>, word: &str) -> Cause {
    recovery(scene)
        .or_else(|| on_trial(scene))
        .or_else(|| updated_kernel(scene, word))
        .or_else(|| another_entry(scene, word))
        .or_else(|| another_value(scene, word))
        .or_else(|| menu_problem(scene))
        .or_else(|| not_generated(scene, word))
        .or_else(|| another_copy(scene, word))
        .or_else(|| taken_out(scene, word))
        .unwrap_or_else(|| not_known(scene, word))
}

/// It comes first: such an entry lacks the words on purpose.
fn recovery(scene: &Scene<'_>) -> Option<Cause> {
    let word = recovery_word(scene)?;
    let text = format!(
        "A recovery entry was started (`{word}`), and recovery entries boot without passthrough."
    );
    Some(Cause::new(text, PICK_ENTRY).and("proc/cmdline", word))
}

/// The words stand in an entry that is started once, and this boot is another one.
fn on_trial(scene: &Scene<'_>) -> Option<Cause> {
    let trial = scene.trial.filter(|trial| trial.stage != Stage::Running)?;
    Some(Cause::new(trial.text(), trial.hint()))
}

/// Of a module's parameter the last value counts.
fn another_value(scene: &Scene<'_>, word: &str) -> Option<Cause> {
    let key = Parameter::parse(word).key;
    let last = scene.case.active.last(key).filter(|_| key.contains('.'))?;
    let replaced = if scene.case.active.contains_word(word) {
        ", which comes later, and only the last one counts"
    } else {
        ""
    };
    let text = format!("The kernel got another value for {key}: `{}`{replaced}.", last.word);
    let source = scene.case.configured.source_of(last.word);
    let hint = match source {
        Some(source) => format!("/{} sets it. {AGAIN}", source.path),
        None => format!("Find the file that sets it. {AGAIN}"),
    };
    let evidence = source.map(|source| Evidence::new(source.path.clone(), last.word));
    Some(Cause::new(text, hint).and("proc/cmdline", last.word).and_all(evidence))
}

/// Entries with their words, where the loader has an entry a file.
fn entries(scene: &Scene<'_>) -> Vec<(String, Cmdline)> {
    let kinds = [BootloaderKind::SystemdBoot, BootloaderKind::GrubBls, BootloaderKind::Kernelstub];
    let loader = &scene.host.bootloader;
    let Some(dir) = loader.loader_dir.as_deref().filter(|_| kinds.contains(&loader.kind)) else {
        return Vec::new();
    };
    let dir = format!("{dir}/loader/entries");
    let files = scene.host.files.below(&dir);
    files
        .map(|(path, file)| (path.to_owned(), Cmdline::parse(&Entry::parse(&file.text).options())))
        .collect()
}

/// Everything that an entry has reached the kernel, so it can be the one that was started.
fn was_started(scene: &Scene<'_>, entry: &Cmdline) -> bool {
    let mut words = entry.parameters().map(|parameter| parameter.word).peekable();
    words.peek().is_some() && words.all(|word| scene.case.active.contains_word(word))
}

/// The entry that was started, which does not have the word.
fn started_without<'a>(
    scene: &Scene<'_>,
    all: &'a [(String, Cmdline)],
    word: &str,
) -> Option<&'a str> {
    let current = current_entry(&scene.host.bootloader, scene.host)?;
    let (path, _) = all.iter().find(|(path, entry)| {
        *path == current && !entry.contains_word(word) && was_started(scene, entry)
    })?;
    Some(path)
}

/// A new kernel got an entry of its own, which was made without the word.
fn updated_kernel(scene: &Scene<'_>, word: &str) -> Option<Cause> {
    let added = scene.added();
    let (then, now) = kernel_changed(scene)?;
    let all = entries(scene);
    let started = started_without(scene, &all, word).filter(|path| path.contains(now))?;
    let text = format!(
        "Since the change the kernel went from {then} to {now}, and the entry of the new kernel, \
         /{started}, does not have {added}."
    );
    Some(Cause::new(text, AGAIN).and(started, "without the word"))
}

fn another_entry(scene: &Scene<'_>, word: &str) -> Option<Cause> {
    let added = scene.added();
    let all = entries(scene);
    let (with, _) = all.iter().find(|(_, entry)| entry.contains_word(word))?;
    let started = started_without(scene, &all, word)?;
    let text = format!(
        "The boot entry /{started} was started, which does not have {added}; /{with} \
         has it."
    );
    let hint = format!("Reboot, pick the entry of /{with}, and run `passthru verify` again.");
    Some(Cause::new(text, hint).and(started, "without the word").and(with, word))
}

/// Somebody looked at the menu and found it wrong.
fn menu_problem(scene: &Scene<'_>) -> Option<Cause> {
    let (path, what) = problems(scene, is_menu).next()?;
    let since = changed_since(scene, false);
    let text = format!("The boot menu is not as passthru left it: {}.{since}", sentence(what));
    let all = problems(scene, is_menu).map(|(path, what)| Evidence::new(path, what));
    Some(Cause::new(text, format!("{AGAIN} The file is {path}.")).and_all(all))
}

pub fn sentence(text: &str) -> &str {
    text.trim_end_matches('.')
}

/// Lines of grub.cfg that start a kernel.
fn grub_lines<'a>(scene: &Scene<'a>) -> Option<(&'static str, Vec<&'a str>)> {
    if scene.host.bootloader.kind != BootloaderKind::Grub {
        return None;
    }
    let (path, text) =
        GRUB_CFGS.iter().find_map(|path| Some((*path, scene.host.files.text(path)?)))?;
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| line.starts_with("linux")).collect();
    (!lines.is_empty()).then_some((path, lines))
}

fn not_generated(scene: &Scene<'_>, word: &str) -> Option<Cause> {
    let added = scene.added();
    let (path, lines) = grub_lines(scene)?;
    let source = scene.case.configured.source_of(word)?;
    let has = |line: &&&str| Cmdline::parse(line).contains_word(word);
    let cause = if lines.iter().any(|line| has(&line)) {
        let text =
            format!("/{path} has entries with {added}, and an entry without it was started.");
        Cause::new(text, PICK_ENTRY).and(path, word)
    } else {
        let text = format!(
            "/{path} was not written anew after the change: /{} has {added}, and no \
             entry of the menu does.",
            source.path
        );
        let tool = if scene.host.os.has("update-grub") {
            "sudo update-grub".to_owned()
        } else {
            let name = if path.contains("grub2") { "grub2-mkconfig" } else { "grub-mkconfig" };
            format!("sudo {name} -o /{path}")
        };
        Cause::new(text, format!("Run `{tool}`, and reboot.")).and(path, "not in any entry")
    };
    Some(cause.and(source.path.clone(), word))
}

/// The configuration has it, and what was started came from elsewhere.
fn another_copy(scene: &Scene<'_>, word: &str) -> Option<Cause> {
    let added = scene.added();
    let source = scene.case.configured.source_of(word)?;
    let loader = &scene.host.bootloader;
    let doubt = if loader.disagree {
        " The signs disagree about which boot loader this system uses."
    } else {
        ""
    };
    let when = match scene.then.reboot(scene.host, scene.facts) {
        Reboot::Unknown(_) => "before the change, or ",
        Reboot::Done | Reboot::NotYet => "",
    };
    let text = format!(
        "/{} has {added}, but the kernel was started without it: {when}from another \
         entry or by another boot loader, or it was edited in the boot menu.{doubt}",
        source.path
    );
    let clues = loader.clues.iter().map(|c| Evidence::new(c.path.clone(), c.found.clone()));
    let hint = format!(
        "{PICK_ENTRY} `passthru inspect` shows which boot loader was found ({}).",
        loader.kind.word()
    );
    Some(Cause::new(text, hint).and(source.path.clone(), word).and_all(clues))
}

/// It was configured, and is not any more.
fn taken_out(scene: &Scene<'_>, word: &str) -> Option<Cause> {
    let added = scene.added();
    let configured = &scene.case.configured;
    if !configured.is_complete() || configured.contains_word(word) {
        return None;
    }
    let source = configured.sources.first()?;
    // Packages of kernels write boot entries, and never the files that users write.
    let entry = source.path.contains("/loader/entries/");
    let text = match kernel_changed(scene).filter(|_| entry) {
        Some((then, now)) => format!(
            "/{} no longer has {added}: since the change the kernel went from {then} \
             to {now}, and the boot entry was written anew.",
            source.path
        ),
        None => format!(
            "/{} no longer has {added}: something took it out after the change.",
            source.path
        ),
    };
    Some(Cause::new(text, AGAIN).and(source.path.clone(), "without the word"))
}

fn not_known(scene: &Scene<'_>, word: &str) -> Cause {
    let kind = scene.host.bootloader.kind.word();
    let text = format!(
        "The kernel was started without it, and what this boot loader ({kind}) has configured \
         could not be read or understood."
    );
    let hint = match bootloader_by_hand(scene.host, &[word.to_owned()]) {
        Some(steps) => format!("Look whether it is configured; if not: {steps}. Then reboot."),
        None => format!("{AGAIN} With sudo, files that only root may read count too."),
    };
    let problems = scene.case.configured.problems.iter();
    Cause::new(text, hint)
        .and_all(problems.map(|(path, problem)| Evidence::new(path.clone(), problem.to_string())))
}

/// Why a word that an undo took out still reaches the kernel.
pub fn still_there(scene: &Scene<'_>, word: &str) -> Cause {
    if let Some(source) = scene.case.configured.source_of(word) {
        let text = format!("/{} still has `{word}`.", source.path);
        let hint = format!(
            "It was put there beside passthru, or came back: take it out of /{} and reboot.",
            source.path
        );
        return Cause::new(text, hint).and(source.path.clone(), word);
    }
    if let Some((path, lines)) = grub_lines(scene)
        && lines.iter().any(|line| Cmdline::parse(line).contains_word(word))
    {
        let text = format!("The entries of /{path} still have it: the menu was not written anew.");
        let hint = "Write the menu anew (`sudo update-grub`, or grub-mkconfig), and reboot.";
        return Cause::new(text, hint).and(path, word);
    }
    if let Some((path, _)) = entries(scene).iter().find(|(_, entry)| entry.contains_word(word)) {
        let text = format!("The boot entry /{path} still has it, and was started.");
        return Cause::new(text, "Remove that entry, or the word in it, and reboot.")
            .and(path, word);
    }
    Cause::new(
        "No boot configuration that was read has it: it was typed in the boot menu, or another \
         file sets it.",
        "Reboot without editing the entry, and run `passthru verify` again.",
    )
}
