#![expect(clippy::disallowed_methods, reason = "a machine is made of files")]

use std::path::Path;

use super::*;
use crate::check::{Case, Desired, Rollout, run};
use crate::host::rom::Probe;
use crate::plan::plan;
use crate::sys::host_tree;

const HOST: &str = "h170-mint-turing";
const RELEASE: &str = "6.8.0-90-generic";

/// A recorded machine as files, with what its plan needs.
struct Machine {
    dir: tempfile::TempDir,
    wanted: Artefacts,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        host_tree(HOST).unwrap().unwrap().lay_out(&root).unwrap();
        let host = Host::read(&Sysroot::open(&root).unwrap(), Probe::No);
        let desired = Desired { rollout: Rollout::Standing, ..Desired::default() };
        let case = Case::new(&host, &desired);
        let wanted = Artefacts::of(&host, &plan(&case, &run(&case)).unwrap());
        let machine = Self { dir, wanted };
        machine.write("boot/grub/grub.cfg", grub_cfg(&machine.wanted.words).as_bytes());
        machine.write(&format!("boot/initrd.img-{RELEASE}"), &machine.image());
        machine
    }

    fn image(&self) -> Vec<u8> {
        let images = self.wanted.images.as_ref().unwrap();
        let owned = images.files.iter().filter_map(|file| Some((&*file.path, file.text.as_ref()?)));
        let modules = format!("lib/modules/{RELEASE}");
        let (pci, iommu) =
            (format!("{modules}/vfio-pci.ko.zst"), format!("{modules}/vfio_iommu_type1.ko"));
        let mut files: Vec<(&str, &str)> = vec![(&pci, ""), (&iommu, "")];
        files.extend(owned.map(|(path, text)| (path, text.as_str())));
        cpio(&files)
    }

    fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("root")
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn read_back(&self) -> ReadBack {
        let root = Sysroot::open(&self.root()).unwrap();
        let host = Host::read(&root, Probe::No);
        read_back(&root, &host, &self.wanted)
    }

    /// The one problem that is there.
    fn problem(&self) -> String {
        let seen = self.read_back();
        assert!(!seen.holds());
        let [problem] = seen.problems.as_slice() else { panic!("{:#?}", seen.problems) };
        format!("{}: {}", problem.path, problem.text)
    }
}

fn grub_cfg(words: &[String]) -> String {
    let entry = |title: &str, words: &str| {
        format!(
            "menuentry '{title}' {{\n\tlinux\t/boot/vmlinuz-{RELEASE} root=/dev/sda1 {words}\n\tinitrd\t/boot/initrd.img-{RELEASE}\n}}\n"
        )
    };
    let (normal, recovery) = (entry("Mint", &words.join(" ")), entry("Mint (recovery)", "single"));
    format!(
        "### BEGIN /etc/grub.d/10_linux ###\n{normal}{recovery}### END /etc/grub.d/10_linux ###\n"
    )
}

/// An archive of plain files in cpio's `newc` form.
fn cpio(files: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (path, text) in files.iter().chain([&("TRAILER!!!", "")]) {
        let (size, name) = (text.len(), path.len() + 1);
        let zeros = "0".repeat(8);
        let header = format!("070701{zeros}000081ed{zeros}{zeros}00000001{zeros}{size:08x}");
        out.extend(format!("{header}{}{name:08x}{zeros}{path}\0", zeros.repeat(4)).bytes());
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(text.bytes());
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

#[test]
fn what_is_right_holds_and_was_looked_at() {
    let machine = Machine::new();
    let seen = machine.read_back();
    assert_eq!(seen.problems, []);
    assert!(seen.holds());
    assert_eq!(
        seen.looked,
        ["/boot/grub/grub.cfg".to_owned(), format!("/boot/initrd.img-{RELEASE}")]
    );
}

#[test]
fn an_image_that_is_cut_off_is_named() {
    let machine = Machine::new();
    let image = machine.image();
    machine.write(&format!("boot/initrd.img-{RELEASE}"), &image[..image.len() - 20]);
    let problem = machine.problem();
    assert!(problem.starts_with(&format!("/boot/initrd.img-{RELEASE}: ")), "{problem}");
    assert!(problem.contains("cut off"), "{problem}");
}

#[test]
fn the_menu_that_was_written_counts_not_the_one_that_was_planned_with() {
    let machine = Machine::new();
    machine.write("boot/grub/grub.cfg", grub_cfg(&[]).as_bytes());
    let seen = machine.read_back();
    assert_eq!(seen.problems.len(), machine.wanted.words.len(), "{:#?}", seen.problems);
    std::fs::remove_file(machine.root().join("boot/grub/grub.cfg")).unwrap();
    assert_eq!(machine.problem(), "boot menu: There is no boot menu.");
    assert_eq!(machine.read_back().looked, [""; 0]);
}

#[test]
fn a_kernel_that_no_entry_starts_is_named() {
    let machine = Machine::new();
    machine.write("usr/lib/modules/6.9.0-1-generic/modules.dep", b"");
    assert!(machine.read_back().holds(), "modules without a kernel");
    machine.write("boot/vmlinuz-6.9.0-1-generic", b"");
    assert!(machine.problem().contains("6.9.0-1-generic"));
}

/// mkinitcpio's images have no list of built-in modules.
#[test]
fn a_module_that_the_system_lists_as_built_in_need_not_be_in_the_image() {
    let machine = Machine::new();
    let image = machine.image();
    let at = memchr::memmem::find(&image, b"vfio_iommu_type1.ko").unwrap();
    let image = [&image[..at], b"vfio_iommu_other", &image[at + 16..]].concat();
    machine.write(&format!("boot/initrd.img-{RELEASE}"), &image);
    assert!(machine.problem().contains("vfio_iommu_type1"));
    let list = format!("usr/lib/modules/{RELEASE}/modules.builtin");
    machine.write(&list, b"kernel/drivers/vfio/vfio_iommu_type1.ko\n");
    assert!(machine.read_back().holds());
}

/// systemd-boot and mkinitcpio: the planned files are written, the image is made by hand.
#[test]
fn entries_of_systemd_boot_are_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root");
    host_tree("z490-arch").unwrap().unwrap().lay_out(&path).unwrap();
    let root = Sysroot::open(&path).unwrap();
    let host = Host::read(&root, Probe::No);
    let desired = Desired { rollout: Rollout::Standing, ..Desired::default() };
    let case = Case::new(&host, &desired);
    let plan = plan(&case, &run(&case)).unwrap();
    let wanted = Artefacts::of(&host, &plan);
    let write = |to: &str, bytes: &[u8]| {
        let to = path.join(to.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, bytes).unwrap();
    };
    let images = wanted.images.as_ref().unwrap();
    let mut files: Vec<(&str, &str)> = vec![
        ("init", ""),
        ("config", "MODULES=\"vfio_pci vfio\"\nEARLYHOOKS=\"udev passthru\"\n"),
        ("usr/lib/modules/6.7/vfio-pci.ko.zst", ""),
        ("usr/lib/modules/6.7/vfio_iommu_type1.ko.zst", ""),
    ];
    files.extend(images.files.iter().map(|file| (&*file.path, file.text.as_deref().unwrap())));
    write("boot/initramfs-linux.img", &cpio(&files));
    let seen = || read_back(&root, &Host::read(&root, Probe::No), &wanted);
    assert!(seen().problems[0].text.contains("must have passthru.bind="), "not written yet");
    for change in &plan.changes {
        write(&change.path, change.after.text().as_bytes());
    }
    assert_eq!(seen().problems, []);
    let entries = "/boot/loader/entries";
    let looked = [
        format!("{entries}/arch-fallback.conf"),
        format!("{entries}/arch.conf"),
        "/boot/initramfs-linux.img".to_owned(),
    ];
    assert_eq!(seen().looked, looked);
    std::fs::remove_file(path.join("boot/loader/entries/arch-fallback.conf")).unwrap();
    assert!(seen().problems[0].text.starts_with("No entry is left"));
}

/// The normal entry stays, and the one on trial is beside it.
#[test]
fn an_entry_on_trial_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root");
    host_tree("z490-arch").unwrap().unwrap().lay_out(&path).unwrap();
    let root = Sysroot::open(&path).unwrap();
    let host = Host::read(&root, Probe::No);
    let desired = Desired::default();
    let case = Case::new(&host, &desired);
    let plan = plan(&case, &run(&case)).unwrap();
    let entry = plan.changes.iter().find(|change| change.path.ends_with("/arch-trial.conf"));
    let (entry, trial) = (entry.unwrap(), plan.trial.as_ref().unwrap());
    assert_eq!(trial.entry, "arch-trial.conf");
    let wanted = Artefacts { images: None, ..Artefacts::of(&host, &plan) };
    let seen = || read_back(&root, &Host::read(&root, Probe::No), &wanted);
    assert!(seen().problems[0].text.starts_with("No entry is there to be tried"));
    let to = path.join(entry.path.trim_start_matches('/'));
    std::fs::write(&to, entry.after.text()).unwrap();
    assert_eq!(seen().problems, []);
    let normal = path.join("boot/loader/entries/arch.conf");
    let with =
        format!("{}options {}\n", std::fs::read_to_string(&normal).unwrap(), wanted.trial[0]);
    std::fs::write(&normal, with).unwrap();
    assert!(seen().problems[0].text.contains("has a word that is to be tried first"));
}

#[test]
fn a_recording_proves_nothing() {
    let machine = Machine::new();
    let root = Sysroot::from_tree(host_tree(HOST).unwrap().unwrap());
    let host = Host::read(&root, Probe::No);
    assert!(!read_back(&root, &host, &machine.wanted).holds());
}
