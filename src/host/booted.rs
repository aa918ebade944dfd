//! What only the judgement after a reboot asks of a machine: which boot this is, what the kernel
//! logged in it, and which VFIO groups can be opened.

use std::collections::{BTreeMap, BTreeSet};

use super::Host;
use super::pci::{DEVICES, PciAddress};
pub use crate::sys::VfioGroup;
use crate::sys::{Observed, Sysroot};

/// Random, and new with every boot (drivers/char/random.c).
pub const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";
/// One node for each group whose functions VFIO drivers hold (drivers/vfio/group.c).
pub const VFIO_NODES: &str = "dev/vfio";
/// One node for each function that a VFIO driver holds, with CONFIG_VFIO_DEVICE_CDEV since Linux
/// 6.6 (drivers/vfio/device_cdev.c).
pub const VFIO_DEVICES: &str = "dev/vfio/devices";

/// One record of the kernel's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Microseconds since the kernel started.
    pub micros: u64,
    /// What it says.
    pub text: String,
}

impl LogLine {
    /// Reads `level,number,microseconds,flags;text` (Documentation/ABI/testing/dev-kmsg).
    pub fn parse(record: &str) -> Option<Self> {
        let (head, text) = record.split_once(';')?;
        let micros = head.split(',').nth(2)?.parse().ok()?;
        Some(Self { micros, text: text.to_owned() })
    }
}

/// What was read beside the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Which boot this is.
    pub boot_id: Observed<String>,
    /// The kernel's log about VFIO, the IOMMU, passthru and the functions of cards, oldest first.
    /// It may have lost its beginning: what is not in it may have happened all the same.
    pub log: Observed<Vec<LogLine>>,
    /// Names in /dev/vfio.
    pub vfio_nodes: Observed<Vec<String>>,
    /// Names in /dev/vfio/devices.
    pub vfio_devices: Observed<Vec<String>>,
    /// What VFIO itself says of groups, by number; absent for one that it does not have. Nothing
    /// for a group that it was not asked about, as elsewhere than in the running system.
    pub vfio_groups: BTreeMap<u32, Observed<VfioGroup>>,
    /// `driver_override` of the functions of cards and of those on a VFIO driver; absent where
    /// none is set.
    pub overrides: BTreeMap<PciAddress, Observed<String>>,
    /// Images and boot menus that do not hold what they should: path, and what is wrong with it.
    pub artefact_problems: Vec<(String, String)>,
    /// Files of the configuration that were changed since: absolute path, and what became of it.
    pub edited: Vec<(String, String)>,
    /// What could not be read, with the reason; that of the host included.
    pub unreadable: Vec<(String, String)>,
}

impl Facts {
    /// Asks VFIO about these groups.
    pub fn ask_vfio(&mut self, root: &Sysroot, groups: &BTreeSet<u32>) {
        let asked = groups.iter().filter_map(|group| Some((*group, root.vfio_group(*group)?)));
        self.vfio_groups = asked.collect();
        self.unreadable = root.unreadable();
    }

    /// Names of the nodes of devices, on a kernel that has none for groups (built without
    /// CONFIG_VFIO_GROUP). With it there would be /dev/vfio/vfio, or a group's node.
    pub fn only_devices(&self) -> Option<&[String]> {
        let nodes = self.vfio_nodes.present()?;
        let of_groups = |name: &String| name == "vfio" || name.parse::<u32>().is_ok();
        let devices = self.vfio_devices.present().filter(|names| !names.is_empty())?;
        (!nodes.iter().any(of_groups)).then_some(devices)
    }
}

/// Reads them. [`Facts::artefact_problems`] is left empty for whoever opens images,
/// [`Facts::edited`] for whoever knows what was written, and [`Facts::vfio_groups`] for
/// [`Facts::ask_vfio`].
pub fn read(root: &Sysroot, host: &Host) -> Facts {
    let functions = functions(host);
    let addresses: Vec<String> = functions.iter().map(ToString::to_string).collect();
    let log = root.kernel_log(&addresses);
    let mut facts = Facts {
        boot_id: boot_id(root),
        log: log.map(|records| records.iter().filter_map(|r| LogLine::parse(r)).collect()),
        vfio_nodes: vfio_nodes(root),
        vfio_devices: root.list(VFIO_DEVICES),
        vfio_groups: BTreeMap::new(),
        overrides: functions.into_iter().map(|at| (at, driver_override(root, at))).collect(),
        artefact_problems: Vec::new(),
        edited: Vec::new(),
        unreadable: Vec::new(),
    };
    facts.unreadable = root.unreadable();
    facts
}

/// Which boot this is; recorded when a transaction is applied.
pub fn boot_id(root: &Sysroot) -> Observed<String> {
    root.line(BOOT_ID).and_then(|id| match id.as_str() {
        "" => Observed::Unreadable("it is empty".to_owned()),
        _ => Observed::Present(id),
    })
}

/// Functions of cards, and everything that a VFIO driver holds.
fn functions(host: &Host) -> BTreeSet<PciAddress> {
    let cards = host.gpus.cards.iter().flat_map(|gpu| gpu.functions.iter().copied());
    let bound = host.devices().iter().filter(|device| device.on_vfio()).map(|d| d.address);
    cards.chain(bound).collect()
}

/// Without /dev, as in a chroot, nobody can tell which nodes the kernel made.
fn vfio_nodes(root: &Sysroot) -> Observed<Vec<String>> {
    match root.list(VFIO_NODES) {
        Observed::Absent if !root.exists("dev").is_present() => {
            Observed::Unreadable("/dev is not shown".to_owned())
        }
        nodes => nodes,
    }
}

fn driver_override(root: &Sysroot, address: PciAddress) -> Observed<String> {
    let text = root.line(&format!("{DEVICES}/{address}/driver_override"));
    text.and_then(|text| match text.as_str() {
        "" | "(null)" => Observed::Absent,
        _ => Observed::Present(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::rom::Probe;
    use crate::sys::{Node, Tree, host_tree};

    fn file(text: &str) -> Node {
        Node::File { bytes: text.as_bytes().to_vec(), meta: None }
    }

    #[test]
    fn records_have_a_time_and_a_text() {
        let line = LogLine::parse("12,339,5140900,-,caller=T1;passthru: a;b").unwrap();
        assert_eq!((line.micros, line.text.as_str()), (5_140_900, "passthru: a;b"));
        for wrong in ["", "6,1;x", "6,1,soon,-;x", "text without a head"] {
            assert_eq!(LogLine::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn everything_is_read() {
        let mut tree = host_tree("qemu-intel-bound").unwrap().unwrap();
        tree.insert(BOOT_ID, file("8f5e-1\n"));
        tree.insert("dev/vfio/8", Node::Present(None));
        tree.insert("dev/kmsg", file("6,1,5,-;vfio_pci: add [1234:1111]\nbroken vfio\n"));
        let root = Sysroot::from_tree(tree);
        let facts = read(&root, &Host::read(&root, Probe::No));
        assert_eq!(facts.boot_id, Observed::Present("8f5e-1".to_owned()));
        assert_eq!(facts.vfio_nodes, Observed::Present(vec!["8".to_owned()]));
        assert_eq!(facts.log.present().map(Vec::len), Some(1));
        assert_eq!(facts.overrides.len(), 3);
        assert!(facts.overrides.values().all(Observed::is_absent), "{:?}", facts.overrides);
    }

    #[test]
    fn without_dev_nobody_knows_of_nodes() {
        let facts = |tree: Tree| {
            let root = Sysroot::from_tree(tree);
            read(&root, &Host::read(&root, Probe::No))
        };
        let shown = host_tree("z490-arch").unwrap().unwrap();
        let text = shown.render().replace("dev/kvm present\n", "");
        assert!(facts(shown).vfio_nodes.is_absent());
        let facts = facts(Tree::parse(&text).unwrap());
        assert!(facts.vfio_nodes.is_unreadable(), "{:?}", facts.vfio_nodes);
        assert!(facts.boot_id.is_absent());
    }
}
