//! From a plan to what its commands have to make.

use super::{Artefacts, FileRole, ImageArtefacts, ImageFile};
use crate::config::MARK;
use crate::config::bls::Entry;
use crate::config::cmdline::Cmdline;
use crate::host::Host;
use crate::host::boot::BootloaderKind;
use crate::host::initramfs::InitramfsKind;
use crate::host::kernel::ModuleState;
use crate::host::once::TRIAL_SUFFIX;
use crate::host::parameters::{Configured, entry_id};
use crate::plan::binding::Method;
use crate::plan::bootloader::{CMDLINE, are_generated};
use crate::plan::change::FileState;
use crate::plan::expectation::Expectation;
use crate::plan::initramfs::IMAGE_SOURCES;
use crate::plan::{Plan, modprobe};

/// Drivers of cards and of their sound. The modules that claim this card come on top; these
/// stand for what could not be read.
const DRIVERS: [&str; 12] = [
    "amdgpu",
    "radeon",
    "nouveau",
    "nvidia",
    "nvidia_drm",
    "nvidia_modeset",
    "nvidia_uvm",
    "nvidiafb",
    "i915",
    "xe",
    "snd_hda_intel",
    "bochs",
];

/// Files of our own: on the system, and in the images of a generator.
const SCRIPTS: [(InitramfsKind, &str, &str); 3] = [
    (
        InitramfsKind::InitramfsTools,
        "etc/initramfs-tools/scripts/init-top/00-passthru",
        "scripts/init-top/00-passthru",
    ),
    (
        InitramfsKind::Dracut,
        "usr/lib/dracut/modules.d/91passthru/passthru.sh",
        "usr/lib/dracut/hooks/pre-udev/00-passthru.sh",
    ),
    (InitramfsKind::Mkinitcpio, "etc/initcpio/hooks/passthru", "hooks/passthru"),
];
const MKINITCPIO_INSTALL: &str = "etc/initcpio/install/passthru";
const UNIT: &str = "etc/systemd/system/passthru-bind.service";

/// The file that asks for a word of the kernel command line, by itself or through a program.
fn asked_for(host: &Host, word: &str) -> Option<String> {
    let has = |line: &str| Cmdline::parse(line).contains_word(word);
    match host.bootloader.kind {
        BootloaderKind::SystemdBoot if are_generated(host) => {
            let line = host.files.text(CMDLINE)?;
            has(line).then(|| CMDLINE.to_owned())
        }
        BootloaderKind::SystemdBoot => {
            let dir = format!("{}/loader/entries", host.bootloader.loader_dir.as_deref()?);
            let mut entries = host.files.below(&dir);
            let asking = entries.find(|(_, file)| has(&Entry::parse(&file.text).options()));
            asking.map(|(path, _)| path.to_owned())
        }
        _ => Configured::read(host).source_of(word).map(|source| source.path.clone()),
    }
}

impl Artefacts {
    /// Leaves out words that may be nowhere but that a file of this host asks for, which was read
    /// after ours were taken out of all files: somebody else wrote them. Also says which, and
    /// where they stand.
    pub fn without_words_of_others(&self, host: &Host) -> (Self, Vec<(String, String)>) {
        let mut others = Vec::new();
        let mut nowhere = self.nowhere.clone();
        nowhere.retain(|word| match asked_for(host, word) {
            None => true,
            Some(path) => {
                others.push((word.clone(), path));
                false
            }
        });
        (Self { nowhere, ..self.clone() }, others)
    }

    /// Everything that must hold once this plan was carried out on this host.
    pub fn of(host: &Host, plan: &Plan) -> Self {
        let configured = Configured::read(host);
        let add = &plan.kernel_parameters.add;
        let words: Vec<String> = plan
            .expectations
            .iter()
            .filter_map(|expected| match expected {
                // What neither is configured nor comes is a choice that the host did without.
                Expectation::Parameter(word) => {
                    (add.contains(word) || configured.contains_word(word)).then(|| word.clone())
                }
                _ => None,
            })
            .collect();
        let standing = plan.standing_parameters();
        let (words, trial) = match plan.trial {
            Some(_) => (words.iter().filter(|word| !add.contains(word)).cloned().collect(), words),
            None => (words, Vec::new()),
        };
        Self {
            words,
            trial,
            removed: standing.remove,
            ours: add.iter().filter(|word| !was_somewhere(host, word)).cloned().collect(),
            nowhere: Vec::new(),
            kernels: host
                .kernel
                .installed
                .iter()
                .filter(|own| has_image(host, own))
                .cloned()
                .collect(),
            images: images(host, plan),
        }
    }
}

/// Where images are named after releases, each release is started by an entry of its own. Where
/// they are named otherwise (`initramfs-linux.img`), several releases may share an entry.
fn has_image(host: &Host, release: &str) -> bool {
    host.initramfs.images.iter().any(|(path, _)| path.contains(release))
}

/// An entry of the user's may have had a word already, and keeps it. That of ours which is on trial
/// goes when its words become the normal ones.
fn was_somewhere(host: &Host, word: &str) -> bool {
    let loader = &host.bootloader;
    let dir = format!("{}/loader/entries", loader.loader_dir.as_deref().unwrap_or("boot"));
    let has = |text: &str| Cmdline::parse(&Entry::parse(text).options()).contains_word(word);
    loader.kind == BootloaderKind::SystemdBoot
        && host.files.below(&dir).any(|(path, file)| {
            let on_trial = file.text.contains(MARK) && entry_id(path).ends_with(TRIAL_SUFFIX);
            !on_trial && has(&file.text)
        })
}

fn images(host: &Host, plan: &Plan) -> Option<ImageArtefacts> {
    let generator = host.initramfs.kind;
    let (_, script, in_image) = SCRIPTS.iter().find(|(kind, _, _)| *kind == generator)?;
    let touched = |path: &str| IMAGE_SOURCES.iter().any(|dir| path.starts_with(dir));
    if !plan.changes.iter().any(|change| touched(change.path.trim_start_matches('/'))) {
        return None;
    }
    let built_in = host.kernel.vfio_pci.present() == Some(&ModuleState::BuiltIn);
    let mut files = vec![file(host, plan, script, in_image, FileRole::Script)];
    if generator == InitramfsKind::Mkinitcpio {
        files.push(unit(file(host, plan, MKINITCPIO_INSTALL, UNIT, FileRole::Unit)));
    }
    let own = file(host, plan, modprobe::FILE, modprobe::FILE, FileRole::Modprobe);
    // Options of kvm alone have no need of an image, and dracut is not told to take them.
    if !built_in || plan.binding.method == Method::Address || own.text.is_none() {
        files.push(own);
    }
    let modules = if built_in { &[][..] } else { &["vfio_pci", "vfio_iommu_type1"] };
    Some(ImageArtefacts {
        generator,
        modules: modules.iter().map(|name| (*name).to_owned()).collect(),
        files,
        rivals: rivals(host, plan),
    })
}

/// What a file holds before the plan and after it, changed or not.
fn file(host: &Host, plan: &Plan, source: &str, path: &str, role: FileRole) -> ImageFile {
    let change = plan.changes.iter().find(|change| change.path.trim_start_matches('/') == source);
    let text_of = |state: &FileState| match state {
        FileState::Absent => None,
        FileState::Present { text, .. } => Some(text.clone()),
    };
    let (before, after) = match change {
        Some(change) => (text_of(&change.before), text_of(&change.after)),
        None => {
            let text = host.files.text(source).map(str::to_owned);
            (text.clone(), text)
        }
    };
    ImageFile { path: path.to_owned(), text: after, taken_back: before, role }
}

/// The install script writes the unit from a text of its own.
fn unit(install: ImageFile) -> ImageFile {
    let inside = |script: Option<String>| {
        let (_, rest) = script.as_deref()?.split_once("<<'UNIT'\n")?;
        Some(rest.split_once("UNIT\n")?.0.to_owned())
    };
    ImageFile { text: inside(install.text), taken_back: inside(install.taken_back), ..install }
}

fn rivals(host: &Host, plan: &Plan) -> Vec<String> {
    let claimants = plan.functions.iter().filter_map(|at| host.kernel.claimants.get(at)).flatten();
    let claimants = claimants.map(|claimant| claimant.module.replace('-', "_"));
    let mut rivals: Vec<String> = DRIVERS.iter().map(|name| (*name).to_owned()).collect();
    rivals.extend(claimants.filter(|name| !name.starts_with("vfio")));
    rivals.sort_unstable();
    rivals.dedup();
    rivals
}
