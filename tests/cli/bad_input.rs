//! Wrong questions, broken machines, hostile files: a clear answer, never a panic, and
//! nothing is written.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::harness::{Machine, Output, passthru};
use super::tools::skipped;

const PROGRAM: &str = env!("CARGO_BIN_EXE_passthru");
const MKINITCPIO: &str = "etc/mkinitcpio.conf";
const ENTRY: &str = "boot/loader/entries/arch.conf";
const GRUB: &str = "etc/default/grub";

fn z490() -> Machine {
    Machine::new("z490-arch")
}

fn failure(output: &Output) -> (i32, &str, &str) {
    (output.code, output.stdout.as_str(), output.stderr.as_str())
}

#[test]
fn a_gpu_that_is_not_there() {
    let there = "Hint: There are: 0000:03:00.0 Advanced Micro Devices, Inc. [AMD/ATI] Navi 22 [Radeon RX 6700/6700 XT/6750 XT / 6800M/6850M XT]; 0000:07:00.0 Advanced Micro Devices, Inc. [AMD/ATI] Navi 23 [Radeon RX 6600/6600 XT/6600M].\n";
    for gpu in [
        "09:00.0",
        "0000:09:00",
        "10de:2482",
        "RTX 4090",
        "",
        " ",
        "07:00.9",
        "07:20.0",
        "::",
        "\u{1f5a5}",
        "../07:00.0",
    ] {
        for verb in ["check", "plan"] {
            for json in [&[][..], &["--json"]] {
                let args = [&["--host", "z490-arch", verb], json, &["--", gpu]].concat();
                let output = passthru(&args);
                let wanted =
                    format!("Error: no GPU of this machine fits `{}`\n{there}", gpu.trim());
                assert_eq!(failure(&output), (2, "", wanted.as_str()), "{verb} {gpu:?}");
            }
        }
    }
    let long = "x".repeat(100_000);
    let output = passthru(&["--host", "z490-arch", "check", &long]);
    assert_eq!((output.code, output.stderr.len() < 400), (2, true), "{}", output.stderr);
}

#[test]
fn a_gpu_that_could_be_several() {
    for gpu in [&["AMD"][..], &["1002:ab28"], &["navi"]] {
        let check = passthru(&[&["--host", "z490-arch", "--json", "check"], gpu].concat());
        let document = check.json();
        assert_eq!((check.code, check.stderr.as_str(), &document["gpu"]), (1, "", &Value::Null));
        assert_eq!(document["verdict"], "unknown", "{gpu:?}");
        assert_eq!(document["candidates"], serde_json::json!(["0000:03:00.0", "0000:07:00.0"]));
        let plan = passthru(&[&["--host", "z490-arch", "--json", "plan"], gpu].concat());
        assert_eq!((plan.code, plan.json()), (1, document), "{gpu:?}");
        assert_eq!(plan.stderr, "There is no plan: see above for what to do first.\n");
    }
    let none = passthru(&["--host", "vm-firecracker", "--json", "check"]);
    assert_eq!((none.code, &none.json()["gpu"]), (1, &Value::Null));
    assert_eq!(none.json()["verdict"], "blocked");
}

#[test]
fn a_root_that_is_none() {
    let empty = tempfile::tempdir().expect("a directory");
    let root = empty.path().to_str().expect("UTF-8");
    let missing = format!("{root}/missing");
    for verb in ["inspect", "check", "plan", "capture"] {
        let output = passthru(&["--root", &missing, verb]);
        let wanted = format!(
            "Error: cannot open the root {missing}: No such file or directory (os error 2)\n"
        );
        assert_eq!(failure(&output), (2, "", wanted.as_str()), "{verb}");
    }
    for verb in ["inspect", "check", "plan"] {
        let output = passthru(&["--root", root, "--json", verb]);
        assert_eq!(failure(&output), (2, "", NO_SYS), "{verb}");
    }
    let file = empty.path().join("notes.txt");
    std::fs::write(&file, "hello\n").expect("written");
    let path = file.to_str().expect("UTF-8");
    let output = passthru(&["--root", path, "check"]);
    assert_eq!(output.code, 2);
    assert!(
        output
            .stderr
            .starts_with(&format!("Error: cannot read the capture {path}: not a passthru capture")),
        "{}",
        output.stderr
    );
    let output = passthru(&["--host", "no-such-host", "check"]);
    assert_eq!((output.code, output.stdout.as_str()), (2, ""));
    assert!(
        output
            .stderr
            .starts_with("Error: there is no recorded host `no-such-host`\nHint: Recorded hosts: "),
        "{}",
        output.stderr
    );
}

const NO_SYS: &str = "Error: cannot read the PCI functions in /sys/bus/pci/devices: it is not there\n\
    Hint: Is /sys mounted there? With --root, the directory must hold sys, proc and etc.\n";

#[test]
fn a_machine_without_sys() {
    let machine = z490().remove("sys");
    for args in [
        &["inspect"][..],
        &["inspect", "--groups"],
        &["check"],
        &["plan"],
        &["--json", "plan", "07:00.0"],
    ] {
        assert_eq!(failure(&machine.run(args)), (2, "", NO_SYS), "{args:?}");
    }
}

#[test]
fn a_damaged_capture() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("host.tree");
    let name = path.to_str().expect("UTF-8").to_owned();
    let whole = passthru(&["--host", "z490-arch", "capture"]).stdout;
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("empty", Vec::new(), "not a passthru capture"),
        ("another file", b"#!/bin/sh\n".to_vec(), "not a passthru capture"),
        ("bytes", vec![0xff, 0xfe, 0, 1], "not a passthru capture"),
        (
            "a form",
            b"passthru-tree 1\netc/x ~ y\n".to_vec(),
            "line 2: an entry of no known form: `etc/x ~ y`",
        ),
        (
            "escape",
            b"passthru-tree 1\n../x = y\n".to_vec(),
            "line 2: a path that is not plain and relative: `../x = y`",
        ),
        (
            "absolute",
            b"passthru-tree 1\n/etc/x = y\n".to_vec(),
            "line 2: a path that is not plain and relative: `/etc/x = y`",
        ),
        ("base64", b"passthru-tree 1\nx base64:\n  |!!!\n".to_vec(), "line "),
        (
            "stray text",
            b"passthru-tree 1\n  |text\n".to_vec(),
            "line 2: text that belongs to no file",
        ),
    ];
    for (what, bytes, reason) in cases {
        std::fs::write(&path, bytes).expect("written");
        for verb in ["inspect", "check", "plan", "capture"] {
            let output = passthru(&["--root", &name, verb]);
            assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{what} {verb}");
            let start = format!("Error: cannot read the capture {name}: {reason}");
            assert!(output.stderr.starts_with(&start), "{what}: {}", output.stderr);
        }
    }
    // Cut anywhere it is refused, or read as the smaller machine that it is.
    for part in 1..40 {
        let end = whole.floor_boundary(whole.len() * part / 40);
        std::fs::write(&path, &whole[..end]).expect("written");
        sound(&passthru(&["--root", &name, "--json", "check"]), "cut", true);
    }
}

trait FloorBoundary {
    fn floor_boundary(&self, at: usize) -> usize;
}

impl FloorBoundary for String {
    fn floor_boundary(&self, at: usize) -> usize {
        (0..=at).rev().find(|end| self.is_char_boundary(*end)).unwrap_or(0)
    }
}

/// An answer or a clear error: one of the three exit codes, no panic, one JSON document.
fn sound(output: &Output, what: &str, json: bool) {
    assert!((0..=2).contains(&output.code), "{what}: {output:?}");
    assert!(!output.stderr.contains("panicked"), "{what}: {}", output.stderr);
    if output.code == 2 {
        assert!(output.stderr.starts_with("Error: "), "{what}: {}", output.stderr);
    }
    if json && (output.code < 2 || !output.stdout.is_empty()) {
        let _ = output.json();
    }
}

#[test]
fn links_do_not_lead_out_of_the_root() {
    let secret = tempfile::tempdir().expect("a directory");
    let file = secret.path().join("secret");
    std::fs::write(&file, "MODULES=(top_secret_module)\nHOOKS=(base udev)\n").expect("written");
    let absolute = file.to_str().expect("UTF-8").to_owned();
    let climbing = format!("../../../../../../../../../../{}", &absolute[1..]);
    for target in
        [&absolute, &climbing, &"/proc/self/root/etc/passwd".to_owned(), &"/etc/passwd".to_owned()]
    {
        let machine = z490()
            .link(MKINITCPIO, target)
            .link("etc/os-release", target)
            .link("etc/modprobe.d/vfio.conf", target)
            .link("proc/cmdline", target)
            .link(ENTRY, target);
        let machine = machine.link("etc/dracut.conf.d", secret.path().to_str().expect("UTF-8"));
        for verb in ["inspect", "check", "plan", "capture"] {
            let output = machine.run(&["--json", "-v", verb]);
            sound(&output, target, true);
            let all = output.stdout + &output.stderr;
            assert!(
                !all.contains("top_secret_module") && !all.contains("root:x:0"),
                "{target}\n{all}"
            );
        }
    }
    // The same link is good where it stays inside: absolute links start at the root.
    let inside = z490()
        .write("etc/real.conf", "MODULES=(amdgpu)\nHOOKS=(base udev modconf)\n")
        .link(MKINITCPIO, "/etc/real.conf");
    let check = inside.run(&["--json", "check"]).stdout;
    assert!(check.contains("\"amdgpu\"") && check.contains("gpu-driver-in-initramfs"), "{check}");
    // A loop ends.
    let looped = z490().link(MKINITCPIO, "mkinitcpio.conf");
    let plan = looped.run(&["plan"]);
    assert_eq!(plan.code, 1);
    assert!(
        plan.stdout.contains("/etc/mkinitcpio.conf") && plan.stdout.contains("loop"),
        "{}",
        plan.stdout
    );
}

#[test]
fn a_fifo_does_not_hang() {
    for path in [
        MKINITCPIO,
        ENTRY,
        "etc/modprobe.d/vfio.conf",
        "proc/cmdline",
        "sys/class/dmi/id/board_name",
        "proc/cpuinfo",
    ] {
        let machine = z490();
        let at = machine.root().join(path);
        let _ = std::fs::remove_file(&at);
        let made = Command::new("mkfifo").arg(&at).status().expect("mkfifo starts");
        assert!(made.success());
        for verb in ["inspect", "check", "plan", "capture"] {
            let mut child = Command::new(PROGRAM)
                .args(["--root", machine.root().to_str().expect("UTF-8"), verb])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the program starts");
            let code = (0..400).find_map(|_| {
                std::thread::sleep(Duration::from_millis(25));
                child.try_wait().expect("a child")
            });
            if code.is_none() {
                child.kill().expect("killed");
            }
            let code = code.unwrap_or_else(|| panic!("{verb} hangs on {path}")).code();
            assert!(matches!(code, Some(0..=2)), "{verb} {path}: {code:?}");
        }
    }
}

/// Paths of all files and links of a machine, in order.
fn all_files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if std::fs::symlink_metadata(&path).expect("there").is_dir() {
                dirs.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// What can stand where a file should be.
const DAMAGE: [&str; 6] = ["empty", "garbage", "directory", "dangling", "nul", "crlf"];

fn damage(path: &Path, how: &str) {
    let old = std::fs::read(path).unwrap_or_default();
    let _ = std::fs::remove_file(path);
    match how {
        "empty" => std::fs::write(path, "").expect("written"),
        "garbage" => std::fs::write(path, [0xff, 0xfe, b'=', b'\'', b'"', b'(', b'\n', 0xc3, 0x28])
            .expect("written"),
        "directory" => std::fs::create_dir(path).expect("made"),
        "dangling" => symlink("/nowhere/at/all", path).expect("a link"),
        "nul" => std::fs::write(path, [&old[..], b"\0\n"].concat()).expect("written"),
        _ => std::fs::write(path, String::from_utf8_lossy(&old).replace('\n', "\r\n"))
            .expect("written"),
    }
}

fn restore(path: &Path, from: &Path) {
    if std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
        std::fs::remove_dir(path).expect("removed");
    } else {
        let _ = std::fs::remove_file(path);
    }
    match std::fs::read_link(from) {
        Ok(target) => symlink(target, path).expect("a link"),
        Err(_) => {
            std::fs::copy(from, path).expect("copied");
        }
    }
}

/// Every file of a machine that is not one of many alike, in some ways; those in /etc in all.
#[test]
fn every_file_may_be_broken() {
    for host in ["z490-arch", "b560-nobara-single-gpu"] {
        let (good, bad) = (Machine::new(host), Machine::new(host));
        let root = bad.root();
        let inside = |path: &Path| {
            path.strip_prefix(&root).expect("inside").to_str().expect("UTF-8").to_owned()
        };
        let decisive = |path: &Path| {
            let path = inside(path);
            let many = ["sys/devices", "sys/bus", "sys/kernel"];
            let alike = many.iter().any(|dir| path.starts_with(dir));
            !alike || path.contains("01:00.0/") || path.contains("07:00.1/")
        };
        let files = all_files(&root);
        for (index, path) in files.iter().filter(|path| decisive(path)).enumerate() {
            let from = good.root().join(inside(path));
            let ways = if inside(path).starts_with("etc") { DAMAGE.len() } else { 2 };
            for way in 0..ways {
                let how = DAMAGE[(2 * index + way) % DAMAGE.len()];
                damage(path, how);
                let what = format!("{} {how}", path.display());
                sound(&bad.run(&["--json", "plan"]), &what, true);
                restore(path, &from);
            }
        }
    }
}

/// Whole directories at once.
#[test]
fn many_files_may_be_broken() {
    let parts = ["etc", "proc", "boot", "usr", "sys/class", "sys/devices", ""];
    for (host, parts) in [("z490-arch", &parts[..]), ("qemu-sdboot-intel-bound", &parts[5..])] {
        for how in DAMAGE {
            for part in parts {
                let machine = Machine::new(host);
                for path in all_files(&machine.root().join(part)) {
                    damage(&path, how);
                }
                for verb in ["inspect", "check", "plan"] {
                    let what = format!("{host}: {part} {how} {verb}");
                    sound(&machine.run(&["--json", verb]), &what, true);
                }
                sound(&machine.run(&["-v", "check"]), how, false);
            }
        }
    }
}

#[test]
fn files_of_strange_sizes_and_names() {
    let huge = format!("MODULES=()\nHOOKS=(base)\n{}", "# filler\n".repeat(200_000));
    let machine = z490().write(MKINITCPIO, huge);
    let plan = machine.run(&["--json", "plan"]);
    assert_eq!(plan.code, 1);
    assert!(
        plan.stdout.contains("/etc/mkinitcpio.conf")
            && plan.stdout.contains("it is larger than 1 MiB"),
        "{}",
        plan.stdout
    );

    let machine = z490().write(MKINITCPIO, "MODULES=()\0\nHOOKS=(base)\n");
    let plan = machine.run(&["--json", "plan"]);
    assert_eq!(plan.code, 1);
    assert!(
        plan.stdout.contains("/etc/mkinitcpio.conf") && plan.stdout.contains("it holds NUL bytes"),
        "{}",
        plan.stdout
    );

    // A name that is not UTF-8 is told of and otherwise passed over.
    let machine = z490();
    let strange = std::ffi::OsString::from_vec(b"etc/modprobe.d/\xff\xfe.conf".to_vec());
    std::fs::write(machine.root().join(strange), "options vfio-pci ids=1:2\n").expect("written");
    let document = machine.run(&["--json", "inspect"]).json();
    let unreadable = document["unreadable"].as_array().expect("a list");
    assert!(
        unreadable.iter().any(|one| one["path"]
            .as_str()
            .is_some_and(|path| path.starts_with("/etc/modprobe.d/"))
            && one["reason"] == "its name is not UTF-8"),
        "{unreadable:?}"
    );
    assert_eq!(machine.run(&["plan"]).code, 1);

    // Devices with names that are no addresses.
    let machine = z490().write("sys/bus/pci/devices/not-an-address/uevent", "PCI_ID=1:2\n");
    sound(&machine.run(&["--json", "check"]), "a device name", true);
}

use std::os::unix::ffi::OsStringExt as _;

/// The lines that a plan adds to a file.
fn added(plan: &Value, path: &str) -> Option<String> {
    let changes = plan["changes"].as_array()?;
    let change = changes.iter().find(|change| change["path"] == format!("/{path}"))?;
    let diff = change["diff"].as_str()?;
    Some(
        diff.split('\n')
            .filter(|line| line.starts_with('+') && !line.starts_with("+++"))
            .collect::<Vec<_>>()
            .join("\n"),
    )
}

/// With line ends of another system: edited without mixing them, or refused with file and line.
#[test]
fn carriage_returns() {
    let crlf = |machine: Machine, path: &str| {
        let text = std::fs::read_to_string(machine.root().join(path)).expect("text");
        machine.write(path, text.replace('\n', "\r\n"))
    };
    let loader = "etc/mkinitcpio.d/linux.preset";
    let cases = [
        (crlf(z490(), ENTRY), ENTRY),
        (
            crlf(
                z490().replace(loader, "PRESETS=", "ALL_config='/etc/mkinitcpio.conf'\nPRESETS="),
                MKINITCPIO,
            ),
            MKINITCPIO,
        ),
        (crlf(Machine::new("h170-mint-turing"), GRUB), GRUB),
    ];
    for (machine, path) in cases {
        let plan = machine.run(&["--json", "plan"]);
        let document = plan.json();
        match plan.code {
            0 => {
                // Untouched, since the change went elsewhere; or every added line keeps its \r;
                // or, in a shell's file, where \r belongs to the value, a line of its own.
                if let Some(lines) = added(&document, path) {
                    let own = |line: &str| line.starts_with("+GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_");
                    let good = |line: &str| line.ends_with('\r') || own(line);
                    assert!(lines.split('\n').all(good), "{path}: {lines:?}");
                }
            }
            1 => {
                let all = plan.stdout;
                assert!(
                    all.contains(&format!("/{path}")) && all.contains("line "),
                    "{path}: {all}"
                );
            }
            code => panic!("{path}: {code}"),
        }
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self")
        .is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// Runs the program as nobody, so that modes of files count.
fn as_nobody(machine: &Machine, args: &[&str]) -> Output {
    let parent = machine.root().parent().expect("a parent").to_owned();
    std::fs::set_permissions(&parent, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    // The program may stand in a directory that nobody may not enter.
    let program = parent.join("passthru");
    if !program.exists() {
        // A copy made here could still be open for writing in a child of another test, and
        // then not be started (ETXTBSY).
        let copied = Command::new("cp").arg(PROGRAM).arg(&program).status().expect("cp starts");
        assert!(copied.success());
    }
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program);
        command
    } else {
        Command::new(&program)
    };
    let output = command
        .arg("--root")
        .arg(machine.root())
        .args(args)
        .env("LC_ALL", "C")
        .output()
        .expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Output {
        code: output.status.code().expect("a code"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

fn hide(machine: &Machine, path: &str) {
    std::fs::set_permissions(machine.root().join(path), std::fs::Permissions::from_mode(0o000))
        .expect("a mode");
}

#[test]
fn an_ordinary_user_is_told_what_he_may_not_read() {
    if is_root()
        && !Command::new("setpriv").arg("--version").output().is_ok_and(|o| o.status.success())
    {
        return skipped(
            "files without permission",
            "setpriv is not installed (package util-linux)",
        );
    }
    let denied = "permission denied (root may read it)";
    let reason = |document: &Value, path: &str| {
        let all = document["unreadable"].as_array().expect("a list");
        all.iter().find(|one| one["path"] == path).map(|one| one["reason"].clone())
    };
    // Values become null, and their paths are listed.
    for (path, pointer) in [
        ("proc/cpuinfo", "/cpu"),
        ("proc/cmdline", "/kernel/command_line"),
        ("sys/kernel/iommu_groups", "/iommu/enabled"),
        ("sys/firmware/acpi/tables", "/iommu/firmware_table"),
        ("usr/lib/modules/6.7.9-arch1-1/modules.dep", "/kernel/vfio_pci"),
        ("proc/interrupts", "/iommu/interrupt_remapping"),
        (
            "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
            "/firmware/secure_boot",
        ),
        ("sys/class/dmi/id/board_name", "/firmware/board"),
    ] {
        let machine = z490().write("proc/interrupts", " 1: 9 IR-IO-APIC 1-edge i8042\n");
        hide(&machine, path);
        let output = as_nobody(&machine, &["--json", "inspect"]);
        let document = output.json();
        assert_eq!((output.code, document.pointer(pointer)), (0, Some(&Value::Null)), "{path}");
        let listed = reason(&document, &format!("/{path}"));
        assert_eq!(listed, Some(Value::from(denied)), "{path}: {:#}", document["unreadable"]);
    }
    // A plan that builds on such a file is refused, with its name.
    for (host, path) in [
        ("z490-arch", MKINITCPIO),
        ("z490-arch", ENTRY),
        ("z490-arch", "etc/modprobe.d"),
        ("z490-arch", "boot"),
        ("z490-arch", "proc/cmdline"),
        ("z490-arch", "usr/lib/modules/6.7.9-arch1-1/modules.alias"),
        ("h170-mint-turing", GRUB),
        ("h170-mint-turing", "etc/initramfs-tools/initramfs.conf"),
    ] {
        let machine = Machine::new(host);
        hide(&machine, path);
        let plan = as_nobody(&machine, &["plan"]);
        assert_eq!(
            (plan.code, plan.stdout.contains(&format!("/{path}"))),
            (1, true),
            "{path}\n{}",
            plan.stdout
        );
        let check = as_nobody(&machine, &["--json", "check"]);
        assert_eq!((check.code, check.json()["verdict"].as_str()), (1, Some("unknown")), "{path}");
        std::fs::set_permissions(machine.root().join(path), std::fs::Permissions::from_mode(0o755))
            .expect("a mode");
    }
    // What no plan needs does not stop it.
    let machine =
        z490().write("etc/libvirt/qemu/autostart/x.xml", "").write("etc/modprobe.d/notes", "");
    hide(&machine, "etc/libvirt/qemu/autostart");
    hide(&machine, "etc/modprobe.d/notes");
    assert_eq!(as_nobody(&machine, &["plan"]).code, 0);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    for args in [
        "--host z490-arch plan",
        "--host z490-arch --json inspect",
        "explain",
        "--help",
        "--host server-8xa100-ubuntu capture",
    ] {
        let script = format!("set -o pipefail; \"$0\" {args} | true; echo ${{PIPESTATUS[0]}}");
        let output =
            Command::new("bash").args(["-c", &script, PROGRAM]).output().expect("bash starts");
        let code = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!((code.as_str(), output.stderr.as_slice()), ("0\n", &b""[..]), "{args}");
    }
    // A full disk is no closed pipe.
    let full = Command::new("bash")
        .args(["-c", "\"$0\" explain >/dev/full", PROGRAM])
        .output()
        .expect("bash starts");
    let said = String::from_utf8_lossy(&full.stderr).into_owned();
    assert_eq!(full.status.code(), Some(2), "{said}");
    assert!(said.starts_with("Error: cannot write to standard output\n  because: "), "{said}");
}

#[test]
fn existing_files_are_not_replaced() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let (kept, link, missing) = (at("kept"), at("link"), at("no/such/dir"));
    std::fs::write(&kept, "precious\n").expect("written");
    symlink(at("elsewhere"), &link).expect("a link");
    for (verb, what) in [("plan", "the plan"), ("capture", "the capture")] {
        for path in [&kept, &link, &missing] {
            let output = passthru(&["--host", "z490-arch", verb, "--out", path]);
            let start = format!("Error: cannot write {what} to {path}\n  because: ");
            assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{verb} {path}");
            assert!(output.stderr.starts_with(&start), "{}", output.stderr);
        }
    }
    let unpack = passthru(&["--host", "z490-arch", "capture", "--unpack", &at("")]);
    assert_eq!(unpack.code, 2, "{}", unpack.stderr);
    assert_eq!(std::fs::read_to_string(&kept).expect("kept"), "precious\n");
    let names = std::fs::read_dir(dir.path()).expect("listed").count();
    assert_eq!((names, Path::new(&at("elsewhere")).exists()), (2, false));
    let refused = passthru(&["--host", "b560-nobara-single-gpu", "plan", "--out", &at("new")]);
    assert_eq!((refused.code, Path::new(&at("new")).exists()), (1, false));
}

/// Everything about a tree but the times of reading.
fn state(root: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt as _;
    let mut found = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = std::fs::symlink_metadata(&path).expect("there");
        let content = if meta.is_file() { std::fs::read(&path).expect("read") } else { Vec::new() };
        let target = std::fs::read_link(&path).unwrap_or_default();
        found.push(format!(
            "{} {:o} {}:{} {} {}.{} {}.{} {} {content:?}",
            path.display(),
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.ino(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
            target.display()
        ));
        if meta.is_dir() {
            todo.extend(
                std::fs::read_dir(&path).expect("listed").map(|e| e.expect("an entry").path()),
            );
        }
    }
    found.sort();
    found
}

const VERBS: [&[&str]; 10] = [
    &["inspect"],
    &["inspect", "--groups"],
    &["--json", "inspect"],
    &["inspect", "--probe"],
    &["check"],
    &["--json", "-v", "check"],
    &["plan"],
    &["--json", "plan", "--ignore-msrs"],
    &["capture"],
    &["explain", "id-shared"],
];

#[test]
fn looking_changes_nothing() {
    for host in ["z490-arch", "h170-mint-turing"] {
        let machine = Machine::new(host);
        let before = state(&machine.root());
        for args in VERBS {
            assert_eq!(machine.run(args).code, 0, "{args:?}");
        }
        assert!(state(&machine.root()) == before, "{host} was changed");
    }
}

#[test]
fn looking_opens_nothing_to_write_and_starts_nothing() {
    if !Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success()) {
        return skipped("system calls of looking", "strace is not installed");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("log");
    let machine = z490();
    let root = machine.root();
    let live: &[&str] = &["--root", "/"];
    let other: &[&str] = &["--root", root.to_str().expect("UTF-8")];
    for (place, args) in VERBS.iter().flat_map(|args| [(live, args), (other, args)]) {
        let output = Command::new("strace")
            .args(["-f", "-qq", "-e", "trace=%file,%network,%process,%desc", "-o"])
            .arg(&log)
            .arg(PROGRAM)
            .args(place)
            .args(*args)
            .output()
            .expect("strace starts");
        let calls = std::fs::read_to_string(&log).unwrap_or_default();
        if calls.is_empty() {
            let why = String::from_utf8_lossy(&output.stderr)
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            return skipped(
                "system calls of looking",
                &format!("strace may not trace here: {why}"),
            );
        }
        let looks = args[0] != "explain";
        assert_eq!(calls.contains("openat2("), looks, "nothing was looked at: {place:?} {args:?}");
        let mut lines = calls
            .lines()
            .map(|line| line.split_once(' ').map_or(line, |(_, call)| call.trim_start()));
        assert!(lines.next().is_some_and(|first| first.starts_with("execve(")));
        for line in lines {
            let name = line.split('(').next().unwrap_or_default();
            let opens = name.starts_with("open")
                && ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"]
                    .iter()
                    .any(|flag| line.contains(flag));
            let writes = [
                "unlink",
                "rename",
                "mkdir",
                "rmdir",
                "link",
                "symlink",
                "chmod",
                "fchmod",
                "chown",
                "truncate",
                "ftruncate",
                "utime",
                "setxattr",
                "mknod",
                "mount",
            ];
            let writes = writes.iter().any(|call| name.starts_with(call));
            let starts = ["execve", "fork", "vfork", "socket", "connect"]
                .iter()
                .any(|call| name.starts_with(call));
            let output = name.starts_with("write") || name.starts_with("pwrite");
            let elsewhere =
                output && !line.starts_with("write(1,") && !line.starts_with("write(2,");
            assert!(!(opens || writes || starts || elsewhere), "{place:?} {args:?}: {line}");
        }
    }
}
