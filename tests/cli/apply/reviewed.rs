//! `apply --plan FILE`: a plan that somebody reviewed, or that a stranger made.

use serde_json::{Value, json};

use super::{differing, done, last_state};
use crate::harness::Machine;

/// A machine with its plan in a file beside it.
fn reviewed(host: &str) -> (Machine, String) {
    let machine = Machine::new(host);
    let file = machine.root().with_file_name("plan.json");
    let file = file.to_str().expect("UTF-8").to_owned();
    done(&machine, &["plan", "--no-trial", "--out", &file]);
    (machine, file)
}

/// Runs `apply --plan`, which must refuse with these words and change nothing.
fn refuses(machine: &Machine, file: &str, parts: &[&str]) {
    let before = machine.everything();
    let output = machine.run(&["apply", "--yes", "--plan", file]);
    assert_eq!(output.code, 2, "{parts:?}: {}{}", output.stdout, output.stderr);
    for part in parts {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
    assert_eq!(differing(&before, &machine.everything()), [""; 0], "{parts:?}");
    assert!(!machine.at("var/lib/passthru").exists(), "{parts:?}: it left no trace");
}

#[test]
fn the_reviewed_plan_is_carried_out() {
    let (machine, file) = reviewed("h170-mint-turing");
    let same = Machine::new("h170-mint-turing");
    done(&machine, &["apply", "--yes", "--plan", &file]);
    done(&same, &["apply", "--yes", "--no-trial"]);
    assert_eq!(differing(&machine.everything(), &same.everything()), [""; 0]);
    assert_eq!(last_state(&machine), "applied");
}

#[test]
fn a_plan_of_a_machine_that_changed_since_is_stale() {
    let (machine, file) = reviewed("h170-mint-turing");
    let machine = machine.replace("etc/default/grub", "quiet", "quiet nosmt");
    refuses(&machine, &file, &["/etc/default/grub has changed since the plan was made"]);
}

#[test]
fn a_strangers_plan_is_refused() {
    let (machine, file) = reviewed("z490-arch");
    let text = std::fs::read_to_string(&file).expect("written");
    let plan: Value = serde_json::from_str(&text).expect("JSON");
    type Spoil = fn(&mut Value);
    let cases: [(Spoil, &str); 10] = [
        (
            |plan| plan["changes"][0]["path"] = json!("/etc/shadow"),
            "no plan of passthru may do that",
        ),
        (
            |plan| plan["changes"][0]["path"] = json!("/boot/loader/entries/../../../etc/x.conf"),
            "no plan of passthru may do that",
        ),
        (|plan| plan["changes"][1]["after"]["text"] = json!("evil"), "the change of"),
        (|plan| plan["changes"][1]["before"]["text"] = json!("other"), "has changed since"),
        (|plan| plan["changes"][2]["after"]["mode"] = json!("4755"), "the change of"),
        (|plan| plan["commands"][0]["argv"] = json!(["sh", "-c", "evil"]), "`commands`"),
        (|plan| plan["expectations"] = json!([]), "`expectations`"),
        (|plan| plan["wish"]["gpu"] = json!("0000:03:00.0"), ""),
        (|plan| plan["more"] = json!(true), "`more`"),
        (|plan| plan["schema"]["version"] = json!(7), "its form has version 7"),
    ];
    let spoilt = machine.root().with_file_name("spoilt.json");
    let spoilt = spoilt.to_str().expect("UTF-8");
    for (spoil, wanted) in cases {
        let mut plan = plan.clone();
        spoil(&mut plan);
        std::fs::write(spoilt, plan.to_string()).expect("written");
        if wanted.is_empty() {
            // Another card is asked for, which drives the display: that is an answer.
            let before = machine.everything();
            let output = machine.run(&["apply", "--yes", "--plan", spoilt]);
            assert_ne!(output.code, 0, "{}{}", output.stdout, output.stderr);
            assert_eq!(differing(&before, &machine.everything()), [""; 0]);
        } else {
            refuses(&machine, spoilt, &[wanted]);
        }
    }
    let texts: [(Vec<u8>, &str); 6] = [
        (b"".to_vec(), "cannot be read as JSON"),
        (b"[]".to_vec(), "it is no JSON object"),
        (text.as_bytes()[..text.len() / 2].to_vec(), "cannot be read as JSON"),
        (vec![0xff; 100], "cannot be read as JSON"),
        ("[".repeat(100_000).into_bytes(), "cannot be read as JSON"),
        (vec![b' '; 9 << 20], "it is larger than 8 MiB"),
    ];
    for (bytes, wanted) in texts {
        std::fs::write(spoilt, bytes).expect("written");
        refuses(&machine, spoilt, &[wanted]);
    }
    std::fs::remove_file(spoilt).expect("removed");
    refuses(&machine, spoilt, &["cannot read the plan", "No such file"]);
    // The untouched one is still good.
    done(&machine, &["apply", "--yes", "--plan", &file]);
}
