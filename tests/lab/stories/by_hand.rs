//! A host that its user set up by hand, as guides say, is understood, and left as it is: passthru
//! takes back only what it did itself.

use serde_json::{Value, json};

use crate::guest::{same, with};
use crate::image::Variant;
use crate::machine::Machine;
use crate::progress::timed;
use crate::topology::Topology;

const SETUP: &str = r#"set -e
cat >/etc/modprobe.d/vfio.conf <<END
options vfio-pci ids=1234:1111,8086:2668
softdep bochs pre: vfio-pci
softdep snd_hda_intel pre: vfio-pci
END
printf '%s\n' vfio_pci vfio vfio_iommu_type1 >>/etc/initramfs-tools/modules
sed -i 's/^GRUB_CMDLINE_LINUX_DEFAULT=.*/GRUB_CMDLINE_LINUX_DEFAULT="quiet intel_iommu=on iommu=pt"/' \
    /etc/default/grub
update-initramfs -u
update-grub"#;

#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn grub() {
    let Some(mut host) = Machine::start(Variant::Grub, Topology::Intel) else { return };
    let drivers = host.drivers();
    timed("setting up by hand", || host.read(SETUP));
    host.reboot();
    let bound = with(&drivers, &[("01:00.0", "vfio-pci"), ("01:00.1", "vfio-pci")]);
    assert_eq!(host.drivers(), bound);

    let files = host.files();
    let (code, check) = host.json(&["check", "01:00.0"]);
    assert_eq!((code, check["verdict"].as_str()), (0, Some("ready")), "{check:#}");
    let findings = check["findings"].as_array().expect("findings").iter();
    let codes: Vec<_> = findings.filter_map(|finding| finding["code"].as_str()).collect();
    assert!(codes.contains(&"already-configured"), "{codes:?}");
    let (_, inspect) = host.json(&["inspect"]);
    let setup = inspect["vfio_configuration"].as_array().expect("lines").iter();
    let setup: Vec<_> = setup.filter_map(|line| line["text"].as_str()).collect();
    let written: Vec<_> = SETUP.lines().skip(2).take(3).collect();
    assert_eq!(setup, written);

    let plan = "0000:01:00.0 Device [1234:1111]\n\
        Nothing to change: 0000:01:00.0, 0000:01:00.1 is configured as wanted.\n";
    let apply = "Nothing to change: this machine is configured as wanted.\n";
    for (verb, says) in [(&["plan"][..], plan), (&["apply", "--yes"], apply)] {
        let output = host.passthru(&[verb, &["01:00.0"]].concat());
        assert_eq!((output.code, output.stdout.as_str()), (0, says), "{output:#?}");
    }
    host.is_met();
    let (_, verify) = host.json(&["verify"]);
    assert_eq!(verify["transaction"], Value::Null, "{verify:#}");
    for (number, word) in ["intel_iommu=on", "iommu=pt"].into_iter().enumerate() {
        let id = format!("parameter:{word}");
        assert_eq!(verify["expectations"][number]["id"], id, "{verify:#}");
    }
    let says = "passthru changed nothing here: this is the setup that was found on the machine, \
        in /etc/modprobe.d/vfio.conf.";
    assert_eq!(verify["remarks"], json!([says]), "{verify:#}");
    let undo = host.passthru(&["undo", "--yes"]);
    assert_eq!(undo.code, 1, "{undo:#?}");
    let says = "There is nothing to take back: passthru changed nothing on this machine.\n";
    assert_eq!(undo.stderr, says);

    same("files", &files, &host.files());
    host.reboot();
    assert_eq!(host.drivers(), bound);
}
