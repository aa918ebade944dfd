//! The initramfs: who builds it, what it is told to hold, how old it is.

use super::case::Case;
use super::finding::{Evidence, Found};
use crate::config::assignments::{Assignments, evaluate};
use crate::host::Host;
use crate::host::initramfs::InitramfsKind;
use crate::host::kernel::ModuleState;
use crate::host::selected;

/// Drivers of graphics cards that configurations list by name.
const GPU_MODULES: [&str; 9] = [
    "amdgpu",
    "radeon",
    "nouveau",
    "nvidia",
    "nvidia_modeset",
    "nvidia_drm",
    "nvidia_uvm",
    "i915",
    "xe",
];

/// Times on a FAT boot partition are even seconds, rounded down.
const VFAT_STEP: i64 = 2;

/// Words of a list variable after all files of a generator, with the file that decided. A
/// module that may be missing has a `?` behind its name (mkinitcpio.conf(5)).
pub fn listed(host: &Host, variable: &str) -> Vec<(String, String)> {
    let paths: Vec<&str> = match host.initramfs.kind {
        InitramfsKind::Mkinitcpio => {
            let drop_ins = host.files.below("etc/mkinitcpio.conf.d").map(|(path, _)| path);
            let ignored = preset_naming_a_config(host).is_some();
            std::iter::once("etc/mkinitcpio.conf").chain(drop_ins.filter(|_| !ignored)).collect()
        }
        InitramfsKind::Dracut => {
            let drop_ins = host.files.below("etc/dracut.conf.d").map(|(path, _)| path);
            std::iter::once("etc/dracut.conf").chain(drop_ins).collect()
        }
        _ => return Vec::new(),
    };
    let parsed: Vec<Assignments> = paths
        .iter()
        .map(|path| Assignments::parse(host.files.text(path).unwrap_or_default()))
        .collect();
    let parsed: Vec<&Assignments> = parsed.iter().collect();
    match evaluate(&parsed, variable) {
        Ok(Some(located)) => {
            let path = paths.get(located.file).copied().unwrap_or_default();
            let words = located.value.words();
            words.iter().map(|word| (word.replace('-', "_"), path.to_owned())).collect()
        }
        _ => Vec::new(),
    }
}

/// Modules that the configuration puts into the image by name, with the file.
pub fn forced_modules(host: &Host) -> Vec<(String, String)> {
    match host.initramfs.kind {
        InitramfsKind::Mkinitcpio => listed(host, "MODULES"),
        InitramfsKind::Dracut => ["force_drivers", "add_drivers", "drivers"]
            .into_iter()
            .flat_map(|name| listed(host, name))
            .collect(),
        InitramfsKind::InitramfsTools => {
            let path = "etc/initramfs-tools/modules";
            let modules =
                crate::config::modules_list::parse(host.files.text(path).unwrap_or_default());
            modules
                .into_iter()
                .map(|module| (module.name.replace('-', "_"), path.to_owned()))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// A preset that passes a configuration file by name; mkinitcpio(8) then reads no drop-ins.
pub fn preset_naming_a_config(host: &Host) -> Option<(String, String)> {
    host.files.below("etc/mkinitcpio.d").find_map(|(path, file)| {
        let preset = Assignments::parse(&file.text);
        let names = preset.value("PRESETS").ok().flatten();
        let names = names.as_ref().map(|value| value.words()).unwrap_or_default();
        let variables = std::iter::once("ALL_config".to_owned())
            .chain(names.iter().map(|name| format!("{name}_config")));
        let set = variables.filter_map(|name| {
            let value = preset.value(&name).ok().flatten()?;
            Some(format!("{name}={}", value.scalar()))
        });
        set.into_iter().next().map(|found| (path.to_owned(), found))
    })
}

/// `initramfs-manual`: The initramfs must be set up by hand.
pub fn initramfs_manual(case: &Case<'_>) -> Vec<Found> {
    let initramfs = &case.host.initramfs;
    if case.gpu().is_none()
        || !matches!(
            initramfs.kind,
            InitramfsKind::Booster | InitramfsKind::Nixos | InitramfsKind::Unknown
        )
    {
        return Vec::new();
    }
    let (path, found, steps) = match initramfs.kind {
        InitramfsKind::Booster => (
            "etc/booster.yaml",
            "booster",
            "Add `modules_force_load: vfio_pci,vfio,vfio_iommu_type1` to /etc/booster.yaml and rebuild with /usr/lib/booster/regenerate_images.",
        ),
        InitramfsKind::Nixos => (
            "etc/NIXOS",
            "NixOS",
            "Set boot.initrd.kernelModules = [ \"vfio_pci\" \"vfio\" \"vfio_iommu_type1\" ] before any GPU driver, and run nixos-rebuild boot.",
        ),
        _ => (
            "usr/bin",
            "none of mkinitcpio, dracut, update-initramfs, or several of them",
            "Have vfio-pci loaded in the initramfs before the card's driver, with the tool that builds yours.",
        ),
    };
    vec![
        Found::warning(
            format!(
                "The initramfs of this host ({}) is not set up by passthru.",
                initramfs.kind.word()
            ),
            Evidence::new(path, found),
        )
        .manual(steps),
    ]
}

/// Something selects the card, a rival driver has it, and nothing puts vfio-pci into the image.
pub fn vfio_not_in_initramfs(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    let own_hook = host.files.has("etc/initramfs-tools/hooks/passthru");
    let known = matches!(
        host.initramfs.kind,
        InitramfsKind::Mkinitcpio | InitramfsKind::Dracut | InitramfsKind::InitramfsTools
    );
    let is_vfio = |module: &str| module.trim_end_matches('?') == "vfio_pci";
    let named = forced_modules(host).iter().any(|(module, _)| is_vfio(module));
    let module = host.kernel.vfio_pci.present() == Some(&ModuleState::Module);
    let unread = host.files.unreadable().any(|(path, _)| {
        path.starts_with("etc/mkinitcpio")
            || path.starts_with("etc/dracut")
            || path.starts_with("etc/initramfs-tools")
    });
    if !known || !module || named || own_hook || unread {
        return Vec::new();
    }
    let lists = [
        selected::active_ids(host, &case.active),
        selected::configured_ids(host, &case.configured),
    ];
    let taken = |device: &crate::host::pci::PciDevice| {
        lists.iter().flatten().any(|list| list.takes(device))
    };
    let lost = case.functions().into_iter().find(|function| taken(function) && !function.on_vfio());
    let (Some(lost), Some(path)) = (lost, host.initramfs.files.first()) else {
        return Vec::new();
    };
    vec![Found::warning(
        format!("Ids select {} for vfio-pci, but the initramfs is not told to hold vfio-pci, so a driver in it can be first. The image itself was not opened.", lost.address),
        Evidence::new(path.clone(), "vfio_pci is not listed"),
    )
    .and(Evidence::new(format!("{}/driver", lost.path()), lost.driver.clone().unwrap_or_else(|| "no driver".to_owned())))
    .planned("The plan puts it there.")]
}

/// `initramfs-stale`: The boot image is older than its configuration.
pub fn initramfs_stale(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    let mentions = |text: &str| text.contains("vfio") || text.contains("passthru");
    let sources = host.initramfs.files.iter().map(|path| path.trim_start_matches('/').to_owned());
    let modprobe = host.files.below("etc/modprobe.d").map(|(path, _)| path.to_owned());
    let newest = sources.chain(modprobe).filter_map(|path| {
        let file = host.files.get(&path).into_present()?;
        mentions(&file.text).then_some((file.meta.mtime, path))
    });
    let Some((changed, path)) = newest.filter(|(mtime, _)| *mtime > 0).max() else {
        return Vec::new();
    };
    // Images of other kernels are left alone where one names the running kernel.
    let of_running =
        |image: &str| host.kernel.release.as_deref().is_some_and(|r| image.contains(r));
    let named = host.initramfs.images.iter().any(|(image, _)| of_running(image));
    let images = host.initramfs.images.iter().filter(|(image, meta)| {
        meta.mtime > 0
            && !image.contains("fallback")
            && !image.contains("rescue")
            && if named { of_running(image) } else { image.ends_with(".img") }
    });
    let stale = images.filter(|(_, meta)| meta.mtime + VFAT_STEP < changed);
    let found = stale.map(|(image, meta)| {
        Found::warning(
            format!("/{image} was built before its configuration was last changed, so it does not hold the change."),
            Evidence::new(image.clone(), format!("changed at {} s", meta.mtime)),
        )
        .and(Evidence::new(path.clone(), format!("changed at {changed} s")))
        .manual("Rebuild it; `passthru plan` lists the command.")
    });
    found.collect()
}

/// `mkinitcpio-drop-in-ignored`: The drop-in directory of mkinitcpio is not read here.
pub fn mkinitcpio_drop_in_ignored(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    let drop_in =
        host.files.below("etc/mkinitcpio.conf.d").find(|(_, file)| file.text.contains("vfio"));
    let (Some((path, _)), Some((preset, found))) = (drop_in, preset_naming_a_config(host)) else {
        return Vec::new();
    };
    if host.initramfs.kind != InitramfsKind::Mkinitcpio {
        return Vec::new();
    }
    vec![Found::warning(format!("The preset /{preset} names a configuration file, and mkinitcpio then reads no drop-ins: /{path} has no effect."), Evidence::new(preset, found))
        .and(Evidence::new(path, "not read"))
        .planned("The plan edits the main configuration file instead.")]
}

/// `stale-module-name`: A module name in the configuration no longer exists.
pub fn stale_module_name(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    if host.kernel.virqfd_module != Some(false) {
        return Vec::new();
    }
    let stale = forced_modules(host).into_iter().filter(|(module, _)| module == "vfio_virqfd");
    let found = stale.map(|(module, path)| {
        Found::warning("vfio_virqfd is part of vfio since Linux 6.2; naming it makes the image tool report an error.", Evidence::new(path, module))
            .manual("Remove the name.")
    });
    found.collect()
}

/// `gpu-driver-in-initramfs`: A graphics driver is in the initramfs.
pub fn gpu_driver_in_initramfs(case: &Case<'_>) -> Vec<Found> {
    if case.gpu().is_none() {
        return Vec::new();
    }
    let host = case.host;
    let named: Vec<_> = forced_modules(host)
        .into_iter()
        .filter(|(module, _)| GPU_MODULES.contains(&module.trim_end_matches('?')))
        .collect();
    let kms = listed(host, "HOOKS").into_iter().find(|(hook, _)| hook == "kms");
    let (path, found) = match (named.first(), kms) {
        (Some((_, path)), _) => {
            let names: Vec<&str> = named.iter().map(|(module, _)| module.as_str()).collect();
            (path.clone(), names.join(" "))
        }
        (None, Some((_, path))) if host.initramfs.kind == InitramfsKind::Mkinitcpio => {
            (path, "hook kms".to_owned())
        }
        _ => return Vec::new(),
    };
    vec![Found::note("A graphics driver is loaded in the initramfs already, so vfio-pci has to be there too, and first.", Evidence::new(path, found))
        .planned("The plan sees to that; the hook or the driver can stay for the host's card.")]
}
