//! The real libvirt with its QEMU driver: machines are created, get a card, lose it, and go, and
//! everything that can go wrong on the way does.
//!
//! The daemon runs in a mount namespace of its own, in which this test starts itself again: its
//! configuration, its state and that of passthru are memory there, so nothing of this machine's
//! is touched, `/` is the running system all the same, and nothing stays, however it ends. There
//! is no /dev/kvm in it, so that it is the same everywhere; the devices and processors that
//! passthru sees are those of a recorded machine.

mod answers;
mod bad;
mod house;
mod live;
mod machines;
mod shared_memory;
mod tuning;

use std::path::Path;
use std::process::Command;

use super::{find, skipped};

const WHAT: &str = "virtual machines on the real libvirt";
/// Set in the namespace: the working directory.
const INSIDE: &str = "PASSTHRU_TEST_LIBVIRT";
const DONE: &str = "done";

/// Programs by Debian package.
const PROGRAMS: [(&str, &str); 13] = [
    ("file", "file"),
    ("mlabel", "mtools"),
    ("mtype", "mtools"),
    ("setpriv", "util-linux"),
    ("systemd-tmpfiles", "systemd"),
    ("unshare", "util-linux"),
    ("virsh", "libvirt-clients"),
    ("virt-xml-validate", "libvirt-clients"),
    ("libvirtd", "libvirt-daemon"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-img", "qemu-utils"),
    ("swtpm", "swtpm"),
    ("xmllint", "libxml2-utils"),
];

#[test]
fn machines_live_on_the_real_libvirt() {
    if let Some(work) = std::env::var_os(INSIDE) {
        return inside(Path::new(&work));
    }
    if let Some(reason) = cannot_run() {
        return skipped(WHAT, &reason);
    }
    let work = tempfile::tempdir().expect("a temporary directory");
    let output = Command::new("unshare")
        .args(["--mount", "--fork", "--kill-child"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", "tools::libvirt::machines_live_on_the_real_libvirt", "--nocapture"])
        .env(INSIDE, work.path())
        .env("TMPDIR", work.path())
        .output()
        .expect("unshare starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    assert!(work.path().join(DONE).exists(), "it ran to its end: {said}");
    let told = |line: &&str| line.starts_with("libvirt ") || line.starts_with("SKIPPED");
    said.lines().filter(told).for_each(|line| println!("{line}"));
}

fn cannot_run() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can mount".to_owned());
    }
    let missing = PROGRAMS.iter().find(|(program, _)| find(program).is_none());
    if let Some((program, package)) = missing {
        return Some(format!("{program} is missing; on Debian: apt-get install {package}"));
    }
    let firmware = Path::new("/usr/share/qemu/firmware");
    (!firmware.is_dir())
        .then(|| "there is no UEFI firmware; on Debian: apt-get install ovmf".into())
}

fn inside(work: &Path) {
    let mut house = house::House::make(work);
    machines::there_and_back(&house);
    machines::on_another_driver(&house);
    machines::domains_of_others_get_their_bytes_back(&house);
    machines::edits_of_others_are_kept(&house);
    tuning::there_and_back(&house);
    answers::in_and_out(&house);
    answers::as_others_read_them(&house);
    answers::refused(&house);
    answers::passwords_are_read(&house);
    answers::a_crash(&house);
    answers::a_crash_after_the_last_step(&house);
    answers::of_a_running_machine(&house);
    shared_memory::comes_and_goes(&house);
    shared_memory::refused(&house);
    bad::words_and_files(&house);
    bad::a_running_machine(&house);
    live::plugged_or_told_why(&house);
    live::taken_back_after_a_crash(&house);
    bad::another_root(&house);
    bad::a_file_of_somebody_elses(&house);
    bad::nobody_answers(&mut house);
    bad::libvirt_dies(&mut house);
    tuning::beside_the_card(&house);
    drop(house);
    std::fs::write(work.join(DONE), "").expect("written");
}
