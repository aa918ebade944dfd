//! What our script in the initramfs said in the kernel's log (src/plan/assets/bind.sh).

use super::Cause;
use crate::host::pci::PciAddress;
use crate::verify::scene::Scene;

const REBUILD: &str = "Run `passthru apply` again, which builds the image anew, and reboot.";

/// What it said about this function, or about all of them; `None` where it said nothing that
/// explains a failure.
pub fn said(scene: &Scene<'_>, address: PciAddress) -> Option<Cause> {
    let own = |text: &&str| text.contains(&address.to_string());
    let found = scene.script().filter_map(explain);
    let of_function = scene.script().filter(own).find_map(explain);
    // All or nothing: what it refused one function for keeps the others unbound too.
    let (text, hint, line) = of_function.or_else(|| found.into_iter().next())?;
    Some(Cause::new(text, hint).and("dev/kmsg", format!("passthru: {line}")))
}

fn explain(line: &str) -> Option<(String, &'static str, &str)> {
    let (text, hint) = if let Some(rest) = line.strip_prefix("expected ") {
        (
            format!(
                "Early in the boot the device was not as expected, so nothing was bound: expected \
                 {rest}."
            ),
            "It is as expected now, so it appeared late. Power the machine off fully, start it, \
             and run `passthru verify` again.",
        )
    } else if let Some(rest) = line.strip_prefix("display ") {
        let (address, rest) = rest.split_once(" is already on ")?;
        let (driver, _) = rest.split_once(" and ")?;
        (
            format!(
                "{driver} had the display function {address} before it could be given to vfio-pci, \
                 and it is not taken away from a driver that shows a picture."
            ),
            "Take that driver out of the part of the image that loads first, or rebuild the image \
             with `passthru apply`. A driver built into the kernel is always first.",
        )
    } else if line.starts_with("vfio-pci cannot be loaded") {
        (
            "vfio-pci could not be loaded early in the boot: the image does not hold it."
                .to_owned(),
            REBUILD,
        )
    } else if let Some((address, _)) = line.split_once(" is a bridge") {
        (
            format!("{address} is a bridge, and bridges are never bound."),
            "Run `passthru undo`, then `passthru plan`.",
        )
    } else if line.starts_with("not vendor:device") {
        (format!("The word on the kernel command line is damaged: {line}."), super::AGAIN)
    } else if let Some((address, _)) = line.split_once(" has no driver, vfio-pci did not") {
        (
            format!("vfio-pci was loaded in time and refused {address}."),
            "Look for `vfio-pci` in `sudo dmesg`: it says why.",
        )
    } else {
        let (address, rest) = line.split_once(" is on ")?;
        let (driver, _) = rest.split_once(", not on vfio-pci")?;
        (
            format!("{driver} kept {address}, and vfio-pci could not take it."),
            "Look for both drivers in `sudo dmesg`. A driver that is built into the kernel may not \
             let go.",
        )
    };
    Some((text, hint, line))
}

/// It bound the function, so what has it now came later.
pub fn bound_it(scene: &Scene<'_>, address: PciAddress) -> bool {
    scene.script().any(|text| text == format!("{address} is on vfio-pci"))
}
