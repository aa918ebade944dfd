//! The card is not where it was: nothing is bound, the host boots with its display and its disk,
//! and `verify` says what moved.

use super::BOUND;
use crate::guest::with;
use crate::image::Variant;
use crate::machine::Machine;
use crate::topology::Topology;

/// The last thing that the script says.
const NOTHING: &str = "passthru: nothing is bound to vfio-pci";

/// The host has its display and disk, and vfio-pci has nothing.
fn keeps(host: &Machine, expected: &[(&str, &str)]) {
    let drivers = host.drivers();
    assert_eq!(drivers, with(&drivers, expected));
    assert!(!drivers.values().any(|driver| driver == "vfio-pci"), "{drivers:#?}");
    // Which of two displays with a driver is the first is a matter of luck.
    let displays = host.read("cat /sys/class/graphics/fb*/name");
    assert!(displays.lines().any(|name| name == "virtio_gpudrmfb"), "{displays}");
    assert_eq!(host.read("findmnt -no FSTYPE,OPTIONS / | cut -d, -f1"), "ext4   rw\n");
}

/// What became of the function that was to be bound.
fn of_card(host: &Machine) -> String {
    let unmet = host.unmet();
    let moved = |(text, _): &&(String, String)| {
        text.starts_with("0000:02:00.0 is still the device 1234:1111")
    };
    let found = unmet.iter().find(moved);
    found.unwrap_or_else(|| panic!("{unmet:#?}")).1.clone()
}

#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn another_device_is_at_its_address() {
    let Some(mut host) = Machine::start(Variant::Grub, Topology::TwoCards) else { return };
    let drivers = host.drivers();
    let _ = host.apply(&["02:00.0"]);

    host.change_devices(Topology::NicInstead);
    let host_card = [("01:00.0", "virtio-pci"), ("01:00.1", "snd_hda_intel")];
    keeps(&host, &[&host_card[..], &[("02:00.0", "e1000e")]].concat());
    let said = [
        "passthru: expected 1234:1111:1af4:1100 at 0000:02:00.0, found 8086:10d3:8086:0000",
        "passthru: expected 8086:2668:1af4:1100 at 0000:02:00.1, found no device there",
        NOTHING,
    ];
    assert_eq!(host.log(&["passthru: "]), said);
    assert_eq!(
        of_card(&host),
        "At 0000:02:00.0 is now Intel Corporation 82574L Gigabit Network Connection \
         (8086:10d3:8086:0000), and the card 1234:1111:1af4:1100 is nowhere on this machine."
    );

    // The host's own card is now where the guest's was.
    host.change_devices(Topology::Shifted);
    let shifted = [
        ("01:00.0", "nvme"),
        ("02:00.0", "virtio-pci"),
        ("02:00.1", "snd_hda_intel"),
        ("03:00.0", "bochs-drm"),
        ("03:00.1", "snd_hda_intel"),
    ];
    keeps(&host, &shifted);
    let said = [
        "passthru: expected 1234:1111:1af4:1100 at 0000:02:00.0, found 1af4:1050:1af4:1100",
        NOTHING,
    ];
    assert_eq!(host.log(&["passthru: "]), said);
    assert_eq!(
        of_card(&host),
        "The card moved: the device 1234:1111:1af4:1100 was at 0000:02:00.0 and is at \
         0000:03:00.0 now, and at 0000:02:00.0 is now Red Hat, Inc. Virtio 1.0 GPU."
    );

    host.change_devices(Topology::CardGone);
    keeps(&host, &host_card);
    let said = [
        "passthru: expected 1234:1111:1af4:1100 at 0000:02:00.0, found no device there",
        "passthru: expected 8086:2668:1af4:1100 at 0000:02:00.1, found no device there",
        NOTHING,
    ];
    assert_eq!(host.log(&["passthru: "]), said);
    assert_eq!(
        of_card(&host),
        "The card is gone: no device of this machine is 1234:1111:1af4:1100."
    );

    host.change_devices(Topology::TwoCards);
    assert_eq!(host.drivers(), with(&drivers, &BOUND));
    host.is_met();
}
