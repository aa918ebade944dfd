//! The kernel has vfio-pci or not, and drivers were there before it.

use super::bound::{DISPLAY, log, of_display, unbound};
use super::lab::{Lab, WORD, after, holds, list};
use crate::verify::Verdict::{Met, Unmet};

#[test]
fn vfio_is_forbidden_or_missing() {
    for word in ["module_blacklist=vfio_pci", "modprobe.blacklist=nouveau,vfio-pci"] {
        of_display(
            &unbound().swap("rw quiet splash", &format!("rw {word} quiet")),
            &format!("The kernel command line forbids vfio-pci: `{word}`."),
        );
    }
    let other = unbound()
        .swap("vfio-pci.ko.zst:", "none.ko.zst:")
        .put("dev/kmsg", &log(&["passthru: nothing is bound to vfio-pci"]));
    of_display(&other, "The kernel 6.7.9-arch1-1 has vfio-pci neither as a module nor built in.");
}

/// Selected by ids in modprobe.d, as on a machine that was set up by hand.
fn by_ids() -> Lab {
    unbound()
        .swap(&format!(" {WORD}"), "")
        .put("etc/modprobe.d/vfio.conf", "options vfio-pci ids=1002:73ff,1002:ab28\n")
}

#[test]
fn vfio_was_never_loaded() {
    let ids = list(&[DISPLAY]);
    holds(
        &by_ids().swap("  |vfio_pci 65536 0 - Live 0x0\n", ""),
        &ids,
        DISPLAY,
        Unmet,
        "vfio-pci is not loaded: neither the initramfs nor a softdep asked for it.",
    );
}

#[test]
fn the_driver_was_first() {
    let ids = list(&[DISPLAY]);
    let first = log(&[
        "pci 0000:07:00.0: vgaarb: VGA device added",
        "amdgpu 0000:07:00.0: enabling device (0006 -> 0007)",
        "VFIO - User Level meta-driver version: 0.3",
        "vfio_pci: add [1002:73ff[ffffffff:ffffffff]] class 0x000000/00000000",
    ]);
    holds(
        &by_ids().put("dev/kmsg", &first),
        &ids,
        DISPLAY,
        Unmet,
        "amdgpu had 0000:07:00.0 0.002000 s after the kernel's start, and vfio-pci came only after \
         0.003000 s.",
    );
    let built_in = by_ids().put(
        "usr/lib/modules/6.7.9-arch1-1/modules.builtin",
        "kernel/drivers/gpu/drm/amd/amdgpu/amdgpu.ko\n",
    );
    holds(
        &built_in,
        &ids,
        DISPLAY,
        Unmet,
        "amdgpu is built into this kernel and takes 0000:07:00.0 before any module can be loaded.",
    );
}

#[test]
fn an_override_of_others() {
    let lab = by_ids().swap("07:00.0/driver_override = (null)", "07:00.0/driver_override = amdgpu");
    holds(
        &lab,
        &list(&[DISPLAY]),
        DISPLAY,
        Unmet,
        "Something wrote a driver_override: only the driver `amdgpu` may take 0000:07:00.0.",
    );
}

#[test]
fn nothing_explains_it() {
    holds(
        &by_ids(),
        &list(&[DISPLAY]),
        DISPLAY,
        Unmet,
        "Ids select 0000:07:00.0 for vfio-pci, but the initramfs is not told to hold vfio-pci, so a \
         driver in it can be first. The image itself was not opened.",
    );
    let told = by_ids().put("etc/mkinitcpio.conf", "MODULES=(vfio_pci)\nHOOKS=(base udev)\n");
    holds(
        &told,
        &list(&[DISPLAY]),
        DISPLAY,
        Unmet,
        "amdgpu took 0000:07:00.0 before vfio-pci did, and nothing that could be read says why.",
    );
    let nobody = told.driver("amdgpu", "PCI_ID=1002:73FF", "").unreadable("dev/kmsg");
    let outcome = nobody.outcome(&list(&[DISPLAY]), DISPLAY);
    assert_eq!(
        outcome.cause.as_deref(),
        Some(
            "No driver has 0000:07:00.0: vfio-pci did not take it, and nothing that could be read \
             says why."
        )
    );
    assert_eq!(
        outcome.hint.as_deref(),
        Some("Run `sudo passthru verify`: the kernel's log tells more.")
    );
}

#[test]
fn an_undone_card_is_back_or_still_taken() {
    let id = "not-vfio:0000:07:00.0";
    holds(&unbound(), &list(&[id]), id, Met, "");
    let word = format!("no-parameter:{WORD}");
    holds(
        &after(),
        &list(&[&word, id]),
        id,
        Unmet,
        &format!("/boot/loader/entries/arch.conf still has `{WORD}`."),
    );
    // That is said where the card is expected, and not again of something else.
    let all = list(&[id, "not-vfio:0000:07:00.1", "vfio:nothing-else"]);
    holds(&after(), &all, "vfio:nothing-else", Met, "");
    let plain = || after().swap(&format!(" {WORD}"), "");
    holds(
        &plain().put("etc/modprobe.d/mine.conf", "options vfio-pci ids=1002:73ff\n"),
        &list(&[&word, id]),
        id,
        Unmet,
        "/etc/modprobe.d/mine.conf still selects 0000:07:00.0: line 1: ids=1002:73ff.",
    );
    holds(
        &plain(),
        &list(&[&word, id]),
        id,
        Unmet,
        "Something wrote a driver_override for 0000:07:00.0 after the boot: libvirt for a guest \
         that runs, or driverctl.",
    );
    holds(
        &plain().swap("07:00.0/driver_override = vfio-pci", "07:00.0/driver_override = (null)"),
        &list(&[&word, id]),
        id,
        Unmet,
        "Nothing on the kernel command line or in modprobe.d selects 0000:07:00.0; the image may \
         still hold what did.",
    );
}
