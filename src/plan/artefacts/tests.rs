use super::*;
use crate::check::{Case, Desired, Rollout, run};
use crate::host::Host;
use crate::host::image::Member;
use crate::host::rom::Probe;
use crate::plan::plan;
use crate::sys::{Sysroot, host_tree};

mod images;
mod menus;
mod taken_back;
mod trial;

/// What the plan for a recorded machine has to bring about.
fn of(host: &str) -> Artefacts {
    let root = Sysroot::from_tree(host_tree(host).unwrap().unwrap());
    let host = Host::read(&root, Probe::No);
    let desired = Desired { rollout: Rollout::Standing, ..Desired::default() };
    let case = Case::new(&host, &desired);
    Artefacts::of(&host, &plan(&case, &run(&case)).unwrap())
}

/// The same for another generator, with the binding script.
fn for_generator(generator: InitramfsKind) -> Artefacts {
    let mut wanted = of("z490-arch");
    wanted.kernels = vec!["6.1.0".to_owned()];
    let images = wanted.images.as_mut().unwrap();
    images.generator = generator;
    let path = match generator {
        InitramfsKind::InitramfsTools => "scripts/init-top/00-passthru",
        InitramfsKind::Dracut => "usr/lib/dracut/hooks/pre-udev/00-passthru.sh",
        _ => return wanted,
    };
    images.files.retain(|file| file.role != FileRole::Unit);
    images.files[0].path = path.to_owned();
    wanted
}

const GENERATORS: [InitramfsKind; 3] =
    [InitramfsKind::Mkinitcpio, InitramfsKind::InitramfsTools, InitramfsKind::Dracut];

fn put(image: &mut Image, path: &str, text: &str) {
    let mode = if path.contains("passthru") { 0o100_755 } else { 0o100_644 };
    image.paths.insert(path.to_owned(), Member { mode, target: None });
    image.texts.insert(path.to_owned(), text.to_owned());
}

fn take(image: &mut Image, path: &str) {
    assert!(image.paths.remove(path).is_some(), "{path} is there");
    image.texts.remove(path);
}

fn link(image: &mut Image, path: &str, target: &str) {
    let member = Member { mode: 0o120_777, target: Some(target.to_owned()) };
    image.paths.insert(path.to_owned(), member);
}

const MODULES: &str = "usr/lib/modules/6.1.0/kernel/drivers/vfio";
const ORDER: &str = "scripts/init-top/ORDER";
const LINK: &str = "etc/systemd/system/sysinit.target.wants/passthru-bind.service";

/// An image as its generator makes it where everything is right.
fn good_image(wanted: &ImageArtefacts) -> Image {
    let mut image = Image::default();
    put(&mut image, &format!("{MODULES}/pci/vfio-pci.ko.zst"), "");
    put(&mut image, &format!("{MODULES}/vfio_iommu_type1.ko"), "");
    for file in &wanted.files {
        put(&mut image, &file.path, file.text.as_deref().unwrap());
    }
    match wanted.generator {
        InitramfsKind::InitramfsTools => {
            let order = "/scripts/init-top/00-passthru \"$@\"\n[ -e /conf/param.conf ] && . /conf/param.conf\n/scripts/init-top/udev \"$@\"\n";
            put(&mut image, ORDER, order);
        }
        InitramfsKind::Dracut => {
            put(&mut image, "usr/lib/dracut/hooks/pre-udev/30-x.sh", "");
            let pre = "rd.driver.pre=vfio_pci\nrd.driver.pre=vfio\nrd.driver.pre=nouveau\n";
            put(&mut image, "etc/cmdline.d/20-force_drivers.conf", pre);
        }
        _ => {
            put(&mut image, "init", "#!/usr/bin/ash\n");
            let config = "MODULES=\"vfio_pci vfio vfio_iommu_type1? amdgpu\"\nHOOKS=\"udev\"\nEARLYHOOKS=\"udev passthru\"\n";
            put(&mut image, "config", config);
            link(&mut image, LINK, "../passthru-bind.service");
        }
    }
    image
}

/// The same in the style where systemd is the image's init.
fn with_systemd(image: &mut Image) {
    take(image, "init");
    link(image, "init", "usr/lib/systemd/systemd");
    put(image, "usr/bin/sh", "");
    put(image, "etc/modules-load.d/MODULES.conf", "vfio_pci\nvfio\namdgpu\n");
    put(image, "config", "EARLYHOOKS=\"passthru\"\n");
}

fn entry(title: &str, words: &[String]) -> MenuEntry {
    let mut all = vec!["root=/dev/sda1".to_owned()];
    all.extend_from_slice(words);
    MenuEntry {
        title: title.to_owned(),
        id: None,
        place: "/boot/grub/grub.cfg".to_owned(),
        words: all,
        linux: "boot/vmlinuz-6.1.0".to_owned(),
        initrds: vec!["boot/intel-ucode.img".to_owned(), "boot/initrd.img-6.1.0".to_owned()],
        section: Some("10_linux".to_owned()),
    }
}

/// Two normal entries, and one as before.
fn good_menu(wanted: &Artefacts) -> Vec<MenuEntry> {
    let mut recovery = entry("Linux (recovery mode)", &["single".to_owned()]);
    recovery.id = Some("gnulinux-6.1.0-recovery-af".to_owned());
    let words = wanted.words.as_slice();
    vec![entry("Linux", words), entry("Linux, with Linux 6.1.0", words), recovery]
}

fn images(image: Image) -> BTreeMap<String, Observed<Image>> {
    BTreeMap::from([("boot/initrd.img-6.1.0".to_owned(), Observed::Present(image))])
}

/// One text for all problems.
fn said(wanted: &Artefacts, menu: Vec<MenuEntry>, image: Image) -> String {
    let problems = problems(wanted, &Observed::Present(menu), &images(image));
    let lines = problems.iter().map(|problem| format!("{}: {}", problem.path, problem.text));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_a_plan_has_to_bring_about() {
    let wanted = of("z490-arch");
    let bind = "passthru.bind=1002:73ff:1462:5022@0000:07:00.0,1002:ab28:1002:ab28@0000:07:00.1";
    assert_eq!(wanted.words, [bind], "iommu=pt is there already and is no business of the plan");
    assert_eq!((wanted.ours.as_slice(), wanted.removed.len()), (&[bind.to_owned()][..], 0));
    let images = wanted.images.as_ref().unwrap();
    assert_eq!(images.modules, ["vfio_pci", "vfio_iommu_type1"]);
    assert!(images.rivals.contains(&"snd_hda_intel".to_owned()));
    let begins = |path: &str, with: &str| {
        let file = images.files.iter().find(|file| file.path == path).unwrap();
        assert!(file.text.as_deref().unwrap().starts_with(with), "{path}");
        assert_eq!(file.taken_back, None, "{path}");
    };
    begins("hooks/passthru", "#!/bin/sh\n");
    begins("etc/modprobe.d/00-passthru.conf", "# Written by passthru");
    begins("etc/systemd/system/passthru-bind.service", "# Written by passthru");
    let unit = images.files.iter().find(|file| file.role == FileRole::Unit).unwrap();
    assert!(unit.text.as_deref().unwrap().ends_with("ExecStart=/bin/sh /hooks/passthru\n"));
}

/// `iommu=pt` is left out where the machine is set up without it.
#[test]
fn a_word_that_neither_is_configured_nor_comes_is_not_wanted() {
    let root = Sysroot::from_tree(host_tree("z490-arch").unwrap().unwrap());
    let host = Host::read(&root, Probe::No);
    let desired = Desired { rollout: Rollout::Standing, ..Desired::default() };
    let case = Case::new(&host, &desired);
    let mut plan = plan(&case, &run(&case)).unwrap();
    let word = plan.kernel_parameters.add.remove(0);
    plan.expectations.push(crate::plan::Expectation::Parameter("intel_iommu=on".to_owned()));
    let wanted = Artefacts::of(&host, &plan);
    assert_eq!(wanted.words, ["intel_iommu=on"], "without {word}");
    assert_eq!(wanted.ours, [""; 0]);
    plan.changes.retain(|change| change.path.starts_with("/boot/"));
    assert_eq!(Artefacts::of(&host, &plan).images, None, "no source of an image changes");
}

#[test]
fn the_id_method_wants_no_script() {
    let wanted = of("z690-arch-iommu-off");
    let files = wanted.images.unwrap().files;
    let wants = |role| files.iter().any(|file| file.role == role && file.text.is_some());
    assert!(wants(FileRole::Modprobe) && !wants(FileRole::Script) && !wants(FileRole::Unit));
}

#[test]
fn it_outlives_the_program_as_json() {
    for host in ["z490-arch", "h170-mint-turing"] {
        let wanted = of(host);
        let json = serde_json::to_string(&wanted).unwrap();
        assert_eq!(serde_json::from_str::<Artefacts>(&json).unwrap(), wanted);
    }
}

#[test]
fn nothing_is_wrong_where_everything_is_right() {
    for generator in GENERATORS {
        let wanted = for_generator(generator);
        let image = good_image(wanted.images.as_ref().unwrap());
        assert_eq!(said(&wanted, good_menu(&wanted), image), "", "{generator:?}");
    }
    let wanted = for_generator(InitramfsKind::Mkinitcpio);
    let mut image = good_image(wanted.images.as_ref().unwrap());
    with_systemd(&mut image);
    assert_eq!(said(&wanted, good_menu(&wanted), image), "");
}

#[test]
fn what_could_not_be_looked_at_is_a_problem() {
    let wanted = for_generator(InitramfsKind::Dracut);
    let none = BTreeMap::new();
    for menu in [Observed::Absent, Observed::Unreadable("denied".to_owned())] {
        assert_eq!(problems(&wanted, &menu, &none).len(), 1);
    }
    let menu = Observed::Present(good_menu(&wanted));
    assert_eq!(problems(&wanted, &menu, &none)[0].text, "The image was not looked at.");
    let seen = |image| BTreeMap::from([("boot/initrd.img-6.1.0".to_owned(), image)]);
    let text = |image| problems(&wanted, &menu, &seen(image)).remove(0).text;
    assert_eq!(text(Observed::Absent), "The image is not there.");
    assert!(text(Observed::Unreadable("it is cut off".to_owned())).contains("it is cut off"));
    let nothing = ReadBack { looked: Vec::new(), problems: Vec::new() };
    assert!(!nothing.holds());
}
