//! Boot entries as files of their own: when they are written, and the one that stays.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::{PLANNED, plan, words_of_changes};
use crate::harness::Machine;

/// Paths that are written after the commands.
fn late(plan: &Value) -> Vec<&str> {
    let changes = plan["changes"].as_array().expect("changes").iter();
    let late = changes.filter(|change| change["stage"] == "after-commands");
    late.map(|change| change["path"].as_str().expect("a path")).collect()
}

#[test]
fn an_entry_that_takes_effect_by_itself_waits_for_the_image() {
    let plan = plan(&Machine::new("z490-arch"), &[]);
    assert_eq!(late(&plan), ["/boot/loader/entries/arch.conf"]);
    assert!(words_of_changes(&plan).contains(&"/boot/loader/entries/arch-fallback.conf"));
    let shown = Machine::new("z490-arch").run(&["plan", "--no-trial"]).stdout;
    assert!(
        shown.contains("  /boot/loader/entries/arch.conf (edit, after the commands)\n"),
        "{shown}"
    );
    assert!(shown.contains("\nCommands, after the other files\n"), "{shown}");
}

#[test]
fn nothing_else_waits() {
    for (host, args) in PLANNED.iter().filter(|(host, _)| *host != "z490-arch") {
        let plan = plan(&Machine::new(host), args);
        let entry = |path: &&str| path.contains("/loader/entries/");
        assert!(late(&plan).iter().all(entry), "{host}: {:?}", late(&plan));
        assert!(
            plan["changes"].as_array().expect("changes").iter().all(|c| c["stage"].is_string())
        );
    }
}

#[test]
fn without_commands_nothing_is_said_to_be_after_them() {
    let machine = Machine::new("z490-arch");
    let first = plan(&machine, &[]);
    let machine =
        machine.lay(&first).replace("boot/loader/entries/arch.conf", " passthru.bind=", " x=");
    let second = plan(&machine, &[]);
    assert_eq!(second["commands"], Value::Array(vec![]));
    assert_eq!(late(&second), ["/boot/loader/entries/arch.conf"]);
    let shown = machine.run(&["plan", "--no-trial"]).stdout;
    assert!(shown.contains("  /boot/loader/entries/arch.conf (edit)\n"), "{shown}");
}

/// On FAT every file may be executed; what was planned without that comes back with it.
#[test]
fn a_bit_that_nothing_needs_is_no_difference() {
    let machine = Machine::new("z490-arch");
    let first = plan(&machine, &[]);
    let machine = machine.lay(&first);
    for path in words_of_changes(&first) {
        let everything = std::fs::Permissions::from_mode(0o755);
        let path = machine.root().join(path.trim_start_matches('/'));
        std::fs::set_permissions(path, everything).expect("a mode");
    }
    let second = plan(&machine, &[]);
    assert_eq!(words_of_changes(&second), Vec::<&str>::new());
}

/// initramfs-tools passes over a hook that may not be executed (run-parts).
#[test]
fn a_hook_that_lost_its_bits_gets_them_back() {
    let args = ["08:00.0"];
    let machine = Machine::new("b450-debian-dirty-group");
    let first = plan(&machine, &args);
    let machine = machine.lay(&first);
    let hook = "etc/initramfs-tools/hooks/passthru";
    let nothing = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(machine.root().join(hook), nothing).expect("a mode");
    let second = plan(&machine, &args);
    assert_eq!(words_of_changes(&second), [format!("/{hook}")]);
    let shown = machine.run(&["plan", "08:00.0"]).stdout;
    assert!(shown.contains(&format!("  /{hook} (edit, executable)\n")), "{shown}");
}

/// The entry that stays as it was started the machine: the other one is still what is changed.
#[test]
fn after_a_boot_of_the_other_entry_nothing_is_planned_anew() {
    let first = plan(&Machine::new("z490-arch"), &[]);
    let variable =
        "sys/firmware/efi/efivars/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    let name: Vec<u8> = "arch-fallback.conf\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let value = [&[6, 0, 0, 0][..], &name].concat();
    for machine in [
        Machine::new("z490-arch").write(variable, &value).write("proc/cmdline", "root=elsewhere\n"),
        Machine::new("z490-arch").remove(variable),
    ] {
        let second = plan(&machine.lay(&first), &[]);
        assert_eq!(words_of_changes(&second), Vec::<&str>::new());
    }
}
