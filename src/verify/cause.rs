//! Why an expectation is not met: the likeliest cause that something speaks for.

mod binding;
mod group;
mod iommu;
mod kept;
mod moved;
mod order;
mod parameter;
mod script;
mod taken;

use super::judge::is_in_effect;
use super::scene::Scene;
use crate::check::{Evidence, Finding};
use crate::config::cmdline::Parameter;
use crate::host::pci::PciDevice;
use crate::host::selected::{self, BIND};
use crate::plan::{Expectation, IMAGE_SOURCES};

/// One cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// One or two sentences; the same for every expectation that fails of it.
    pub text: String,
    /// What to do next.
    pub hint: String,
    /// What speaks for it.
    pub evidence: Vec<Evidence>,
}

impl Cause {
    /// A cause that the evidence of the expectation itself speaks for.
    pub fn new(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { text: text.into(), hint: hint.into(), evidence: Vec::new() }
    }

    /// Adds a reading.
    fn and(mut self, path: impl Into<String>, found: impl Into<String>) -> Self {
        self.evidence.push(Evidence::new(path, found));
        self
    }

    /// Adds readings.
    fn and_all(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    /// What `check` says.
    fn found(finding: &Finding) -> Self {
        let hint = match finding.remedy.text.as_str() {
            "" => format!("`passthru explain {}` tells more.", finding.code),
            text => text.to_owned(),
        };
        Self { text: finding.detail.clone(), hint, evidence: finding.evidence.clone() }
    }
}

/// The likeliest cause.
pub fn of(scene: &Scene<'_>, expectation: &Expectation) -> Cause {
    match expectation {
        Expectation::Parameter(word) => parameter::missing(scene, word),
        Expectation::NoParameter(word) => parameter::still_there(scene, word),
        Expectation::IommuOn => iommu::off(scene),
        Expectation::Identity(address, _) => moved::displaced(scene, *address)
            .unwrap_or_else(|| Cause::new("Another device is at this address.", AGAIN)),
        Expectation::OnVfio(address) => binding::not_bound(scene, *address),
        Expectation::NotOnVfio(address) => taken::still_bound(scene, *address),
        Expectation::Keeps(address, driver) => kept::lost(scene, *address, driver),
        Expectation::VfioGroup(group) => group::not_viable(scene, *group),
        Expectation::NothingElseTaken => taken::foreign(scene),
    }
}

/// Where the configuration is no longer what passthru wrote.
const AGAIN: &str =
    "Look at what `passthru plan` would change now, and run `passthru apply` again.";
/// Where the configuration is right and another entry of the menu ran.
const PICK_ENTRY: &str =
    "Reboot, pick the usual entry in the boot menu, and run `passthru verify` again.";

/// What selects a function for vfio-pci in this boot.
pub fn selected_by(scene: &Scene<'_>, device: &PciDevice) -> Option<Evidence> {
    let word = scene.case.active.last(BIND);
    if let Some(word) = word
        && selected::bound_addresses(word.value.unwrap_or_default()).contains(&device.address)
    {
        return Some(Evidence::new("proc/cmdline", word.word));
    }
    let list = selected::active_ids(scene.host, &scene.case.active)?;
    let line = list.line.map_or_else(String::new, |line| format!("line {line}: "));
    let found = format!("{line}ids={}", list.text);
    list.takes(device).then(|| Evidence::new(list.path.clone(), found))
}

/// Parameters that were expected and are not there.
fn missing_words<'a>(scene: &Scene<'a>) -> Vec<&'a str> {
    let words = scene.expected.iter().filter_map(|expectation| match expectation {
        Expectation::Parameter(word) => Some(word.as_str()),
        _ => None,
    });
    if scene.host.command_line().is_none() {
        return Vec::new();
    }
    words.filter(|word| !is_in_effect(&scene.case.active, word)).collect()
}

/// The word of the kernel command line that forbids a module.
fn forbidden(scene: &Scene<'_>, module: &str) -> Option<Evidence> {
    // kernel/module/main.c `module_blacklist`; modprobe(8); dracut.cmdline(7).
    const WORDS: [&str; 3] = ["module_blacklist", "modprobe.blacklist", "rd.driver.blacklist"];
    let plain = |name: &str| name.replace('-', "_");
    let names = |parameter: &Parameter<'_>| {
        let listed = parameter.value.unwrap_or_default();
        let named = listed.split(',').any(|name| plain(name) == plain(module));
        named && WORDS.iter().any(|word| parameter.is(word))
    };
    let word = scene.case.active.parameters().find(names)?;
    Some(Evidence::new("proc/cmdline", word.word))
}

/// The word that makes this a boot for repairs. systemd(1) and init take these from the kernel
/// command line; Ubuntu's recovery entries have `recovery`.
fn recovery_word<'a>(scene: &'a Scene<'_>) -> Option<&'a str> {
    const WORDS: [&str; 8] =
        ["single", "s", "S", "1", "emergency", "rescue", "recovery", "rd.break"];
    let unit = |p: &Parameter<'_>| {
        (p.key == "systemd.unit" || p.key == "rd.systemd.unit")
            && matches!(p.value, Some("rescue.target" | "emergency.target"))
    };
    let shell = |p: &Parameter<'_>| p.key == "init" && p.value.is_some_and(|v| v.ends_with("sh"));
    let mut all = scene.case.active.parameters();
    let found = all.find(|p| (WORDS.contains(&p.word)) || unit(p) || shell(p));
    found.map(|parameter| parameter.word)
}

/// Another kernel runs than when the change was made.
fn kernel_changed<'a>(scene: &Scene<'a>) -> Option<(&'a str, &'a str)> {
    let then = scene.then.kernel_release.as_deref()?;
    let now = scene.host.kernel.release.as_deref()?;
    (then != now).then_some((then, now))
}

/// Problems of images, or of boot menus, as evidence.
fn problems<'a>(
    scene: &'a Scene<'_>,
    of: fn(&str) -> bool,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let all = scene.facts.artefact_problems.iter();
    all.filter(move |(path, _)| of(path)).map(|(path, what)| (path.as_str(), what.as_str()))
}

/// Files that were changed since, where that explains a problem of an image or else of a menu: a
/// sentence each, to stand after others.
fn changed_since(scene: &Scene<'_>, of_images: bool) -> String {
    let goes_into_images = |path: &str| {
        let path = path.trim_start_matches('/');
        IMAGE_SOURCES.iter().any(|source| path.starts_with(source))
    };
    let edited = scene.facts.edited.iter();
    let edited = edited.filter(|(path, _)| goes_into_images(path) == of_images);
    edited.map(|(path, what)| format!(" Since then {path} {what}.")).collect()
}

/// A unified kernel image is an image and a boot entry.
fn is_image(path: &str) -> bool {
    path.contains("initr") || path.ends_with(".img") || path.ends_with(".efi")
}

fn is_menu(path: &str) -> bool {
    !path.contains("initr") && !path.ends_with(".img")
}
