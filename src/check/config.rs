//! modprobe.d: lines that do something else than their writer meant.

use super::case::Case;
use super::finding::{Evidence, Found};
use crate::config::modprobe::Directive;
use crate::host::kernel::ModuleState;

/// Parameters of vfio-pci (drivers/vfio/pci/vfio_pci.c).
const PARAMETERS: [&str; 6] =
    ["ids", "nointxmask", "disable_vga", "disable_idle_d3", "enable_sriov", "disable_denylist"];

/// `vfio-options-repeated`: vfio-pci is given its ids more than once.
pub fn vfio_options_repeated(case: &Case<'_>) -> Vec<Found> {
    let ids = case.host.modprobe.vfio_ids();
    let (Some(last), Some(first)) = (ids.effective(), ids.all.first()) else {
        return Vec::new();
    };
    if ids.all.len() < 2 {
        return Vec::new();
    }
    let place = |placed: &crate::config::modprobe::Placed<'_, &str>| {
        Evidence::new(placed.path, format!("line {}: ids={}", placed.line, placed.what))
    };
    vec![Found::warning(
        format!("modprobe joins all option lines of vfio-pci, and a later `ids=` replaces an earlier one: only `ids={}` counts.", last.what),
        place(first),
    )
    .and_all(ids.all.iter().skip(1).map(place))
    .manual("Put all ids on one line.")]
}

/// `vfio-options-built-in`: modprobe.d options cannot reach a built-in vfio-pci.
pub fn vfio_options_built_in(case: &Case<'_>) -> Vec<Found> {
    if case.host.kernel.vfio_pci.present() != Some(&ModuleState::BuiltIn) {
        return Vec::new();
    }
    let options = case.host.modprobe.options("vfio_pci");
    let found = options.iter().map(|placed| {
        Found::warning(
            "vfio-pci is part of this kernel's image and is not loaded by modprobe, so this line does nothing.",
            Evidence::new(placed.path, format!("line {}: options vfio-pci {}", placed.line, placed.what.join(" "))),
        )
        .planned("The plan puts the selection on the kernel command line, where a built-in driver reads it.")
    });
    found.collect()
}

/// `vfio-parameter-unknown`: vfio-pci is given a parameter that it does not have.
pub fn vfio_parameter_unknown(case: &Case<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for placed in case.host.modprobe.options("vfio_pci") {
        for word in placed.what {
            let key = word.split('=').next().unwrap_or_default().replace('-', "_");
            if PARAMETERS.contains(&key.as_str()) {
                continue;
            }
            let hint = match key.split_once('.') {
                Some((module, parameter)) => {
                    let value = word
                        .split_once('=')
                        .map_or(String::new(), |(_, value)| format!("={value}"));
                    format!(
                        "It is a parameter of the module {module}: write `options {module} {parameter}{value}`."
                    )
                }
                None => "Take it out.".to_owned(),
            };
            found.push(
                Found::warning(
                    format!("vfio-pci has no parameter `{key}`; the kernel says so in its log and goes on without it."),
                    Evidence::new(placed.path, format!("line {}: {word}", placed.line)),
                )
                .manual(hint),
            );
        }
    }
    found
}

/// `modprobe-file-ignored`: A file in modprobe.d is ignored because of its name.
pub fn modprobe_file_ignored(case: &Case<'_>) -> Vec<Found> {
    let ignored = case.host.modprobe.ignored().iter().filter(|ignored| {
        ignored.masked_by.is_none()
            && case.host.files.text(&ignored.path).is_some_and(|text| text.contains("vfio"))
    });
    let found = ignored.map(|ignored| {
        Found::warning("modprobe reads only files whose names end in `.conf`; this one mentions vfio and is not read.", Evidence::new(ignored.path.clone(), "ignored"))
            .manual("Rename it, or remove it.")
    });
    found.collect()
}

/// With a softdep for a module that has an install line, kmod runs the softdep and drops the
/// install command (modprobe.d(5), `softdep`).
pub fn softdep_cancels_install(case: &Case<'_>) -> Vec<Found> {
    let modprobe = &case.host.modprobe;
    let mut found = Vec::new();
    for placed in modprobe.directives() {
        let Directive::Softdep { module, .. } = placed.what else {
            continue;
        };
        let Some(install) = modprobe.install_line(&module.normal) else {
            continue;
        };
        found.push(
            Found::warning(
                format!("The module {} has both a softdep and an install line; modprobe then ignores the install line.", module.spelt),
                Evidence::new(placed.path, format!("line {}: softdep {}", placed.line, module.spelt)),
            )
            .and(Evidence::new(install.path, format!("line {}: install {} {}", install.line, module.spelt, install.what)))
            .manual("Keep one of the two: a softdep belongs to the module that really drives the card."),
        );
    }
    found
}
