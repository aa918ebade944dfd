//! What can be tried in one boot first, and why other machines cannot.

use serde_json::{Value, json};

use super::{after, kernel_install, planned, words, words_of_changes};
use crate::harness::Machine;

const TEN_LINUX: &str = "etc/grub.d/10_linux";
const BIND: &str =
    "passthru.bind=1002:73ff:1462:5022@0000:07:00.0,1002:ab28:1002:ab28@0000:07:00.1";

/// A machine with GRUB whose entries 10_linux makes.
fn grub() -> Machine {
    let machine = Machine::new("h170-mint-turing").write("usr/bin/passthru", "");
    machine.write(TEN_LINUX, "#!/bin/sh\n").mode(TEN_LINUX, 0o755)
}

fn argvs(plan: &Value) -> Vec<String> {
    let count = plan["commands"].as_array().expect("commands").len();
    (0..count).map(|at| words(&plan["commands"][at], "argv").join(" ")).collect()
}

#[test]
fn with_grub_the_default_entry_and_its_sources_stay() {
    let machine = grub();
    let plan = planned(&machine, &[]);
    assert_eq!(plan["trial"], json!({"once": "grub", "entry": "passthru-trial>0"}));
    assert_eq!(
        argvs(&plan),
        ["update-initramfs -u -k all", "update-grub", "grub-reboot passthru-trial>0"]
    );
    assert_eq!(words(&plan["commands"][2], "writes"), ["/boot/grub/grubenv"]);
    let paths = words_of_changes(&plan);
    assert!(!paths.iter().any(|path| path.starts_with("/etc/default/grub")), "{paths:?}");
    let script = after(&plan, "/etc/grub.d/42_passthru");
    let add = words(&plan["kernel_parameters"], "add").join(" ");
    assert!(script.contains(&format!("\nwords=''\n# Added:\nadd='{add}'\n")), "{script}");
    assert!(
        script.contains("submenu 'With passthru, on trial' $open --id passthru-trial {"),
        "{script}"
    );
    // Everything is there then; only the boot is left.
    let again = planned(&machine.lay(&plan), &[]);
    assert_eq!((words_of_changes(&again), argvs(&again)), (vec![], vec![]));
    assert_eq!((&again["trial"], &again["reboot"]), (&plan["trial"], &true.into()));
}

#[test]
fn without_the_trial_its_entries_and_the_unit_go() {
    let tried = planned(&grub(), &[]);
    let plan = planned(&grub().lay(&tried), &["--no-trial"]);
    assert_eq!(plan["trial"], Value::Null);
    let state = |path: &str| {
        let changes = plan["changes"].as_array().expect("changes").iter();
        changes.clone().find(|change| change["path"] == path).map(|change| change["kind"].clone())
    };
    assert_eq!(state("/etc/default/grub"), Some("edit".into()));
    for path in [
        "/etc/grub.d/42_passthru",
        "/etc/systemd/system/passthru-verify.service",
        "/etc/systemd/system/multi-user.target.d/passthru.conf",
    ] {
        assert_eq!(state(path), Some("remove".into()), "{path}");
    }
    assert_eq!(argvs(&plan), ["update-grub"], "the images stay as they are");
}

/// The entry is a copy of the current one; nothing that entries are made from changes.
#[test]
fn with_kernel_install_an_entry_is_made_beside_the_normal_ones() {
    let machine = kernel_install::machine();
    let plan = planned(&machine, &[]);
    let name = format!("{}-{}-trial.conf", kernel_install::TOKEN, kernel_install::RELEASE);
    assert_eq!(plan["trial"], json!({"once": "systemd-boot", "entry": name}));
    assert!(!words_of_changes(&plan).contains(&"/etc/kernel/cmdline"));
    let entry = after(&plan, &format!("/boot/loader/entries/{name}"));
    let lines: Vec<&str> = entry.lines().collect();
    assert_eq!(lines[1], "title Arch Linux (passthru, on trial)");
    assert!(!entry.contains("sort-key"), "so the loader does not make it its default: {entry}");
    assert!(lines.iter().any(|l| l.starts_with("options root=") && l.ends_with(BIND)), "{entry}");
    let again = planned(&machine.lay(&plan), &[]);
    assert_eq!(words_of_changes(&again), Vec::<&str>::new());
}

/// After the boot of the entry on trial, too.
#[test]
fn the_entry_on_trial_is_not_taken_for_the_normal_one() {
    let variable =
        "sys/firmware/efi/efivars/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    let name: Vec<u8> = "arch-trial.conf\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let first = planned(&Machine::new("z490-arch"), &[]);
    let machine = Machine::new("z490-arch").lay(&first);
    let line = machine.text("proc/cmdline").trim_end().to_owned();
    let machine = machine
        .write(variable, [&[6, 0, 0, 0][..], &name].concat())
        .write("proc/cmdline", format!("{line} {BIND}\n"));
    let tried = planned(&machine, &[]);
    assert_eq!((words_of_changes(&tried), &tried["trial"]), (vec![], &first["trial"]));
    let standing = planned(&machine, &["--no-trial"]);
    assert!(after(&standing, "/boot/loader/entries/arch.conf").contains(BIND));
    let fallback = after(&standing, "/boot/loader/entries/arch-fallback.conf");
    assert!(
        !fallback.contains(BIND) && fallback.contains("title   Arch Linux (as before passthru)")
    );
}

/// A loader that was started under an older name of entries compares names without suffix.
#[test]
fn the_entry_is_named_as_the_loader_compares_it() {
    let variable =
        "sys/firmware/efi/efivars/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    for (selected, wanted) in [("arch\0", "arch-trial"), ("arch.conf\0", "arch-trial.conf")] {
        let name: Vec<u8> = selected.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let value = [&[6, 0, 0, 0][..], &name].concat();
        let plan = planned(&Machine::new("z490-arch").write(variable, value), &[]);
        assert_eq!(plan["trial"]["entry"], wanted);
        let paths = words_of_changes(&plan);
        assert!(paths.contains(&"/boot/loader/entries/arch-trial.conf"), "{paths:?}");
    }
    let saved = Machine::new("z490-arch").write("boot/loader/loader.conf", "default @saved\n");
    assert_eq!(planned(&saved, &[])["trial"]["entry"], "arch-trial.conf");
}

/// Without the program where root's programs are, nothing of a user's is started as root.
#[test]
fn the_unit_needs_an_installed_program() {
    let unit = "/etc/systemd/system/passthru-verify.service";
    let with = planned(&Machine::new("z490-arch").write("usr/local/bin/passthru", ""), &[]);
    let text = after(&with, unit);
    assert!(text.contains("\nExecStart=/usr/local/bin/passthru verify --after-boot\n"), "{text}");
    assert_eq!(with["remarks"], json!([]));
    let without = planned(&Machine::new("z490-arch"), &[]);
    assert!(!words_of_changes(&without).contains(&unit));
    let remark = without["remarks"][0].as_str().expect("a remark");
    assert!(remark.contains("run `sudo passthru verify --after-boot` in it"), "{remark}");
}

#[test]
fn another_default_than_the_newest_kernel_is_said() {
    let machine = grub().replace("etc/default/grub", "GRUB_DEFAULT=0", "GRUB_DEFAULT=saved");
    let plan = planned(&machine, &[]);
    let remark = plan["remarks"][0].as_str().expect("a remark");
    assert!(remark.contains("GRUB_DEFAULT is saved, which may start another one"), "{remark}");
}

#[test]
fn what_cannot_be_tried_is_said() {
    let grub_on = |mounts: &str| grub().write("proc/mounts", mounts);
    let loader = "sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    let features = "sys/firmware/efi/efivars/LoaderFeatures-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    let block = "../efi/EFI/debian/grubenv";
    let cases: [(Machine, &[&str], &str); 9] = [
        (grub().link("boot/grub/grubenv", block), &[], "/boot/grub/grubenv is a link"),
        (
            grub_on("/dev/mapper/vg-root / ext4 rw 0 0\n"),
            &[],
            "GRUB can write to a plain disk only, and /boot/grub/grubenv is on /dev/mapper/vg-root",
        ),
        (
            grub_on("/dev/sda2 / btrfs rw 0 0\n"),
            &[],
            "GRUB cannot write to btrfs (/boot/grub/grubenv)",
        ),
        (grub_on("/dev/md0 / ext4 rw 0 0\n"), &[], "is on /dev/md0"),
        (grub().mode(TEN_LINUX, 0o644), &[], "/etc/grub.d/10_linux is not there, or may not"),
        (grub(), &["--ids-in", "modprobe"], "the ids stand in modprobe.d"),
        (
            grub().lay(&planned(&grub(), &["--no-trial", "01:00.0"])),
            &["00:02.0"],
            "the normal entries have vfio-pci.ids already",
        ),
        (
            Machine::new("z490-arch").remove(loader),
            &[],
            "no EFI variable says that systemd-boot started this system",
        ),
        (
            Machine::new("z490-arch").write(features, [6, 0, 0, 0, 0xf7, 7, 0, 0, 0, 0, 0, 0]),
            &[],
            "systemd-boot 255.4-1-arch does not offer it (LoaderFeatures)",
        ),
    ];
    for (machine, args, reason) in cases {
        let plan = planned(&machine, args);
        assert_eq!(plan["trial"], Value::Null, "{reason}");
        let remark = plan["remarks"][0].as_str().unwrap_or_default();
        assert!(
            remark.starts_with("This cannot be tried in one boot first: ")
                && remark.contains(reason),
            "{reason}: {remark}"
        );
        let units = words_of_changes(&plan).iter().any(|path| path.contains("systemd/system/"));
        assert!(!units, "{reason}");
    }
}
