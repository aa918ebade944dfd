//! After an undo nothing of ours is left.

use super::*;

/// The image as it was before.
fn clean(wanted: &ImageArtefacts) -> Image {
    let mut image = good_image(wanted);
    for file in &wanted.files {
        take(&mut image, &file.path);
    }
    match wanted.generator {
        InitramfsKind::InitramfsTools => {
            put(&mut image, ORDER, "/scripts/init-top/udev \"$@\"\n");
        }
        InitramfsKind::Mkinitcpio => {
            put(&mut image, "config", "MODULES=\"amdgpu\"\nEARLYHOOKS=\"udev\"\n");
            take(&mut image, LINK);
        }
        _ => {}
    }
    image.paths.retain(|path, _| !path.contains("vfio"));
    image
}

#[test]
fn nothing_of_ours_is_left() {
    for generator in GENERATORS {
        let wanted = for_generator(generator);
        let back = wanted.reversed();
        let images = wanted.images.as_ref().unwrap();
        let menu = good_menu(&back);
        assert_eq!(said(&back, menu.clone(), clean(images)), "", "{generator:?}");
        for file in &images.files {
            let mut image = clean(images);
            put(&mut image, &file.path, file.text.as_deref().unwrap());
            let said = said(&back, menu.clone(), image);
            assert!(said.contains(&format!("must not hold {}", file.path)), "{said:?}");
        }
    }
}

#[test]
fn a_word_of_ours_is_noticed_in_any_entry() {
    let wanted = of("z490-arch");
    let back = Artefacts { images: None, ..wanted.reversed() };
    for at in 0..3 {
        let mut menu = good_menu(&back);
        menu[at].words.extend(wanted.words.clone());
        let said = said(&back, menu, Image::default());
        assert!(said.contains("still has a word that was to go: passthru.bind="), "{said:?}");
    }
}

#[test]
fn a_hook_that_is_still_started_is_noticed() {
    type Spoil = fn(&mut Image);
    let spoil: [(InitramfsKind, Spoil); 3] = [
        (InitramfsKind::InitramfsTools, |image| {
            put(image, ORDER, "/scripts/init-top/udev\n/scripts/init-top/00-passthru\n");
        }),
        (InitramfsKind::Mkinitcpio, |image| put(image, "config", "EARLYHOOKS=\"passthru\"\n")),
        (InitramfsKind::Mkinitcpio, |image| link(image, LINK, "../passthru-bind.service")),
    ];
    for (generator, spoil) in spoil {
        let wanted = for_generator(generator);
        let mut image = clean(wanted.images.as_ref().unwrap());
        spoil(&mut image);
        let back = wanted.reversed();
        assert!(said(&back, good_menu(&back), image).contains("still"), "{generator:?}");
    }
}

/// What an earlier plan left comes back, text and all.
#[test]
fn files_of_an_earlier_plan_come_back() {
    let mut wanted = for_generator(InitramfsKind::InitramfsTools);
    let file = wanted.images.as_mut().unwrap().files.last_mut().unwrap();
    file.taken_back = Some("before\n".to_owned());
    let path = file.path.clone();
    let back = wanted.reversed();
    let mut image = clean(wanted.images.as_ref().unwrap());
    assert!(said(&back, good_menu(&back), image.clone()).contains(&path));
    put(&mut image, &path, "before\n");
    assert_eq!(said(&back, good_menu(&back), image), "");
}
