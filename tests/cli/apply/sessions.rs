//! Whole sessions, as a user has them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::{answer, differing, done};
use crate::harness::{Machine, Output};
use crate::tools::{find, skipped};

const CARD: &str = "sys/devices/pci0000:00/0000:00:1b.0/0000:07:00";

/// The guide's machine, in a boot that has an id.
fn machine() -> Machine {
    Machine::new("z490-arch").write("proc/sys/kernel/random/boot_id", "first\n")
}

/// The next boot, in which everything took effect.
fn reboot(machine: Machine, words: &str) -> Machine {
    let device = |function: &str| {
        let link = machine.at(&format!("sys/bus/pci/devices/0000:07:00.{function}"));
        let real = std::fs::canonicalize(link).expect("it is there");
        let root = std::fs::canonicalize(machine.root()).expect("it is there");
        real.strip_prefix(root).expect("inside").to_str().expect("UTF-8").to_owned()
    };
    let (display, sound) = (device("0"), device("1"));
    let line = machine.text("proc/cmdline").trim_end().to_owned();
    machine
        .write("proc/sys/kernel/random/boot_id", "second\n")
        .write("proc/cmdline", format!("{line} {words}\n"))
        .replace(&format!("{display}/uevent"), "DRIVER=amdgpu", "DRIVER=vfio-pci")
        .replace(&format!("{sound}/uevent"), "DRIVER=snd_hda_intel", "DRIVER=vfio-pci")
        .write("dev/vfio/18", "")
        .write("dev/vfio/19", "")
}

/// The lines of an answer after the plan that it shows.
fn end(output: &Output) -> &str {
    output.stdout.split_once("Done, as").map_or(&*output.stdout, |(_, end)| end)
}

#[test]
fn from_apply_over_the_reboot_to_undo() {
    let machine = machine();
    let before = machine.everything();
    let output = answer(&machine, &["apply", "--yes", "--no-trial"]);
    assert_eq!(
        end(&output),
        " transaction 1.\n\n\
         Run these inside that system, in this order; nothing takes effect before:\n  \
         mkinitcpio -P\n\
         Reboot, then let `passthru verify` look whether it took effect.\n"
    );
    let pending = machine.run(&["--json", "verify"]);
    assert_eq!(pending.code, 1);
    let document = pending.json();
    assert_eq!((&document["verdict"], &document["boot_id"]), (&"pending".into(), &"first".into()));
    for expectation in document["expectations"].as_array().expect("a list") {
        assert_eq!(expectation["verdict"], "pending", "{expectation}");
    }
    let word = document["expectations"][0]["id"].as_str().expect("an id").to_owned();
    let words: Vec<&str> = word.split(':').skip(1).collect();
    let machine = reboot(machine, &words.join(":"));
    let met = machine.run(&["verify"]);
    assert_eq!(met.code, 0, "{}{}", met.stdout, met.stderr);
    assert!(met.stdout.starts_with("Transaction 1\nmet: everything that was expected holds.\n"));
    assert!(!met.stdout.contains("unmet"), "{}", met.stdout);

    done(&machine, &["undo", "--yes"]);
    let pending = machine.run(&["--json", "verify"]).json();
    assert_eq!((&pending["transaction"], &pending["verdict"]), (&2.into(), &"pending".into()));
    let machine = machine.write("proc/sys/kernel/random/boot_id", "third\n");
    let unmet = machine.run(&["verify"]);
    assert_eq!(unmet.code, 1, "the card is still on vfio-pci: {}", unmet.stdout);
    assert!(unmet.stdout.starts_with("Transaction 2\nunmet: "), "{}", unmet.stdout);
    let left = differing(&before, &machine.everything());
    let configuration: Vec<_> = left.iter().filter(|path| !is_virtual(path)).collect();
    assert_eq!(configuration, [""; 0]);
}

/// On trial, verified in the boot that was tried, and the default then.
#[test]
fn from_a_trial_over_promotion_and_back() {
    let machine = machine();
    let before = machine.everything();
    let plan = answer(&machine, &["--json", "plan"]).json();
    assert_eq!(
        plan["trial"],
        serde_json::json!({"once": "systemd-boot", "entry": "arch-trial.conf"})
    );
    let output = answer(&machine, &["apply", "--yes"]);
    assert_eq!(
        end(&output),
        " transaction 1.\n\n\
         Run these inside that system, in this order; nothing takes effect before:\n  \
         mkinitcpio -P\n  bootctl set-oneshot arch-trial.conf\n\
         Reboot: that one boot starts arch-trial.conf, which is on trial; the default entry stays as it was.\n\
         Then `passthru verify` says whether everything holds, and `passthru promote` makes it the default.\n\
         If the machine hangs, reset it: it boots as before.\n"
    );
    let entry = machine.text("boot/loader/entries/arch.conf");
    assert!(!entry.contains("passthru.bind="), "the default entry stays: {entry}");
    let early = machine.run(&["promote", "--yes"]);
    assert_eq!(early.code, 1, "{}{}", early.stdout, early.stderr);
    assert!(early.stderr.contains("This boot was not started from the entry"), "{}", early.stderr);

    let tried = machine.everything();
    let word = plan["kernel_parameters"]["add"][0].as_str().expect("a word").to_owned();
    let machine = reboot(machine, &word);
    let met = answer(&machine, &["--json", "verify"]).json();
    assert_eq!((&met["verdict"], &met["trial"]["stage"]), (&"met".into(), &"running".into()));
    let again = answer(&machine, &["--json", "apply", "--yes"]).json();
    assert_eq!((&again["transaction"], &again["trial"]["stage"]), (&().into(), &"running".into()));
    let output = answer(&machine, &["promote", "--yes"]);
    assert!(
        output.stdout.starts_with(
            "arch-trial.conf is on trial for 0000:07:00.0 Advanced Micro Devices, Inc. [AMD/ATI] Navi 23 \
             [Radeon RX 6600/6600 XT/6600M], and all of the 11 things hold that were expected of this boot.\n\
             What transaction 1 had on trial is the default now, as transaction 2.\n"
        ),
        "{}",
        output.stdout
    );
    let entry = machine.text("boot/loader/entries/arch.conf");
    assert!(entry.contains(&word), "{entry}");
    assert!(!machine.at("boot/loader/entries/arch-trial.conf").exists());
    assert!(machine.at("boot/loader/entries/arch-fallback.conf").exists());
    assert_eq!(machine.run(&["promote", "--yes"]).code, 1, "nothing is on trial any more");
    let nothing = answer(&machine, &["--json", "plan"]).json();
    assert_eq!((&nothing["changes"], &nothing["trial"]), (&serde_json::json!([]), &().into()));

    // It was proven by the boot of its trial.
    let met = answer(&machine, &["--json", "verify"]).json();
    assert_eq!((&met["transaction"], &met["verdict"]), (&2.into(), &"met".into()), "{met:#}");
    done(&machine, &["undo", "--yes"]);
    let again = answer(&machine, &["--json", "verify"]).json();
    assert_eq!((&again["transaction"], &again["trial"]["stage"]), (&1.into(), &"running".into()));
    let configuration = |left: Vec<String>| -> Vec<String> {
        left.into_iter().filter(|path| !is_virtual(path)).collect()
    };
    assert_eq!(configuration(differing(&tried, &machine.everything())), [""; 0]);
    done(&machine, &["undo", "--yes"]);
    assert_eq!(configuration(differing(&before, &machine.everything())), [""; 0]);
    let log = answer(&machine, &["log"]).stdout;
    let what: Vec<&str> = log
        .lines()
        .filter(|line| line.starts_with("   ") && !line.contains("to run"))
        .map(|line| line.get(28..).and_then(|rest| rest.split(':').next()).unwrap_or_default())
        .collect();
    assert_eq!(
        what,
        [
            "apply on trial (arch-trial.conf), taken back by 4",
            "promote 1, taken back by 3",
            "undo of 2, done",
            "undo of 1, done"
        ]
    );
}

fn is_virtual(path: &str) -> bool {
    ["sys", "proc", "dev"].iter().any(|dir| path == *dir || path.starts_with(&format!("{dir}/")))
}

#[test]
fn the_log_tells_what_was_done() {
    let machine = machine();
    done(&machine, &["apply", "--yes", "--no-trial"]);
    done(&machine, &["undo", "--yes"]);
    let log = answer(&machine, &["--json", "log"]).json();
    let all = log["transactions"].as_array().expect("a list");
    let brief: Vec<String> = all
        .iter()
        .map(|one| {
            let words =
                ["transaction", "undoes", "state", "undone_by"].map(|key| one[key].to_string());
            words.join(" ")
        })
        .collect();
    assert_eq!(brief, ["1 null \"applied\" 2", "2 1 \"applied\" null"]);
    let text = answer(&machine, &["log"]).stdout;
    let lines: Vec<&str> = text.lines().collect();
    let name = "0000:07:00.0 Advanced Micro Devices, Inc. [AMD/ATI] Navi 23 [Radeon RX 6600/6600 XT/6600M]";
    assert!(lines[0].ends_with(&format!("apply, taken back by 2: {name}")), "{text}");
    assert!(lines[2].ends_with(&format!("undo of 1, done: {name}")), "{text}");
    let show = answer(&machine, &["log", "show", "1"]).stdout;
    assert!(show.contains("    +softdep amdgpu pre: vfio-pci\n"), "{show}");
}

/// Runs a verb at a terminal, and types an answer.
fn typed(machine: &Machine, verb: &str, answer: &str) -> Option<(i32, String)> {
    find("script")?;
    let root = machine.root();
    let line = format!(
        "{} --color never --root {} {verb}",
        env!("CARGO_BIN_EXE_passthru"),
        root.to_str().expect("UTF-8")
    );
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(answer.as_bytes()).expect("typed");
    let output = child.wait_with_output().expect("ends");
    drop(stdin);
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    Some((output.status.code().expect("a code"), text))
}

#[test]
fn at_a_terminal_it_asks() {
    let machine = machine();
    let before = machine.everything();
    let Some((code, said)) = typed(&machine, "apply --no-trial", "n\n") else {
        return skipped("the question at a terminal", "script is not installed");
    };
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("Carry this out? [y/N]"), "{said}");
    assert!(said.ends_with("Nothing was changed.\n"), "{said}");
    assert_eq!(differing(&before, &machine.everything()), [""; 0]);
    let (code, said) = typed(&machine, "apply --no-trial", "y\n").expect("it is there");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("Done, as transaction 1."), "{said}");
    let machine = machine.replace("boot/loader/entries/arch.conf", "options ", "options nosmt ");
    let (code, said) = typed(&machine, "undo", "y\n").expect("it is there");
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("Take out only passthru's words there, and keep your edits? [y/N]"),
        "{said}"
    );
    assert!(machine.text("boot/loader/entries/arch.conf").contains("options nosmt "));
    assert!(!machine.text("boot/loader/entries/arch.conf").contains("passthru.bind"));
}

/// In a boot of the default entry nothing says that it is the one on trial.
#[test]
fn a_trial_that_was_skipped_and_taken_back_to_is_not_running() {
    let machine = machine();
    done(&machine, &["apply", "--yes"]);
    done(&machine, &["apply", "--yes", "--no-trial"]);
    done(&machine, &["undo", "--yes"]);
    let machine = machine.write("proc/sys/kernel/random/boot_id", "second\n");
    let verify = machine.run(&["--json", "verify"]);
    assert_eq!((verify.code, &verify.json()["trial"]["stage"]), (1, &"unselected".into()));
    let judged = machine.run(&["verify", "--after-boot"]);
    assert_eq!(judged.code, 0, "{}", judged.stdout);
    for number in 1..4 {
        let journal = machine.text(&format!("var/lib/passthru/{number}/journal.jsonl"));
        assert!(!journal.contains("judged"), "{journal}");
    }
}

/// Only what was tried becomes the default.
#[test]
fn a_wish_that_changed_since_is_not_promoted() {
    let machine = machine();
    let plan = answer(&machine, &["--json", "plan"]).json();
    done(&machine, &["apply", "--yes"]);
    let word = plan["kernel_parameters"]["add"][0].as_str().expect("a word").to_owned();
    let machine = reboot(machine, &word).replace(
        "boot/loader/entries/arch.conf",
        " quiet",
        " quiet intel_iommu=off",
    );
    let refused = machine.run(&["promote", "--yes"]);
    assert_eq!(refused.code, 2, "{}{}", refused.stdout, refused.stderr);
    assert!(refused.stderr.contains("is not what was tried"), "{}", refused.stderr);
}

#[test]
fn what_cannot_be_tried_cannot_promote_itself() {
    let machine = Machine::new("h170-mint-turing");
    let before = machine.everything();
    let output = machine.run(&["apply", "--yes", "--auto-promote"]);
    assert_eq!(output.code, 2, "{}", output.stdout);
    let said = "there is no trial that could be promoted: /etc/grub.d/10_linux";
    assert!(output.stderr.contains(said), "{}", output.stderr);
    assert_eq!(differing(&before, &machine.everything()), [""; 0]);
}

/// Another card on trial before the first was promoted: undo leads back one trial at a time.
#[test]
fn a_trial_after_a_trial_is_taken_back_to_the_first() {
    let grub = "etc/grub.d/10_linux";
    let machine = Machine::new("h170-mint-turing").write(grub, "#!/bin/sh\n").mode(grub, 0o755);
    let before = machine.everything();
    done(&machine, &["apply", "--yes", "01:00.0"]);
    let first = machine.everything();
    done(&machine, &["apply", "--yes", "00:02.0", "--auto-promote"]);
    let text = machine.text("etc/grub.d/42_passthru");
    assert!(text.contains("vfio-pci.ids=8086:") && !text.contains("10de:"), "{text}");
    done(&machine, &["undo", "--yes"]);
    assert_eq!(differing(&first, &machine.everything()), [""; 0]);
    done(&machine, &["undo", "--yes"]);
    assert_eq!(differing(&before, &machine.everything()), [""; 0]);
}

/// Where there is no transaction, what the user configured is judged.
#[test]
fn a_setup_by_hand_is_verified() {
    let machine = Machine::new("qemu-sdboot-intel-bound")
        .write("dev/vfio/8", "")
        .write("proc/sys/kernel/random/boot_id", "boot\n");
    let met = machine.run(&["--json", "verify"]);
    let document = met.json();
    assert_eq!((met.code, &document["verdict"]), (0, &"met".into()), "{document:#}");
    assert_eq!(document["transaction"], serde_json::Value::Null);
    let remark = "passthru changed nothing here: this is the setup that was found on the machine, \
                  in /etc/modprobe.d/vfio.conf.";
    assert_eq!(document["remarks"], serde_json::json!([remark]));
    let ids = document["expectations"].as_array().expect("expectations").iter();
    let ids: Vec<_> = ids.filter_map(|one| one["id"].as_str()).collect();
    let expected = [
        "iommu:on",
        "identity:0000:01:00.0=1234:1111:1af4:1100",
        "identity:0000:01:00.1=8086:2668:1af4:1100",
        "vfio:0000:01:00.0",
        "vfio:0000:01:00.1",
        "group:8",
        "driver:0000:00:02.0=virtio-pci",
        "vfio:nothing-else",
    ];
    assert_eq!(ids, expected);

    let driver = "sys/devices/pci0000:00/0000:00:03.0/0000:01:00.0/driver";
    let other = "../../../../bus/pci/drivers/bochs-drm";
    let taken = machine.remove(driver).link(driver, other);
    let unmet = taken.run(&["verify"]);
    assert_eq!(unmet.code, 1, "{}", unmet.stdout);
    let head = "Set up by hand\nunmet: not everything that was expected holds.\n";
    assert!(unmet.stdout.starts_with(head), "{}", unmet.stdout);
    let line = "\nunmet   0000:01:00.0 is on vfio-pci.\n";
    assert!(unmet.stdout.contains(line), "{}", unmet.stdout);

    let ids = "vfio-pci.ids=10de:2184,10de:1aeb,10de:1aec,10de:1aed";
    let waits = Machine::new("h170-mint-turing").replace(
        "etc/default/grub",
        "iommu=pt",
        // The kernel takes the last.
        &format!("iommu=pt vfio-pci.ids=10de:2184 {ids}"),
    );
    let waits = waits.run(&["--json", "verify"]).json();
    let first = &waits["expectations"].as_array().expect("expectations")[..3];
    let words: Vec<_> = first.iter().map(|one| (&one["id"], &one["verdict"])).collect();
    let parameter = |word: &str| serde_json::Value::from(format!("parameter:{word}"));
    let (on, pt, ids) = (parameter("intel_iommu=on"), parameter("iommu=pt"), parameter(ids));
    let (met, unmet) = ("met".into(), "unmet".into());
    assert_eq!(words, [(&on, &met), (&pt, &met), (&ids, &unmet)], "{waits:#}");
    let cause = waits["expectations"][2]["cause"].as_str().expect("a cause");
    assert!(cause.contains("what is configured for vfio-pci"), "{cause}");

    let none = Machine::new("z490-arch").run(&["verify"]);
    assert_eq!(
        (none.code, none.stderr.as_str()),
        (
            2,
            "Error: there is no transaction to verify\nHint: `passthru apply` carries out a plan; \
             `passthru check` says how things stand.\n"
        )
    );
    let entry = "boot/loader/entries/arch.conf";
    let unread = Machine::new("z490-arch").remove(entry).link(entry, "arch.conf").run(&["verify"]);
    let hint = "Hint: Not all of the configuration could be read: ";
    assert!(unread.stderr.lines().any(|line| line.starts_with(hint)), "{}", unread.stderr);
    let many = Machine::new("server-8xa100-ubuntu").run(&["verify"]);
    assert_eq!(many.code, 2);
    assert!(many.stderr.contains("several cards are selected for vfio-pci: "), "{}", many.stderr);
}
