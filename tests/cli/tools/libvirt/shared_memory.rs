//! Who may open the memory of Looking Glass: written with the card, read by the real
//! systemd-tmpfiles, and taken back with it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::house::House;
use super::machines::create;

const FILE: &str = "/etc/tmpfiles.d/passthru-looking-glass.conf";
const TEXT: &str = "# Written by passthru. Take it back with: passthru undo\n\
                    f /dev/shm/looking-glass 0660 nobody kvm -\n";
const MEMORY: &str = "/dev/shm/looking-glass";

fn attach<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let glass = ["vm", "attach", "glass", "07:00.0", "--yes", "--looking-glass", "1920x1080"];
    [&glass[..], more].concat()
}

fn written() -> Option<String> {
    std::fs::read_to_string(FILE).ok()
}

/// Attached, taken back, attached by sudo, detached, and that taken back.
pub fn comes_and_goes(house: &House) {
    house.does(&create("glass", &[]));
    let bare = house.xml("glass");
    let said = house.does(&attach(&["--looking-glass-user", "nobody"]));
    for part in [FILE, "+f /dev/shm/looking-glass 0660 nobody kvm -", "systemd-tmpfiles --create"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(written().as_deref(), Some(TEXT));
    let meta = std::fs::metadata(MEMORY).expect("systemd made it");
    let group = std::fs::read_to_string("/etc/group").expect("groups");
    let kvm = group.lines().find_map(|line| line.strip_prefix("kvm:x:")?.split(':').next());
    let kvm = kvm.and_then(|id| id.parse().ok()).expect("a number");
    let got = (meta.permissions().mode() & 0o777, meta.uid(), meta.gid());
    assert_eq!(got, (0o660, 65534, kvm));
    app_armor_knows(&house.xml("glass"));
    let undo = house.does(&["undo", "--yes"]);
    assert!(undo.contains(FILE), "{undo}");
    assert_eq!((house.xml("glass"), written()), (bare.clone(), None));

    let sudo = house.passthru_after("export SUDO_USER=nobody", &attach(&[]));
    assert_eq!((sudo.code, written().as_deref()), (0, Some(TEXT)), "{}", sudo.stderr);
    let with = house.xml("glass");
    house.does(&["vm", "detach", "glass", "--yes"]);
    assert_eq!((house.xml("glass"), written()), (bare.clone(), None));
    std::fs::remove_file(MEMORY).expect("removed");
    house.does(&["undo", "--yes"]);
    assert_eq!((house.xml("glass"), written().as_deref()), (with, Some(TEXT)));
    assert!(Path::new(MEMORY).exists(), "systemd made it again");
    // Somebody shares memory of that name in another domain: its permissions stay.
    let other = house.xml("glass").replace("<name>glass<", "<name>other<");
    let uuid = other.find("  <uuid>").expect("one");
    let other = other[..uuid].to_owned() + &other[other.find("</uuid>\n").expect("its end") + 8..];
    house.virsh(&["define", &house.file("other.xml", &other)]);
    house.does(&["vm", "detach", "glass", "--yes"]);
    assert_eq!((house.xml("glass"), written().as_deref()), (bare.clone(), Some(TEXT)));
    house.does(&["undo", "--yes"]);
    let undo = house.does(&["undo", "--yes"]);
    assert!(undo.contains(&format!("{FILE} stays: another domain shares memory")), "{undo}");
    assert_eq!((house.xml("glass"), written().as_deref()), (bare.clone(), Some(TEXT)));
    house.virsh(&["undefine", "other", "--keep-nvram"]);
    std::fs::remove_file(FILE).expect("removed");
    assert_eq!((house.xml("glass"), written()), (bare, None));
    house.does(&["undo", "--yes"]);
}

/// The profile that libvirt makes for AppArmor lets the guest open the memory.
fn app_armor_knows(xml: &str) {
    let helper = "/usr/lib/libvirt/virt-aa-helper";
    if !Path::new(helper).exists() {
        return crate::tools::skipped("what libvirt tells AppArmor", "no virt-aa-helper");
    }
    let uuid = xml.split_once("<uuid>").and_then(|(_, rest)| rest.split_once('<')).expect("one").0;
    let mut child = std::process::Command::new(helper)
        .args(["--dryrun", "--replace", "--uuid", &format!("libvirt-{uuid}")])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, xml.as_bytes()).expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("\"/dev/shm/looking-glass\" rw,"), "{said}");
}

/// Whose memory it is must be known, files of others stay, and what fails leaves nothing.
pub fn refused(house: &House) {
    house.does(&create("glass", &[]));
    let bare = house.xml("glass");
    let says = |more: &[&str], parts: &[&str]| {
        let said = house.fails(&attach(more));
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(house.xml("glass"), bare, "{more:?}");
    };
    says(&[], &["it is not known who", "--looking-glass-user USER"]);
    says(&["--looking-glass-user", "nemo"], &["no user `nemo`"]);
    let sudo = house.passthru_after("export SUDO_USER=root", &attach(&[]));
    assert!(sudo.stderr.contains("it is not known who"), "{}", sudo.stderr);
    let nobody = ["--looking-glass-user", "nobody"];
    std::fs::write(FILE, "f /dev/shm/looking-glass 0666 root root -\n").expect("written");
    says(&nobody, &["is somebody else's"]);
    std::fs::remove_file(FILE).expect("removed");
    let program = "/usr/local/bin/systemd-tmpfiles";
    std::fs::write(program, "#!/bin/sh\necho no such luck\nexit 1\n").expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(program, mode).expect("a mode");
    says(&nobody, &["systemd-tmpfiles --create", "no such luck", "Everything was taken back"]);
    assert!(!Path::new(FILE).exists(), "taken back");
    std::fs::remove_file(program).expect("removed");

    let own = "/etc/tmpfiles.d/10-mine.conf";
    std::fs::write(own, "f /dev/shm/looking-glass 0660 me kvm -\n").expect("written");
    let said = house.does(&attach(&[]));
    assert!(said.contains("/etc/tmpfiles.d/10-mine.conf says who may open"), "{said}");
    assert!(!Path::new(FILE).exists(), "one is enough");
    std::fs::remove_file(own).expect("removed");
    for _ in 0..2 {
        house.does(&["undo", "--yes"]);
    }
}
