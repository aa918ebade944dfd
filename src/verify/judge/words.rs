//! What counts as there on the kernel command line.

use super::Judgement;
use crate::config::cmdline::{Cmdline, Parameter};
use crate::host::Observed;
use crate::verify::scene::Scene;

const CMDLINE: &str = "proc/cmdline";

fn command_line<'a>(scene: &'a Scene<'_>) -> Result<&'a Cmdline, Judgement> {
    match &scene.host.kernel.command_line {
        Observed::Present(_) => Ok(&scene.case.active),
        Observed::Absent => Err(Judgement::Unknown(CMDLINE.into(), "it is not there".into())),
        Observed::Unreadable(reason) => Err(Judgement::Unknown(CMDLINE.into(), reason.clone())),
    }
}

/// The kernel got it.
pub fn parameter(scene: &Scene<'_>, word: &str) -> Judgement {
    let active = match command_line(scene) {
        Ok(active) => active,
        Err(unknown) => return unknown,
    };
    Judgement::of(is_in_effect(active, word), CMDLINE, found_of(active, word))
}

/// The kernel did not get it.
pub fn no_parameter(scene: &Scene<'_>, word: &str) -> Judgement {
    let active = match command_line(scene) {
        Ok(active) => active,
        Err(unknown) => return unknown,
    };
    let there = active.parameters().any(|p| says(&p, &Parameter::parse(word)));
    Judgement::of(!there, CMDLINE, found_of(active, word))
}

/// Words of the same name, or that there is none.
fn found_of(active: &Cmdline, word: &str) -> String {
    let key = Parameter::parse(word).key;
    let same: Vec<&str> =
        active.parameters().filter(|p| p.is(key)).map(|parameter| parameter.word).collect();
    if same.is_empty() { format!("no {key}") } else { same.join(" ") }
}

/// Values of these are lists, each part of which counts (drivers/iommu/intel/iommu.c
/// `intel_iommu_setup`, drivers/iommu/amd/init.c `parse_amd_iommu_options`).
const LISTS: [&str; 2] = ["intel_iommu", "amd_iommu"];

/// Of a module's parameter the last value counts (kernel/params.c); so does the last
/// `passthru.bind=`.
pub fn is_in_effect(active: &Cmdline, word: &str) -> bool {
    let wanted = Parameter::parse(word);
    if wanted.key.contains('.') {
        return active.last(wanted.key).is_some_and(|last| says(&last, &wanted));
    }
    active.parameters().any(|parameter| says(&parameter, &wanted))
}

fn says(parameter: &Parameter<'_>, wanted: &Parameter<'_>) -> bool {
    if !parameter.is(wanted.key) {
        return false;
    }
    let parts = |value: &str, part: &str| value.split(',').any(|one| one == part);
    match (parameter.value, wanted.value) {
        (Some(value), Some(part)) if LISTS.iter().any(|list| wanted.is(list)) => {
            value == part || parts(value, part)
        }
        (value, wanted) => value == wanted,
    }
}
