//! Whether the host has the memory that the machine locks.

use super::Sides;
use crate::check::Evidence;
use crate::vm::check::Found;

/// `vm-memory-short`: as huge pages where the machine asks for those.
pub fn memory_short(sides: &Sides<'_>) -> Vec<Found> {
    let Some(needed) = sides.domain.memory() else { return Vec::new() };
    if sides.running {
        return Vec::new();
    }
    if let Some(huge) = sides.domain.root.at(&["memoryBacking", "hugepages"]) {
        let size = huge.attribute_at(&["page"], "size").and_then(|size| size.parse::<u64>().ok());
        let unit = huge.attribute_at(&["page"], "unit").unwrap_or("KiB");
        let size = size.map(|size| {
            if matches!(unit, "G" | "GiB") {
                size << 20
            } else if matches!(unit, "M" | "MiB") {
                size << 10
            } else {
                size
            }
        });
        let pages = sides.resources.huge_pages.iter();
        let free = pages.filter(|pages| size.is_none_or(|size| size == pages.kibibytes));
        let free: u64 = free.map(|pages| pages.free * (pages.kibibytes << 10)).sum();
        if free < needed {
            let detail = format!(
                "The machine takes {} MiB of huge pages, and {} MiB are free.",
                needed >> 20,
                free >> 20
            );
            let evidence =
                Evidence::new("/sys/kernel/mm/hugepages", format!("{} MiB free", free >> 20));
            return vec![Found::blocker(detail, evidence).manual("Reserve them (`passthru vm tune NAME --huge-pages` says how many and how), or take <hugepages/> out of the domain.")];
        }
        return Vec::new();
    }
    let Some(available) = sides.resources.available.present().filter(|free| **free < needed) else {
        return Vec::new();
    };
    let detail = format!(
        "The machine locks {} MiB of memory, and {} MiB are free.",
        needed >> 20,
        available >> 20
    );
    let evidence = Evidence::new("/proc/meminfo", format!("MemAvailable: {} kB", available >> 10));
    vec![Found::blocker(detail, evidence).manual("Close programs, or give the machine less: with a card passed through, all of its memory is taken at its start.")]
}
