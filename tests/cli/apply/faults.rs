//! The program is killed, and the disk refuses, at every single system call that writes; by
//! strace, so it is the real program and the real file system.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::{answer, differing, done, last_state};
use crate::harness::{Machine, Output};
use crate::tools::{find, skipped};

const WHAT: &str = "crash and a full or broken disk at every effect";
/// Calls that change files, or promise that they are on the disk.
const CALLS: [&str; 10] = [
    "write",
    "fsync",
    "renameat",
    "renameat2",
    "unlinkat",
    "mkdirat",
    "fchmod",
    "fchown",
    "ftruncate",
    "openat",
];

/// One call of one kind, by its number in the run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Cut {
    call: String,
    number: usize,
}

/// A run of the program under strace, on one processor: then it is the same calls each time.
fn traced(
    machine: &Machine,
    options: &[&str],
    args: &[&str],
) -> Result<(Option<i32>, Output), String> {
    let root = machine.root();
    let output = Command::new("taskset")
        .args(["-c", "0", "strace", "-f", "-qq"])
        .args(options)
        .arg(env!("CARGO_BIN_EXE_passthru"))
        .args(["--root", root.to_str().expect("UTF-8")])
        .args(args)
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .map_err(|error| error.to_string())?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let code = output.status.code();
    let said = Output {
        code: code.unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    Ok((code, said))
}

/// Every call of a run that writes, in order.
fn cuts(machine: &Machine, args: &[&str]) -> Result<Vec<Cut>, String> {
    let log = machine.root().with_file_name("strace");
    let trace = format!("trace={}", CALLS.join(","));
    let options = ["-o", log.to_str().expect("UTF-8"), "-e", &trace];
    let (code, said) = traced(machine, &options, args)?;
    if code != Some(0) {
        return Err(format!("{}{}", said.stdout, said.stderr));
    }
    let text = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut cuts = Vec::new();
    for line in text.lines() {
        let call = line.split_whitespace().nth(1).and_then(|word| word.split_once('('));
        let Some((call, _)) = call.filter(|(call, _)| CALLS.contains(call)) else { continue };
        let number = numbers.entry(call).or_default();
        *number += 1;
        if call != "openat" || line.contains("O_CREAT") {
            cuts.push(Cut { call: call.to_owned(), number: *number });
        }
    }
    Ok(cuts)
}

/// What happens at a call.
const FAULTS: [&str; 3] = ["signal=SIGKILL", "error=ENOSPC", "error=EIO"];

/// Cuts a verb at every call in every way. `from` and `to` are the machine before and after it;
/// `reset` brings the one back to the other.
fn cut_everywhere(machine: &Machine, args: &[&str], reset: &[&str]) -> Result<usize, String> {
    let from = machine.everything();
    let state = machine.at("var/lib/passthru");
    let kept = machine.root().with_file_name("kept");
    copy(&state, &kept);
    let cuts = cuts(machine, args)?;
    let to = machine.everything();
    assert!(!differing(&from, &to).is_empty(), "it changes something");
    done(machine, reset);
    let mut outcomes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for cut in &cuts {
        for fault in FAULTS {
            copy(&kept, &state);
            let what = format!("{} {} of {args:?}, {fault}", cut.call, cut.number);
            let inject = format!("inject={}:{fault}:when={}", cut.call, cut.number);
            let trace = format!("trace={}", cut.call);
            let options = ["-o", "/dev/null", "-e", &trace, "-e", &inject];
            let (code, said) = traced(machine, &options, args)?;
            let said = format!("{what}: {code:?}\n{}{}", said.stdout, said.stderr);
            let now = machine.everything();
            if fault == "signal=SIGKILL" {
                assert_ne!(code, Some(2), "{said}");
            } else if code == Some(2) && said.contains("all files are as before") {
                assert_eq!(differing(&from, &now), [""; 0], "{said}");
            }
            done(machine, &["recover"]);
            let now = machine.everything();
            let last = last_state(machine);
            let outcome = if now == from { "before" } else { "after" };
            if outcome == "after" {
                assert_eq!(differing(&to, &now), [""; 0], "{said}");
                assert_eq!(last, "applied", "{said}");
                done(machine, reset);
                assert_eq!(differing(&from, &machine.everything()), [""; 0], "{said}");
            } else if number_of_transactions(machine) > kept_transactions(&kept) {
                assert_eq!(last, "rolled-back", "{said}");
            }
            outcomes.entry(fault).or_default().insert(outcome);
        }
    }
    assert!(outcomes["signal=SIGKILL"].len() == 2, "both sides were seen: {outcomes:?}");
    Ok(cuts.len() * FAULTS.len())
}

fn kept_transactions(dir: &std::path::Path) -> usize {
    let names = std::fs::read_dir(dir).into_iter().flatten();
    names.filter(|entry| entry.as_ref().expect("an entry").path().is_dir()).count()
}

fn number_of_transactions(machine: &Machine) -> usize {
    kept_transactions(&machine.at("var/lib/passthru"))
}

/// Makes one directory as another is; nothing where that is not there.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    let _ = std::fs::remove_dir_all(to);
    if from.exists() {
        let status = Command::new("cp").arg("-a").args([from, to]).status().expect("cp");
        assert!(status.success());
    }
}

#[test]
fn a_crash_or_a_refusal_at_any_call_leaves_all_before_or_all_after() {
    for program in ["strace", "taskset"] {
        if find(program).is_none() {
            return skipped(WHAT, &format!("{program} is not installed"));
        }
    }
    let machine = Machine::new("z490-arch");
    if let Err(reason) = cuts(&machine, &["plan"]) {
        return skipped(WHAT, &format!("strace may not trace here: {}", reason.trim()));
    }
    let applying =
        cut_everywhere(&machine, &["apply", "--yes"], &["undo", "--yes"]).expect("strace");
    std::fs::remove_dir_all(machine.at("var/lib/passthru")).expect("removed");
    done(&machine, &["apply", "--yes"]);
    let undoing = cut_everywhere(&machine, &["undo", "--yes", "1"], &["apply", "--yes"]);
    let undoing = undoing.expect("strace");
    println!("cut points: {applying} while applying, {undoing} while taking back");
    assert!(applying > 200 && undoing > 200, "{applying} and {undoing}");
}

/// A disk that stays full while everything is taken back: nothing is lost, and the next run
/// ends it.
#[test]
fn a_disk_that_stays_full_is_recovered_from_later() {
    if find("strace").is_none() || find("taskset").is_none() {
        return skipped(WHAT, "strace or taskset is not installed");
    }
    let machine = Machine::new("z490-arch");
    if let Err(reason) = cuts(&machine, &["plan"]) {
        return skipped(WHAT, &format!("strace may not trace here: {}", reason.trim()));
    }
    let before = machine.everything();
    let mut stuck = 0;
    for number in 1..40 {
        let inject = format!("inject=write:error=ENOSPC:when={number}+");
        let options = ["-o", "/dev/null", "-e", "trace=write", "-e", &inject];
        let (code, _) = traced(&machine, &options, &["apply", "--yes"]).expect("strace");
        stuck += usize::from(last_state(&machine) == "unfinished");
        done(&machine, &["recover"]);
        if code == Some(0) || last_state(&machine) == "applied" {
            done(&machine, &["undo", "--yes"]);
        }
        assert_eq!(differing(&before, &machine.everything()), [""; 0], "write {number} and later");
    }
    assert!(stuck > 0, "some of these could not be taken back at once");
}

/// Whenever somebody asks it to stop, everything is taken back at once.
#[test]
fn a_signal_between_effects_takes_everything_back() {
    if find("strace").is_none() || find("taskset").is_none() {
        return skipped("signals between effects", "strace or taskset is not installed");
    }
    let machine = Machine::new("z490-arch");
    let before = machine.everything();
    let all = match cuts(&machine, &["apply", "--yes"]) {
        Ok(all) => all,
        Err(reason) => {
            let reason = format!("strace may not trace here: {}", reason.trim());
            return skipped("signals between effects", &reason);
        }
    };
    done(&machine, &["undo", "--yes"]);
    let renames = all.iter().filter(|cut| cut.call == "renameat").count();
    assert!(renames > 10, "{renames}");
    for number in 1..=renames {
        std::fs::remove_dir_all(machine.at("var/lib/passthru")).expect("removed");
        let inject = format!("inject=renameat:signal=SIGTERM:when={number}");
        let options = ["-o", "/dev/null", "-e", "trace=renameat", "-e", &inject];
        let (code, said) = traced(&machine, &options, &["apply", "--yes"]).expect("strace");
        let said = format!("rename {number}: {}{}", said.stdout, said.stderr);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("stopped by SIGTERM"), "{said}");
        assert_eq!(differing(&before, &machine.everything()), [""; 0], "{said}");
        assert_eq!(last_state(&machine), "rolled-back", "{said}");
    }
}

/// Outside its own state directory it makes just the calls that the plan needs.
#[test]
fn what_is_written_is_what_was_planned() {
    if find("strace").is_none() || find("taskset").is_none() {
        return skipped("calls that write", "strace or taskset is not installed");
    }
    let machine = Machine::new("z490-arch");
    let plan = answer(&machine, &["--json", "plan"]).json();
    let before = machine.everything();
    let log = machine.root().with_file_name("strace");
    let calls = "trace=%file,fchmod,fchown,fsetxattr,ftruncate,write,pwrite64,writev";
    let options = ["-y", "-s", "300", "-o", log.to_str().expect("UTF-8"), "-e", calls];
    let (code, said) = traced(&machine, &options, &["apply", "--yes"]).expect("strace");
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    if text.is_empty() {
        return skipped("calls that write", "strace may not trace here");
    }
    assert_eq!(code, Some(0), "{}{}", said.stdout, said.stderr);
    let root = format!("<{}", machine.root().canonicalize().expect("there").display());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in text.lines() {
        let Some((call, rest)) = line.split_once(' ').and_then(|(_, l)| l.trim().split_once('('))
        else {
            continue;
        };
        let writes = !call.starts_with("open") || rest.contains("O_CREAT");
        let looks = ["stat", "access", "readlink", "execve", "getcwd", "statfs", "chdir"];
        let own = rest.contains(&format!("{root}/var/lib/passthru"))
            || rest.contains("/var/lib>, \"passthru\"");
        if writes && !looks.iter().any(|look| call.contains(look)) && rest.contains(&root) && !own {
            *counts.entry(call).or_default() += 1;
        }
    }
    let changes = plan["changes"].as_array().expect("changes").len();
    let after = machine.everything();
    let made = |path: &&String| super::is_directory(&after, path) && !before.contains_key(*path);
    let made = after.keys().filter(made).count();
    // The directories on the way to the state directory, which this recording lacks.
    let state = 2;
    println!("{changes} files and {made} directories were planned: {counts:?}");
    assert_eq!(counts.remove("openat"), Some(changes), "one new file each");
    assert_eq!(counts.remove("write"), Some(changes), "written once");
    assert_eq!(counts.remove("renameat"), Some(changes), "given its name once");
    assert_eq!(counts.remove("mkdirat"), Some(made + state));
    assert_eq!(counts.remove("fchmod"), Some(changes + made + state));
    assert_eq!(counts, BTreeMap::new(), "and nothing else");
}
