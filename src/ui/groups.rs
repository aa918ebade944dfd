//! IOMMU groups as the shell loop around `lspci -nns` prints them, which many guides show.

use std::fmt::Write as _;

use crate::document::InspectDocument;

/// Line for line what that script prints.
pub fn render(document: &InspectDocument) -> String {
    let mut out = String::new();
    // lspci leaves the domain out where every function of the machine is in domain 0.
    let domains = document.devices.iter().any(|device| device.address.domain != 0);
    for group in &document.iommu.groups {
        let _ = writeln!(out, "IOMMU Group {}:", group.id);
        for device in &group.devices {
            let address = device.address.to_string();
            let address =
                if domains { address.as_str() } else { address.trim_start_matches("0000:") };
            let _ = write!(
                out,
                "\t{address} {} [{}]: {} [{}]",
                device.class_name, device.class, device.name, device.id
            );
            if let Some(revision) = device.revision.filter(|revision| *revision != 0) {
                let _ = write!(out, " (rev {revision:02x})");
            }
            out.push('\n');
        }
    }
    out
}
