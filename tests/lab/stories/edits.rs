//! What the user edits between apply and undo stays; where both changed the same line, undo shows
//! that and does nothing until told what to do.

use crate::guest::same;
use crate::image::Variant;
use crate::machine::Machine;
use crate::topology::Topology;

const TIMEOUT: &str = "sed -i 's/^GRUB_TIMEOUT=1/GRUB_TIMEOUT=2/' /etc/default/grub";
const OURS: &str = "/etc/modprobe.d/00-passthru.conf";
const OPTION: &str = "options snd_hda_intel power_save=1\n";
const LINE: &str = "/etc/kernel/cmdline";

/// In a file of the system, and in one of passthru's own.
#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn other_lines_with_grub() {
    let Some(mut host) = Machine::start(Variant::Grub, Topology::TwoCards) else { return };
    let drivers = host.drivers();
    let _ = host.apply(&["02:00.0"]);
    let _ = host.read(&format!("{TIMEOUT} && echo '{}' >>{OURS}", OPTION.trim()));
    let edited = host.read("cat /etc/default/grub");
    let _ = host.undo(&[]);
    assert_eq!(host.read("cat /etc/default/grub"), edited);
    assert_eq!(host.read(&format!("cat {OURS}")), OPTION);
    host.reboot();
    assert_eq!(host.drivers(), drivers);
    assert_eq!(host.read("cat /sys/module/snd_hda_intel/parameters/power_save"), "1\n");
    assert!(host.read("cat /boot/grub/grub.cfg").contains("set timeout=2"));
}

#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn the_same_line_with_systemd_boot() {
    let Some(mut host) = Machine::start(Variant::SystemdBoot, Topology::TwoCards) else { return };
    let drivers = host.drivers();
    let before = host.read(&format!("cat {LINE}"));
    let _ = host.apply(&["02:00.0"]);
    let _ = host.read(&format!("sed -i 's/quiet/quiet loglevel=5/' {LINE}"));
    let files = host.files();

    let refused = host.passthru(&["undo", "--yes"]);
    assert_eq!((refused.code, refused.stdout.contains(" loglevel=5")), (1, true), "{refused:#?}");
    assert!(refused.stderr.contains("--only-our-words"), "{}", refused.stderr);
    same("files that undo refused to write", &files, &host.files());

    let _ = host.undo(&["--only-our-words"]);
    let kept = before.replace("quiet", "quiet loglevel=5");
    assert_eq!(host.read(&format!("cat {LINE}")), kept);
    host.reboot();
    assert_eq!(host.drivers(), drivers);
    let line = host.cmdline();
    assert!(line.contains(" loglevel=5") && !line.contains("passthru"), "{line}");
}
