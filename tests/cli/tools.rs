//! Real tools read what is planned: modprobe, bash, grub-mkconfig, the generators of initramfs
//! images, and every shell that an image may have. A check that cannot run says so in one line.

mod bind;
mod debian;
mod grub;
mod libvirt;
mod mkinitcpio;
mod modprobe;

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::harness::{Machine, passthru, project};

/// Plans that need an argument; every other recorded host is tried without one.
const CHOSEN: [(&str, &[&str]); 4] = [
    ("b450-debian-dirty-group", &["08:00.0"]),
    ("m5-proxmox-apu", &["--allow", "only-gpu"]),
    ("z270-centos7-twins", &["01:00.0"]),
    ("z270-centos7-twins", &["02:00.0"]),
];

/// A plan as its document tells it.
struct Planned {
    document: Value,
}

impl Planned {
    /// The plan for a machine; there must be one, and it must change something.
    fn of(machine: &Machine, args: &[&str]) -> Self {
        let planned = Self::try_of(machine, args);
        planned.unwrap_or_else(|answer| panic!("{args:?}: no plan that changes files\n{answer}"))
    }

    /// Everything in the normal entries at once.
    fn try_of(machine: &Machine, args: &[&str]) -> Result<Self, String> {
        Self::try_with(machine, &[&["--no-trial"], args].concat())
    }

    fn try_with(machine: &Machine, args: &[&str]) -> Result<Self, String> {
        let mut all = vec!["--json", "plan"];
        all.extend(args);
        let output = machine.run(&all);
        let document = (output.code == 0).then(|| output.json());
        let document = document.filter(|document| document["changes"].get(0).is_some());
        document.map(|document| Self { document }).ok_or(output.stdout + &output.stderr)
    }

    fn changes(&self) -> &[Value] {
        self.document["changes"].as_array().expect("changes")
    }

    /// The text planned for a path; nothing where the plan leaves it alone.
    fn text(&self, path: &str) -> Option<&str> {
        let change = self.changes().iter().find(|change| change["path"] == path)?;
        change["after"]["text"].as_str()
    }

    fn words(&self, pointer: &str) -> Vec<&str> {
        let list = self.document.pointer(pointer).and_then(Value::as_array);
        list.expect(pointer).iter().map(|word| word.as_str().expect("a word")).collect()
    }

    fn method(&self) -> &str {
        self.document["binding"]["method"].as_str().expect("a method")
    }

    fn commands(&self) -> Vec<Vec<&str>> {
        let commands = self.document["commands"].as_array().expect("commands");
        (0..commands.len()).map(|at| self.words(&format!("/commands/{at}/argv"))).collect()
    }

    /// Leaves every file below a root as it is planned to be.
    fn lay_out(&self, root: &Path) {
        self.put(root, "after");
    }

    /// Leaves every file as it was.
    fn take_back(&self, root: &Path) {
        self.put(root, "before");
    }

    fn put(&self, root: &Path, side: &str) {
        for change in self.changes() {
            let path = change["path"].as_str().expect("a path").trim_start_matches('/');
            put_state(&root.join(path), &change[side]);
        }
    }
}

fn put_state(to: &Path, state: &Value) {
    if state["state"] == "absent" {
        return std::fs::remove_file(to).expect("removed");
    }
    let number = |key: &str| u32::try_from(state[key].as_u64().expect(key)).expect(key);
    let mode = u32::from_str_radix(state["mode"].as_str().expect("a mode"), 8).expect("octal");
    std::fs::create_dir_all(to.parent().expect("a parent")).expect("directories");
    std::fs::write(to, state["text"].as_str().expect("a text")).expect("written");
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(mode)).expect("mode set");
    if rustix::process::geteuid().is_root() {
        chown(to, Some(number("uid")), Some(number("gid"))).expect("owner set");
    }
}

/// Every recorded machine that gets a plan, with the arguments for it.
pub fn planned_machines() -> Vec<(String, Machine, Vec<&'static str>)> {
    let entries = std::fs::read_dir(project().join("hosts")).expect("hosts");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter_map(|name| name.strip_suffix(".tree").map(str::to_owned))
        .collect();
    names.sort();
    let plain = names.into_iter().map(|name| (name, Vec::new()));
    let chosen = CHOSEN.iter().map(|(name, args)| ((*name).to_owned(), args.to_vec()));
    let planned = plain.chain(chosen).filter(|(name, args)| {
        let all = [&["--host", name, "--json", "plan"], args.as_slice()].concat();
        let output = passthru(&all);
        output.code == 0 && output.json()["changes"].get(0).is_some()
    });
    planned
        .map(|(name, args)| {
            let machine = Machine::new(&name);
            (name, machine, args)
        })
        .collect()
}

/// Where a program is; administrators' directories count for everyone.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    dirs.map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// Says that a check did not run, past the test runner's capture: a person sees the line, and
/// `cargo xtask test --deny-skips` fails on it.
pub fn skipped(what: &str, reason: &str) {
    let line = format!("SKIPPED: {what}: {reason}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).expect("standard output");
}

/// The program, or one line that says why the check did not run.
fn find_or_skip(what: &str, program: &str) -> Option<PathBuf> {
    let found = find(program);
    if found.is_none() {
        skipped(what, &format!("{program} is not installed"));
    }
    found
}

/// Standard output of a command that must succeed.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    stdout
}

/// Words that a shell printed with a NUL after each.
fn nul_separated(text: &str) -> Vec<&str> {
    text.split_terminator('\0').collect()
}
