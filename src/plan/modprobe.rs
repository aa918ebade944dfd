//! Module order and options: our own file in modprobe.d.

use super::binding::Binding;
use super::edits::{CannotEdit, Edits, MARK};
use super::kernel_parameters::ids_in_modprobe;
use crate::check::{Case, IdsIn};
use crate::config::cmdline::Parameter;
use crate::config::modprobe::{Directive, ModuleName};
use crate::host::kernel::ModuleState;

/// Sorts before other files: modprobe obeys the first softdep of a module only
/// (libkmod/libkmod-module.c kmod_module_get_softdeps).
pub const FILE: &str = "etc/modprobe.d/00-passthru.conf";
const MODULES_LOAD: &str = "etc/modules-load.d/passthru.conf";

/// Findings that this file answers.
const BECAUSE: [&str; 5] = [
    "card-on-host-driver",
    "gpu-driver-in-initramfs",
    "function-wrong-driver",
    "same-driver",
    "companion-functions",
];

/// Plans the file, and that vfio-pci is loaded even if no other driver wants the card.
pub fn plan(case: &Case<'_>, binding: &Binding, edits: &mut Edits<'_>) -> Result<(), CannotEdit> {
    let mut lines = Vec::new();
    let module = case.host.kernel.vfio_pci.present() != Some(&ModuleState::BuiltIn);
    if module {
        lines.extend(softdeps(case));
        if ids_in_modprobe(case, binding)
            && case.desired.ids_in == IdsIn::Modprobe
            && !selected_elsewhere(case)
        {
            lines.push(option(case, "vfio-pci", "ids", &binding.ids.join(","))?);
        }
    }
    if case.desired.ignore_msrs {
        lines.push(option(case, "kvm", "ignore_msrs", "1")?);
    }
    if !lines.is_empty() {
        edits.own(FILE, &format!("{MARK}\n{}\n", lines.join("\n")), 0o644, &BECAUSE)?;
    }
    if module {
        edits.own(MODULES_LOAD, &format!("{MARK}\nvfio-pci\n"), 0o644, &BECAUSE)?;
    }
    Ok(())
}

/// A line of options. All lines of a module become one argument list (kmod_module_get_options in
/// libkmod/libkmod-module.c), where the last value of a parameter counts (parse_args in
/// kernel/params.c), and our file is read first: another value elsewhere would undo ours.
fn option(
    case: &Case<'_>,
    module: &str,
    parameter: &str,
    value: &str,
) -> Result<String, CannotEdit> {
    let own = format!("{parameter}={value}");
    let sets = |word: &&String| Parameter::parse(word).is(parameter);
    let options = case.host.modprobe.options(module);
    let others = options.iter().filter(|placed| placed.path != FILE);
    let last =
        others.flat_map(|placed| placed.what.iter().filter(sets).map(|w| (*placed, w))).last();
    match last {
        Some((placed, other)) if *other != own => Err(CannotEdit {
            path: placed.path.to_owned(),
            reason: format!(
                "line {} has {other} for {module}, which would replace {own}; write that there, or take it out",
                placed.line
            ),
        }),
        _ => Ok(format!("options {module} {own}")),
    }
}

/// Another file than ours has ids that take all functions already.
fn selected_elsewhere(case: &Case<'_>) -> bool {
    crate::host::selected::modprobe_ids(case.host).is_some_and(|list| {
        list.path != FILE && case.functions().iter().all(|function| list.takes(function))
    })
}

/// One line for each module that would claim a function of the card. A module with an install
/// line gets none: the softdep would cancel that line (modprobe.d(5)).
fn softdeps(case: &Case<'_>) -> Vec<String> {
    let mut modules: Vec<&str> = Vec::new();
    for function in case.functions() {
        let claimants = case.host.kernel.claimants.get(&function.address);
        for claimant in claimants.into_iter().flatten().filter(|claimant| !claimant.built_in) {
            let ordered =
                claimant.module.starts_with("vfio") || modules.contains(&claimant.module.as_str());
            if !ordered && case.host.modprobe.install_line(&claimant.module).is_none() {
                modules.push(&claimant.module);
            }
        }
    }
    modules.iter().map(|module| softdep(case, module)).collect()
}

/// Ours comes first, so what an existing line asks for is carried along.
fn softdep(case: &Case<'_>, module: &str) -> String {
    let mut before = vec!["vfio-pci".to_owned()];
    let mut after = Vec::new();
    let existing =
        case.host.modprobe.softdeps(module).into_iter().find(|placed| placed.path != FILE);
    if let Some(Directive::Softdep { pre, post, .. }) = existing.map(|placed| placed.what) {
        let spelt =
            |names: &[ModuleName]| names.iter().map(|name| name.spelt.clone()).collect::<Vec<_>>();
        before.extend(spelt(pre).into_iter().filter(|name| name.replace('-', "_") != "vfio_pci"));
        after = spelt(post);
    }
    let post = if after.is_empty() { String::new() } else { format!(" post: {}", after.join(" ")) };
    format!("softdep {module} pre: {}{post}", before.join(" "))
}
