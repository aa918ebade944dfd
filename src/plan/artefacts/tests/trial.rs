//! What is tried stands in entries of its own and nowhere else, and each way to miss that is
//! noticed.

use super::*;

type Spoil = fn(&mut Vec<MenuEntry>);

const WORD: &str = "vfio-pci.ids=10de:1b80";

fn wanted() -> Artefacts {
    Artefacts {
        words: Vec::new(),
        removed: Vec::new(),
        ours: vec![WORD.to_owned()],
        nowhere: Vec::new(),
        trial: vec![WORD.to_owned()],
        kernels: vec!["6.1.0".to_owned()],
        images: None,
    }
}

fn menu() -> Vec<MenuEntry> {
    let mut tried = entry("Linux, with Linux 6.1.0", &[WORD.to_owned()]);
    tried.id = Some("passthru-trial-gnulinux-6.1.0-advanced-af".to_owned());
    tried.section = Some("42_passthru".to_owned());
    vec![entry("Linux", &[]), tried]
}

fn spoilt(spoil: Spoil) -> String {
    let mut menu = menu();
    spoil(&mut menu);
    said(&wanted(), menu, Image::default())
}

#[test]
fn each_wrong_menu_is_noticed() {
    assert_eq!(spoilt(|_| ()), "");
    let table: &[(&str, Spoil)] = &[
        ("No entry is there to be tried", |menu| {
            menu.pop();
        }),
        ("must have vfio-pci.ids=10de:1b80", |menu| menu[1].words.retain(|word| word != WORD)),
        ("a later word takes its place: vfio-pci.ids=1:2", |menu| {
            menu[1].words.push("vfio-pci.ids=1:2".to_owned());
        }),
        ("\"Linux\" has a word that is to be tried first", |menu| {
            menu[0].words.push(WORD.to_owned());
        }),
        ("No entry starts this system as every day", |menu| {
            menu.remove(0);
        }),
        // An entry of the user's that is called so is none of ours.
        ("No entry is there to be tried", |menu| menu[1].section = Some("40_custom".to_owned())),
    ];
    for (text, spoil) in table {
        let said = spoilt(*spoil);
        assert!(said.contains(text), "{text}: {said}");
    }
}

#[test]
fn taken_back_its_words_are_nowhere() {
    let back = wanted().reversed();
    assert_eq!((back.trial.as_slice(), back.nowhere.as_slice()), (&[][..], &[WORD.to_owned()][..]));
    assert!(said(&back, menu(), Image::default()).contains("still has a word that was to go"));
}
