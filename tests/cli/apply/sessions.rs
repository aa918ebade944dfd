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
    let output = answer(&machine, &["apply", "--yes"]);
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

fn is_virtual(path: &str) -> bool {
    ["sys", "proc", "dev"].iter().any(|dir| path == *dir || path.starts_with(&format!("{dir}/")))
}

#[test]
fn the_log_tells_what_was_done() {
    let machine = machine();
    done(&machine, &["apply", "--yes"]);
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
    let Some((code, said)) = typed(&machine, "apply", "n\n") else {
        return skipped("the question at a terminal", "script is not installed");
    };
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("Carry this out? [y/N]"), "{said}");
    assert!(said.ends_with("Nothing was changed.\n"), "{said}");
    assert_eq!(differing(&before, &machine.everything()), [""; 0]);
    let (code, said) = typed(&machine, "apply", "y\n").expect("it is there");
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
