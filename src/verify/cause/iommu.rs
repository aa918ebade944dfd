//! The IOMMU is off: by the firmware, by an argument, by default, or because it failed.

use super::Cause;
use crate::check::Evidence;
use crate::verify::scene::Scene;

const CODES: [&str; 4] =
    ["iommu-off-firmware", "iommu-off-argument", "iommu-off-kernel", "iommu-driver-failed"];

/// What `check` finds, with what the kernel said of it.
pub fn off(scene: &Scene<'_>) -> Cause {
    // A word of ours that did not arrive is why the kernel was not asked.
    let missing = super::missing_words(scene);
    let asked = missing.iter().find(|word| word.starts_with("intel_iommu="));
    let offered = scene.host.firmware.iommu_table.is_present();
    if let Some(word) = asked.filter(|_| offered) {
        return super::parameter::missing(scene, word);
    }
    let cause = match scene.finding(&CODES) {
        Some(finding) => Cause::found(finding),
        None => Cause::new(
            "The kernel made no IOMMU groups, and the ACPI tables that would tell why could not be \
             read.",
            "Run the same command with sudo, and look for DMAR or AMD-Vi in `sudo dmesg`.",
        ),
    };
    let failed = |text: &str| text.to_ascii_lowercase().contains("fail");
    let iommu = |text: &str| text.starts_with("DMAR") || text.starts_with("AMD-Vi");
    let said = scene.log().filter(|line| iommu(&line.text) && failed(&line.text));
    cause.and_all(said.map(|line| Evidence::new("dev/kmsg", line.text.clone())))
}
