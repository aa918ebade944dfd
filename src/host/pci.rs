//! PCI functions as sysfs shows them, from cached attributes only.
//!
//! `config`, `rom` and `resourceN_resize` are never opened here: reading them wakes a
//! sleeping device (drivers/pci/pci-sysfs.c, pci_config_pm_runtime_get).

use std::collections::BTreeMap;

use serde::Serialize;

mod types;

use types::hex;
pub use types::{PciAddress, PciClass, PciId};

use crate::sys::{Dir, Observed, Sysroot, parallel};

/// Where the functions are listed.
pub const DEVICES: &str = "sys/bus/pci/devices";

/// One base address register in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Bar {
    /// Register number, 0 to 5; 6 is the expansion ROM.
    pub index: u8,
    /// First address; 0 where only root sees it.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// Memory or I/O ports.
    pub memory: bool,
}

/// Methods that reset a single function, in the kernel's order of trying them.
///
/// The attribute exists since Linux 5.15 and only where there is a method
/// (Documentation/ABI/testing/sysfs-bus-pci).
pub type ResetMethods = Observed<Vec<String>>;

/// One PCI function.
#[derive(Debug, Clone, PartialEq)]
pub struct PciDevice {
    /// Where it is.
    pub address: PciAddress,
    /// What it is.
    pub id: PciId,
    /// Who built the board; `None` where the function has none.
    pub subsystem: Option<PciId>,
    /// Class code.
    pub class: PciClass,
    /// Bound driver.
    pub driver: Option<String>,
    /// What module aliases are matched against.
    pub modalias: String,
    /// IOMMU group.
    pub iommu_group: Option<u32>,
    /// Bridges above it, the root port first.
    pub upstream: Vec<PciAddress>,
    /// How it can be reset.
    pub reset_methods: ResetMethods,
    /// Power state: D0, D3hot, D3cold, error, unknown.
    pub power_state: Observed<String>,
    /// NUMA node; `None` where the kernel knows none, or the machine has only one.
    pub numa_node: Option<u32>,
    /// BARs in use.
    pub bars: Vec<Bar>,
    /// Driver that alone may bind, where one was written; read for functions of cards.
    pub driver_override: Option<String>,
    /// The firmware's boot display (VGA class only).
    pub boot_vga: Observed<bool>,
    /// True for a virtual function of another device.
    pub virtual_function: bool,
}

impl PciDevice {
    /// `vendor:device:subvendor:subdevice`; zeroes where the function has no subsystem, as
    /// sysfs shows them.
    pub fn identity(&self) -> String {
        match self.subsystem {
            Some(subsystem) => format!("{}:{subsystem}", self.id),
            None => format!("{}:0000:0000", self.id),
        }
    }

    /// Its directory in sysfs, as evidence names it.
    pub fn path(&self) -> String {
        format!("/{DEVICES}/{}", self.address)
    }

    /// True where a driver holds it that leaves its group usable for VFIO: none,
    /// or one that manages DMA itself (drivers/pci/pci-driver.c pci_dma_configure).
    pub fn leaves_group_viable(&self) -> bool {
        match self.driver.as_deref() {
            None | Some("pcieport" | "pci-stub") => true,
            Some(driver) => is_vfio_driver(driver),
        }
    }

    /// True where a VFIO driver holds it.
    pub fn on_vfio(&self) -> bool {
        self.driver.as_deref().is_some_and(is_vfio_driver)
    }

    /// True where all bytes of its identity read as ones, as a device that is gone does.
    pub fn is_dead(&self) -> bool {
        self.id == PciId { vendor: 0xffff, device: 0xffff }
    }
}

/// vfio-pci and the variant drivers beside it (drivers/vfio/pci).
pub fn is_vfio_driver(driver: &str) -> bool {
    driver == "vfio-pci" || driver.ends_with("-vfio-pci") || driver.ends_with("_vfio_pci")
}

/// Every PCI function, in address order.
pub fn read(root: &Sysroot) -> Observed<Vec<PciDevice>> {
    let names = match root.list(DEVICES) {
        // A machine without a PCI bus has /sys all the same.
        Observed::Absent if root.exists("sys/bus").is_present() => Observed::Present(Vec::new()),
        names => names,
    };
    names.map(|names| {
        let list = root.dir(DEVICES).into_present();
        let nodes = Nodes::read(root);
        let read = |name: &String| read_device(root, list.as_ref()?, name, nodes);
        let mut devices = parallel::filter_map(&names, read);
        devices.sort_by_key(|device| device.address);
        read_overrides(root, &mut devices);
        devices
    })
}

/// Whether a device's NUMA node tells anything.
#[derive(Clone, Copy)]
enum Nodes {
    One,
    Several,
}

impl Nodes {
    fn read(root: &Sysroot) -> Self {
        match root.line("sys/devices/system/node/online").present().map(String::as_str) {
            Some("0") => Self::One,
            _ => Self::Several,
        }
    }
}

/// Overrides of the functions that share a slot with a display function: nobody asks for others.
fn read_overrides(root: &Sysroot, devices: &mut [PciDevice]) {
    let slots: Vec<PciAddress> =
        devices.iter().filter(|d| d.class.is_gpu()).map(|d| d.address).collect();
    for device in devices.iter_mut() {
        if slots.iter().any(|slot| slot.same_slot(device.address)) {
            let path = format!("{DEVICES}/{}/driver_override", device.address);
            let text = root.line(&path).into_present();
            device.driver_override = text.filter(|text| !matches!(text.as_str(), "" | "(null)"));
        }
    }
}

/// Silicon revisions, which only listings show.
pub fn revisions(root: &Sysroot, devices: &[PciDevice]) -> BTreeMap<PciAddress, u8> {
    let read = |device: &PciDevice| {
        let text = root.line(&format!("{DEVICES}/{}/revision", device.address)).into_present()?;
        Some((device.address, (parse_hex(&text)? & 0xff) as u8))
    };
    devices.iter().filter_map(read).collect()
}

fn read_device(root: &Sysroot, list: &Dir<'_>, name: &str, nodes: Nodes) -> Option<PciDevice> {
    let path = format!("{DEVICES}/{name}");
    let Ok(address) = name.parse::<PciAddress>() else {
        root.note_unreadable(&path, "its name is no PCI address");
        return None;
    };
    let link = list.link(name);
    let dir = match root.dir(&path) {
        Observed::Present(dir) => dir,
        Observed::Absent => {
            root.note_unreadable(&path, "it is no directory");
            return None;
        }
        Observed::Unreadable(_) => return None,
    };
    let Some(identity) = Identity::read(&dir) else {
        root.note_unreadable(&path, "neither uevent nor vendor, device and class can be read");
        return None;
    };
    let number = |name: &str| dir.line(name).into_present();
    let gpu = identity.class.is_gpu();
    Some(PciDevice {
        address,
        iommu_group: dir.link("iommu_group").into_present().and_then(|target| last_number(&target)),
        upstream: link.present().map(|target| upstream(target, address)).unwrap_or_default(),
        reset_methods: dir
            .line("reset_method")
            .map(|text| text.split_whitespace().map(str::to_owned).collect()),
        power_state: dir.line("power_state"),
        numa_node: match nodes {
            Nodes::One => None,
            Nodes::Several => number("numa_node").and_then(|text| text.parse().ok()),
        },
        bars: dir.read("resource").map(|bytes| bars(&bytes)).into_present().unwrap_or_default(),
        driver_override: None,
        boot_vga: if gpu { dir.line("boot_vga").map(|text| text == "1") } else { Observed::Absent },
        virtual_function: gpu && dir.link("physfn").is_present(),
        id: identity.id,
        subsystem: identity.subsystem,
        class: identity.class,
        driver: identity.driver,
        modalias: identity.modalias,
    })
}

/// What one read of `uevent` tells (drivers/pci/pci-driver.c pci_uevent).
struct Identity {
    id: PciId,
    subsystem: Option<PciId>,
    class: PciClass,
    driver: Option<String>,
    modalias: String,
}

impl Identity {
    fn read(dir: &Dir<'_>) -> Option<Self> {
        let uevent = dir.read("uevent").into_present().unwrap_or_default();
        Self::from_uevent(&String::from_utf8_lossy(&uevent)).or_else(|| Self::from_attributes(dir))
    }

    fn from_uevent(text: &str) -> Option<Self> {
        let value = |key: &str| {
            text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::trim)
        };
        Some(Self {
            id: upper_id(value("PCI_ID")?)?,
            subsystem: value("PCI_SUBSYS_ID").and_then(upper_id).filter(is_some_id),
            class: PciClass(hex(value("PCI_CLASS")?, 1..=6)?),
            driver: value("DRIVER").map(str::to_owned),
            modalias: value("MODALIAS")?.to_owned(),
        })
    }

    /// The same from single attributes, where a recorded machine has no `uevent`.
    fn from_attributes(dir: &Dir<'_>) -> Option<Self> {
        let number = |name: &str| parse_hex(&dir.line(name).into_present()?);
        let half = |name: &str| number(name).and_then(|n| u16::try_from(n).ok());
        let id = PciId { vendor: half("vendor")?, device: half("device")? };
        let class = PciClass(number("class")?);
        let subsystem = half("subsystem_vendor")
            .zip(half("subsystem_device"))
            .map(|(vendor, device)| PciId { vendor, device })
            .filter(is_some_id);
        let driver = dir.link("driver").into_present();
        Some(Self {
            id,
            subsystem,
            class,
            driver: driver.and_then(|target| target.rsplit('/').next().map(str::to_owned)),
            modalias: dir.line("modalias").into_present().unwrap_or_else(|| {
                modalias(id, subsystem.unwrap_or(PciId { vendor: 0, device: 0 }), class)
            }),
        })
    }
}

fn is_some_id(id: &PciId) -> bool {
    (id.vendor, id.device) != (0, 0)
}

/// The text that module aliases match, as drivers/pci/pci-sysfs.c modalias_show writes it.
fn modalias(id: PciId, sub: PciId, class: PciClass) -> String {
    format!(
        "pci:v{:08X}d{:08X}sv{:08X}sd{:08X}bc{:02X}sc{:02X}i{:02X}",
        id.vendor,
        id.device,
        sub.vendor,
        sub.device,
        class.base(),
        class.code() & 0xff,
        class.0 & 0xff
    )
}

fn upper_id(text: &str) -> Option<PciId> {
    let (vendor, device) = text.split_once(':')?;
    let half = |text| hex(text, 1..=4).and_then(|n| u16::try_from(n).ok());
    Some(PciId { vendor: half(vendor)?, device: half(device)? })
}

fn parse_hex(text: &str) -> Option<u32> {
    hex(text.strip_prefix("0x").unwrap_or(text), 1..=8)
}

fn last_number(target: &str) -> Option<u32> {
    target.rsplit('/').next()?.parse().ok()
}

/// The bridges on the way to a device, from the text of its link in /sys/bus/pci/devices.
fn upstream(target: &str, own: PciAddress) -> Vec<PciAddress> {
    target
        .split('/')
        .filter_map(|part| part.parse().ok())
        .filter(|address| *address != own)
        .collect()
}

/// The last PCI address in the text of a link into /sys/devices.
pub fn address_in(target: &str) -> Option<PciAddress> {
    target.rsplit('/').find_map(|part| part.parse().ok())
}

/// The `resource` attribute: one line a register, start, end and flags (include/linux/ioport.h).
fn bars(bytes: &[u8]) -> Vec<Bar> {
    const MEMORY: u64 = 0x200;
    const IO: u64 = 0x100;
    let text = String::from_utf8_lossy(bytes);
    let mut found = Vec::new();
    for (index, line) in (0_u8..7).zip(text.lines()) {
        let mut numbers = line.split_whitespace().map(|word| {
            u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).unwrap_or(0)
        });
        let (start, end, flags) =
            (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if flags & (MEMORY | IO) != 0 && end >= start && end != 0 {
            let size = (end - start).saturating_add(1);
            found.push(Bar { index, start, size, memory: flags & MEMORY != 0 });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uevent_and_attributes_agree() {
        let text = "DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_ID=1002:73FF\nPCI_SUBSYS_ID=1462:5022\n\
                    PCI_SLOT_NAME=0000:07:00.0\nMODALIAS=pci:v00001002d000073FFsv00001462sd00005022bc03sc00i00\n";
        let identity = Identity::from_uevent(text).unwrap();
        assert_eq!(identity.id.to_string(), "1002:73ff");
        assert_eq!(identity.class.to_string(), "0300");
        let sub = identity.subsystem.unwrap();
        assert_eq!(modalias(identity.id, sub, identity.class), identity.modalias);
        assert!(Identity::from_uevent("PCI_ID=xxxx:1\n").is_none());
    }

    #[test]
    fn registers_have_sizes() {
        let text = b"0x00000000f0000000 0x00000000f0ffffff 0x0000000000040200\n\
                     0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
                     0x0000000000003000 0x000000000000307f 0x0000000000040101\n";
        let found = bars(text);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].index, found[0].size, found[0].memory), (0, 16 << 20, true));
        assert_eq!((found[1].index, found[1].size, found[1].memory), (2, 128, false));
    }
}
