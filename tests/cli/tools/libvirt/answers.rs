//! The volume with the answers to Setup's questions: in, out, and nowhere else.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use super::house::{House, last_state};
use super::machines::{can_start, create, gone};

const VOLUME: &str = "/var/lib/libvirt/images/asks-answers.img";
const PASSWORD: &str = "a<b&c'\"";

fn unattended<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["vm", "unattended", "asks", "--yes"][..], more].concat()
}

/// Program of the machine, which must succeed.
fn of(program: &str, args: &[&str]) -> String {
    let found = crate::tools::find(program).unwrap_or_else(|| panic!("{program} is there"));
    crate::tools::output(Command::new(found).args(args))
}

/// Files below a directory that hold some bytes.
fn holding(dir: &str, bytes: &str) -> Vec<String> {
    let found = Command::new("grep").args(["-rlaF", "--", bytes, dir]).output().expect("grep");
    String::from_utf8(found.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

/// Put in, taken out, taken back: the domain is as it was to the byte, and the file is gone.
pub fn in_and_out(house: &House) {
    house.does(&create("asks", &[]));
    let bare = house.xml("asks");
    let password = house.file("password", &format!("{PASSWORD}\n"));
    let put = unattended(&["--user", "Zoe", "--password-file", &password]);
    let said = house.does(&put);
    assert!(said.contains(VOLUME) && !said.contains(PASSWORD), "{said}");
    let meta = std::fs::metadata(VOLUME).expect("a volume");
    assert_eq!((meta.permissions().mode() & 0o777, meta.uid(), meta.gid()), (0o600, 0, 0));
    let with = house.xml("asks");
    house.validates(&with);
    let disk = with.rfind(VOLUME).and_then(|at| with[..at].rfind("<disk")).expect("a disk");
    let disk = &with[disk..disk + with[disk..].find("</disk>").expect("its end")];
    for part in ["device='disk'", "bus='usb' removable='on'", "<readonly/>", "'optional'"] {
        assert!(disk.contains(part), "{part}: {disk}");
    }
    let shown = house.passthru(&["--json", "vm", "show", "asks"]).json();
    assert_eq!(shown["answers"], VOLUME);
    // In XML, as a shell would write it, and in the volume's own bytes.
    let kept = ["&lt;b&amp;c", "a<b&c", "PASSTHRU   "].map(|b| holding("/var/lib/passthru", b));
    assert_eq!(kept, [[""; 0]; 3], "nothing of the volume is kept");
    let again = house.refuses(&put);
    assert!(again.contains("is in it already") && again.contains("asks --remove"), "{again}");

    house.does(&["undo", "--yes"]);
    assert_eq!((house.xml("asks"), Path::new(VOLUME).exists()), (bare.clone(), false));
    let log = house.passthru(&["--json", "log"]).json();
    let last = log["transactions"].as_array().and_then(|all| all.last()).expect("one").clone();
    let twice = house.does(&["undo", &last["transaction"].to_string(), "--yes"]);
    assert!(twice.contains("stays away, since a password was in it"), "{twice}");
    assert_eq!((house.xml("asks"), Path::new(VOLUME).exists()), (bare.clone(), false));

    house.does(&put);
    house.does(&unattended(&["--remove"]));
    assert_eq!((house.xml("asks"), Path::new(VOLUME).exists()), (bare.clone(), false));
    let undo = house.does(&["undo", "--yes"]);
    assert!(undo.contains("stays away, since a password was in it"), "{undo}");
    assert_eq!((house.xml("asks"), Path::new(VOLUME).exists()), (bare, false));
    assert!(house.refuses(&unattended(&["--remove"])).contains("put no answers into"));
    // Of the three that are left to take back, the last made the machine.
    for _ in 0..3 {
        house.does(&["undo", "--yes"]);
    }
    assert_eq!(house.all().0, "");
}

/// As the tools of others read the volume.
pub fn as_others_read_them(house: &House) {
    house.does(&create("asks", &["--os", "win10"]));
    let password = house.file("password", &format!("{PASSWORD}\n"));
    let volume = house.file("x", "").replace("/x", "/answers.img");
    let more = ["--password-file", &password, "--language", "de-DE", "--out", &volume];
    house.does(&unattended(&[&["--user", "Zoe"][..], &more].concat()));
    let told = of("file", &["--brief", &volume]);
    assert!(told.contains("FAT (12 bit)") && told.contains("label: \"PASSTHRU   \""), "{told}");
    assert_eq!(of("mlabel", &["-i", &volume, "-s", "::"]).trim(), "Volume label is PASSTHRU");
    assert_eq!(of("mdir", &["-i", &volume, "-b", "::"]), "::/Autounattend.xml\n");
    let text = of("mtype", &["-i", &volume, "::/Autounattend.xml"]);
    let file = house.file("answers.xml", &text);
    of("xmllint", &["--nonet", "--noout", &file]);
    let value =
        "//*[local-name()='LocalAccount']/*[local-name()='Password']/*[local-name()='Value']";
    let read = of("xmllint", &["--nonet", "--xpath", &format!("string({value})"), &file]);
    assert_eq!(read.trim_end_matches('\n'), PASSWORD);
    let layout = include_str!("../../../virtio-win/layout.txt");
    let paths = of("xmllint", &["--nonet", "--xpath", "//*[local-name()='Path']/text()", &file]);
    let paths: Vec<String> = paths.lines().map(|path| path.trim().replace('\\', "/")).collect();
    assert_eq!(paths.len(), 8, "{paths:?}");
    for path in paths {
        let (letter, folder) = path.split_once(":/").expect("a letter");
        let is_driver = |line: &str| {
            line.strip_prefix(folder).is_some_and(|f| f.starts_with('/') && f.ends_with(".inf"))
        };
        assert!("DEFG".contains(letter) && layout.lines().any(is_driver), "{path}");
    }
    for _ in 0..2 {
        house.does(&["undo", "--yes"]);
    }
    assert!(!Path::new(&volume).exists());
}

/// The password is the first line of whatever the file is, up to its longest.
pub fn passwords_are_read(house: &House) {
    let most = "x".repeat(512);
    let file = |bytes: &[u8]| {
        let path = house.file("password", "");
        std::fs::write(&path, bytes).expect("written");
        path
    };
    house.does(&create("asks", &[]));
    let read_from = |before: &str, path: &str, password: &str| {
        let put = unattended(&["--user", "Zoe", "--password-file", path]);
        let output = house.passthru_after(before, &put);
        assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
        let text = of("mtype", &["-i", VOLUME, "::/Autounattend.xml"]);
        let text: String = text.split_whitespace().collect();
        let value = format!("<Password><Value>{password}</Value>");
        assert!(text.contains(&value), "{value}: {text}");
        house.does(&["undo", "--yes"]);
    };
    read_from("", &file(b"\xef\xbb\xbfsecret\r\n\xff\n"), "secret");
    read_from("", &file(format!("\u{feff}{most}\r\nmore").as_bytes()), &most);
    read_from("mkfifo /run/fifo; { sleep 1; echo late; } >/run/fifo &", "/run/fifo", "late");
    std::fs::remove_file("/run/fifo").expect("removed");
    read_from(
        "mkfifo /run/fifo; { sleep 1; echo in; } >/run/fifo & exec </run/fifo",
        "/dev/stdin",
        "in",
    );
    std::fs::remove_file("/run/fifo").expect("removed");
    house.does(&["undo", "--yes"]);
}

/// It goes in and out of a machine that is off alone, by whichever verb.
pub fn of_a_running_machine(house: &House) {
    can_start(house, "asks");
    let bare = house.xml("asks");
    house.does(&unattended(&["--user", "Zoe"]));
    let with = house.xml("asks");
    house.virsh(&["start", "asks", "--paused"]);
    let said = house.refuses(&["undo", "--yes"]);
    assert_eq!(
        said,
        "Error: the domain asks is running\nHint: Shut it down first: `virsh shutdown NAME`.\n"
    );
    assert_eq!((house.xml("asks"), Path::new(VOLUME).exists()), (with, true));
    house.virsh(&["destroy", "asks"]);
    house.does(&["undo", "--yes"]);
    assert_eq!((house.xml("asks"), Path::new(VOLUME).exists()), (bare, false));
    house.virsh(&["start", "asks", "--paused"]);
    gone(house, "asks");
}

/// What is in the way is left alone, and nothing is half-made.
pub fn refused(house: &House) {
    house.does(&create("asks", &[]));
    let bare = house.xml("asks");
    let says = |more: &[&str], part: &str| {
        let said = house.fails(&unattended(more));
        assert!(said.contains(part), "{more:?}: {said}");
        assert_eq!(house.xml("asks"), bare, "{more:?}");
    };
    std::fs::write(VOLUME, "mine").expect("written");
    says(&["--user", "Zoe"], "asks-answers.img exists already");
    assert_eq!(std::fs::read_to_string(VOLUME).expect("it is there"), "mine");
    std::fs::remove_file(VOLUME).expect("removed");
    says(&["--user", "Zoe", "--out", "/etc/answers.img"], "outside of /etc");
    says(&["--user", "Zoe", "--out", "/nowhere/answers.img"], "/nowhere");
    says(&["--user", "a/b"], "is no user name for Windows");
    says(&["--user", "Zoe", "--password-file", "/nowhere"], "cannot read the password");
    let no_password = |bytes: &[u8], part: &str| {
        let path = house.file("password", "");
        std::fs::write(&path, bytes).expect("written");
        says(&["--user", "Zoe", "--password-file", &path], part);
    };
    no_password(b"", "its first line is empty");
    no_password(b"\r\nsecond\n", "its first line is empty");
    no_password(b"\xef\xbb\xbf\n", "its first line is empty");
    no_password("x".repeat(513).as_bytes(), "its first line is over 512 bytes long");
    no_password("\u{e9}".repeat(300).as_bytes(), "its first line is over 512 bytes long");
    no_password(b"\xff\xfep\0\n", "invalid utf-8");
    says(&[], "--user <NAME>");
    says(&["--remove", "--user", "Zoe"], "cannot be used with");
    // Somebody put a file of theirs in the place of the volume.
    house.does(&unattended(&["--user", "Zoe"]));
    std::fs::write(VOLUME, "mine").expect("written");
    let removed = house.passthru(&unattended(&["--remove"]));
    assert_eq!(removed.code, 0, "{}", removed.stderr);
    assert!(removed.stderr.contains("it is not the volume"), "{}", removed.stderr);
    assert_eq!(std::fs::read_to_string(VOLUME).expect("it stays"), "mine");
    std::fs::remove_file(VOLUME).expect("removed");
    for _ in 0..3 {
        house.does(&["undo", "--yes"]);
    }
    assert_eq!(house.all().0, "");
}

/// The power was cut after the volume was written, and while it was.
pub fn a_crash(house: &House) {
    for (event, left) in [("defined", VOLUME), ("making-image", HALF)] {
        house.does(&create("asks", &[]));
        let bare = house.xml("asks");
        house.does(&unattended(&["--user", "Zoe"]));
        let script = format!(
            "set -e; cd /var/lib/passthru; n=$(ls | grep -x '[0-9]*' | sort -n | tail -n 1); \
             sed -i '/\"event\":\"{event}\"/q' $n/journal.jsonl"
        );
        let _ = crate::tools::output(Command::new("bash").args(["-c", &script]));
        if left != VOLUME {
            std::fs::rename(VOLUME, left).expect("renamed");
            house.virsh(&["define", &house.file("bare.xml", &bare)]);
        }
        house.does(&["recover"]);
        let (asks, there) = (house.xml("asks"), Path::new(left).exists());
        assert_eq!((asks.as_str(), there), (bare.as_str(), false), "{event}");
        // Who changes it next takes that back first, and goes by what is there then.
        if left == VOLUME {
            house.does(&unattended(&["--user", "Zoe"]));
            let _ = crate::tools::output(Command::new("bash").args(["-c", &script]));
            house.does(&unattended(&["--user", "Zoe"]));
            house.does(&["undo", "--yes"]);
            assert_eq!(house.xml("asks"), bare);
        }
        house.does(&["undo", "--yes"]);
    }
}

/// The power was cut after the volume was removed: it is not said to be back, and what is left to
/// do is done. Before that all is as it was.
pub fn a_crash_after_the_last_step(house: &House) {
    house.does(&create("asks", &[]));
    let bare = house.xml("asks");
    let forget = |from: &str| {
        let script = format!(
            "set -e; cd /var/lib/passthru; n=$(ls | grep -x '[0-9]*' | sort -n | tail -n 1); \
             sed -i '/\"event\":\"{from}\"/,$d' $n/journal.jsonl; echo $n"
        );
        crate::tools::output(Command::new("bash").args(["-c", &script])).trim().to_owned()
    };
    house.does(&unattended(&["--user", "Zoe"]));
    let (with, volume) = (house.xml("asks"), std::fs::read(VOLUME).expect("a volume"));
    house.does(&unattended(&["--remove"]));
    let id = forget("applied");
    let said = house.does(&["recover"]);
    let end =
        "not finished: it was finished, since the volume with the answers was gone already.\n";
    assert!(
        said.starts_with(&format!("Found transaction {id}, ")) && said.ends_with(end),
        "{said}"
    );
    assert_eq!((house.xml("asks"), Path::new(VOLUME).exists()), (bare.clone(), false));
    assert_eq!(last_state(house), "applied");
    assert_eq!(house.does(&["recover"]), "Nothing is unfinished.\n");

    house.does(&["undo", "--yes"]);
    house.does(&["undo", "--yes"]);
    house.does(&unattended(&["--user", "Zoe"]));
    house.does(&unattended(&["--remove"]));
    forget("removing");
    std::fs::write(VOLUME, &volume).expect("written");
    house.does(&["recover"]);
    assert_eq!((house.xml("asks"), Path::new(VOLUME).exists()), (with, true));
    assert_eq!(last_state(house), "rolled-back");
    for _ in 0..2 {
        house.does(&["undo", "--yes"]);
    }
    assert_eq!(house.all().0, "");
}

/// The name of the volume until it is complete.
const HALF: &str = "/var/lib/libvirt/images/.asks-answers.img.passthru-new";
