//! What the host does with its devices: mounted disks, live network, keyboards.

use std::collections::BTreeMap;

use super::pci::{PciAddress, address_in};
use crate::config::mounts::{self, Mount};
use crate::sys::{Observed, Sysroot};

/// One thing that the host uses a PCI function for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// A disk, with what is mounted from it; swap is listed as `swap`.
    Disk {
        /// Block device name.
        name: String,
        /// Mount points.
        mounted: Vec<String>,
    },
    /// A network interface.
    Network {
        /// Interface name.
        name: String,
        /// Its link is up.
        up: bool,
    },
    /// A keyboard hangs on it.
    Keyboard,
}

/// Uses by PCI function, and what could not be assigned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Uses {
    by_address: BTreeMap<PciAddress, Vec<Use>>,
    /// Mounted block devices whose disk is not known (a mapper without slaves, say).
    pub unplaced: Vec<String>,
    /// Everything mounted.
    pub mounts: Vec<Mount>,
    /// /etc/fstab.
    pub fstab: Vec<Mount>,
}

impl Uses {
    /// Uses of one function.
    pub fn of(&self, address: PciAddress) -> &[Use] {
        self.by_address.get(&address).map_or(&[], Vec::as_slice)
    }

    /// Every function with a use.
    pub fn all(&self) -> impl Iterator<Item = (PciAddress, &Use)> {
        self.by_address.iter().flat_map(|(address, uses)| uses.iter().map(|u| (*address, u)))
    }

    /// The mount at a mount point.
    pub fn mounted_at(&self, point: &str) -> Option<&Mount> {
        self.mounts.iter().rev().find(|mount| mount.target == point)
    }
}

/// Reads mounts, swap, block devices, network interfaces and input devices.
pub fn read(root: &Sysroot) -> Uses {
    let mounts_text = root.text("proc/self/mounts");
    let mounts_text = if mounts_text.is_absent() { root.text("proc/mounts") } else { mounts_text };
    let mut uses = Uses {
        mounts: mounts_text.present().map(|text| mounts::parse(text)).unwrap_or_default(),
        fstab: root.text("etc/fstab").present().map(|text| mounts::parse(text)).unwrap_or_default(),
        ..Uses::default()
    };
    if !mounts_text.is_present() {
        // Nobody knows then which disk is in use, so every disk may be.
        uses.unplaced.push("what is mounted (/proc/mounts could not be read)".to_owned());
    }
    disks(root, &mut uses);
    networks(root, &mut uses);
    keyboards(root, &mut uses);
    uses
}

fn disks(root: &Sysroot, uses: &mut Uses) {
    let blocks = blocks(root);
    let mut used: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mounted = uses.mounts.iter().map(|mount| (mount.source.clone(), mount.target.clone()));
    for (device, point) in mounted.chain(swaps(root)).collect::<Vec<_>>() {
        let Some(name) = device.strip_prefix("/dev/") else {
            continue;
        };
        let disks = disks_of(root, &blocks, name, 0);
        if disks.is_empty() && !name.starts_with("loop") && name != "fuse" {
            uses.unplaced.push(device.clone());
        }
        for disk in disks {
            let points = used.entry(disk).or_default();
            if !points.contains(&point) {
                points.push(point.clone());
            }
        }
    }
    for (name, address) in &blocks {
        let (Some(address), false) = (address, is_partition(&blocks, name)) else {
            continue;
        };
        let mounted = used.remove(name).unwrap_or_default();
        uses.by_address
            .entry(*address)
            .or_default()
            .push(Use::Disk { name: name.clone(), mounted });
    }
}

/// Block devices with the PCI function they hang on.
fn blocks(root: &Sysroot) -> BTreeMap<String, Option<PciAddress>> {
    let mut found = BTreeMap::new();
    for class in ["sys/class/block", "sys/block"] {
        for name in root.list(class).into_present().unwrap_or_default() {
            if found.contains_key(&name)
                || ["loop", "ram", "zram"].iter().any(|p| name.starts_with(p))
            {
                continue;
            }
            let target = root.link(&format!("{class}/{name}")).into_present().unwrap_or_default();
            let address = address_in(&target).or_else(|| nvme_controller(root, &name));
            found.insert(name, address);
        }
    }
    found
}

/// With native multipath a namespace hangs below a virtual subsystem
/// (drivers/nvme/host/multipath.c); its controller still names the PCI function.
fn nvme_controller(root: &Sysroot, name: &str) -> Option<PciAddress> {
    let number = name.strip_prefix("nvme")?.split('n').next()?;
    let target = root.link(&format!("sys/class/nvme/nvme{number}")).into_present()?;
    address_in(&target)
}

fn is_partition(blocks: &BTreeMap<String, Option<PciAddress>>, name: &str) -> bool {
    whole_disk(blocks, name).is_some_and(|disk| disk != name)
}

/// The disk that a block device name is a partition of, or itself.
fn whole_disk(blocks: &BTreeMap<String, Option<PciAddress>>, name: &str) -> Option<String> {
    let digits = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let with_p = digits.strip_suffix('p').filter(|d| d.ends_with(|c: char| c.is_ascii_digit()));
    let candidates = [with_p.unwrap_or(digits), name];
    candidates.iter().find(|disk| blocks.contains_key(**disk)).map(|disk| (*disk).to_owned())
}

/// Physical disks below a device name: partitions, mappers and arrays are followed.
fn disks_of(
    root: &Sysroot,
    blocks: &BTreeMap<String, Option<PciAddress>>,
    name: &str,
    depth: u8,
) -> Vec<String> {
    let name = match name.strip_prefix("mapper/") {
        Some(mapped) => mapper_block(root, blocks, mapped),
        None => whole_disk(blocks, name),
    };
    let Some(name) = name else { return Vec::new() };
    let slaves = match blocks.get(&name) {
        Some(None) if depth < 8 => root.list(&format!("sys/class/block/{name}/slaves")),
        _ => return vec![name],
    };
    let slaves = slaves.into_present().unwrap_or_default();
    slaves.iter().flat_map(|slave| disks_of(root, blocks, slave, depth + 1)).collect()
}

fn mapper_block(
    root: &Sysroot,
    blocks: &BTreeMap<String, Option<PciAddress>>,
    mapped: &str,
) -> Option<String> {
    let is_it = |name: &&String| {
        name.starts_with("dm-")
            && root
                .line(&format!("sys/class/block/{name}/dm/name"))
                .present()
                .is_some_and(|n| n == mapped)
    };
    blocks.keys().find(is_it).cloned()
}

fn swaps(root: &Sysroot) -> Vec<(String, String)> {
    let text = root.text("proc/swaps").into_present().unwrap_or_default();
    let devices = text.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    devices
        .filter(|name| name.starts_with("/dev/"))
        .map(|name| (name.to_owned(), "swap".to_owned()))
        .collect()
}

fn networks(root: &Sysroot, uses: &mut Uses) {
    for name in root.list("sys/class/net").into_present().unwrap_or_default() {
        let target = root.link(&format!("sys/class/net/{name}")).into_present().unwrap_or_default();
        if let Some(address) = address_in(&target) {
            let state = root.line(&format!("sys/class/net/{name}/operstate"));
            let up = state.present().is_some_and(|state| state == "up");
            uses.by_address.entry(address).or_default().push(Use::Network { name, up });
        }
    }
}

/// `/proc/bus/input/devices` names for each input device its place in sysfs and its handlers.
fn keyboards(root: &Sysroot, uses: &mut Uses) {
    let mut wanted = String::new();
    let text = root.lines("proc/bus/input/devices", |line| {
        line.starts_with(b"S: Sysfs=") || line.starts_with(b"H: Handlers=")
    });
    if let Observed::Present(text) = text {
        wanted = text;
    }
    let mut place = None;
    for line in wanted.lines() {
        if let Some(path) = line.strip_prefix("S: Sysfs=") {
            place = address_in(path);
        } else if let (Some(address), true) =
            (place, line.split([' ', '=']).any(|word| word == "kbd"))
        {
            let list = uses.by_address.entry(address).or_default();
            if !list.contains(&Use::Keyboard) {
                list.push(Use::Keyboard);
            }
        }
    }
}
