//! /etc/passthru.toml: what the machine is meant to give away, and what differs from it.

use super::{PLANNED, after, plan, words, words_of_changes};
use crate::harness::Machine;

const INTENT: &str = "etc/passthru.toml";
const PATH: &str = "/etc/passthru.toml";
const CARD: &str =
    "gpu = \"0000:07:00.0\"\nids = [\"1002:73ff:1462:5022\", \"1002:ab28:1002:ab28\"]\n";

/// z490-arch with the plan for its guest's card carried out.
fn set_up(args: &[&str]) -> Machine {
    let machine = Machine::new("z490-arch");
    let first = plan(&machine, args);
    machine.lay(&first)
}

#[test]
fn a_plan_writes_down_what_was_asked_for() {
    let first =
        plan(&Machine::new("z490-arch"), &["RX 6600", "--ignore-msrs", "--allow", "only-gpu"]);
    let text = after(&first, PATH);
    assert!(
        text.starts_with("# Written by passthru. Take it back with: passthru undo\n"),
        "{text}"
    );
    let wish = "ids-in = \"command-line\"\nignore-msrs = true\nallow = [\"only-gpu\"]\n";
    assert!(text.ends_with(&format!("version = 1\n{CARD}{wish}")), "{text}");
    assert!(first["drift"].is_null());
}

#[test]
fn afterwards_nothing_is_planned_with_the_card_and_without() {
    for (host, args) in PLANNED {
        let machine = Machine::new(host);
        let first = plan(&machine, args);
        assert!(words_of_changes(&first).contains(&PATH), "{host}");
        let gpu = first["gpu"].as_str().expect("an address").to_owned();
        let machine = machine.lay(&first);
        let options = args.iter().copied().skip_while(|word| !word.starts_with("--"));
        let named: Vec<&str> = std::iter::once(gpu.as_str()).chain(options).collect();
        for args in [&[][..], &named] {
            let second = plan(&machine, args);
            assert_eq!(words_of_changes(&second), Vec::<&str>::new(), "{host} {args:?}");
            assert_eq!(second["gpu"], gpu.as_str(), "{host} {args:?}");
            assert!(second["drift"].is_null());
        }
    }
}

#[test]
fn a_machine_that_lost_a_file_is_brought_back() {
    let machine = set_up(&["--ignore-msrs"]).remove("etc/modprobe.d/00-passthru.conf");
    let second = plan(&machine, &[]);
    assert_eq!(words_of_changes(&second), ["/etc/modprobe.d/00-passthru.conf"]);
    assert!(after(&second, "/etc/modprobe.d/00-passthru.conf").contains("ignore_msrs=1"));
    let shown = machine.run(&["plan"]).stdout;
    let said = "The machine is not as /etc/passthru.toml says: this plan brings it back to that.";
    assert!(shown.contains(said), "{shown}");
    assert_eq!(second["drift"], said);
}

#[test]
fn options_win_over_what_was_written_down() {
    let machine = set_up(&[]);
    let second = plan(&machine, &["--ignore-msrs", "--allow", "only-gpu"]);
    let changed = ["/etc/modprobe.d/00-passthru.conf", PATH];
    assert_eq!(words_of_changes(&second), changed);
    assert_eq!(
        second["drift"],
        "This plan changes what /etc/passthru.toml says: ignore-msrs from false to true; \
         allow from none to only-gpu."
    );
    // A card that is named is asked for anew, without the options of before.
    let machine = machine.lay(&second);
    let third = plan(&machine, &["07:00.0"]);
    assert_eq!(words_of_changes(&third), changed);
    assert!(after(&third, PATH).contains("ignore-msrs = false"));
}

#[test]
fn only_the_file_is_no_reason_for_a_plan() {
    let machine = set_up(&[]).remove(INTENT);
    assert_eq!(words_of_changes(&plan(&machine, &[])), Vec::<&str>::new());
    // Where it is there and says something else, the plan is about the file alone.
    let machine = set_up(&[]);
    let second = plan(&machine, &["07:00.0", "--allow", "only-gpu"]);
    assert_eq!(words_of_changes(&second), [PATH]);
    assert_eq!(second["commands"].as_array().map(Vec::len), Some(0));
    assert_eq!(second["reboot"], true, "the running kernel does not have the first plan yet");
}

/// Another card at the address, or the card at another address.
#[test]
fn a_card_that_moved_is_not_bound() {
    let other = set_up(&[]).replace(INTENT, "1002:73ff:1462:5022", "1002:73ff:1462:5023");
    let moved = set_up(&[]).replace(INTENT, "0000:07:00.0", "0000:03:00.0");
    let away = set_up(&[]).replace(INTENT, "0000:07:00.0", "0000:99:00.0");
    for (machine, parts) in [
        (
            other,
            [
                "and there is Advanced Micro Devices",
                "No card of this machine is that one.",
                "passthru plan GPU",
            ],
        ),
        (
            moved,
            [
                "is 1002:73ff:1462:5022 at 0000:03:00.0, and there is",
                "That card is now 0000:07:00.0",
                "`passthru plan 0000:07:00.0`",
            ],
        ),
        (
            away,
            [
                "no function of that address",
                "That card is now 0000:07:00.0",
                "`passthru plan 0000:07:00.0`",
            ],
        ),
    ] {
        for verb in ["plan", "check"] {
            let output = machine.run(&["--json", verb]);
            assert_eq!(output.code, 1, "{verb}: {}", output.stdout);
            let document = output.json();
            assert!(document["gpu"].is_null() && document["binding"].is_null());
            let finding = &document["findings"][0];
            assert_eq!(
                (&finding["code"], &finding["severity"]),
                (&"card-moved".into(), &"blocker".into())
            );
            let said = format!("{}{}", finding["detail"], finding["remedy"]["text"]);
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
        // Said by name, it is planned, and the file follows.
        let named = plan(&machine, &["07:00.0"]);
        assert!(words_of_changes(&named).contains(&PATH));
        assert!(after(&named, PATH).contains(CARD));
    }
}

#[test]
fn a_companion_that_changed_is_drift() {
    let machine = set_up(&[]).replace(INTENT, "1002:ab28:1002:ab28", "1002:ab28:1002:ab29");
    let second = plan(&machine, &[]);
    assert_eq!(words_of_changes(&second), [PATH]);
    assert!(second["drift"].as_str().expect("a text").contains("ids from"), "{second}");
}

#[test]
fn a_file_that_is_not_understood_is_named_with_its_line() {
    let machine = set_up(&[]).replace(INTENT, "ignore-msrs", "ignore-msr");
    for args in [&["plan"][..], &["check"]] {
        let output = machine.run(args);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""));
        for part in [
            "/etc/passthru.toml: line 9: unknown field `ignore-msr`",
            "Hint: Name the card instead",
            "repair",
        ] {
            assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
        }
    }
    let unknown = set_up(&[]).replace(INTENT, "allow = []", "allow = [\"no-such\"]").run(&["plan"]);
    assert!(unknown.stderr.contains("it allows `no-such`"), "{}", unknown.stderr);
    assert_eq!(unknown.code, 2);
    // With the card it is written anew.
    let named = plan(&machine, &["07:00.0"]);
    assert_eq!(words_of_changes(&named), [PATH]);
    assert!(after(&named, PATH).contains("ignore-msrs = false"));
}

#[test]
fn a_file_by_others_is_read_and_never_replaced() {
    let own_words = format!("# ours, from the fleet's repository\nversion = 1\n{CARD}");
    let machine = Machine::new("z490-arch").write(INTENT, &own_words);
    let first = plan(&machine, &[]);
    assert!(!words_of_changes(&first).contains(&PATH), "it says the same");
    assert_eq!(first["gpu"], "0000:07:00.0");
    let machine = machine.lay(&first);
    assert_eq!(words_of_changes(&plan(&machine, &[])), Vec::<&str>::new());
    let output = machine.run(&["plan", "--ignore-msrs"]);
    assert_eq!(output.code, 1);
    assert!(output.stdout.contains("/etc/passthru.toml: it was not written by passthru"));
    assert_eq!(machine.text(INTENT), own_words);
}

/// A set-up by hand that works stays without a file of ours.
#[test]
fn a_hand_made_set_up_gets_no_file() {
    let machine = Machine::new("server-8xa100-ubuntu");
    assert_eq!(words(&plan(&machine, &["10:00.0"]), "changes"), Vec::<&str>::new());
    let inspected = machine.run(&["--json", "inspect"]).json();
    let cards = inspected["gpus"].as_array().expect("cards").iter();
    let card = cards.clone().find(|gpu| gpu["address"] == "0000:10:00.0").expect("the card");
    let word = |key: &str| card[key].as_str().expect("ids").to_owned();
    let ids = format!("{}:{}", word("id"), word("subsystem_id"));
    let text = format!("version = 1\ngpu = \"0000:10:00.0\"\nids = [\"{ids}\"]\n");
    let machine = machine.write(INTENT, text);
    assert_eq!(words(&plan(&machine, &[]), "changes"), Vec::<&str>::new());
}
