//! vfio-pci holds a function that it should not hold.

use super::{AGAIN, Cause, missing_words, moved, selected_by};
use crate::config::cmdline::Parameter;
use crate::host::Observed;
use crate::host::pci::{PciAddress, PciDevice};
use crate::host::selected::{self, BIND, IDS};
use crate::plan::Expectation;
use crate::verify::judge;
use crate::verify::scene::Scene;

/// Something besides the card is on vfio-pci.
pub fn foreign(scene: &Scene<'_>) -> Cause {
    by(scene, &judge::foreign(scene))
}

/// What gave these to vfio-pci.
pub fn by(scene: &Scene<'_>, devices: &[&PciDevice]) -> Cause {
    let names: Vec<String> = devices.iter().map(|device| scene.host.describe(device)).collect();
    let names = names.join("; ");
    let selected: Vec<_> =
        devices.iter().filter_map(|device| Some((device, selected_by(scene, device)?))).collect();
    if let Some((device, place)) = selected.first() {
        let text = format!("vfio-pci also took {names}: {} selects it.", place.found);
        let hint = match place.path.as_str() {
            "/proc/cmdline" => format!("{AGAIN} It must not name {}.", device.id),
            path => format!(
                "Take {} out of `ids=` in {path}, rebuild the image, and reboot.",
                device.id
            ),
        };
        return Cause::new(text, hint).and_all(selected.into_iter().map(|(_, place)| place));
    }
    let text = format!(
        "vfio-pci holds {names}, which nothing on the kernel command line or in modprobe.d selects: \
         another tool, such as a script or a udev rule, gave it away."
    );
    Cause::new(text, "Find that tool. Where it is meant so, the card itself is not affected.")
}

/// An undone selection still works.
pub fn still_bound(scene: &Scene<'_>, address: PciAddress) -> Cause {
    let Some(device) = scene.host.device(address) else {
        return moved::displaced(scene, address)
            .unwrap_or_else(|| Cause::new("It cannot be found any more.", AGAIN));
    };
    let words = scene.expected.iter().filter_map(|expectation| match expectation {
        Expectation::NoParameter(word) => Some(word.as_str()),
        _ => None,
    });
    let selects = |word: &&str| [BIND, IDS].iter().any(|key| Parameter::parse(word).is(key));
    let active = |word: &&str| scene.case.active.contains_word(word);
    if let Some(word) = words.filter(selects).find(active) {
        return super::parameter::still_there(scene, word);
    }
    if let Some(cause) = by_list(scene, device) {
        return cause;
    }
    if missing_words(scene).is_empty()
        && scene.facts.overrides.get(&address).is_some_and(Observed::is_present)
    {
        return Cause::new(
            format!(
                "Something wrote a driver_override for {address} after the boot: libvirt for a \
                 guest that runs, or driverctl."
            ),
            "Shut the guest down, or run `driverctl unset-override` for it, and verify again.",
        )
        .and(format!("{}/driver_override", device.path()), "vfio-pci");
    }
    Cause::new(
        format!(
            "Nothing on the kernel command line or in modprobe.d selects {address}; the image may \
             still hold what did."
        ),
        "Rebuild the image with the tool of this distribution, and reboot.",
    )
}

/// A list of the user's own.
fn by_list(scene: &Scene<'_>, device: &PciDevice) -> Option<Cause> {
    let list = selected::active_ids(scene.host, &scene.case.active)?;
    let place = list.takes(device).then(|| selected_by(scene, device))??;
    let text = format!("{} still selects {}: {}.", place.path, device.address, place.found);
    let hint = format!(
        "passthru did not write it. Take {} out there if the host is to have the card, rebuild the \
         image, and reboot.",
        device.id
    );
    Some(Cause::new(text, hint).and_all([place]))
}
