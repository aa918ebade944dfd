//! Each thing that can be wrong with an image is noticed.

use super::*;

type Spoil = fn(&mut Image);

fn check(generator: InitramfsKind, table: &[(&str, Spoil)]) {
    let wanted = for_generator(generator);
    for (expected, spoil) in table {
        let mut image = good_image(wanted.images.as_ref().unwrap());
        spoil(&mut image);
        let said = said(&wanted, good_menu(&wanted), image);
        assert!(said.contains(expected), "{generator:?}, {expected:?}: {said:?}");
        assert_eq!(said.lines().count(), 1, "{generator:?}, {expected:?} alone: {said}");
        assert!(said.starts_with("/boot/initrd.img-6.1.0: "), "{said}");
    }
}

#[test]
fn modules_and_files_of_every_generator() {
    for generator in GENERATORS {
        check(
            generator,
            &[
                ("module vfio_pci for 6.1.0", |image| {
                    take(image, &format!("{MODULES}/pci/vfio-pci.ko.zst"));
                }),
                ("module vfio_pci for 6.1.0", |image| {
                    take(image, &format!("{MODULES}/pci/vfio-pci.ko.zst"));
                    put(image, "usr/lib/modules/6.2.0/vfio-pci.ko", "");
                    put(image, "usr/lib/modules/6.1.0/vfio-pci-core.ko", "");
                    put(image, "usr/lib/modules/6.1.0/modules.builtin", "kernel/a/vfio.ko\n");
                }),
                ("module vfio_iommu_type1", |image| {
                    take(image, &format!("{MODULES}/vfio_iommu_type1.ko"));
                }),
                ("must hold etc/modprobe.d/00-passthru.conf", |image| {
                    take(image, "etc/modprobe.d/00-passthru.conf");
                }),
                ("another text: line 2 is \"softdep x pre: y\"", |image| {
                    let own = "# Written by passthru. Take it back with: passthru undo";
                    let text = format!("{own}\nsoftdep x pre: y\n");
                    put(image, "etc/modprobe.d/00-passthru.conf", &text);
                }),
            ],
        );
    }
}

#[test]
fn modules_may_have_any_name_or_be_built_in() {
    let wanted = for_generator(InitramfsKind::InitramfsTools);
    for name in ["vfio-pci.ko", "vfio_pci.ko.xz", "vfio-pci.ko.gz", "vfio-pci.ko.zst"] {
        let mut image = good_image(wanted.images.as_ref().unwrap());
        take(&mut image, &format!("{MODULES}/pci/vfio-pci.ko.zst"));
        put(&mut image, &format!("lib/modules/6.1.0/{name}"), "");
        assert_eq!(said(&wanted, good_menu(&wanted), image), "", "{name}");
    }
    let mut image = good_image(wanted.images.as_ref().unwrap());
    take(&mut image, &format!("{MODULES}/pci/vfio-pci.ko.zst"));
    put(&mut image, "usr/lib/modules/6.1.0/modules.builtin", "kernel/drivers/vfio/vfio-pci.ko\n");
    assert_eq!(said(&wanted, good_menu(&wanted), image), "");
}

/// Manjaro: `vmlinuz-6.1-x86_64` is no release.
#[test]
fn a_kernel_may_be_named_after_something_else_than_its_release() {
    let wanted = for_generator(InitramfsKind::Mkinitcpio);
    let mut menu = good_menu(&wanted);
    menu[1].linux = "boot/vmlinuz-6.1-x86_64".to_owned();
    assert_eq!(said(&wanted, menu, good_image(wanted.images.as_ref().unwrap())), "");
}

#[test]
fn the_order_of_initramfs_tools() {
    check(
        InitramfsKind::InitramfsTools,
        &[
            ("first and udev later; it runs: /scripts/init-top/udev, /scripts", |image| {
                let order = "/scripts/init-top/udev \"$@\"\n/scripts/init-top/00-passthru \"$@\"\n";
                put(image, ORDER, order);
            }),
            ("udev later", |image| put(image, ORDER, "/scripts/init-top/00-passthru \"$@\"\n")),
            ("first and udev later; it runs: .", |image| take(image, ORDER)),
            ("must be executable", |image| {
                image.paths.get_mut("scripts/init-top/00-passthru").unwrap().mode = 0o100_644;
            }),
        ],
    );
}

#[test]
fn the_order_of_dracut() {
    const PRE: &str = "etc/cmdline.d/20-force_drivers.conf";
    check(
        InitramfsKind::Dracut,
        &[
            ("must be 00-passthru.sh; there are: 00-a.sh, 00-pass", |image| {
                put(image, "usr/lib/dracut/hooks/pre-udev/00-a.sh", "");
            }),
            ("must have vfio_pci; it has: .", |image| take(image, PRE)),
            ("snd-hda-intel comes first", |image| {
                put(image, PRE, "rd.driver.pre=nvme,snd-hda-intel,vfio-pci\n");
            }),
            ("nouveau comes first", |image| {
                put(image, "etc/cmdline.d/10-a.conf", "rd.driver.pre=nouveau\n");
            }),
        ],
    );
    // A newer dracut keeps its hooks elsewhere.
    let wanted = for_generator(InitramfsKind::Dracut);
    let mut image = good_image(wanted.images.as_ref().unwrap());
    let old = "usr/lib/dracut/hooks/pre-udev/00-passthru.sh";
    let text = image.texts[old].clone();
    take(&mut image, old);
    put(&mut image, "var/lib/dracut/hooks/pre-udev/00-passthru.sh", &text);
    assert_eq!(said(&wanted, good_menu(&wanted), image), "");
}

#[test]
fn the_order_of_mkinitcpio_with_udev() {
    check(
        InitramfsKind::Mkinitcpio,
        &[
            ("EARLYHOOKS in the image's configuration must have passthru; it has: udev", |image| {
                put(image, "config", "MODULES=\"vfio_pci\"\nEARLYHOOKS=\"udev\"\n");
            }),
            ("must have vfio_pci; it has: amdgpu", |image| {
                put(image, "config", "MODULES=\"amdgpu\"\nEARLYHOOKS=\"passthru\"\n");
            }),
            ("amdgpu comes first", |image| {
                put(image, "config", "MODULES=\"amdgpu vfio_pci\"\nEARLYHOOKS=\"passthru\"\n");
            }),
            ("hooks/passthru must be executable", |image| {
                image.paths.get_mut("hooks/passthru").unwrap().mode = 0o100_644;
            }),
            ("has no init", |image| take(image, "init")),
            ("must hold etc/systemd/system/passthru-bind.service", |image| {
                take(image, "etc/systemd/system/passthru-bind.service");
            }),
        ],
    );
}

#[test]
fn the_order_of_mkinitcpio_with_systemd() {
    check(
        InitramfsKind::Mkinitcpio,
        &[
            ("must hold the link", |image| {
                with_systemd(image);
                take(image, LINK);
            }),
            ("no shell", |image| {
                with_systemd(image);
                take(image, "usr/bin/sh");
            }),
            ("amdgpu comes first", |image| {
                with_systemd(image);
                put(image, "etc/modules-load.d/MODULES.conf", "# a\namdgpu\nvfio_pci\n");
            }),
        ],
    );
}

#[test]
fn several_images_of_an_entry_count_together() {
    let wanted = for_generator(InitramfsKind::Dracut);
    let mut main = good_image(wanted.images.as_ref().unwrap());
    let mut early = Image::default();
    let module = format!("{MODULES}/pci/vfio-pci.ko.zst");
    take(&mut main, &module);
    put(&mut early, &module, "");
    let mut menu = good_menu(&wanted);
    menu.truncate(1);
    menu[0].initrds = vec!["boot/early.img".to_owned(), "boot/initrd.img-6.1.0".to_owned()];
    menu.push(entry("Linux (recovery mode)", &[]));
    let both = |early| {
        let mut images = images(main.clone());
        images.insert("boot/early.img".to_owned(), early);
        problems(&wanted, &Observed::Present(menu.clone()), &images)
    };
    assert_eq!(both(Observed::Present(early)), []);
    assert_eq!(both(Observed::Absent)[0].path, "/boot/early.img");
    assert_eq!(wanted.images_of(&menu).len(), 2, "microcode is not read");
}
