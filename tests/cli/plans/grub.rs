//! GRUB without recovery entries: a script of our own keeps one that starts the machine as it was.

use serde_json::Value;

use super::{after, plan, words, words_of_changes};
use crate::harness::Machine;

const SCRIPT: &str = "/etc/grub.d/42_passthru";

/// A machine with GRUB whose mkconfig runs 10_linux, and these lines in its configuration.
fn machine(lines: &str) -> Machine {
    Machine::new("z690-arch-iommu-off")
        .write("etc/grub.d/10_linux", "#!/bin/sh\n")
        .mode("etc/grub.d/10_linux", 0o755)
        .replace(
            "etc/default/grub",
            "GRUB_CMDLINE_LINUX_DEFAULT",
            &format!("{lines}\nGRUB_CMDLINE_LINUX_DEFAULT"),
        )
}

fn remedy(machine: &Machine) -> Option<String> {
    let document = machine.run(&["--json", "check"]).json();
    let findings = document["findings"].as_array().expect("findings").clone();
    let found = findings.into_iter().find(|finding| finding["code"] == "grub-no-recovery");
    found.map(|finding| finding["remedy"]["kind"].as_str().expect("a kind").to_owned())
}

fn commands(plan: &Value) -> Vec<&str> {
    let commands = plan["commands"].as_array().expect("commands").iter();
    commands.map(|command| command["argv"][0].as_str().expect("a program")).collect()
}

#[test]
fn without_recovery_entries_one_is_made() {
    let machine = machine("GRUB_DISABLE_RECOVERY=true");
    assert_eq!(remedy(&machine).as_deref(), Some("plan"));
    let first = plan(&machine, &[]);
    let added = words(&first["kernel_parameters"], "add");
    assert_eq!(added[..2], ["intel_iommu=on", "iommu=pt"]);
    let script = after(&first, SCRIPT).to_owned();
    assert!(script.contains("\nwords='intel_iommu=on iommu=pt'\n"), "{script}");
    let change = first["changes"].as_array().expect("changes").iter();
    let change = change.clone().find(|change| change["path"] == SCRIPT).expect("it is planned");
    assert_eq!(change["after"]["mode"], "0755");
    assert_eq!(words(change, "because"), ["grub-no-recovery"]);

    // The words are configured now, so the next plan has none to add; the script keeps its own.
    let machine = machine.lay(&first);
    assert_eq!(remedy(&machine), None);
    assert_eq!(words_of_changes(&plan(&machine, &[])), Vec::<&str>::new());
    let fewer = machine.replace("etc/default/grub", " iommu=pt", "");
    let second = plan(&fewer, &[]);
    assert_eq!(words_of_changes(&second), ["/etc/default/grub"]);
    assert!(fewer.text("etc/grub.d/42_passthru") == script);
}

#[test]
fn what_was_set_last_counts() {
    let drop_in = |text: &str| {
        machine("GRUB_DISABLE_RECOVERY=\"true\"").write("etc/default/grub.d/50-local.cfg", text)
    };
    for (text, wanted) in [
        ("GRUB_DISABLE_RECOVERY=false\n", None),
        ("GRUB_DISABLE_RECOVERY=\n", None),
        ("GRUB_TIMEOUT=3\n", Some("plan")),
        ("GRUB_DISABLE_RECOVERY=$(cat /etc/wish)\n", Some("plan")),
    ] {
        let machine = drop_in(text);
        assert_eq!(remedy(&machine).as_deref(), wanted, "{text}");
        let planned = words_of_changes(&plan(&machine, &[])).contains(&SCRIPT);
        assert_eq!(planned, wanted.is_some(), "{text}");
    }
}

#[test]
fn without_a_script_to_run_again_it_is_left_to_the_user() {
    for machine in [
        machine("GRUB_DISABLE_RECOVERY=true").mode("etc/grub.d/10_linux", 0o644),
        machine("GRUB_DISABLE_RECOVERY=true").remove("etc/grub.d/10_linux"),
    ] {
        assert_eq!(remedy(&machine).as_deref(), Some("manual"));
        assert!(!words_of_changes(&plan(&machine, &[])).contains(&SCRIPT));
    }
}

#[test]
fn a_script_that_is_no_longer_needed_goes_and_the_menu_is_made_anew() {
    let machine = machine("GRUB_DISABLE_RECOVERY=true");
    let first = plan(&machine, &[]);
    let machine =
        machine.lay(&first).replace("etc/default/grub", "RECOVERY=true", "RECOVERY=false");
    let second = plan(&machine, &[]);
    assert_eq!(words_of_changes(&second), [SCRIPT]);
    assert_eq!(second["changes"][0]["kind"], "remove");
    assert_eq!(commands(&second), ["grub-mkconfig"]);
}

#[test]
fn a_script_of_that_name_by_others_stays() {
    let machine =
        machine("GRUB_DISABLE_RECOVERY=true").write("etc/grub.d/42_passthru", "#!/bin/sh\n");
    let output = machine.run(&["plan", "--no-trial"]);
    assert_eq!(output.code, 1);
    assert!(output.stdout.contains("/etc/grub.d/42_passthru: it was not written by passthru"));
}

/// The words stand in a shell script that root runs.
#[test]
fn words_are_quoted() {
    let machine = machine("GRUB_DISABLE_RECOVERY=true");
    let first = plan(&machine, &[]);
    let machine = machine.lay(&first).replace(
        "etc/grub.d/42_passthru",
        "words='intel_iommu=on iommu=pt'",
        "words='$(id) a'\\''b c\\d iommu=pt'",
    );
    let second = plan(&machine, &[]);
    assert!(after(&second, SCRIPT).contains("\nwords='$(id) iommu=pt'\n"));
}

/// What is left out of the output of a long new file is the same on every host.
#[test]
fn the_words_of_the_script_are_shown() {
    let shown = machine("GRUB_DISABLE_RECOVERY=true").run(&["plan", "--no-trial"]).stdout;
    assert!(shown.contains("\n    +words='intel_iommu=on iommu=pt'\n    ("), "{shown}");
}
