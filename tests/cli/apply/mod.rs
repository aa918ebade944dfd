//! Carrying plans out and taking them back, through the program itself.

mod edits;
mod faults;
mod live;
mod obstacles;
mod reviewed;
mod sessions;

use std::collections::BTreeMap;

use crate::harness::{Machine, Output};
use crate::tools::planned_machines;

/// What GRUB's entries are made by, which most recordings lack.
const TEN_LINUX: &str = "etc/grub.d/10_linux";

/// Runs the program, which must succeed.
fn answer(machine: &Machine, args: &[&str]) -> Output {
    let output = machine.run(args);
    assert_eq!(output.code, 0, "{args:?}: {}{}", output.stdout, output.stderr);
    output
}

/// The same where what it says does not matter.
fn done(machine: &Machine, args: &[&str]) {
    let _ = answer(machine, args);
}

/// State of the last transaction, as `log` tells it.
fn last_state(machine: &Machine) -> String {
    let log = answer(machine, &["--json", "log"]).json();
    let last = log["transactions"].as_array().expect("a list").last().cloned();
    last.map_or("none".to_owned(), |last| last["state"].as_str().expect("a word").to_owned())
}

/// Paths that differ between two states of a machine.
fn differing(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<String> {
    let paths = a.keys().chain(b.keys()).filter(|path| a.get(*path) != b.get(*path));
    let unique: std::collections::BTreeSet<String> = paths.cloned().collect();
    unique.into_iter().collect()
}

#[test]
fn every_planned_machine_comes_back_to_the_byte() {
    let machines = planned_machines();
    assert!(machines.len() >= 8, "{}", machines.len());
    let standing = machines.len();
    let mut tried = 0;
    let both = planned_machines().into_iter().chain(machines).enumerate();
    for (at, (name, machine, mut args)) in both {
        let machine = machine.write("usr/bin/passthru", "");
        let grub = machine.at("etc/default/grub").exists();
        let machine = match at < standing && grub {
            true => machine.write(TEN_LINUX, "#!/bin/sh\n").mode(TEN_LINUX, 0o755),
            false => machine,
        };
        if at >= standing {
            args.push("--no-trial");
        }
        let before = machine.everything();
        let plan = answer(&machine, &[&["--json", "plan"], args.as_slice()].concat()).json();
        let apply = [&["apply", "--yes"], args.as_slice()].concat();
        done(&machine, &apply);
        let after = machine.everything();
        let changes = plan["changes"].as_array().expect("changes");
        let planned: Vec<&str> =
            changes.iter().map(|c| &c["path"].as_str().expect("a path")[1..]).collect();
        let changed: Vec<String> = differing(&before, &after);
        let files: Vec<&String> =
            changed.iter().filter(|path| !is_directory(&after, path)).collect();
        assert_eq!(files, planned, "{name}: just what was planned");
        let again = answer(&machine, &[&["--json", "plan"], args.as_slice()].concat()).json();
        assert_eq!(again["changes"], serde_json::json!([]), "{name}");
        tried += usize::from(!plan["trial"].is_null());
        assert!(at < standing || plan["trial"].is_null(), "{name}");
        let nothing = answer(&machine, &apply);
        assert!(nothing.stdout.starts_with("Nothing to change"), "{name}: {}", nothing.stdout);
        done(&machine, &["undo", "--yes"]);
        assert_eq!(differing(&before, &machine.everything()), [""; 0], "{name}");
        // And forward again, by taking the undo back.
        done(&machine, &["undo", "--yes", "2"]);
        assert_eq!(differing(&after, &machine.everything()), [""; 0], "{name}");
        done(&machine, &["undo", "--yes"]);
        assert_eq!(differing(&before, &machine.everything()), [""; 0], "{name}");
    }
    assert!(tried >= 4, "{tried}");
}

fn is_directory(state: &BTreeMap<String, String>, path: &str) -> bool {
    state.get(path).is_some_and(|text| text.ends_with(" directory"))
}

#[test]
fn later_plans_are_taken_back_first() {
    let machine = Machine::new("h170-mint-turing");
    let before = machine.everything();
    done(&machine, &["apply", "--yes", "01:00.0"]);
    let first = machine.everything();
    done(&machine, &["apply", "--yes", "00:02.0"]);
    let output = machine.run(&["undo", "--yes", "1"]);
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (
            1,
            "Transaction 2 came later and changed the same files: take that one back first, with `passthru undo`.\n"
        )
    );
    done(&machine, &["undo", "--yes"]);
    assert_eq!(differing(&first, &machine.everything()), [""; 0]);
    done(&machine, &["undo", "--yes"]);
    assert_eq!(differing(&before, &machine.everything()), [""; 0]);
    let output = machine.run(&["undo", "--yes"]);
    assert_eq!(output.code, 1, "{}{}", output.stdout, output.stderr);
}
