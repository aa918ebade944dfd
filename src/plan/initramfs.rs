//! The initramfs: vfio-pci in the image, and for the address method the hook that binds early.

use super::binding::{Binding, Method};
use super::change::FileState;
use super::edits::{CannotEdit, Edits, MARK};
use super::modprobe;
use crate::check::{Case, preset_naming_a_config};
use crate::config::assignments::{Assignments, Value, evaluate};
use crate::host::Host;
use crate::host::initramfs::InitramfsKind;
use crate::host::kernel::ModuleState;

const BIND: &str = include_str!("assets/bind.sh");
const MKINITCPIO_INSTALL: &str = include_str!("assets/mkinitcpio-install");
const INITRAMFS_TOOLS_HOOK: &str = include_str!("assets/initramfs-tools-hook");
const DRACUT_MODULE: &str = include_str!("assets/dracut-module-setup.sh");

/// The order matters to nobody but a reader: the other two are dependencies of the first.
const MODULES: [&str; 3] = ["vfio_pci", "vfio", "vfio_iommu_type1"];
const BECAUSE: [&str; 5] = [
    "card-on-host-driver",
    "gpu-driver-in-initramfs",
    "vfio-not-in-initramfs",
    "id-shared",
    "claimant-built-in",
];

/// Plans files for the generator in use.
///
/// # Errors
/// One of its files is not understood.
pub fn plan(case: &Case<'_>, binding: &Binding, edits: &mut Edits<'_>) -> Result<(), CannotEdit> {
    let built_in = case.host.kernel.vfio_pci.present() == Some(&ModuleState::BuiltIn);
    if built_in && binding.method != Method::Address {
        return Ok(());
    }
    match case.host.initramfs.kind {
        InitramfsKind::Mkinitcpio => mkinitcpio(case, binding, edits),
        InitramfsKind::InitramfsTools => initramfs_tools(binding, edits),
        InitramfsKind::Dracut => dracut(binding, edits),
        InitramfsKind::Booster | InitramfsKind::Nixos | InitramfsKind::Unknown => Ok(()),
    }
}

/// Directories whose files go into an image.
pub const IMAGE_SOURCES: [&str; 9] = [
    "etc/modprobe.d/",
    "etc/mkinitcpio.conf",
    "etc/mkinitcpio.conf.d/",
    "etc/initcpio/",
    "etc/initramfs-tools/",
    "etc/dracut.conf",
    "etc/dracut.conf.d/",
    "usr/lib/dracut/",
    "etc/modules-load.d/",
];

const DROP_IN: &str = "etc/mkinitcpio.conf.d/passthru.conf";

/// mkinitcpio reads drop-ins since version 36, and none where a preset names a file.
fn mkinitcpio(case: &Case<'_>, binding: &Binding, edits: &mut Edits<'_>) -> Result<(), CannotEdit> {
    const MAIN: &str = "etc/mkinitcpio.conf";
    let host = case.host;
    let named = preset_naming_a_config(host);
    if let Some((preset, setting)) = &named
        && !setting.ends_with("=/etc/mkinitcpio.conf")
    {
        let reason = format!("it names another configuration file: {setting}");
        return Err(CannotEdit { path: preset.clone(), reason });
    }
    let script = host
        .files
        .text("usr/bin/mkinitcpio")
        .is_some_and(|text| text.contains("mkinitcpio.conf.d"));
    let drop_ins = named.is_none()
        && (script || host.initramfs.mkinitcpio_version.is_some_and(|version| version >= 36));
    let mut sources = vec![(MAIN, edits.current(MAIN)?)];
    let others = host.files.below("etc/mkinitcpio.conf.d");
    for (path, _) in others.filter(|(path, _)| drop_ins && *path != DROP_IN) {
        sources.push((path, edits.current(path)?));
    }
    let place = sources.iter().filter(|(path, _)| *path == MAIN || *path < DROP_IN).count();
    let (earlier, later) = sources.split_at(place);
    let modules = value(earlier, "MODULES")?;
    let (hooks, files) = (value(earlier, "HOOKS")?, value(earlier, "FILES")?);
    let copies_modprobe =
        value(&sources, "HOOKS")?.is_some_and(|value| value.words().contains(&"modconf"));
    let address = binding.method == Method::Address;
    if address {
        edits.own("etc/initcpio/install/passthru", MKINITCPIO_INSTALL, 0o644, &BECAUSE)?;
        edits.own("etc/initcpio/hooks/passthru", BIND, 0o644, &BECAUSE)?;
    }
    let copy: &[&str] = if copies_modprobe { &[] } else { &["/etc/modprobe.d/00-passthru.conf"] };
    let own_hook: &[&str] = if address { &["passthru"] } else { &[] };
    if drop_ins {
        let mut lines = vec![MARK.to_owned(), first(&modules, "MODULES", &MODULES)];
        lines.extend(last(&hooks, "HOOKS", own_hook));
        lines.extend(last(&files, "FILES", copy));
        // mkinitcpio joins all files as they are. A file without a line end at its end would go
        // on with our first line: after `HOOKS=(base)# Written`, HOOKS holds nothing.
        let text = format!("\n{}\n", lines.join("\n"));
        keeps_words(&text, later, &[("MODULES", &MODULES), ("HOOKS", own_hook), ("FILES", copy)])?;
        return edits.own(DROP_IN, &text, 0o644, &BECAUSE);
    }
    edits.edit(MAIN, &BECAUSE, |text| {
        let file = Assignments::parse(text).prepend_items("MODULES", &MODULES)?;
        let file = file.append_items("HOOKS", own_hook)?.append_items("FILES", copy)?;
        Ok(file.render().to_owned())
    })
}

/// What a variable holds after files were read in order.
fn value(sources: &[(&str, FileState)], name: &str) -> Result<Option<Value>, CannotEdit> {
    let parsed: Vec<Assignments> =
        sources.iter().map(|(_, state)| Assignments::parse(state.text())).collect();
    let parsed: Vec<&Assignments> = parsed.iter().collect();
    match evaluate(&parsed, name) {
        Ok(located) => Ok(located.map(|located| located.value)),
        Err((file, problem)) => {
            let path = sources.get(file).map_or("", |(path, _)| path);
            Err(CannotEdit { path: path.to_owned(), reason: problem.to_string() })
        }
    }
}

/// Drop-ins that are read after ours may add to a variable, not set it anew.
fn keeps_words(
    own: &str,
    later: &[(&str, FileState)],
    wanted: &[(&str, &[&str])],
) -> Result<(), CannotEdit> {
    let mut sources = vec![(DROP_IN, FileState::owned(own, 0o644))];
    for (path, state) in later {
        sources.push((path, state.clone()));
        for (name, words) in wanted {
            let value = value(&sources, name)?;
            let kept = value.as_ref().map(Value::words).unwrap_or_default();
            if words.iter().any(|word| !kept.contains(word)) {
                return Err(CannotEdit {
                    path: (*path).to_owned(),
                    reason: format!(
                        "it is read after /{DROP_IN} and sets {name} anew; write {name}+=(...) there, or give it a name that sorts earlier"
                    ),
                });
            }
        }
    }
    Ok(())
}

/// An assignment that puts items before what a variable holds, which may be a plain string.
fn first(value: &Option<Value>, name: &str, items: &[&str]) -> String {
    match value {
        Some(Value::Scalar(_)) => format!("{name}=\"{} ${name}\"", items.join(" ")),
        _ => format!("{name}=({} \"${{{name}[@]}}\")", items.join(" ")),
    }
}

fn last(value: &Option<Value>, name: &str, items: &[&str]) -> Option<String> {
    if items.is_empty() {
        return None;
    }
    Some(match value {
        Some(Value::Scalar(_)) => format!("{name}+=\" {}\"", items.join(" ")),
        _ => format!("{name}+=({})", items.join(" ")),
    })
}

/// The script sorts before `udev`, which starts the coldplug (initramfs-tools(7)).
fn initramfs_tools(binding: &Binding, edits: &mut Edits<'_>) -> Result<(), CannotEdit> {
    edits.own("etc/initramfs-tools/hooks/passthru", INITRAMFS_TOOLS_HOOK, 0o755, &BECAUSE)?;
    if binding.method == Method::Address {
        edits.own("etc/initramfs-tools/scripts/init-top/00-passthru", BIND, 0o755, &BECAUSE)?;
    }
    Ok(())
}

/// Words of `+=` lines need blanks inside the quotes, or they grow together with those of
/// another file (dracut.conf(5)).
fn dracut(binding: &Binding, edits: &mut Edits<'_>) -> Result<(), CannotEdit> {
    let mut lines = vec![MARK.to_owned(), format!("force_drivers+=\" {} \"", MODULES.join(" "))];
    if edits.current(modprobe::FILE).is_ok_and(|file| !file.text().is_empty()) {
        lines.push("install_items+=\" /etc/modprobe.d/00-passthru.conf \"".to_owned());
    }
    if binding.method == Method::Address {
        lines.push("add_dracutmodules+=\" passthru \"".to_owned());
        edits.own(
            "usr/lib/dracut/modules.d/91passthru/module-setup.sh",
            DRACUT_MODULE,
            0o755,
            &BECAUSE,
        )?;
        edits.own("usr/lib/dracut/modules.d/91passthru/passthru.sh", BIND, 0o755, &BECAUSE)?;
    }
    edits.own("etc/dracut.conf.d/passthru.conf", &(lines.join("\n") + "\n"), 0o644, &BECAUSE)
}

/// What has to be done by hand where the generator is none that passthru sets up.
pub fn by_hand(host: &Host, binding: &Binding) -> Option<String> {
    let known = matches!(
        host.initramfs.kind,
        InitramfsKind::Mkinitcpio | InitramfsKind::Dracut | InitramfsKind::InitramfsTools
    );
    if known {
        return None;
    }
    if binding.method == Method::Address {
        return Some(
            "only its address tells this card apart, and for that the initramfs needs a hook, which passthru has for \
             mkinitcpio, dracut and initramfs-tools: use one of these"
                .to_owned(),
        );
    }
    let step = match host.initramfs.kind {
        InitramfsKind::Booster => {
            "add `modules_force_load: vfio_pci,vfio,vfio_iommu_type1` to /etc/booster.yaml and run \
             /usr/lib/booster/regenerate_images"
        }
        InitramfsKind::Nixos => {
            "set boot.initrd.kernelModules = [ \"vfio_pci\" \"vfio\" \"vfio_iommu_type1\" ] in configuration.nix"
        }
        _ => "have the initramfs load vfio_pci before the card's driver",
    };
    Some(step.to_owned())
}
