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
        // The shell sorts names, not numbers: domain 10000 comes before 2000.
        let mut members: Vec<_> =
            group.devices.iter().map(|device| (device.address.to_string(), device)).collect();
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (address, device) in &members {
            let address =
                if domains { address.as_str() } else { address.trim_start_matches("0000:") };
            let (class, name) = &device.lspci;
            let class = shortened(format!("{class} [{}]", device.class));
            let name = shortened(format!("{name} [{}]", device.id));
            let _ = write!(out, "\t{address} {class}: {name}");
            if let Some(revision) = device.revision.filter(|revision| *revision != 0) {
                let _ = write!(out, " (rev {revision:02x})");
            }
            out.push('\n');
        }
    }
    out
}

/// lspci has 128 bytes for a name with its number, the last of them a NUL (lspci.c show_terse);
/// a longer one ends in dots (names.c pci_lookup_name).
fn shortened(mut text: String) -> String {
    const SIZE: usize = 128;
    if text.len() >= SIZE {
        let end = (0..=SIZE - 4).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}
