//! Whether the huge pages that are reserved hold the memory of a guest.

use crate::host::resources::{HugePages, Resources};

/// Why huge pages are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The kernel has none.
    #[error("this kernel offers no huge pages{0}")]
    None(String),
    /// Too few are free, or the memory is no multiple of a page.
    #[error("{memory} MiB of memory are not free as huge pages{place}: {free}")]
    Few {
        /// What is needed, in MiB.
        memory: u64,
        /// ` on NUMA node 1`, or nothing.
        place: String,
        /// What is free, by size.
        free: String,
        /// How they are reserved.
        reserve: String,
    },
}

/// The largest pages that hold so many bytes, by size in KiB.
///
/// # Errors
/// None do; the error says how many have to be reserved.
pub fn choose(memory: u64, resources: &Resources, node: Option<u32>) -> Result<u64, Refused> {
    let place = node.map(|node| format!(" on NUMA node {node}")).unwrap_or_default();
    let of_node = node.map(|node| {
        resources.nodes.iter().find(|known| known.number == node).map(|known| &known.huge_pages)
    });
    let Some(pages) = of_node.unwrap_or(Some(&resources.huge_pages)).filter(|all| !all.is_empty())
    else {
        return Err(Refused::None(place));
    };
    let needed = |pages: &HugePages| {
        let size = pages.kibibytes.checked_mul(1 << 10).filter(|size| *size > 0)?;
        memory.is_multiple_of(size).then(|| memory / size)
    };
    let fits = |pages: &&HugePages| needed(pages).is_some_and(|needed| needed <= pages.free);
    if let Some(largest) = pages.iter().filter(fits).max_by_key(|pages| pages.kibibytes) {
        return Ok(largest.kibibytes);
    }
    let mut by_size: Vec<&HugePages> = pages.iter().collect();
    by_size.sort_by_key(|pages| pages.kibibytes);
    let free = by_size.iter().map(|pages| match needed(pages) {
        Some(needed) => {
            format!("{needed} pages of {} are needed, {} are free", size(pages), pages.free)
        }
        None => format!("it is no multiple of {}", size(pages)),
    });
    let reserve = by_size.iter().filter_map(|pages| Some(reserve(pages, needed(pages)?, node)));
    let reserve = reserve.collect::<Vec<_>>().join(" Or: ");
    Err(Refused::Few {
        memory: memory >> 20,
        place,
        free: free.collect::<Vec<_>>().join("; "),
        reserve: if reserve.is_empty() {
            "Give the machine a memory of whole MiB, an even number of them.".to_owned()
        } else {
            reserve
        },
    })
}

fn size(pages: &HugePages) -> String {
    match pages.kibibytes {
        kibibytes if kibibytes >= 1 << 20 => format!("{} GiB", kibibytes >> 20),
        kibibytes => format!("{} MiB", kibibytes >> 10),
    }
}

/// Pages of 2 MiB can be had while the memory is not in pieces yet; those of 1 GiB at boot (Linux,
/// admin-guide/mm/hugetlbpage).
fn reserve(pages: &HugePages, needed: u64, node: Option<u32>) -> String {
    let all = pages.all.saturating_sub(pages.free).saturating_add(needed);
    match (pages.kibibytes, node) {
        (1_048_576, None) => {
            format!("hugepagesz=1G hugepages={all} on the kernel command line.")
        }
        (1_048_576, Some(node)) => {
            format!("hugepagesz=1G hugepages={node}:{all} on the kernel command line.")
        }
        // Not vm.nr_hugepages: that counts pages of the default size (`default_hugepagesz`).
        (kibibytes, node) => {
            let dir = match node {
                Some(node) => format!("/sys/devices/system/node/node{node}/hugepages"),
                None => "/sys/kernel/mm/hugepages".to_owned(),
            };
            let at_boot = match node {
                Some(node) => format!("hugepages={node}:{all}"),
                None => format!("hugepages={all}"),
            };
            format!(
                "`echo {all} > {dir}/hugepages-{kibibytes}kB/nr_hugepages`, as root, and for every boot hugepagesz={kibibytes}K {at_boot} on the kernel command line."
            )
        }
    }
}
