//! Domains as they are found in the field, with a card put in and taken out.

mod making;
mod rules;

use super::attach::{Refused, Screen, Wish, attach};
use super::card::{Card, Managed};
use super::detach::detach;
use super::domain::Domain;
use super::note::Note;
use super::volume::{put_in, take_out};
use crate::host::Host;
use crate::host::rom::Probe;
use crate::sys::{Sysroot, host_tree};

macro_rules! domains {
    ($($name:literal => $refused:expr),* $(,)?) => {
        /// Name, text, and why a card is not put there.
        pub(super) const DOMAINS: &[(&str, &str, &str)] = &[$((
            $name,
            include_str!(concat!("../../tests/domains/", $name, ".xml")),
            $refused,
        )),*];
    };
}

domains! {
    "arm" => "it is no x86_64 virtual machine but hvm on aarch64",
    "bios" => "it boots with BIOS, and GPU passthrough needs UEFI",
    "comments" => "",
    "crlf-and-tabs" => "",
    "empty-metadata" => "",
    "foreign-metadata" => "",
    "gpu-by-hand" => "the domain has a <hostdev> for 0000:07:00.1 that passthru did not put there",
    "guide-hidden" => "",
    "linux-virtiofs" => "",
    "loader-by-path" => "",
    "looking-glass" => "",
    "no-devices" => "it has no devices at all",
    "no-features" => "",
    "nvme-hostdev" => "",
    "one-line" => "",
    "piix" => "its machine type is pc-i440fx-6.2, which has no PCI Express: GPU drivers need Q35",
    "piix-with-uefi" => "its machine type is pc, which has no PCI Express: GPU drivers need Q35",
    "qemu-commandline" => "",
    "qemu-override" => "",
    "tuned" => "",
    "usb-hostdevs" => "",
    "virt-install-win11" => "",
}

/// The card of the guide's machine that goes to the guest.
pub(super) fn card() -> Card {
    let tree = host_tree("z490-arch").expect("it is recorded").expect("it is a tree");
    let host = Host::read(&Sysroot::from_tree(tree), Probe::No);
    let gpu = host.gpus.cards.iter().find(|gpu| gpu.address.bus == 7).expect("RX 6600");
    Card::of(&host, gpu)
}

pub(super) fn wish(card: &Card) -> Wish<'_> {
    let (managed, screen) = (Managed::ByLibvirt, Screen::Keep);
    Wish { card, managed, rom: None, screen, shared_memory: None, free_port: None }
}

/// Puts a card in, looks, and takes it out.
fn there_and_back(text: &str, wish: &Wish<'_>) -> (String, String) {
    let domain = Domain::parse(text).expect("a domain");
    let with = attach(&domain, wish).expect("attached");
    let found = Domain::parse(&with).expect("a domain");
    let note = Note::of(&found);
    assert_eq!(&note.attached.last().expect("it is noted").card, wish.card);
    let sources: Vec<_> = found.sources().collect();
    assert!(wish.card.functions.iter().all(|function| sources.contains(&function.address)));
    let back = detach(&found, note.attached.last().expect("it is noted"));
    assert_eq!(back.remarks, [""; 0]);
    (with, back.text)
}

#[test]
fn every_domain_gets_its_bytes_back_or_a_reason() {
    let card = card();
    for (name, text, refused) in DOMAINS {
        let domain = Domain::parse(text).expect(name);
        if !refused.is_empty() {
            let error = attach(&domain, &wish(&card)).expect_err(name);
            assert_eq!(error.to_string(), *refused, "{name}");
            continue;
        }
        for (screen, shared_memory) in [(Screen::Keep, None), (Screen::Remove, Some(64))] {
            let shared_memory = shared_memory.filter(|_| *name != "looking-glass");
            let wish = Wish { screen, shared_memory, ..wish(&card) };
            let (with, back) = there_and_back(text, &wish);
            assert!(back == *text, "{name}: {back:?}");
            assert_eq!(
                attach(&Domain::parse(&with).expect(name), &wish),
                Err(Refused::Attached(card.display)),
                "{name}"
            );
        }
    }
}

#[test]
fn a_card_stands_in_one_slot_behind_a_port_of_its_own() {
    let text = DOMAINS.iter().find(|(name, ..)| *name == "guide-hidden").expect("it is there").1;
    let card = card();
    let rom = Some("/usr/share/vgabios/rx6600.rom");
    let wish = Wish { rom, screen: Screen::Remove, shared_memory: Some(32), ..wish(&card) };
    let (with, _) = there_and_back(text, &wish);
    let diff = similar::TextDiff::from_lines(text, &with);
    insta::assert_snapshot!(diff.unified_diff().context_radius(1).to_string());
}

#[test]
fn two_cards_go_in_and_out_in_any_order() {
    let first = card();
    let mut second = first.clone();
    for function in &mut second.functions {
        function.address.bus = 3;
    }
    second.display.bus = 3;
    for (name, text, refused) in DOMAINS.iter().filter(|(.., refused)| refused.is_empty()) {
        assert!(refused.is_empty());
        let one = attach(&Domain::parse(text).expect(name), &wish(&first)).expect(name);
        let two = attach(&Domain::parse(&one).expect(name), &wish(&second)).expect(name);
        let domain = Domain::parse(&two).expect(name);
        let note = Note::of(&domain);
        assert_eq!(note.attached.len(), 2, "{name}");
        assert_ne!(note.attached[0].port, note.attached[1].port, "{name}");
        assert_eq!(detach(&domain, &note.attached[1]).text, one, "{name}");
        let left = detach(&domain, &note.attached[0]).text;
        let domain = Domain::parse(&left).expect(name);
        let note = Note::of(&domain);
        assert_eq!(detach(&domain, &note.attached[0]).text, *text, "{name}");
    }
}

#[test]
fn answers_go_in_and_out_beside_a_card() {
    const VOLUME: &str = "/var/lib/libvirt/images/a & b-answers.img";
    let card = card();
    for (name, text, refused) in DOMAINS {
        let domain = Domain::parse(text).expect(name);
        let unfit = domain.fit().err().map(|unfit| unfit.to_string());
        let with = match put_in(&domain, VOLUME) {
            Ok(with) => with,
            Err(error) => {
                assert_eq!(Some(error.to_string()), unfit, "{name}");
                continue;
            }
        };
        assert_eq!(unfit, None, "{name}");
        let found = Domain::parse(&with).expect(name);
        assert_eq!(Note::of(&found).answers.as_deref(), Some(VOLUME), "{name}");
        let again = put_in(&found, "/x").expect_err(name).to_string();
        assert_eq!(again, format!("a volume with answers is in it already: {VOLUME}"));
        let out = take_out(&found).expect(name);
        assert_eq!((out.text.as_str(), &*out.path, out.was_out), (*text, VOLUME, false), "{name}");
        if refused.is_empty() {
            let both = attach(&found, &wish(&card)).expect(name);
            let both = Domain::parse(&both).expect(name);
            let left = take_out(&both).expect(name).text;
            let left = Domain::parse(&left).expect(name);
            let back = detach(&left, &Note::of(&left).attached[0]);
            assert_eq!(back.text, *text, "{name}: the answers go first");
        }
    }
    assert_eq!(take_out(&Domain::parse(DOMAINS[1].1).expect("a domain")), None);
}

#[test]
fn the_volume_is_a_removable_disk_that_nothing_writes_to() {
    let text = DOMAINS.iter().find(|(name, ..)| *name == "guide-hidden").expect("it is there").1;
    let with = put_in(&Domain::parse(text).expect("a domain"), "/v.img").expect("it goes in");
    let diff = similar::TextDiff::from_lines(text, &with);
    insta::assert_snapshot!(diff.unified_diff().context_radius(1).to_string());
    let without = with.replace("<source file='/v.img' ", "<source file='/other.img' ");
    let out = take_out(&Domain::parse(&without).expect("a domain")).expect("it is noted");
    assert!(out.was_out && out.text.contains("/other.img") && !out.text.contains("passthru:"));
    let no_usb = text.replace("  <devices>", "  <devices><controller type='usb' model='none'/>");
    let refused = put_in(&Domain::parse(&no_usb).expect("a domain"), "/v.img");
    assert_eq!(
        refused.expect_err("no USB").to_string(),
        "it has no USB, which the volume stands on"
    );
}

#[test]
fn what_somebody_else_changed_stays_and_is_said() {
    let text = DOMAINS.iter().find(|(name, ..)| *name == "guide-hidden").expect("it is there").1;
    let card = card();
    let wish = Wish { screen: Screen::Remove, ..wish(&card) };
    let with = attach(&Domain::parse(text).expect("a domain"), &wish).expect("attached");
    let sound = "    <sound model='ich9'>\n      <address type='pci' bus='0x03' slot='0x00' function='0x2'/>\n    </sound>\n";
    let with = with.replace("  </devices>\n", &format!("{sound}  </devices>\n"));
    let with =
        with.replace("<video><model type='none'/></video>", "<video><model type='vga'/></video>");
    let domain = Domain::parse(&with).expect("a domain");
    let back = detach(&domain, &Note::of(&domain).attached[0]);
    assert_eq!(
        back.remarks,
        [
            "Its root port 3 stays: a <sound> was put behind it since.",
            "The emulated screen stays as it was changed since."
        ]
    );
    let expected = text
        .replace("    <video>\n      <model type='virtio' heads='1' primary='yes'/>\n    </video>\n",
            "    <video><model type='vga'/></video>\n")
        .replace("  </devices>\n", &format!(
            "    <controller type='pci' index='3' model='pcie-root-port'>\n      <address type='pci' domain='0x0000' bus='0x00' slot='0x10' function='0x0'/>\n    </controller>\n{sound}  </devices>\n"));
    assert_eq!(back.text, expected);
}
