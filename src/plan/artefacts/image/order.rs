//! What comes first in an image: our script before udev, vfio-pci before the drivers of cards.

use super::{ImageArtefacts, wants_script};
use crate::config::assignments::Assignments;
use crate::host::image::Image;
use crate::host::initramfs::InitramfsKind;

const VFIO: &str = "vfio_pci";
const WANTS_LINK: &str = "etc/systemd/system/sysinit.target.wants/passthru-bind.service";

/// Everything that comes in the wrong order, or that still starts what has to be gone.
pub fn problems(wanted: &ImageArtefacts, image: &Image) -> Vec<String> {
    let script = wants_script(wanted);
    let listed = wanted.modules.iter().any(|module| module == VFIO);
    let found = match wanted.generator {
        InitramfsKind::InitramfsTools => [initramfs_tools(script, image), None],
        InitramfsKind::Dracut => [
            script.then(|| dracut_hook(image)).flatten(),
            listed.then(|| dracut_drivers(wanted, image)).flatten(),
        ],
        InitramfsKind::Mkinitcpio => [
            mkinitcpio_hook(script, image),
            listed.then(|| mkinitcpio_modules(wanted, image)).flatten(),
        ],
        other => [Some(format!("Images of {} cannot be judged.", other.word())), None],
    };
    found.into_iter().flatten().collect()
}

/// mkinitramfs writes the order of the scripts into a file; `udev` starts the coldplug.
fn initramfs_tools(wanted: bool, image: &Image) -> Option<String> {
    const ORDER: &str = "scripts/init-top/ORDER";
    const OWN: &str = "/scripts/init-top/00-passthru";
    let text = image.text(ORDER).unwrap_or_default();
    let runs = text.lines().filter_map(|line| line.split_whitespace().next());
    let scripts: Vec<&str> = runs.filter(|word| word.starts_with("/scripts/")).collect();
    if !wanted {
        let still = scripts.contains(&OWN);
        return still.then(|| format!("{ORDER} in the image still runs {OWN}."));
    }
    let udev = scripts.iter().position(|script| *script == "/scripts/init-top/udev");
    if scripts.first() != Some(&OWN) || udev.is_none() {
        let found = scripts.join(", ");
        return Some(format!("{ORDER} must run {OWN} first and udev later; it runs: {found}."));
    }
    let executable = image.is_executable(OWN.trim_start_matches('/'));
    (!executable).then(|| format!("{OWN} must be executable in the image, and is not."))
}

/// dracut sources the hooks of a stage in the order of their names.
fn dracut_hook(image: &Image) -> Option<String> {
    let dirs = ["lib/dracut/hooks/pre-udev", "var/lib/dracut/hooks/pre-udev"];
    let all = dirs.iter().flat_map(|dir| image.texts_in(dir).into_keys());
    let mut names: Vec<&str> = all.filter(|name| name.ends_with(".sh")).collect();
    names.sort_unstable();
    let first = names.first() == Some(&"00-passthru.sh");
    let found = names.join(", ");
    (!first).then(|| format!("The first pre-udev hook must be 00-passthru.sh; there are: {found}."))
}

/// dracut loads these before udev, in this order (dracut-pre-udev.sh).
fn dracut_drivers(wanted: &ImageArtefacts, image: &Image) -> Option<String> {
    let files = image.texts_in("etc/cmdline.d");
    let words = files.values().flat_map(|text| text.split_whitespace());
    let lists = words.filter_map(|word| word.strip_prefix("rd.driver.pre="));
    let modules: Vec<&str> = lists.flat_map(|list| list.split(',')).collect();
    wrong_order(wanted, &modules, "rd.driver.pre= in etc/cmdline.d")
}

/// The style is told by the init: systemd, or the script of the `base` hook.
fn mkinitcpio_hook(wanted: bool, image: &Image) -> Option<String> {
    let early = configured(image, "EARLYHOOKS").ok();
    let runs = early.as_ref().is_some_and(|hooks| hooks.iter().any(|hook| hook == "passthru"));
    let linked = image.member(WANTS_LINK).is_some();
    if !wanted {
        return (runs || linked).then(|| "The image still starts our hook.".to_owned());
    }
    let Some(init) = image.member("init") else {
        return Some("The image has no init, so nothing starts our hook.".to_owned());
    };
    if init.target.as_deref().is_some_and(|target| target.contains("systemd")) {
        let shell = image.member("bin/sh").is_some();
        return match (linked, shell) {
            (false, _) => Some(format!("The image must hold the link {WANTS_LINK}, and does not.")),
            (_, false) => Some("The image has no shell to run our script with.".to_owned()),
            _ => None,
        };
    }
    if !runs {
        let found = early.unwrap_or_default().join(" ");
        return Some(format!(
            "EARLYHOOKS in the image's configuration must have passthru; it has: {found}."
        ));
    }
    // run_hookfunctions passes over a hook that is not executable (init_functions).
    let executable = image.is_executable("hooks/passthru");
    (!executable).then(|| "hooks/passthru must be executable in the image, and is not.".to_owned())
}

/// With systemd the modules stand in a file of modules-load.d, else in the configuration.
fn mkinitcpio_modules(wanted: &ImageArtefacts, image: &Image) -> Option<String> {
    let files = [image.texts_in("etc/modules-load.d"), image.texts_in("lib/modules-load.d")];
    let list = files.iter().find_map(|files| files.get("MODULES.conf").copied());
    let (modules, place) = match (list, configured(image, "MODULES")) {
        (Some(list), _) => {
            let lines = list.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
            (lines.map(str::to_owned).collect(), "MODULES.conf")
        }
        (None, Ok(modules)) => (modules, "MODULES in the image's configuration"),
        (None, Err(reason)) => return Some(reason),
    };
    let modules: Vec<&str> = modules.iter().map(|name| name.trim_end_matches('?')).collect();
    wrong_order(wanted, &modules, place)
}

/// Words of a variable in the file `config` that mkinitcpio puts into an image.
fn configured(image: &Image, name: &str) -> Result<Vec<String>, String> {
    let Some(text) = image.text("config") else {
        return Err("The image has no configuration of mkinitcpio's.".to_owned());
    };
    match Assignments::parse(text).value(name) {
        Ok(value) => {
            let words = value.as_ref().map(|value| value.words()).unwrap_or_default();
            Ok(words.into_iter().map(str::to_owned).collect())
        }
        Err(error) => Err(format!("config in the image: {error}.")),
    }
}

/// A list that is loaded in order must have vfio-pci, and no driver of a card before it.
fn wrong_order(wanted: &ImageArtefacts, modules: &[&str], place: &str) -> Option<String> {
    let plain = |name: &str| name.replace('-', "_");
    let Some(at) = modules.iter().position(|name| plain(name) == VFIO) else {
        let found = modules.join(" ");
        return Some(format!("{place} must have vfio_pci; it has: {found}."));
    };
    let before = modules.iter().take(at).find(|name| wanted.rivals.contains(&plain(name)))?;
    Some(format!("{place} must have vfio_pci before any driver of a card; {before} comes first."))
}
