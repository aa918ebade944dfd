//! What stands in the way is found before anything is written.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::Command;

use super::{answer, differing, done};
use crate::harness::{Machine, passthru};
use crate::tools::{find, skipped};

/// Runs `apply`, which must fail, name all of these, and change nothing.
fn refuses(machine: &Machine, parts: &[&str]) {
    let before = machine.everything();
    let output = machine.run(&["apply", "--yes", "--no-trial"]);
    assert_eq!(output.code, 2, "{}{}", output.stdout, output.stderr);
    for part in parts {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
    assert_eq!(differing(&before, &machine.everything()), [""; 0], "nothing was changed");
}

#[test]
fn without_a_terminal_it_wants_yes() {
    let machine = Machine::new("z490-arch");
    let before = machine.everything();
    let output = machine.run(&["apply", "--no-trial"]);
    assert_eq!(output.code, 2);
    assert_eq!(
        output.stderr,
        "Error: there is no terminal to ask at, and nothing was changed\n\
         Hint: Give --yes to go on without a question.\n"
    );
    assert_eq!(differing(&before, &machine.everything()), [""; 0]);
    assert!(!machine.at("var/lib/passthru").exists(), "it left no trace");
}

#[test]
fn a_recorded_machine_is_not_changed() {
    for args in [
        &["--host", "z490-arch", "apply", "--yes", "--no-trial"][..],
        &["--host", "z490-arch", "undo", "--yes"],
        &["--host", "z490-arch", "recover"],
        &["--host", "z490-arch", "log"],
    ] {
        let output = passthru(args);
        assert_eq!(output.code, 2, "{args:?}");
        assert!(output.stderr.contains("a recorded machine"), "{}", output.stderr);
    }
}

#[test]
fn where_there_is_no_plan_it_answers_as_check_does() {
    let machine = Machine::new("b560-nobara-single-gpu");
    let output = machine.run(&["--json", "apply", "--yes", "--no-trial"]);
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert_eq!(output.json()["schema"]["name"], "check");
    assert!(!machine.at("var/lib/passthru").exists(), "it left no trace");
}

#[test]
fn nothing_to_undo_is_an_answer() {
    let machine = Machine::new("z490-arch");
    let output = machine.run(&["undo", "--yes"]);
    assert_eq!(output.code, 1);
    assert_eq!(
        output.stderr,
        "There is nothing to take back: passthru changed nothing on this machine.\n"
    );
    assert_eq!(answer(&machine, &["recover"]).stdout, "Nothing is unfinished.\n");
    assert_eq!(answer(&machine, &["log"]).stdout, "passthru changed nothing on this machine.\n");
    done(&machine, &["apply", "--yes", "--no-trial"]);
    let output = machine.run(&["undo", "--yes", "7"]);
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (2, "Error: there is no transaction 7\nHint: `passthru log` lists them.\n")
    );
    done(&machine, &["undo", "--yes"]);
    let output = machine.run(&["undo", "--yes", "1"]);
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (1, "Transaction 1 was taken back by transaction 2; `passthru undo 2` brings it again.\n")
    );
    let output = machine.run(&["undo", "--yes"]);
    assert_eq!(output.code, 1, "{}", output.stderr);
}

#[test]
fn configuration_that_nix_made_is_refused() {
    let machine = Machine::new("h170-mint-turing");
    let text = machine.text("etc/default/grub");
    let machine = machine
        .write("nix/store/abc-grub/grub", &text)
        .link("etc/static", "/nix/store/abc-grub")
        .link("etc/default/grub", "/etc/static/grub");
    refuses(&machine, &["/etc/default/grub leads to", "which Nix made"]);
}

#[test]
fn a_new_file_is_never_made_behind_a_link() {
    let machine = Machine::new("h170-mint-turing")
        .link("etc/modprobe.d/00-passthru.conf", "/etc/cron.d/evil");
    refuses(&machine, &["/etc/modprobe.d/00-passthru.conf is a symbolic link that leads nowhere"]);
    assert!(!machine.at("etc/cron.d/evil").exists());
}

#[test]
fn links_never_lead_out_of_the_root() {
    let outside = tempfile::tempdir().expect("a directory");
    let target = outside.path().join("grub");
    let machine = Machine::new("h170-mint-turing");
    std::fs::copy(machine.at("etc/default/grub"), &target).expect("copied");
    let before = std::fs::read(&target).expect("read");
    let machine = machine.link("etc/default/grub", target.to_str().expect("UTF-8"));
    let _ = machine.run(&["apply", "--yes", "--no-trial"]);
    assert_eq!(std::fs::read(&target).expect("read"), before);
}

#[test]
fn directories_for_everybody_are_refused() {
    let machine = Machine::new("h170-mint-turing");
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(machine.at("etc/default"), open).expect("set");
    refuses(&machine, &["/etc/default/grub is in a directory that everybody may write to"]);
}

#[test]
fn a_file_that_nobody_may_replace_is_named_before() {
    let machine = Machine::new("h170-mint-turing");
    let grub = machine.at("etc/default/grub");
    let chattr = |flag: &str| {
        Command::new("chattr").arg(flag).arg(&grub).output().is_ok_and(|o| o.status.success())
    };
    if !chattr("+i") {
        return skipped("the immutable attribute", "chattr cannot set it here");
    }
    let output = std::panic::catch_unwind(|| {
        refuses(&machine, &["/etc/default/grub has the attribute `i` or `a`", "chattr -i"]);
    });
    assert!(chattr("-i"));
    output.expect("refused");
}

#[test]
fn a_read_only_filesystem_is_named_before() {
    let machine = Machine::new("h170-mint-turing");
    let root = machine.root();
    let script = "mount --bind \"$1/etc/default\" \"$1/etc/default\" && \
                  mount -o remount,ro,bind \"$1/etc/default\" && exec \"$2\" --root \"$1\" apply --yes";
    if find("unshare").is_none() || !rustix::process::geteuid().is_root() {
        return skipped("a read-only filesystem", "only root can mount one");
    }
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .args([root.to_str().expect("UTF-8"), env!("CARGO_BIN_EXE_passthru")])
        .output()
        .expect("unshare starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let wanted = "/etc/default/grub is on a filesystem that is mounted read-only";
    assert!(stderr.contains(wanted), "{stderr}");
}

#[test]
fn a_second_writer_is_refused_with_the_number_of_the_first() {
    let machine = Machine::new("z490-arch");
    done(&machine, &["apply", "--yes", "--no-trial"]);
    let lock = machine.at("var/lib/passthru/lock");
    let own = std::process::id();
    std::fs::write(&lock, format!("{own}\n")).expect("written");
    let held = std::fs::File::open(&lock).expect("opened");
    held.lock().expect("locked");
    for verb in ["apply", "undo", "recover"] {
        let args = if verb == "recover" { vec![verb] } else { vec![verb, "--yes"] };
        let output = machine.run(&args);
        assert_eq!(output.code, 2, "{}", output.stderr);
        assert!(
            output
                .stderr
                .contains(&format!("another passthru is changing this machine (process {own})")),
            "{}",
            output.stderr
        );
    }
    // Looking goes on.
    done(&machine, &["log"]);
}

#[test]
fn a_state_directory_of_somebody_else_is_not_trusted() {
    let machine = Machine::new("z490-arch");
    done(&machine, &["apply", "--yes", "--no-trial"]);
    let state = machine.at("var/lib/passthru");
    let before = machine.everything();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777)).expect("set");
    let output = machine.run(&["undo", "--yes"]);
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("is not this user's alone"), "{}", output.stderr);
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).expect("set");
    if rustix::process::geteuid().is_root() {
        chown(&state, Some(4711), None).expect("given away");
        let output = machine.run(&["undo", "--yes"]);
        assert_eq!(output.code, 2);
        assert!(output.stderr.contains("owner 4711"), "{}", output.stderr);
    }
    assert_eq!(differing(&before, &machine.everything()), [""; 0]);
}

#[test]
fn a_damaged_or_newer_record_stops_everything_that_writes() {
    type Spoil = fn(&str) -> String;
    let cases: [(&str, Spoil, &str); 6] = [
        ("record.json", |_| "{".to_owned(), "record.json is damaged"),
        (
            "record.json",
            |text| text.replacen("\"version\": 1", "\"version\": 2", 1),
            "has version 2, and this program knows version 1",
        ),
        (
            "record.json",
            |text| text.replace("/etc/modprobe.d/00-passthru.conf", "/etc/shadow"),
            "passthru never writes /etc/shadow",
        ),
        (
            "record.json",
            |text| text.replacen("\"id\": 1", "\"id\": 2", 1),
            "record of transaction 2",
        ),
        ("journal.jsonl", |text| format!("nonsense\n{text}"), "line 1 of"),
        ("journal.jsonl", |text| text.replace("begun", "bogus"), "line 1 of"),
    ];
    for (file, spoil, wanted) in cases {
        let machine = Machine::new("z490-arch");
        done(&machine, &["apply", "--yes", "--no-trial"]);
        let path = format!("var/lib/passthru/1/{file}");
        let text = machine.text(&path);
        let machine = machine.write(&path, spoil(&text));
        let before = machine.everything();
        for args in [&["undo", "--yes"][..], &["log", "show", "1"]] {
            let output = machine.run(args);
            assert_eq!(output.code, 2, "{wanted}: {}{}", output.stdout, output.stderr);
            assert!(output.stderr.contains(wanted), "{wanted}: {}", output.stderr);
        }
        assert_eq!(differing(&before, &machine.everything()), [""; 0], "{wanted}");
        let log = answer(&machine, &["log"]);
        assert!(log.stdout.contains("cannot be read"), "{wanted}: {}", log.stdout);
    }
}

/// An emptied journal says nothing; the files say that something was done.
#[test]
fn an_emptied_journal_takes_no_originals_away() {
    let machine = Machine::new("h170-mint-turing");
    done(&machine, &["apply", "--yes", "--no-trial"]);
    let journal = machine.text("var/lib/passthru/1/journal.jsonl");
    let machine = machine.write("var/lib/passthru/1/journal.jsonl", "");
    for verb in [&["recover"][..], &["undo", "--yes"]] {
        let output = machine.run(verb);
        assert_eq!(output.code, 2, "{}{}", output.stdout, output.stderr);
        assert!(output.stderr.contains("its journal is empty, but"), "{}", output.stderr);
    }
    let machine = machine.write("var/lib/passthru/1/journal.jsonl", journal);
    done(&machine, &["undo", "--yes"]);
}

#[test]
fn the_way_to_the_state_directory_has_to_be_roots() {
    let machine = Machine::new("h170-mint-turing").write("var/lib/note", "");
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(machine.at("var/lib"), open).expect("set");
    refuses(&machine, &["/var/lib of the state directory is not root's alone"]);
}

/// Answers are documents, those that are no too.
#[test]
fn json_is_given_for_every_answer() {
    let machine = Machine::new("h170-mint-turing");
    let output = machine.run(&["--json", "undo", "--yes"]);
    assert_eq!(output.code, 1);
    assert_eq!(output.json()["transaction"], serde_json::Value::Null);
    done(&machine, &["apply", "--yes", "--no-trial"]);
    done(&machine, &["undo", "--yes"]);
    let output = machine.run(&["--json", "undo", "--yes", "1"]);
    assert_eq!((output.code, output.stderr.as_str()), (1, ""));
    let reason = output.json()["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.starts_with("Transaction 1 was taken back"), "{reason}");
}

/// Whoever owns a root may change it.
#[test]
fn a_root_of_ones_own_needs_no_root() {
    if !rustix::process::geteuid().is_root() || find("setpriv").is_none() {
        return skipped("a root of one's own", "only root can become another user");
    }
    let machine = Machine::new("z490-arch");
    let root = machine.root();
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let path = root.to_str().expect("UTF-8");
    let program = root.with_file_name("passthru");
    std::fs::copy(env!("CARGO_BIN_EXE_passthru"), &program).expect("copied");
    let parent = root.parent().expect("a parent").to_str().expect("UTF-8");
    run("chown", &["-R", "4711:4711", parent]);
    let user = ["--reuid=4711", "--regid=4711", "--clear-groups"];
    let program = program.to_str().expect("UTF-8");
    for verb in ["apply", "undo"] {
        run("setpriv", &[&user[..], &[program, "--root", path, verb, "--yes"]].concat());
    }
}

#[test]
fn a_kept_content_that_was_changed_is_not_put_back() {
    let machine = Machine::new("h170-mint-turing");
    done(&machine, &["apply", "--yes", "--no-trial"]);
    let blobs = machine.at("var/lib/passthru/1/blobs");
    for entry in std::fs::read_dir(&blobs).expect("listed") {
        std::fs::write(entry.expect("an entry").path(), "evil").expect("written");
    }
    let before = machine.everything();
    let output = machine.run(&["undo", "--yes"]);
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("is damaged: its digest is another"), "{}", output.stderr);
    assert_eq!(differing(&before, &machine.everything()), [""; 0]);
}

/// Times are for people: nothing is decided by them.
#[test]
fn a_clock_that_runs_backwards_does_no_harm() {
    let machine = Machine::new("h170-mint-turing");
    let before = machine.everything();
    done(&machine, &["apply", "--yes", "--no-trial"]);
    let machine = ["record.json", "journal.jsonl"].iter().fold(machine, |machine, file| {
        let path = format!("var/lib/passthru/1/{file}");
        let text = machine.text(&path);
        let year = text.find("\"20").expect("a time") + 1;
        let stamp = text[year..year + 4].to_owned();
        machine.write(&path, text.replace(&format!("\"{stamp}-"), "\"2199-"))
    });
    let log = answer(&machine, &["log"]).stdout;
    assert!(log.contains("   1  2199-"), "{log}");
    done(&machine, &["undo", "--yes"]);
    assert_eq!(differing(&before, &machine.everything()), [""; 0]);
    let log = answer(&machine, &["log"]).stdout;
    assert!(log.contains("apply, taken back by 2"), "{log}");
}

#[test]
fn originals_are_for_root_only() {
    let machine = Machine::new("h170-mint-turing");
    done(&machine, &["apply", "--yes", "--no-trial"]);
    let mode = |path: &str| {
        std::fs::metadata(machine.at(path)).expect("there").permissions().mode() & 0o7777
    };
    assert_eq!(mode("var/lib/passthru"), 0o755);
    assert_eq!(mode("var/lib/passthru/1/blobs"), 0o700);
    for entry in std::fs::read_dir(machine.at("var/lib/passthru/1/blobs")).expect("listed") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_str().expect("UTF-8");
        assert_eq!(mode(&format!("var/lib/passthru/1/blobs/{name}")), 0o600);
    }
}
