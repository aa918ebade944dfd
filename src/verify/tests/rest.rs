//! The IOMMU, the groups' nodes, and what stays with the host.

use super::lab::{Lab, after, before, expected, holds, list};
use crate::verify::Then;
use crate::verify::Verdict::{Met, Unmet};

fn booted(lab: Lab) -> Lab {
    lab.put("proc/sys/kernel/random/boot_id", "boot-2\n").knowing(before().then())
}

#[test]
fn the_iommu_is_off() {
    let id = "iommu:on";
    let off = || after().without("sys/kernel/iommu_groups").without("iommu_group");
    holds(
        &off().without("acpi/tables/DMAR"),
        &expected(),
        id,
        Unmet,
        "The firmware describes no IOMMU: there is no ACPI table DMAR, and the kernel made no \
         groups. The kernel parameter for it is set already; another one would not help.",
    );
    holds(
        &off().swap("intel_iommu=on iommu=pt passthru", "intel_iommu=off iommu=pt passthru"),
        &expected(),
        id,
        Unmet,
        "The kernel command line switches the IOMMU off: intel_iommu=off.",
    );
    let failed = off().put("dev/kmsg", "3,1,9,-;DMAR: Initialization failed\n");
    let cause = "The firmware offers the IOMMU and nothing switches it off, but the kernel made no \
                 groups: its driver failed, or is not built in.";
    holds(&failed, &expected(), id, Unmet, cause);
    let outcome = failed.outcome(&expected(), id);
    assert!(outcome.evidence.iter().any(|one| one.found == "DMAR: Initialization failed"));
    // Without it vfio-pci binds nothing, so that is the cause there too.
    holds(&failed.unbound(), &expected(), "vfio:0000:07:00.0", Unmet, cause);
}

#[test]
fn the_iommu_was_not_asked_for() {
    let lab = booted(Lab::new("z690-arch-iommu-off"));
    let ids = list(&["parameter:intel_iommu=on", "iommu:on"]);
    let word = lab.outcome(&ids, "parameter:intel_iommu=on").cause;
    let iommu = lab.outcome(&ids, "iommu:on").cause;
    assert_eq!(word, iommu, "one cause, said once");
    let cause = "/etc/default/grub no longer has what passthru added: something took it out after \
                 the change.";
    assert_eq!(word.as_deref(), Some(cause));
}

#[test]
fn a_group_has_another_number() {
    let id = "group:18";
    let renumbered = after()
        .swap("iommu_groups/18", "iommu_groups/28")
        .without("dev/vfio/18")
        .present("dev/vfio/28");
    let cause = "The card's group has another number in this boot: 0000:07:00.0 is in group 28, \
                 and /dev/vfio/28 is there. Numbers change with the devices of the machine.";
    holds(&renumbered, &expected(), id, Unmet, cause);
    // A node of that number that belongs to something else is not the card's.
    holds(&renumbered.present("dev/vfio/18"), &expected(), id, Unmet, cause);
}

/// Where the functions' own groups could not be read, the node is what there is to see.
#[test]
fn the_node_is_there() {
    holds(&after(), &expected(), "group:18", Met, "");
    let dev = "sys/devices/pci0000:00/0000:00:1b.4/0000:05:00.0/0000:06:00.0/0000:07:00";
    let hidden = after().without(&format!("{dev}.0/iommu_group"));
    let hidden = hidden.without(&format!("{dev}.1/iommu_group"));
    holds(&hidden, &expected(), "group:18", Met, "");
}

#[test]
fn a_node_is_missing() {
    let id = "group:18";
    holds(
        &after().without("dev/vfio/18"),
        &expected(),
        id,
        Unmet,
        "vfio-pci holds the card's functions, but the node of their group is missing: /dev is not \
         what the kernel keeps, or something removed it.",
    );
}

const SOUND: &str = "driver:0000:03:00.1=snd_hda_intel";

/// The guide's mistake: both cards have the same sound function.
#[test]
fn ids_took_the_host_cards_sound() {
    let taken = || {
        after()
            .put("etc/modprobe.d/vfio.conf", "options vfio-pci ids=1002:73ff,1002:ab28\n")
            .driver("snd_hda_intel", "PCI_SLOT_NAME=0000:03:00.1", "vfio-pci")
    };
    let cause = "vfio-pci also took 0000:03:00.1 Advanced Micro Devices, Inc. [AMD/ATI] Navi 21/23 \
                 HDMI/DP Audio Controller: line 1: ids=1002:73ff,1002:ab28 selects it.";
    holds(&taken(), &expected(), SOUND, Unmet, cause);
    holds(&taken(), &expected(), "vfio:nothing-else", Unmet, cause);
    let hint = taken().outcome(&expected(), SOUND).hint.unwrap();
    assert!(
        hint.starts_with("Take 1002:ab28 out of `ids=` in /etc/modprobe.d/vfio.conf"),
        "{hint}"
    );
    // It was so before the change, by the user's own ids.
    let then = taken().then();
    let then = Then { boot_id: Some("boot-1".to_owned()), ..then };
    holds(&taken().knowing(then), &expected(), "vfio:nothing-else", Met, "");
}

#[test]
fn a_foreign_device_is_on_vfio() {
    let nic = || after().driver("r8169", "PCI_SLOT_NAME=0000:08:00.0", "vfio-pci");
    holds(
        &nic(),
        &expected(),
        "vfio:nothing-else",
        Unmet,
        "vfio-pci holds 0000:08:00.0 Realtek Semiconductor Co., Ltd. RTL8125 2.5GbE Controller, \
         which nothing on the kernel command line or in modprobe.d selects: another tool, such as \
         a script or a udev rule, gave it away.",
    );
    // libvirt writes an override while a guest has a device.
    let lent = nic().swap("08:00.0/driver_override = (null)", "08:00.0/driver_override = vfio-pci");
    holds(&lent, &expected(), "vfio:nothing-else", Met, "");
}

#[test]
fn the_host_card_lost_its_driver() {
    let lost = |driver: &str| after().driver("snd_hda_intel", "PCI_SLOT_NAME=0000:03:00.1", driver);
    let bare = "No driver has 0000:03:00.1, although snd_hda_intel had it before.";
    holds(&lost(""), &expected(), SOUND, Unmet, bare);
    holds(
        &lost("snd_soc_avs"),
        &expected(),
        SOUND,
        Unmet,
        "snd_soc_avs took 0000:03:00.1 instead of snd_hda_intel.",
    );
    holds(
        &lost("").swap("rw quiet splash", "rw modprobe.blacklist=snd-hda-intel"),
        &expected(),
        SOUND,
        Unmet,
        "The kernel command line forbids snd_hda_intel: `modprobe.blacklist=snd-hda-intel`.",
    );
    holds(
        &lost("").put("etc/modprobe.d/quiet.conf", "blacklist snd_hda_intel\n"),
        &expected(),
        SOUND,
        Unmet,
        "/etc/modprobe.d/quiet.conf, line 1, forbids snd_hda_intel.",
    );
    let both = "install snd_hda_intel /sbin/quirk\nsoftdep snd_hda_intel pre: vfio-pci\n";
    holds(
        &lost("").put("etc/modprobe.d/sound.conf", both),
        &expected(),
        SOUND,
        Unmet,
        "/etc/modprobe.d/sound.conf, line 2, has a softdep for snd_hda_intel, and so modprobe \
         drops the `install` line of /etc/modprobe.d/sound.conf, line 1, which loads it.",
    );
    holds(
        &lost("").swap("  |snd_hda_intel 65536 3 - Live 0x0000000000000000\n", ""),
        &expected(),
        SOUND,
        Unmet,
        "The driver snd_hda_intel is not loaded.",
    );
    holds(
        &lost("").swap("rw quiet splash", "rw nomodeset quiet"),
        &expected(),
        SOUND,
        Unmet,
        "This boot keeps graphics drivers away or stops early (`nomodeset`), as recovery entries \
         do.",
    );
    let then = Then { kernel_release: Some("6.7.1-arch1-1".to_owned()), ..before().then() };
    holds(
        &lost("").knowing(then),
        &expected(),
        SOUND,
        Unmet,
        "Another kernel runs than when the change was made (6.7.9-arch1-1 instead of \
         6.7.1-arch1-1): snd_hda_intel may not be there for it.",
    );
}

#[test]
fn the_host_card_moved() {
    let moved = after().swap("0000:03:00", "0000:13:00");
    holds(
        &moved,
        &expected(),
        "driver:0000:03:00.0=amdgpu",
        Unmet,
        "The card moved: the device 1002:73df:1002:0e36 was at 0000:03:00.0 and is at 0000:13:00.0 \
         now.",
    );
    holds(
        &moved.knowing(Then { boot_id: Some("boot-1".to_owned()), ..Then::default() }),
        &expected(),
        "driver:0000:03:00.0=amdgpu",
        Unmet,
        "There is no device at 0000:03:00.0 any more: it moved, or is gone.",
    );
}
