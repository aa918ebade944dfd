//! Trial boot: the entry on trial hangs, and a reset boots the machine as before; it is selected
//! once more, verified in its boot, and becomes the default.

use serde_json::Value;

use super::BOUND;
use crate::guest::{same, with};
use crate::image::Variant;
use crate::machine::Machine;
use crate::topology::Topology;

/// Stops initramfs-tools before it mounts the root (initramfs-tools(7)).
const HANGS: &str = "break=premount";
/// What its shell prints.
const STOPPED: &str = "(initramfs)";

/// How far the trial came, as `verify` tells.
fn stage(host: &Machine) -> (i32, String) {
    let (code, document) = host.json(&["verify"]);
    let stage = document["trial"]["stage"].as_str();
    (code, stage.unwrap_or_else(|| panic!("no stage: {document:#}")).to_owned())
}

/// Has the entry on trial hang, and no other; then undoes that.
fn spoil(host: &Machine, hang: bool) {
    let word = "passthru.bind=";
    let command = match (host.variant, hang) {
        (Variant::SystemdBoot, true) => {
            format!("sed -i 's/{word}/{HANGS} &/' /boot/efi/loader/entries/*-trial.conf")
        }
        (Variant::SystemdBoot, false) => {
            format!("sed -i 's/{HANGS} //' /boot/efi/loader/entries/*-trial.conf")
        }
        (_, true) => format!("sed -i 's/{word}/{HANGS} &/' /boot/grub/grub.cfg"),
        // As a new kernel would: who writes the menu anew keeps the entry on trial.
        (_, false) => "update-grub".to_owned(),
    };
    let _ = host.read(&command);
}

fn story(variant: Variant) {
    let Some(mut host) = Machine::start(variant, Topology::TwoCards) else { return };
    let drivers = host.drivers();
    let (files, menu) = (host.files(), host.menu());
    let output = host.apply_on_trial(&["02:00.0"]);
    // Lines are wrapped, and names of entries are long.
    let said: Vec<&str> = output.stdout.split_whitespace().collect();
    assert!(said.join(" ").contains("which is on trial"), "{}", output.stdout);
    assert_eq!(stage(&host), (1, "selected".to_owned()));

    spoil(&host, true);
    host.reboot_into(STOPPED);
    host.power_cut();
    assert_eq!(host.drivers(), drivers, "a reset boots the machine as before");
    assert!(!host.cmdline().contains("passthru"), "{}", host.cmdline());
    assert_eq!(stage(&host), (1, "lost".to_owned()));
    let unmet = host.unmet();
    let told = "that boot did not come as far as its judgement";
    assert!(unmet.iter().all(|(_, cause)| cause.contains(told)), "{unmet:#?}");
    let refused = host.passthru(&["promote", "--yes"]);
    assert_eq!(refused.code, 1, "{}{}", refused.stdout, refused.stderr);

    spoil(&host, false);
    let (code, again) = host.json(&["apply", "--yes", "02:00.0"]);
    assert_eq!((code, &again["trial"]["stage"]), (0, &Value::from("selected")), "{again:#}");
    host.reboot();
    assert_eq!(host.drivers(), with(&drivers, &BOUND));
    host.wait_until("systemctl show -P ActiveState passthru-verify", "inactive");
    assert_eq!(host.read("systemctl show -P Result passthru-verify").trim(), "success");
    let journal = host.read("cat /var/lib/passthru/1/journal.jsonl");
    assert!(journal.contains(r#""event":"judged""#) && journal.contains(r#""met""#), "{journal}");
    assert_eq!(stage(&host), (0, "running".to_owned()));

    // Nobody promoted it: the default entry is as before, and the story is known.
    host.reboot();
    assert_eq!(host.drivers(), drivers);
    assert_eq!(stage(&host), (1, "passed".to_owned()));

    let (code, _) = host.json(&["apply", "--yes", "02:00.0"]);
    assert_eq!(code, 0);
    host.reboot();
    assert_eq!(host.drivers(), with(&drivers, &BOUND));
    let promoted = host.passthru(&["promote", "--yes"]);
    assert_eq!(promoted.code, 0, "{}{}", promoted.stdout, promoted.stderr);
    host.reboot();
    assert_eq!(host.drivers(), with(&drivers, &BOUND), "the default entry has it now");
    host.is_met();

    let _ = host.undo(&[]);
    let _ = host.undo(&[]);
    host.reboot();
    assert_eq!(host.drivers(), drivers);
    same("files", &files, &host.files());
    same("boot entries", &menu, &host.menu());
}

#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn grub() {
    story(Variant::Grub);
}

#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn systemd_boot() {
    story(Variant::SystemdBoot);
}
