//! Another device is at the address, or none: the card moved, or is gone.

use super::Cause;
use crate::check::Evidence;
use crate::host::pci::{DEVICES, PciAddress, PciDevice};
use crate::verify::scene::Scene;

const AGAIN: &str = "What was set up names the old address. Run `passthru undo`, then `passthru plan` \
                     and `passthru apply`, which name the new one.";
const SEAT: &str = "Check that the card is seated, powered, and not switched off in the firmware \
                    setup. If it was taken out for good, run `passthru undo`.";

/// One account for all functions of the card: that of its first function that is not there.
pub fn displaced(scene: &Scene<'_>, address: PciAddress) -> Option<Cause> {
    scene.displaced(address)?;
    let known = scene.expected.iter().filter_map(|expectation| match expectation {
        crate::plan::Expectation::Identity(at, _) => Some(*at),
        _ => None,
    });
    let first = known
        .filter(|at| at.same_slot(address))
        .find(|at| scene.displaced(*at).is_some())
        .unwrap_or(address);
    let ids = scene.displaced(first)?;
    let cause = match (scene.elsewhere(ids, first), scene.host.device(first)) {
        (Some(new), there) => went(scene, first, ids, new, there),
        (None, Some(there)) => replaced(scene, first, ids, there),
        (None, None) => gone(scene, first, ids),
    };
    let said = scene.script().filter(|text| text.starts_with("expected "));
    Some(cause.and_all(said.map(|text| Evidence::new("dev/kmsg", format!("passthru: {text}")))))
}

fn path(address: PciAddress) -> String {
    format!("{DEVICES}/{address}")
}

fn went(
    scene: &Scene<'_>,
    old: PciAddress,
    ids: &str,
    new: &PciDevice,
    there: Option<&PciDevice>,
) -> Cause {
    let at_old = there.map_or_else(String::new, |there| {
        format!(", and at {old} is now {}", scene.host.named(there))
    });
    let text = format!(
        "The card moved: the device {ids} was at {old} and is at {} now{at_old}.",
        new.address
    );
    let cause = Cause::new(text, AGAIN).and(path(new.address), ids);
    cause.and_all(there.map(|there| Evidence::new(path(old), there.identity())))
}

fn replaced(scene: &Scene<'_>, old: PciAddress, ids: &str, there: &PciDevice) -> Cause {
    let name = scene.host.named(there);
    let found = there.identity();
    // The first nine characters are vendor and device.
    let same_model = ids.get(..9) == found.get(..9);
    let text = if same_model {
        format!("At {old} is another card of the same model ({name}, {found}): {ids} was expected.")
    } else if let Some((path, _)) = scene.hidden_function() {
        format!(
            "At {old} is now {name} ({found}); where the card {ids} is cannot be told, since \
             /{path} could not be read."
        )
    } else {
        format!("At {old} is now {name} ({found}), and the card {ids} is nowhere on this machine.")
    };
    let hint = if same_model { AGAIN } else { SEAT };
    Cause::new(text, hint).and(path(old), found)
}

fn gone(scene: &Scene<'_>, old: PciAddress, ids: &str) -> Cause {
    let text = match scene.hidden_function() {
        Some((path, _)) => format!(
            "Nothing is at {old}; where the card {ids} is cannot be told, since /{path} could not \
             be read."
        ),
        None => format!("The card is gone: no device of this machine is {ids}."),
    };
    Cause::new(text, SEAT).and(path(old), "not there")
}
