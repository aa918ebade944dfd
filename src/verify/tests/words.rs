//! Kernel parameters: what counts as there, and why a word is not.

use super::lab::{Lab, WORD, after, before, expected, fallback, holds, list};
use crate::config::cmdline::Cmdline;
use crate::verify::judge::is_in_effect;
use crate::verify::{Then, Verdict};

#[test]
fn words_count_as_the_kernel_counts_them() {
    for (line, word, there) in [
        ("quiet iommu=pt", "iommu=pt", true),
        ("quiet iommu=off", "iommu=pt", false),
        ("intel_iommu=on", "intel_iommu=on", true),
        ("intel_iommu=on,sm_on", "intel_iommu=on", true),
        ("intel-iommu=on", "intel_iommu=on", true),
        ("intel_iommu=sm_on", "intel_iommu=on", false),
        ("vfio_pci.ids=1002:73ff", "vfio-pci.ids=1002:73ff", true),
        ("vfio-pci.ids=1002:73ff vfio-pci.ids=10de:1c03", "vfio-pci.ids=1002:73ff", false),
        ("vfio-pci.ids=10de:1c03 vfio-pci.ids=1002:73ff", "vfio-pci.ids=1002:73ff", true),
        ("vfio-pci.ids=1002:73ff,10de:1c03", "vfio-pci.ids=1002:73ff", false),
        ("quiet -- iommu=pt", "iommu=pt", false),
        ("passthru.bind=\"a b\"", "passthru.bind=a b", true),
        ("", "iommu=pt", false),
    ] {
        assert_eq!(is_in_effect(&Cmdline::parse(line), word), there, "{line} | {word}");
    }
}

fn of_word(lab: &Lab, cause: &str) {
    holds(lab, &expected(), &format!("parameter:{WORD}"), Verdict::Unmet, cause);
}

#[test]
fn another_entry_was_started() {
    let cause = "The boot entry /boot/loader/entries/arch-fallback.conf was started, which does \
                 not have what passthru added; /boot/loader/entries/arch.conf has it.";
    of_word(&fallback(), cause);
    // The card is not bound for the same reason, and the answer says so once.
    for id in ["vfio:0000:07:00.0", "vfio:0000:07:00.1", "group:18", "group:19"] {
        holds(&fallback(), &expected(), id, Verdict::Unmet, cause);
    }
    let hint = fallback().outcome(&expected(), "group:18").hint.unwrap();
    assert!(hint.starts_with("Reboot, pick the entry of /boot/loader/entries/arch.conf"), "{hint}");
}

#[test]
fn a_recovery_entry_was_started() {
    let cause = |word: &str| {
        format!(
            "A recovery entry was started (`{word}`), and recovery entries boot without \
             passthrough."
        )
    };
    for word in ["single", "systemd.unit=rescue.target", "init=/bin/bash", "recovery"] {
        of_word(&fallback().swap("rw quiet splash", &format!("rw {word} quiet")), &cause(word));
    }
    let calm = fallback().swap("rw quiet splash", "rw systemd.unit=graphical.target");
    let outcome = calm.outcome(&expected(), &format!("parameter:{WORD}"));
    assert!(!outcome.cause.unwrap().contains("recovery"));
}

#[test]
fn a_later_word_replaces_it() {
    let twice = after().swap(
        &format!("splash intel_iommu=on iommu=pt {WORD}"),
        &format!("splash intel_iommu=on iommu=pt {WORD} passthru.bind=none"),
    );
    of_word(
        &twice,
        "The kernel got another value for passthru.bind: `passthru.bind=none`, which comes later, \
         and only the last one counts.",
    );
}

#[test]
fn another_value_stands_there() {
    let other = after().swap(&format!("iommu=pt {WORD}"), "iommu=pt passthru.bind=other");
    let other = other.put("boot/loader/entries/arch.conf", "options rw passthru.bind=other\n");
    let cause = "The kernel got another value for passthru.bind: `passthru.bind=other`.";
    of_word(&other, cause);
    let hint = other.outcome(&expected(), &format!("parameter:{WORD}")).hint.unwrap();
    assert!(hint.starts_with("/boot/loader/entries/arch.conf sets it."), "{hint}");
}

#[test]
fn the_entry_was_written_anew() {
    let rewritten = before()
        .put("proc/sys/kernel/random/boot_id", "boot-2\n")
        .put("boot/loader/entries/arch.conf", "options rw quiet splash intel_iommu=on iommu=pt\n");
    of_word(
        &rewritten,
        "/boot/loader/entries/arch.conf no longer has what passthru added: something took it out \
         after the change.",
    );
    let then = Then { kernel_release: Some("6.7.1-arch1-1".to_owned()), ..before().then() };
    of_word(
        &rewritten.knowing(then),
        "/boot/loader/entries/arch.conf no longer has what passthru added: since the change the \
         kernel went from 6.7.1-arch1-1 to 6.7.9-arch1-1, and the boot entry was written anew.",
    );
}

#[test]
fn the_entry_has_it_and_the_kernel_does_not() {
    let typed = fallback().without("arch-fallback.conf").entry("arch.conf");
    of_word(
        &typed,
        "/boot/loader/entries/arch.conf has what passthru added, but the kernel was started \
         without it: from another entry or by another boot loader, or it was edited in the boot \
         menu.",
    );
    let then = Then { boot_id: None, command_line: None, ..before().then() };
    of_word(
        &typed.knowing(then),
        "/boot/loader/entries/arch.conf has what passthru added, but the kernel was started \
         without it: before the change, or from another entry or by another boot loader, or it was \
         edited in the boot menu.",
    );
}

#[test]
fn the_boot_menu_is_not_as_it_was_left() {
    let broken = before()
        .put("proc/sys/kernel/random/boot_id", "boot-2\n")
        .problem("/boot/initramfs-linux.img", "it lacks vfio-pci")
        .problem("/boot/loader/loader.conf", "the default is windows.conf.");
    let text = "The boot menu is not as passthru left it: the default is windows.conf.";
    of_word(&broken, text);
    of_word(
        &broken
            .edited("/boot/loader/loader.conf", "was edited")
            .edited("/etc/mkinitcpio.conf", "is gone"),
        &format!("{text} Since then /boot/loader/loader.conf was edited."),
    );
}

const GRUB: &str = "h170-mint-turing";
const IDS: &str = "vfio-pci.ids=10de:2184,10de:1aeb";

fn of_grub(lab: Lab, cause: &str) {
    let id = format!("parameter:{IDS}");
    let then = Then { boot_id: Some("boot-1".to_owned()), ..lab.then() };
    let lab = lab.put("proc/sys/kernel/random/boot_id", "boot-2\n").knowing(then);
    holds(&lab, &list(&[&id]), &id, Verdict::Unmet, cause);
}

#[test]
fn grub_was_not_generated_anew() {
    let written = || {
        Lab::new(GRUB).swap(
            "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet splash",
            &format!("GRUB_CMDLINE_LINUX_DEFAULT=\"{IDS} quiet splash"),
        )
    };
    of_grub(
        written(),
        "/boot/grub/grub.cfg was not written anew after the change: /etc/default/grub has what \
         passthru added, and no entry of the menu does.",
    );
    of_grub(
        written()
            .swap("ro quiet splash intel_iommu=on", &format!("ro {IDS} quiet intel_iommu=on"))
            .put("proc/cmdline", "BOOT_IMAGE=/boot/vmlinuz-6.8.0-90-generic ro intel_iommu=on\n"),
        "/boot/grub/grub.cfg has entries with what passthru added, and an entry without it was \
         started.",
    );
    of_grub(
        Lab::new(GRUB),
        "/etc/default/grub no longer has what passthru added: something took it out after the \
         change.",
    );
}

#[test]
fn a_loader_whose_files_are_not_read() {
    let lab = before().present("run/ostree-booted");
    let lab = lab.put("proc/sys/kernel/random/boot_id", "boot-2\n");
    let id = "parameter:vfio-pci.ids=1002:164e";
    let outcome = lab.outcome(&list(&[id]), id);
    assert_eq!(
        outcome.cause.as_deref(),
        Some(
            "The kernel was started without it, and what this boot loader (rpm-ostree) has \
             configured could not be read or understood."
        )
    );
    assert!(outcome.hint.unwrap().contains("rpm-ostree kargs --append-if-missing"));
}

#[test]
fn an_undone_word_is_gone_or_still_there() {
    let id = format!("no-parameter:{WORD}");
    let undone = || before().put("proc/sys/kernel/random/boot_id", "boot-2\n");
    holds(&undone(), &list(&[&id]), &id, Verdict::Met, "");
    holds(
        &after(),
        &list(&[&id]),
        &id,
        Verdict::Unmet,
        &format!("/boot/loader/entries/arch.conf still has `{WORD}`."),
    );
    let options = format!("title Arch Linux\noptions rw {WORD}\n");
    holds(
        &after().put("boot/loader/entries/arch.conf", "options rw quiet\n"),
        &list(&[&id]),
        &id,
        Verdict::Unmet,
        "No boot configuration that was read has it: it was typed in the boot menu, or another \
         file sets it.",
    );
    holds(
        &after()
            .put("boot/loader/entries/arch.conf", "options rw quiet\n")
            .put("boot/loader/entries/old.conf", &options),
        &list(&[&id]),
        &id,
        Verdict::Unmet,
        "The boot entry /boot/loader/entries/old.conf still has it, and was started.",
    );
}

#[test]
fn a_new_kernel_got_an_entry_without_it() {
    let entry = "boot/loader/entries/0123-6.7.9-arch1-1.conf";
    let then = Then { kernel_release: Some("6.7.1-arch1-1".to_owned()), ..before().then() };
    let updated = fallback()
        .without("arch-fallback.conf")
        .put(entry, "options rw quiet splash intel_iommu=on iommu=pt\n")
        .entry("0123-6.7.9-arch1-1.conf")
        .knowing(then);
    of_word(
        &updated,
        "Since the change the kernel went from 6.7.1-arch1-1 to 6.7.9-arch1-1, and the entry of \
         the new kernel, /boot/loader/entries/0123-6.7.9-arch1-1.conf, does not have what passthru \
         added.",
    );
}
