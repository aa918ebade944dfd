//! What must work.

use super::house::{House, on_the_test_driver};

const ISO: &str = "/var/lib/libvirt/images/windows.iso";
const VIRTIO: &str = "/var/lib/libvirt/images/virtio-win.iso";

/// Arguments of a small machine that runs anywhere.
pub fn create<'a>(name: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let small = ["vm", "create", name, "--emulate", "--memory", "4G", "--cpus", "2", "--yes"];
    [&small[..], more].concat()
}

/// Makes a machine that starts here.
pub fn can_start(house: &House, name: &str) {
    house.does(&create(name, &["--no-secure-boot", "--no-tpm", "--network", "default"]));
    let whole = house.xml(name);
    let start = whole.find("    <interface").expect("an interface");
    let end = whole.find("    </interface>\n").expect("its end");
    let text = whole[..start].to_owned() + &whole[end + 17..];
    // tmpfs has no direct access, which `cache='none'` asks for.
    let text = text.replace(" cache='none' io='native'", "");
    house.virsh(&["define", &house.file("starts.xml", &text)]);
}

/// Takes a machine that runs away.
pub fn gone(house: &House, name: &str) {
    house.virsh(&["destroy", name]);
    house.virsh(&["undefine", name, "--nvram"]);
    let image = format!("/var/lib/libvirt/images/{name}.qcow2");
    std::fs::remove_file(image).expect("removed");
}

/// Created, shown, given the card, checked, and all of it taken back, for both Windows.
pub fn there_and_back(house: &House) {
    let before = house.all();
    for (name, os) in [("ten", "win10"), ("eleven", "win11")] {
        let image = format!("/var/lib/libvirt/images/{name}.qcow2");
        let made = house.does(&create(name, &["--iso", ISO, "--virtio-iso", VIRTIO, "--os", os]));
        assert!(made.contains("libvirt validated it"), "{made}");
        let bare = house.xml(name);
        house.validates(&bare);
        assert_eq!(bare.contains("<tpm model='tpm-crb'>"), os == "win11", "{bare}");
        assert_eq!(bare.contains("enabled='yes' name='secure-boot'"), os == "win11", "{bare}");
        assert!(bare.contains("<os firmware='efi'>") && bare.contains(&image), "{bare}");
        let size = std::fs::metadata(&image).expect("an image").len();
        assert!(size < 1 << 20, "it is sparse: {size}");
        let spec = house.does(&["vm", "show", "--spec", name]);
        assert!(
            spec.contains(&format!("os = \"{os}\"\n")) && spec.contains("cpus = 2\n"),
            "{spec}"
        );

        let more: &[&str] = match os {
            "win10" => &[],
            _ => {
                &["--no-display", "--looking-glass", "2560x1440", "--looking-glass-user", "nobody"]
            }
        };
        house.does(&[&["vm", "attach", name, "07:00.0", "--yes"], more].concat());
        let with = house.xml(name);
        house.validates(&with);
        assert_eq!(with.matches("<hostdev ").count(), 2, "{with}");
        let shown = house.passthru(&["--json", "vm", "show", name]).json();
        assert_eq!(shown["cards"][0]["functions"].as_array().map(Vec::len), Some(2), "{shown}");
        assert_eq!(shown["cards"][0]["differs"], serde_json::Value::Null);
        let check = house.passthru(&["--json", "vm", "check", name]);
        let codes: Vec<String> = check.json()["findings"]
            .as_array()
            .expect("findings")
            .iter()
            .map(|finding| finding["code"].as_str().expect("a code").to_owned())
            .collect();
        assert_eq!(check.code, 1, "there is no network: {codes:?}");
        assert_eq!(codes, ["vm-network-inactive", "vm-card-not-bound"]);
        assert!(house.refuses(&["vm", "attach", name, "07:00.0", "--yes"]).contains("already"));

        house.does(&["vm", "detach", name, "--yes"]);
        assert_eq!(house.xml(name), bare, "detached to the byte");
        house.does(&["undo", "--yes"]);
        assert_eq!(house.xml(name), with, "the detach is taken back");
        house.does(&["undo", "--yes"]);
        assert_eq!(house.xml(name), bare, "the attach is taken back");
        house.does(&["undo", "--yes"]);
        assert_eq!(house.all(), before, "the machine and its image are gone");

        let log = house.passthru(&["--json", "log"]).json();
        let last = log["transactions"].as_array().and_then(|all| all.last()).expect("one").clone();
        house.does(&["undo", &last["transaction"].to_string(), "--yes"]);
        assert_eq!(house.xml(name), bare, "an undo is taken back, addresses and UUID included");
        house.does(&["undo", "--yes"]);
        assert_eq!(house.all(), before, "and again");
    }
}

/// The machine of the guide, with KVM and all, and both Windows with and without a card.
pub fn on_another_driver(house: &House) {
    let guide = crate::harness::project()
        .join("src/vm/tests/snapshots/passthru__vm__tests__making__eleven.snap");
    let guide = std::fs::read_to_string(guide).expect("a snapshot");
    let guide = &guide[guide.find("<domain").expect("a domain")..];
    house.validates(guide);
    let kept = on_the_test_driver(&house.file("guide.xml", guide), "windows");
    for part in [
        "<domain type='kvm'>",
        "<os firmware='efi'>",
        "name='secure-boot'",
        "<stimer state='on'>",
        "<vendor_id state='on' value='passthruhost'/>",
        "<hidden state='on'/>",
        "<cpu mode='host-passthrough' check='none' migratable='off'>",
        "<tpm model='tpm-crb'>",
        "<memballoon model='none'/>",
        "<passthru:spec>",
    ] {
        assert!(kept.contains(part), "{part}: {kept}");
    }
    for os in ["win10", "win11"] {
        house.does(&create(os, &["--iso", ISO, "--virtio-iso", VIRTIO, "--os", os]));
        house.does(&["vm", "attach", os, "07:00.0", "--yes"]);
        house.does(&["vm", "unattended", os, "--user", "Zoe", "--yes"]);
        let whole = house.xml(os);
        house.validates(&whole);
        let kept = on_the_test_driver(&house.file("whole.xml", &whole), os);
        assert_eq!(kept.matches("<hostdev ").count(), 2, "{kept}");
        assert!(kept.contains("multifunction='on'") && kept.contains("-answers.img'"), "{kept}");
        for _ in 0..3 {
            house.does(&["undo", "--yes"]);
        }
    }
    let shown = house.does(&["vm", "--connect", "test:///default", "show", "test"]);
    assert!(shown.starts_with("test on test:///default\n  running\n"), "{shown}");
    let named = ["vm", "--connect", "test:///default", "attach", "test", "07:00.0", "--yes"];
    assert!(house.refuses(&named).contains("the domain test is running"));
}

/// Domains as people have them, defined as far as this libvirt takes them without KVM.
pub fn domains_of_others_get_their_bytes_back(house: &House) {
    let dir = crate::harness::project().join("tests/domains");
    let (mut whole, mut refused, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for entry in std::fs::read_dir(dir).expect("domains") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a domain");
        house.validates(&text);
        let text = text
            .replace("type='kvm'", "type='qemu'")
            .replace("type=\"kvm\"", "type=\"qemu\"")
            .replace("mode='host-passthrough'", "mode='maximum'");
        let file = house.file("other.xml", &text);
        let defined = std::process::Command::new("/usr/bin/virsh")
            .args(["--quiet", "--connect", "qemu:///system", "define", &file])
            .output()
            .expect("virsh starts");
        let stem = path.file_stem().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        if !defined.status.success() {
            println!("not defined: {stem}: {}", String::from_utf8_lossy(&defined.stderr).trim());
            skipped.push(stem);
            continue;
        }
        let name = house.virsh(&["list", "--all", "--name"]).trim().to_owned();
        // libvirt sorts controllers that it added itself only when it reads them again.
        let again = house.file("again.xml", &house.xml(&name));
        house.virsh(&["define", &again]);
        let before = house.xml(&name);
        let attached = house.passthru(&["vm", "attach", &name, "07:00.0", "--yes"]);
        if attached.code == 0 {
            house.validates(&house.xml(&name));
            house.does(&["vm", "detach", &name, "--yes"]);
            whole.push(stem);
        } else {
            assert!(attached.stderr.contains("cannot be attached to"), "{}", attached.stderr);
            refused.push(stem);
        }
        let after = house.xml(&name);
        assert!(
            after == before,
            "{}",
            similar::TextDiff::from_lines(&before, &after).unified_diff()
        );
        house.virsh(&["undefine", &name, "--keep-nvram"]);
    }
    refused.sort();
    skipped.sort();
    assert_eq!(refused, ["bios", "gpu-by-hand", "piix", "piix-with-uefi"]);
    // libvirt itself wants ACPI for UEFI, and an emulator of the architecture.
    assert_eq!(skipped, ["arm", "no-devices", "no-features"]);
    assert_eq!(whole.len(), 15, "{whole:?}");
}

/// What somebody edits after us is shown, and stays.
pub fn edits_of_others_are_kept(house: &House) {
    house.does(&create("edited", &["--iso", ISO]));
    house.does(&["vm", "attach", "edited", "07:00.0", "--yes"]);
    house.virsh(&["desc", "edited", "mine", "--config"]);
    let edited = house.xml("edited");
    let undo = house.passthru(&["undo", "--yes"]);
    assert_eq!(undo.code, 1, "{}", undo.stderr);
    assert!(undo.stdout.contains("+  <description>mine</description>"), "{}", undo.stdout);
    assert!(undo.stderr.contains("vm detach"), "{}", undo.stderr);
    assert_eq!(house.xml("edited"), edited, "nothing was changed");
    house.does(&["vm", "detach", "edited", "--yes"]);
    let detached = house.xml("edited");
    assert!(detached.contains("<description>mine</description>") && !detached.contains("hostdev"));
    house.does(&["undo", "--yes"]);
    assert_eq!(house.xml("edited"), edited, "the detach alone is taken back");
    // Windows was installed since: its disk, and what it is encrypted with, stays.
    house.virsh(&["desc", "edited", "", "--config"]);
    let image = "/var/lib/libvirt/images/edited.qcow2";
    std::fs::OpenOptions::new()
        .append(true)
        .open(image)
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"Windows"))
        .expect("written");
    for _ in 0..2 {
        let undo = house.passthru(&["undo", "--yes"]);
        assert_eq!(undo.code, 0, "{}{}", undo.stdout, undo.stderr);
    }
    assert!(std::path::Path::new(image).exists(), "a disk with something on it stays");
    assert_eq!(house.all().0, "");
    std::fs::remove_file(image).expect("removed");
}
