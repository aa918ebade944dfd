//! What goes wrong: a clear word, exit code 2, and nothing half-made.

use super::house::{AS_NOBODY, House, WITHOUT_VIRSH, names};
use super::machines::{can_start, create, gone};

fn says(house: &House, args: &[&str], parts: &[&str]) {
    let before = house.all();
    let said = house.refuses(args);
    for part in parts {
        assert!(said.contains(part), "{args:?}: {part:?} is not in {said}");
    }
    assert_eq!(house.all(), before, "{args:?} left something");
}

/// Words that mean nothing, files that are not there, more than the host has.
pub fn words_and_files(house: &House) {
    says(
        house,
        &["vm", "show", "nobody"],
        &["no domain `nobody`", "Domains there: There is none."],
    );
    says(house, &["vm", "detach", "nobody", "--yes"], &["no domain `nobody`"]);
    says(house, &["vm", "tune", "nobody", "--yes"], &["no domain `nobody`"]);
    says(house, &["vm", "check", "nobody"], &["no domain `nobody`"]);
    says(house, &["vm", "attach", "nobody", "--yes"], &["no domain `nobody`"]);
    let answers = ["vm", "unattended", "nobody", "--user", "Zoe", "--yes"];
    says(house, &answers, &["no domain `nobody`"]);
    let connect = |uri| ["vm", "--connect", uri, "show", "x"];
    says(house, &connect("qemu+ssh://other/system"), &["no libvirt of this machine"]);
    says(house, &connect("xen:///system"), &["libvirt refuses: list"]);
    says(house, &["--host", "z490-arch", "vm", "show", "x"], &["belongs to the running system"]);
    says(house, &create("--x", &[]), &["unexpected argument"]);
    says(house, &create("7", &[]), &["`7` is no name for a domain"]);
    says(house, &create("a/b", &[]), &["no name for a domain"]);
    let iso = |path| create("new", &["--iso", path]);
    says(house, &iso("/nowhere.iso"), &["cannot read the ISO /nowhere.iso", "it is not there"]);
    says(house, &iso("/etc"), &["it is no file"]);
    let empty = house.file("empty.iso", "");
    says(house, &iso(&empty), &["cannot read the ISO", "it is empty"]);
    says(
        house,
        &create("new", &["--disk", "/nowhere.img"]),
        &["cannot take /nowhere.img as the disk"],
    );
    says(house, &create("new", &["--disk", "pool/volume"]), &["storage pool", "virsh pool-list"]);
    says(house, &create("new", &["--disk", "tiny"]), &["names no disk"]);
    let more = |option, value| {
        let least = ["vm", "create", "new", "--emulate", "--yes", option, value];
        least.to_vec()
    };
    says(house, &more("--cpus", "4096"), &["4096 virtual processors were asked for"]);
    says(house, &more("--memory", "1000T"), &["1024000G of memory were asked for"]);
    says(house, &more("--memory", "1G"), &["Windows needs 4G"]);
    says(house, &["vm", "create", "new", "--yes"], &["KVM is not there"]);
    for (text, wanted) in [
        ("version = 1\nram = \"4G\"\n", "unknown field `ram`"),
        ("version = 9\n", "it has version 9"),
        ("disk = [", "cannot take the wish from"),
    ] {
        let spec = house.file("wish.toml", text);
        says(house, &create("new", &["--spec", &spec]), &[wanted]);
    }
    let image = "/var/lib/libvirt/images/new.qcow2";
    std::fs::write(image, "mine").expect("written");
    says(house, &create("new", &[]), &["the disk image /var/lib/libvirt/images/new.qcow2 exists"]);
    assert_eq!(std::fs::read_to_string(image).expect("it is there"), "mine");
    std::fs::remove_file(image).expect("removed");
    // A bridge whose name is longer than the kernel's limit passes here, and the schema refuses.
    house.does(&create("taken", &[]));
    says(house, &create("taken", &[]), &["has a domain `taken` already"]);
    says(house, &["vm", "detach", "taken", "--yes"], &["attached no card"]);
    says(house, &["vm", "attach", "taken", "09:00.0", "--yes"], &["no GPU of this machine fits"]);
    says(house, &["vm", "attach", "taken", "03:00.0", "--yes"], &["shows the host's picture"]);
    house.does(&["undo", "--yes"]);
}

/// A machine that runs is left alone.
pub fn a_running_machine(house: &House) {
    can_start(house, "runs");
    house.virsh(&["start", "runs", "--paused"]);
    let why = ["the domain runs is paused", "the card has 2 functions", "virsh shutdown runs"];
    says(house, &["vm", "attach", "runs", "07:00.0", "--yes"], &why);
    says(house, &["vm", "detach", "runs", "--yes"], &["virsh shutdown runs"]);
    says(house, &["vm", "tune", "runs", "--yes"], &["the domain runs is paused"]);
    let answers = ["vm", "unattended", "runs", "--user", "Zoe", "--yes"];
    says(house, &answers, &["the domain runs is paused"]);
    gone(house, "runs");
}

/// Nobody answers, or not to this user: every verb says why and what to do, and leaves nothing.
pub fn nobody_answers(house: &mut House) {
    house.does(&create("alone", &[]));
    let create = create("new", &[]);
    let verbs: [&[&str]; 6] = [
        &create,
        &["vm", "show", "alone"],
        &["vm", "check", "alone"],
        &["vm", "attach", "alone", "07:00.0", "--yes"],
        &["vm", "detach", "alone", "--yes"],
        &["vm", "unattended", "alone", "--user", "Zoe", "--yes"],
    ];
    let left = || ["/var/lib/libvirt/images", "/var/lib/passthru", "/etc/tmpfiles.d"].map(names);
    let before = left();
    let says = |house: &House, first: &str, args: &[&str], parts: &[&str]| {
        let output = house.passthru_after(first, args);
        let got = (output.code, output.stdout.as_str());
        assert_eq!(got, (2, ""), "{args:?}: {}", output.stderr);
        for part in parts {
            assert!(output.stderr.contains(part), "{args:?}: {part:?}: {}", output.stderr);
        }
        assert_eq!(left(), before, "{args:?} left something");
    };
    for args in verbs {
        let parts = ["the program virsh is not there", "Install libvirt: on Debian and Ubuntu"];
        says(house, WITHOUT_VIRSH, args, &parts);
    }
    let denied = ["Permission denied", "usermod -aG libvirt USER"];
    says(house, AS_NOBODY, &["vm", "show", "alone"], &denied);
    says(house, AS_NOBODY, &["vm", "check", "alone"], &denied);
    says(house, AS_NOBODY, &create, &["changing this machine needs root", "sudo"]);
    house.stop();
    let socket = "/run/libvirt/libvirt-sock";
    for reason in ["Connection refused", "No such file or directory"] {
        for args in verbs {
            let parts =
                ["Failed to connect socket", reason, "systemctl enable --now libvirtd.socket"];
            says(house, "", args, &parts);
        }
        let _ = std::fs::remove_file(socket);
    }
    house.restart();
    assert_eq!(house.all().0, "alone");
    house.does(&["undo", "--yes"]);
}

/// libvirt dies before it defines a machine, and after it did, and before passthru reads it back.
pub fn libvirt_dies(house: &mut House) {
    let before = house.all();
    for when in ["before", "after"] {
        let (pid, flag) = (house.pid(), house.file("flag", ""));
        let kill = format!(
            "rm -f {flag}; kill -9 {pid}; while kill -0 {pid} && ! grep -q zombie /proc/{pid}/status; do :; done"
        );
        let (first, then) = match when {
            "before" => (kill.as_str(), ""),
            _ => ("", kill.as_str()),
        };
        let script = format!(
            "#!/bin/bash\ncase \"$*\" in *define*--validate*) [ ! -e {flag} ] || {{ {first}\n\
             /usr/bin/virsh \"$@\"; code=$?; {then}\nexit $code; }} ;; esac\nexec /usr/bin/virsh \"$@\"\n"
        );
        std::fs::write("/usr/local/bin/virsh", script).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions("/usr/local/bin/virsh", mode).expect("a mode");
        let said = house.passthru(&create("dies", &[]));
        assert_eq!(said.code, 2, "{}{}", said.stdout, said.stderr);
        for part in ["libvirt refuses", "taking it back failed", "passthru recover"] {
            assert!(said.stderr.contains(part), "{when}: {part}: {}", said.stderr);
        }
        let image = std::path::Path::new("/var/lib/libvirt/images/dies.qcow2");
        assert!(!image.exists(), "{when}: the image is gone at once");
        std::fs::remove_file("/usr/local/bin/virsh").expect("removed");
        house.restart();
        let names = house.all().0;
        assert_eq!(names, if when == "after" { "dies" } else { "" }, "what libvirt kept");
        let recovered = house.does(&["recover"]);
        assert!(recovered.contains("changing a virtual machine"), "{recovered}");
        assert_eq!(house.all(), before, "{when}: nothing is left");
    }
}

/// A record of a machine that lies in another root is not acted on here.
pub fn another_root(house: &House) {
    house.does(&create("here", &[]));
    let dir = house.file("root", "");
    std::fs::remove_file(&dir).expect("removed");
    let copy = format!(
        "mkdir -p {dir}/var/lib && cp -a /var/lib/passthru {dir}/var/lib/ && cp -a /etc/os-release {dir}/ && mkdir {dir}/sys {dir}/proc {dir}/etc"
    );
    let _ = crate::tools::output(std::process::Command::new("bash").args(["-c", &copy]));
    says(house, &["--root", &dir, "undo", "--yes"], &["this root does not run"]);
    house.does(&["undo", "--yes"]);
}

/// The power was cut before the image was begun, and what is at its path now is somebody's.
pub fn a_file_of_somebody_elses(house: &House) {
    house.does(&create("early", &[]));
    let image = "/var/lib/libvirt/images/early.qcow2";
    let script = format!(
        "set -e; virsh --quiet undefine --nvram early; cd /var/lib/passthru; n=$(ls | grep -x '[0-9]*' | sort -n | tail -n 1); \
         sed -i 1q $n/journal.jsonl; echo mine >{image}"
    );
    let _ = crate::tools::output(std::process::Command::new("bash").args(["-c", &script]));
    let recovered = house.does(&["recover"]);
    assert!(recovered.contains("changing a virtual machine"), "{recovered}");
    assert_eq!(std::fs::read_to_string(image).expect("it stays"), "mine\n");
    std::fs::remove_file(image).expect("removed");
}
