//! Each thing that can be wrong with the menu is noticed.

use super::*;

type Spoil = fn(&mut Vec<MenuEntry>);

fn grub() -> Artefacts {
    Artefacts {
        trial: Vec::new(),
        words: vec!["iommu=pt".to_owned(), "vfio-pci.ids=10de:1b80".to_owned()],
        removed: vec!["iommu=off".to_owned()],
        ours: vec!["iommu=pt".to_owned(), "vfio-pci.ids=10de:1b80".to_owned()],
        nowhere: Vec::new(),
        kernels: vec!["6.1.0".to_owned()],
        images: None,
    }
}

fn spoilt(spoil: Spoil) -> String {
    let wanted = grub();
    let mut menu = good_menu(&wanted);
    spoil(&mut menu);
    said(&wanted, menu, Image::default())
}

#[test]
fn each_wrong_menu_is_noticed() {
    let table: &[(&str, Spoil)] = &[
        ("\"Linux, with Linux 6.1.0\" must have iommu=pt, and has: root=/dev/sda1 vfio", |menu| {
            menu[1].words.retain(|word| word != "iommu=pt");
        }),
        ("must have vfio-pci.ids=10de:1b80, and has", |menu| {
            menu[1].words = vec!["iommu=pt".to_owned(), "xvfio-pci.ids=10de:1b80x".to_owned()];
        }),
        ("\"Linux\" still has a word that was to go: iommu=off", |menu| {
            menu[0].words.push("iommu=off".to_owned());
        }),
        ("a later word takes its place: vfio_pci.ids=1:2", |menu| {
            menu[0].words.push("vfio_pci.ids=1:2".to_owned());
        }),
        ("No entry starts this system as every day; there are \"Linux (recovery mode)\"", |menu| {
            menu.drain(..2);
        }),
        ("there are none at all", Vec::clear),
        ("No entry is left that starts the machine as it was", |menu| menu.truncate(2)),
        ("No entry is left", |menu| menu[2].words.push("iommu=pt".to_owned())),
        ("No entry starts this kernel, which is installed: 6.1.0", |menu| {
            menu[0].linux = "boot/vmlinuz-6.1.0-other".to_owned();
            menu[1].linux = "boot/vmlinuz-6.2.0".to_owned();
        }),
    ];
    for (expected, spoil) in table {
        let said = spoilt(*spoil);
        assert!(said.contains(expected), "{expected:?}: {said:?}");
    }
    assert_eq!(spoilt(|_| ()), "");
}

#[test]
fn entries_for_bad_days_need_no_words() {
    let kept: &[Spoil] = &[
        |menu| menu[1].title = "Linux (fallback initramfs)".to_owned(),
        |menu| menu[1].title = "Rescue".to_owned(),
        |menu| menu[1].title = "Linux (as before passthru)".to_owned(),
        |menu| menu[1].section = Some("45_passthru".to_owned()),
        |menu| menu[1].place = "/boot/loader/entries/arch-fallback.conf".to_owned(),
        |menu| menu[1].id = Some("gnulinux-6.1.0-recovery-af".to_owned()),
        |menu| menu[1].id = Some("gnulinux-linux-fallback-af".to_owned()),
        |menu| menu[1].words.push("single".to_owned()),
    ];
    for (at, spoil) in kept.iter().enumerate() {
        let mut menu = good_menu(&grub());
        menu[1].words.clear();
        assert!(!said(&grub(), menu.clone(), Image::default()).is_empty());
        spoil(&mut menu);
        assert_eq!(said(&grub(), menu, Image::default()), "", "{at}");
    }
}

#[test]
fn words_that_were_there_before_need_no_entry_without_them() {
    let mut wanted = grub();
    wanted.ours.clear();
    let mut menu = good_menu(&wanted);
    menu.truncate(2);
    assert_eq!(said(&wanted, menu, Image::default()), "");
}

#[test]
fn an_entry_without_an_image_is_noticed_where_images_count() {
    let wanted = for_generator(InitramfsKind::Dracut);
    let image = good_image(wanted.images.as_ref().unwrap());
    let mut menu = good_menu(&wanted);
    menu[1].initrds.truncate(1);
    assert!(said(&wanted, menu, image).contains("must start with an initramfs image"));
}
