//! Which driver was first, by the kernel's log. Names stand in front of its lines as the drivers
//! are called (drivers/base/core.c `dev_driver_string`).

use super::Cause;
use crate::host::booted::LogLine;
use crate::host::pci::PciAddress;
use crate::verify::scene::Scene;

fn seconds(line: &LogLine) -> String {
    format!("{}.{:06}", line.micros / 1_000_000, line.micros % 1_000_000)
}

/// The driver spoke of the function before vfio-pci was there, or vfio-pci never was.
pub fn first(scene: &Scene<'_>, address: PciAddress, driver: &str) -> Option<Cause> {
    let own = format!("{driver} {address}: ");
    let rival = scene.log().find(|line| line.text.starts_with(&own))?;
    // vfio_pci_fill_ids of drivers/vfio/pci/vfio_pci.c, and the module's first line before it.
    let vfio = |line: &&LogLine| {
        line.text.starts_with("vfio_pci: add ") || line.text.starts_with("VFIO - User Level")
    };
    let hint = "The image must load vfio-pci before that driver. Run `passthru apply` again, \
                which builds it anew, and reboot.";
    let cause = match scene.log().find(vfio) {
        Some(vfio) if vfio.micros > rival.micros => Cause::new(
            format!(
                "{driver} had {address} {} s after the kernel's start, and vfio-pci came only \
                 after {} s.",
                seconds(rival),
                seconds(vfio)
            ),
            hint,
        )
        .and("dev/kmsg", vfio.text.clone()),
        _ => return None,
    };
    Some(cause.and("dev/kmsg", rival.text.clone()))
}
