//! A card and a machine that runs. There is no VFIO here, so libvirt itself refuses the card; a
//! virsh that says it did stands in for one that can.

use std::path::Path;

use super::house::{House, last_state};
use super::machines::{can_start, gone};

/// The card without its second function, for one run.
const ONE_FUNCTION: &str = "mkdir -p /run/pci; mount -t tmpfs pci /run/pci; \
    cp -a /sys/bus/pci/devices/. /run/pci; rm /run/pci/0000:07:00.1; \
    mount --bind /run/pci /sys/bus/pci/devices";

/// It keeps what was plugged in a file, and shows it in the running domain.
const VIRSH: &str = r#"#!/bin/bash
case " $* " in
*" attach-device "*) cat >/run/plugged; [ ! -e /run/crash ] || kill -9 $PPID; exit 0 ;;
*" detach-device "*) [ ! -e /run/busy ] || { echo "error: Timed out during operation: \
cannot acquire state change lock (held by monitor=remoteDispatchDomainAttachDevice)" >&2; exit 1; }
    [ -e /run/plugged ] || { echo "error: device not found: \
host pci device 0000:07:00.0 not found" >&2; exit 1; }
    [ ! -e /run/kept ] || { echo "error: the guest keeps it" >&2; exit 1; }
    rm -f /run/plugged; exit 0 ;;
*" dumpxml --domain "*) [ ! -e /run/plugged ] || [ -e /run/busy ] || {
    /usr/bin/virsh "$@" | sed '/<\/devices>/e cat /run/plugged'; exit ${PIPESTATUS[0]}; } ;;
esac
exec /usr/bin/virsh "$@"
"#;

const ATTACH: [&str; 6] = ["vm", "attach", "live", "07:00.0", "--yes", "--live"];

fn plugged() -> bool {
    Path::new("/run/plugged").exists()
}

/// The network's root port, which has nothing behind it without the network.
fn let_ports_plug(house: &House, word: &str) {
    let ports = house.xml("live");
    let (off, on) = (" hotplug='off'/>", "/>");
    let text: String = ports
        .split_inclusive('\n')
        .map(|line| match line.trim_start().strip_prefix("<target chassis=") {
            Some(_) if word == "off" => line.replace(off, on).replace(on, off),
            Some(_) => line.replace(off, on),
            None => line.to_owned(),
        })
        .collect();
    house.virsh(&["define", &house.file("ports.xml", &text)]);
}

fn stand_in(text: &str) {
    std::fs::write("/usr/local/bin/virsh", text).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions("/usr/local/bin/virsh", mode).expect("a mode");
}

/// Every reason against it, libvirt's own included; and plugged, and taken back.
pub fn plugged_or_told_why(house: &House) {
    can_start(house, "live");
    let no = |before: &str, args: &[&str], expected: &str| {
        let (xml, output) = (house.xml("live"), house.passthru_after(before, args));
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{}", output.stderr);
        assert_eq!(output.stderr, expected);
        assert_eq!(house.xml("live"), xml);
    };
    let_ports_plug(house, "off");
    house.virsh(&["start", "live"]);
    no(
        "",
        &ATTACH,
        "Error: the card cannot be plugged into live\n\
         \x20 because: the card has 2 functions, and only a card of a single one can be plugged: libvirt plugs one function at a time, and the guest looks at a slot once\n\
         Hint: Shut Windows down (`virsh shutdown live`), and attach the card without --live.\n",
    );
    no(
        ONE_FUNCTION,
        &ATTACH,
        "Error: the card cannot be plugged into live\n\
         \x20 because: the running domain has no free root port of PCI Express that a device can be plugged into\n\
         Hint: Shut Windows down (`virsh shutdown live`), and attach the card without --live: it gets a root port of its own.\n",
    );
    no(
        ONE_FUNCTION,
        &ATTACH[..5],
        "Error: the domain live is running, and nothing was changed\n\
         \x20 because: the running domain has no free root port of PCI Express that a device can be plugged into\n\
         Hint: Shut Windows down (`virsh shutdown live`), and try again.\n",
    );
    house.virsh(&["destroy", "live"]);
    let_ports_plug(house, "on");
    house.virsh(&["start", "live"]);
    no(
        ONE_FUNCTION,
        &ATTACH[..5],
        "Error: the domain live is running, and nothing was changed\n\
         Hint: Shut Windows down (`virsh shutdown live`), and try again.\n\
         Hint: `--live` plugs the card into the running guest, behind its root port 1, which is free.\n",
    );
    no(
        ONE_FUNCTION,
        &[&ATTACH[..], &["--no-display"]].concat(),
        "Error: the card cannot be plugged into live\n\
         \x20 because: --no-display needs the domain off\n\
         Hint: Shut Windows down (`virsh shutdown live`), and attach the card without --live.\n",
    );
    house.virsh(&["suspend", "live"]);
    no(
        ONE_FUNCTION,
        &ATTACH,
        "Error: the card cannot be plugged into live\n\
         \x20 because: the domain is paused, and only one that is running can be plugged into\n\
         Hint: `virsh resume live` lets it run again.\n",
    );
    house.virsh(&["resume", "live"]);

    let bare = house.xml("live");
    let failed = house.passthru_after(ONE_FUNCTION, &ATTACH);
    assert_eq!(
        failed.stderr,
        "Error: libvirt refuses: attach-device --domain live --file /dev/stdin --live\n\
         \x20 because: Failed to attach device from /dev/stdin\n\
         \x20 because: unsupported configuration: host doesn't support passthrough of host PCI devices\n\
         Hint: The IOMMU is off, or vfio-pci is not loaded: `passthru check` tells which.\n\
         Hint: Everything was taken back: all files are as before.\n"
    );
    assert_eq!((failed.code, last_state(house).as_str()), (2, "rolled-back"));
    assert_eq!(house.xml("live"), bare);

    stand_in(VIRSH);
    let done = house.passthru_after(ONE_FUNCTION, &ATTACH);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{}", done.stdout);
    assert!(done.stdout.contains("Note: The card is plugged into the running guest"));
    let device = std::fs::read_to_string("/run/plugged").expect("it is plugged");
    assert_eq!(
        device,
        "<hostdev mode='subsystem' type='pci' managed='yes'>\n\
         \x20 <source>\n\
         \x20   <address domain='0x0000' bus='0x07' slot='0x00' function='0x0'/>\n\
         \x20 </source>\n\
         \x20 <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>\n\
         </hostdev>"
    );
    let with = house.xml("live");
    let ports = |xml: &str| xml.matches("model='pcie-root-port'").count();
    assert_eq!((with.matches("<hostdev ").count(), ports(&with)), (1, ports(&bare)), "{with}");
    assert!(with.contains(r#"root-port="found""#), "{with}");
    for args in [&["undo", "--yes"][..], &["vm", "detach", "live", "--yes"]] {
        let said = house.refuses(args);
        assert!(said.contains("the domain live is running"), "{said}");
        assert_eq!((house.xml("live"), plugged()), (with.clone(), true));
    }
    house.virsh(&["destroy", "live"]);
    std::fs::remove_file("/run/plugged").expect("gone with the guest");
    house.does(&["vm", "detach", "live", "--yes"]);
    assert_eq!(house.xml("live"), bare);
    for expected in [with, bare.clone()] {
        house.does(&["undo", "--yes"]);
        assert_eq!((house.xml("live"), plugged()), (expected, false));
    }
    let off = house.passthru_after(ONE_FUNCTION, &ATTACH);
    assert!(off.code == 0 && off.stdout.contains("so nothing is plugged"), "{}", off.stdout);
    assert!(!plugged());
    house.does(&["undo", "--yes"]);
    assert_eq!(house.xml("live"), bare);
}

/// passthru is killed while the card is plugged: it is taken out again, or the guest keeps it, and
/// that is told until it is off.
pub fn taken_back_after_a_crash(house: &House) {
    let bare = house.xml("live");
    house.virsh(&["start", "live"]);
    for kept in [false, true] {
        std::fs::write("/run/crash", "").expect("written");
        let killed = format!("{ONE_FUNCTION}; \"$@\"");
        assert_eq!(house.passthru_after(&killed, &ATTACH).code, 137, "killed");
        std::fs::remove_file("/run/crash").expect("removed");
        assert!(plugged() && house.xml("live") != bare);
        if kept {
            std::fs::write("/run/kept", "").expect("written");
            let output = house.passthru(&["recover"]);
            let said = "Error: libvirt refuses: detach-device --domain live --file /dev/stdin --live\n\
                        \x20 because: the guest keeps it\n\
                        Hint: Its definition is as before. Shut it down (`virsh shutdown live`): then the card is out.\n";
            assert_eq!((output.code, output.stderr.as_str()), (2, said));
            assert_eq!(house.xml("live"), bare, "the definition is taken back at once");
            house.virsh(&["destroy", "live"]);
        }
        house.does(&["recover"]);
        assert_eq!((house.xml("live"), last_state(house)), (bare.clone(), "rolled-back".into()));
        assert_eq!(plugged(), kept);
    }
    house.virsh(&["start", "live"]);
    std::fs::remove_file("/run/kept").expect("removed");
    while_libvirt_still_plugs(house, &bare);
    for file in ["/run/plugged", "/usr/local/bin/virsh"] {
        let _ = std::fs::remove_file(file);
    }
    house.virsh(&["start", "live", "--paused"]);
    gone(house, "live");
}

/// The device is not seen yet, and libvirt answers nothing else: nobody says that it is out.
fn while_libvirt_still_plugs(house: &House, bare: &str) {
    for file in ["/run/crash", "/run/busy"] {
        std::fs::write(file, "").expect("written");
    }
    let killed = format!("{ONE_FUNCTION}; \"$@\"");
    assert_eq!(house.passthru_after(&killed, &ATTACH).code, 137, "killed");
    std::fs::remove_file("/run/crash").expect("removed");
    let output = house.passthru(&["recover"]);
    let said = "Error: libvirt refuses: detach-device --domain live --file /dev/stdin --live\n\
                \x20 because: Timed out during operation: cannot acquire state change lock (held by monitor=remoteDispatchDomainAttachDevice)\n\
                Hint: Its definition is as before. Shut it down (`virsh shutdown live`): then the card is out.\n";
    assert_eq!((output.code, output.stderr.as_str()), (2, said));
    assert_eq!(last_state(house), "unfinished");
    std::fs::remove_file("/run/busy").expect("removed");
    house.does(&["recover"]);
    assert_eq!((house.xml("live").as_str(), plugged()), (bare, false));
    assert_eq!(last_state(house), "rolled-back");
    // It never came, and libvirt says so.
    std::fs::write("/run/crash", "").expect("written");
    assert_eq!(house.passthru_after(&killed, &ATTACH).code, 137, "killed");
    for file in ["/run/crash", "/run/plugged"] {
        std::fs::remove_file(file).expect("removed");
    }
    house.does(&["recover"]);
    assert_eq!(last_state(house), "rolled-back");
    house.virsh(&["destroy", "live"]);
}
