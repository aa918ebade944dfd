//! The card: where it is, and why vfio-pci does not have it.

use super::lab::{Lab, after, expected, holds, list};
use crate::verify::Verdict::{Met, Unmet};

pub const DISPLAY: &str = "vfio:0000:07:00.0";
const AUDIO: &str = "vfio:0000:07:00.1";
const WHO: &str = "identity:0000:07:00.0=1002:73ff:1462:5022";

/// The words arrived, and the host's drivers have the card.
pub fn unbound() -> Lab {
    after().unbound()
}

pub fn of_display(lab: &Lab, cause: &str) {
    holds(lab, &expected(), DISPLAY, Unmet, cause);
}

pub fn log(lines: &[&str]) -> String {
    let records = lines.iter().enumerate();
    records.map(|(at, line)| format!("6,{at},{}000,-;{line}\n", at + 1)).collect()
}

#[test]
fn a_card_that_moved_is_told_apart_from_a_failed_binding() {
    let moved = unbound().moved().put(
        "dev/kmsg",
        &log(&["passthru: expected 1002:73ff:1462:5022 at 0000:07:00.0, found no device there"]),
    );
    let cause = "The card moved: the device 1002:73ff:1462:5022 was at 0000:07:00.0 and is at \
                 0000:09:00.0 now.";
    for id in [WHO, DISPLAY, AUDIO, "group:18", "group:19"] {
        holds(&moved, &expected(), id, Unmet, cause);
    }
    let outcome = moved.outcome(&expected(), WHO);
    assert!(outcome.evidence.iter().any(|one| one.path == "/dev/kmsg"), "{:?}", outcome.evidence);
    assert!(outcome.hint.unwrap().contains("passthru undo"));
    // Bound where it is now, it is still the card and no foreign device.
    holds(&after().moved(), &expected(), "vfio:nothing-else", Met, "");
}

#[test]
fn another_device_is_where_the_card_was() {
    let swapped = unbound().swap("0000:07:00", "0000:09:00").swap("0000:08:00", "0000:07:00");
    let cause = "The card moved: the device 1002:73ff:1462:5022 was at 0000:07:00.0 and is at \
                 0000:09:00.0 now, and at 0000:07:00.0 is now Realtek Semiconductor Co., Ltd. \
                 RTL8125 2.5GbE Controller.";
    for id in [WHO, DISPLAY, "group:18"] {
        holds(&swapped, &expected(), id, Unmet, cause);
    }
}

/// vfio-pci on the wrong device is no success, and that device is not meant to be there.
#[test]
fn a_network_card_that_vfio_took_in_the_cards_place() {
    let taken = after().without("0000:07:00").swap("0000:08:00", "0000:07:00").driver(
        "r8169",
        "PCI_SLOT_NAME=0000:07:00.0",
        "vfio-pci",
    );
    let name = "Realtek Semiconductor Co., Ltd. RTL8125 2.5GbE Controller";
    let cause = format!(
        "At 0000:07:00.0 is now {name} (10ec:8125:1462:7c79), and the card 1002:73ff:1462:5022 is \
         nowhere on this machine."
    );
    holds(&taken, &expected(), WHO, Unmet, &cause);
    holds(&taken, &expected(), DISPLAY, Unmet, &cause);
    let outcome = taken.outcome(&expected(), "vfio:nothing-else");
    assert_eq!(outcome.verdict, Unmet);
}

#[test]
fn the_card_is_gone() {
    let gone = after().without("0000:07:00");
    let cause = "The card is gone: no device of this machine is 1002:73ff:1462:5022.";
    for id in [WHO, DISPLAY, AUDIO] {
        holds(&gone, &expected(), id, Unmet, cause);
    }
    // What an undo expects of it holds: vfio-pci does not have it.
    holds(&gone, &list(&["not-vfio:0000:07:00.0"]), "not-vfio:0000:07:00.0", Met, "");
}

#[test]
fn another_card_of_the_same_model() {
    let other = unbound().swap("PCI_SUBSYS_ID=1462:5022", "PCI_SUBSYS_ID=1043:05B1");
    let outcome = other.outcome(&expected(), WHO);
    assert_eq!(
        outcome.cause.as_deref(),
        Some(
            "At 0000:07:00.0 is another card of the same model (Advanced Micro Devices, Inc. \
             [AMD/ATI] Navi 23 [Radeon RX 6600/6600 XT/6600M], 1002:73ff:1043:05b1): \
             1002:73ff:1462:5022 was expected."
        )
    );
}

#[test]
fn a_twin_that_was_there_before_is_not_the_card() {
    let twins = Lab::new("z270-centos7-twins");
    let then = twins.then();
    let gone = twins.knowing(then).without("0000:02:00");
    let ids = "identity:0000:02:00.0=10de:1c03:3842:6163";
    let cause = "The card is gone: no device of this machine is 10de:1c03:3842:6163.";
    let gone = gone.put("proc/sys/kernel/random/boot_id", "boot-2\n").put("proc/cmdline", "new\n");
    holds(&gone, &list(&[ids]), ids, Unmet, cause);
}

#[test]
fn the_image_does_not_hold_what_it_should() {
    of_display(
        &unbound().problem("/boot/initramfs-linux.img", "it has no vfio-pci.ko"),
        "The image /boot/initramfs-linux.img does not do what passthru set up: it has no \
         vfio-pci.ko.",
    );
    of_display(
        &unbound()
            .problem("/boot/initramfs-linux.img", "it has no vfio-pci.ko")
            .edited("/etc/mkinitcpio.conf", "was edited")
            .edited("/etc/default/grub", "is gone"),
        "The image /boot/initramfs-linux.img does not do what passthru set up: it has no \
         vfio-pci.ko. Since then /etc/mkinitcpio.conf was edited.",
    );
    // Without having opened it: the word is there, and nobody acted on it.
    of_display(
        &unbound().put("dev/kmsg", &log(&["DMAR: IOMMU enabled"])),
        "The kernel got the word that selects the card, but nothing in the initramfs acted on it: \
         the image that was started does not hold passthru's script.",
    );
}

/// What is not in a log that has lost its beginning may have been said all the same.
#[test]
fn a_log_that_is_not_whole_proves_nothing() {
    let late = "6,900,95000000,-;vfio-pci 0000:09:00.0: reset\n";
    for lab in [unbound(), unbound().unreadable("dev/kmsg"), unbound().put("dev/kmsg", late)] {
        of_display(
            &lab,
            "The kernel got the word that selects the card, but nothing acted on it, or it was \
             taken back. The kernel's log would tell, but not all of it could be read.",
        );
    }
}

#[test]
fn the_script_says_why() {
    for (line, cause) in [
        (
            "expected 1002:73ff:1462:5022 at 0000:07:00.0, found no device there",
            "Early in the boot the device was not as expected, so nothing was bound: expected \
             1002:73ff:1462:5022 at 0000:07:00.0, found no device there.",
        ),
        (
            "display 0000:07:00.0 is already on amdgpu and is not taken away from it",
            "amdgpu had the display function 0000:07:00.0 before it could be given to vfio-pci, \
             and it is not taken away from a driver that shows a picture.",
        ),
        (
            "vfio-pci cannot be loaded, nothing is bound to it",
            "vfio-pci could not be loaded early in the boot: the image does not hold it.",
        ),
        (
            "0000:07:00.0 has no driver, vfio-pci did not take it",
            "vfio-pci was loaded in time and refused 0000:07:00.0.",
        ),
        (
            "0000:07:00.0 is on amdgpu, not on vfio-pci",
            "amdgpu kept 0000:07:00.0, and vfio-pci could not take it.",
        ),
        ("0000:07:00.0 is a bridge", "0000:07:00.0 is a bridge, and bridges are never bound."),
        (
            "not vendor:device:subvendor:subdevice@address: 'x'",
            "The word on the kernel command line is damaged: not \
             vendor:device:subvendor:subdevice@address: 'x'.",
        ),
        (
            "0000:07:00.0 is on vfio-pci",
            "0000:07:00.0 was on vfio-pci early in this boot and amdgpu has it now: something gave \
             it back later, such as libvirt after a guest, or driverctl.",
        ),
    ] {
        let text = log(&[&format!("passthru: {line}"), "passthru: nothing is bound to vfio-pci"]);
        of_display(&unbound().put("dev/kmsg", &text), cause);
    }
}

/// The script refuses all for the sake of one.
#[test]
fn what_it_says_of_one_function_holds_for_the_others() {
    let line = "passthru: display 0000:07:00.0 is already on amdgpu and is not taken away from it";
    let lab = unbound().put("dev/kmsg", &log(&[line]));
    let cause = "amdgpu had the display function 0000:07:00.0 before it could be given to \
                 vfio-pci, and it is not taken away from a driver that shows a picture.";
    holds(&lab, &expected(), AUDIO, Unmet, cause);
}
