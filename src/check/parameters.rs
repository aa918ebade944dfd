//! Kernel parameters: configured, active, and what was meant.

use super::case::Case;
use super::finding::{Evidence, Found};
use crate::config::assignments::Assignments;
use crate::config::cmdline::Parameter;
use crate::host::boot::BootloaderKind;
use crate::host::once::on_trial;

/// Parameters that have to do with passthrough.
fn is_ours(parameter: &Parameter<'_>) -> bool {
    [
        "intel_iommu",
        "amd_iommu",
        "iommu",
        "vfio-pci.ids",
        "passthru.bind",
        "pcie_acs_override",
        "rd.driver.pre",
        "kvm.ignore_msrs",
    ]
    .iter()
    .any(|key| parameter.is(key))
}

/// `bls-ignores-default-grub`: GRUB boots BLS entries, which do not follow /etc/default/grub.
pub fn bls_ignores_default_grub(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    if host.bootloader.kind != BootloaderKind::GrubBls || !case.configured.is_complete() {
        return Vec::new();
    }
    let path = "etc/default/grub";
    let file = Assignments::parse(host.files.text(path).unwrap_or_default());
    let values = ["GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"]
        .iter()
        .filter_map(|name| file.value(name).ok().flatten());
    let words: Vec<String> = values
        .flat_map(|value| value.words().iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        .collect();
    let missing: Vec<&String> = words
        .iter()
        .filter(|word| is_ours(&Parameter::parse(word)) && !case.configured.contains_word(word))
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let list: Vec<&str> = missing.iter().map(|word| word.as_str()).collect();
    let entry =
        case.configured.sources.first().map(|source| source.path.clone()).unwrap_or_default();
    vec![Found::warning(format!("`{}` stands in /etc/default/grub, but the boot entry does not have it. With entry files, grub2-mkconfig does not carry it over.", list.join(" ")), Evidence::new(path, list.join(" ")))
        .and(Evidence::new(entry, "not in `options`"))
        .manual(format!("sudo grubby --update-kernel=ALL --args=\"{}\"", list.join(" ")))]
}

/// `parameter-not-active`: A configured kernel parameter is not in effect.
pub fn parameter_not_active(case: &Case<'_>) -> Vec<Found> {
    if !case.configured.is_known() || case.host.command_line().is_none() {
        return Vec::new();
    }
    let missing = case
        .configured
        .parameters()
        .filter(|p| is_ours(p) && !case.active.contains_word(p.word) && !p.word.contains('$'));
    let mut found = Vec::new();
    for parameter in missing {
        let Some(source) = case.configured.source_of(parameter.word) else {
            continue;
        };
        found.push(
            Found::warning(format!("`{}` is configured, but the running kernel did not get it.", parameter.word), Evidence::new(source.path.clone(), parameter.word))
                .and(Evidence::new("proc/cmdline", "not there"))
                .manual("Reboot. If it is still missing then, the boot loader's configuration was not regenerated, or another loader is in use."),
        );
    }
    found
}

/// `parameter-not-configured`: A kernel parameter is active but not configured.
pub fn parameter_not_configured(case: &Case<'_>) -> Vec<Found> {
    let hidden = |path: &str| path.starts_with("etc/default/grub");
    if !case.configured.is_complete() || case.host.files.unreadable().any(|(path, _)| hidden(path))
    {
        return Vec::new();
    }
    let (_, tried) = on_trial(case.host).unwrap_or_default();
    let extra = case.active.parameters().filter(|p| {
        is_ours(p)
            && !case.configured.contains_word(p.word)
            && !tried.iter().any(|word| word == p.word)
    });
    let found = extra.map(|parameter| {
        let place = case.configured.sources.first().map(|source| source.path.clone()).unwrap_or_default();
        Found::warning(format!("The running kernel got `{}`, but the boot loader's configuration does not have it.", parameter.word), Evidence::new("proc/cmdline", parameter.word))
            .and(Evidence::new(place, "not there"))
            .manual("It was typed at the boot menu, or another file sets it; with the next boot it may be gone.")
    });
    found.collect()
}

/// `on-trial`: A configuration is on trial, and the default entry is as before.
pub fn on_trial_now(case: &Case<'_>) -> Vec<Found> {
    let Some((path, words)) = on_trial(case.host) else { return Vec::new() };
    let new: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| !case.configured.contains_word(word))
        .collect();
    let started = !new.is_empty() && new.iter().all(|word| case.active.contains_word(word));
    let (boot, next) = if started {
        (
            "This boot was started from it.",
            "`passthru verify` says whether everything holds, and `passthru promote` makes it the default then.",
        )
    } else {
        (
            "This boot was started from another entry.",
            "`passthru verify` says what became of the trial, and `passthru apply` selects the entry for the next boot once more.",
        )
    };
    vec![
        Found::note(
            format!(
                "`{}` stands in an entry of its own, which is on trial; the default entry is as before. {boot}",
                new.join(" ")
            ),
            Evidence::new(path, new.join(" ")),
        )
        .manual(next),
    ]
}

/// Words that are often mistyped, with the exact spelling.
const KNOWN: [&str; 9] = [
    "quiet",
    "splash",
    "intel_iommu",
    "amd_iommu",
    "iommu",
    "nomodeset",
    "pcie_acs_override",
    "vfio-pci.ids",
    "passthru.bind",
];

/// `parameter-misspelt`: A kernel parameter looks misspelt.
pub fn parameter_misspelt(case: &Case<'_>) -> Vec<Found> {
    let near = |parameter: &Parameter<'_>| {
        let key = parameter.key;
        let known = KNOWN.iter().find(|known| one_slip(key, known))?;
        (!KNOWN.iter().any(|known| parameter.is(known))).then_some(*known)
    };
    let found = case.active.parameters().filter_map(|parameter| {
        let known = near(&parameter)?;
        Some(
            Found::warning(
                format!(
                    "`{}` looks like a slip for `{known}`; the kernel ignores it.",
                    parameter.key
                ),
                Evidence::new("proc/cmdline", parameter.word),
            )
            .manual(format!("Write `{known}` where it is configured.")),
        )
    });
    found.collect()
}

/// One letter missing, added or wrong, or two swapped.
fn one_slip(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a == b || a.len().abs_diff(b.len()) > 1 || a.len() < 4 {
        return false;
    }
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail =
        a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (left, right) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    match (left, right) {
        ([_], [_]) | ([], [_]) | ([_], []) => true,
        ([x, y], [v, w]) => x == w && y == v,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::one_slip;

    #[test]
    fn slips_are_one_step_wide() {
        for (typed, known) in [
            ("quite", "quiet"),
            ("intel_iomu", "intel_iommu"),
            ("iommmu", "iommu"),
            ("splesh", "splash"),
        ] {
            assert!(one_slip(typed, known), "{typed}");
        }
        for (typed, known) in [
            ("quiet", "quiet"),
            ("rw", "ro"),
            ("root", "quiet"),
            ("amd_iommu", "intel_iommu"),
            ("", "quiet"),
        ] {
            assert!(!one_slip(typed, known), "{typed}");
        }
    }
}
