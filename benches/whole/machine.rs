//! Machines of any size, as the kernel lays them out in sysfs.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Everything but the PCI devices is this recorded host's.
const HOST: &str = "z490-arch";

/// A root directory in a temporary place.
pub struct Machine {
    dir: TempDir,
}

/// What stands in one function's attributes.
struct Function {
    address: String,
    /// Its directory below `sys/devices`.
    path: String,
    kind: &'static Kind,
    group: usize,
}

struct Kind {
    vendor: u16,
    device: u16,
    subsystem: (u16, u16),
    class: u32,
    driver: &'static str,
}

const fn kind(vendor: u16, device: u16, class: u32, driver: &'static str) -> Kind {
    Kind { vendor, device, subsystem: (0x1458, 0x2336), class, driver }
}

const HOST_BRIDGE: Kind = kind(0x8086, 0x9b33, 0x06_0000, "skl_uncore");
const ROOT_PORT: Kind = kind(0x8086, 0x1901, 0x06_0400, "pcieport");
/// A graphics card with its sound.
const GPU: [Kind; 2] =
    [kind(0x1002, 0x73ff, 0x03_0000, "amdgpu"), kind(0x1002, 0xab28, 0x04_0300, "snd_hda_intel")];
/// Cards of other kinds, with as many functions each.
const CARDS: [&[Kind]; 3] = [
    &[kind(0x144d, 0xa808, 0x01_0802, "nvme")],
    &[kind(0x8086, 0x1572, 0x02_0000, "i40e"), kind(0x8086, 0x1572, 0x02_0000, "i40e")],
    &[kind(0x1b21, 0x2142, 0x0c_0330, "xhci_hcd")],
];
/// Root ports on the first bus of a domain: 31 slots of 8 functions.
const PORTS: usize = 248;

impl Machine {
    /// Makes a machine with exactly so many PCI functions.
    pub fn new(passthru: &str, functions: usize) -> Self {
        // In memory where that can be had: closer to sysfs than a disk's file system.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let machine = Self { dir };
        let root = machine.root();
        let mut unpack = Command::new(passthru);
        unpack.args(["--host", HOST, "capture", "--unpack"]).arg(&root);
        assert!(unpack.status().unwrap().success(), "the recorded host cannot be unpacked");
        for stale in
            ["sys/bus/pci/devices", "sys/devices", "sys/kernel/iommu_groups", "sys/class/drm"]
        {
            let _ = fs::remove_dir_all(root.join(stale));
        }
        for list in ["usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids"] {
            let to = root.join(list);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            let _ = fs::copy(Path::new("/").join(list), to);
        }
        fs::create_dir_all(root.join("sys/bus/pci/devices")).unwrap();
        for function in layout(functions) {
            function.write(&root);
        }
        machine
    }

    /// Where it is.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }
}

/// Domains of a host bridge and root ports, each with a card; every eighth is a graphics card.
fn layout(count: usize) -> Vec<Function> {
    let mut all: Vec<Function> = Vec::new();
    let mut groups = 0;
    for domain in 0.. {
        let bridge = format!("{domain:04x}:00:00.0");
        let top = format!("pci{domain:04x}:00");
        let path = format!("{top}/{bridge}");
        all.push(Function { address: bridge, path, kind: &HOST_BRIDGE, group: groups });
        groups += 1;
        for port in 0..PORTS {
            let address = format!("{domain:04x}:00:{:02x}.{}", 1 + port / 8, port % 8);
            let path = format!("{top}/{address}");
            all.push(Function { address, path: path.clone(), kind: &ROOT_PORT, group: groups });
            let card = if port % 8 == 0 { &GPU[..] } else { CARDS[port % CARDS.len()] };
            for (number, kind) in card.iter().enumerate() {
                let address = format!("{domain:04x}:{:02x}:00.{number}", 1 + port);
                let path = format!("{path}/{address}");
                all.push(Function { address, path, kind, group: groups + 1 });
            }
            groups += 2;
            if all.len() >= count {
                all.truncate(count);
                return all;
            }
        }
    }
    all
}

impl Function {
    fn write(&self, root: &Path) {
        let dir = root.join("sys/devices").join(&self.path);
        fs::create_dir_all(&dir).unwrap();
        for (name, content) in self.attributes() {
            fs::write(dir.join(name), content).unwrap();
        }
        fs::write(dir.join("config"), self.config()).unwrap();
        let up = "../".repeat(self.path.split('/').count() + 1);
        let driver = format!("bus/pci/drivers/{}", self.kind.driver);
        fs::create_dir_all(root.join("sys").join(&driver)).unwrap();
        symlink(format!("{up}{driver}"), dir.join("driver")).unwrap();
        let group = format!("kernel/iommu_groups/{}", self.group);
        symlink(format!("{up}{group}"), dir.join("iommu_group")).unwrap();
        let bus = root.join("sys/bus/pci/devices").join(&self.address);
        symlink(format!("../../../devices/{}", self.path), bus).unwrap();
        let group = root.join("sys").join(group);
        fs::create_dir_all(group.join("devices")).unwrap();
        fs::write(group.join("type"), "DMA-FQ\n").unwrap();
        let reserved = "0x00000000fee00000 0x00000000feefffff msi\n";
        fs::write(group.join("reserved_regions"), reserved).unwrap();
        let member = format!("../../../../devices/{}", self.path);
        symlink(member, group.join("devices").join(&self.address)).unwrap();
        if self.kind.class == GPU[0].class {
            self.write_display(root, &dir);
        }
    }

    /// A DRM card with two connectors; the first card of all shows the picture.
    fn write_display(&self, root: &Path, dir: &Path) {
        let boot = self.address == "0000:01:00.0";
        fs::write(dir.join("boot_vga"), if boot { "1\n" } else { "0\n" }).unwrap();
        let class = root.join("sys/class/drm");
        fs::create_dir_all(&class).unwrap();
        let card = format!("card{}", fs::read_dir(&class).unwrap().count() / 3);
        for (name, status) in [("DP-1", boot), ("HDMI-A-1", false)] {
            let connector = dir.join(format!("drm/{card}/{card}-{name}"));
            fs::create_dir_all(&connector).unwrap();
            let status = if status { "connected\n" } else { "disconnected\n" };
            fs::write(connector.join("status"), status).unwrap();
            let target = format!("../../devices/{}/drm/{card}/{card}-{name}", self.path);
            symlink(target, class.join(format!("{card}-{name}"))).unwrap();
        }
        let target = format!("../../devices/{}/drm/{card}", self.path);
        symlink(target, class.join(card)).unwrap();
    }

    /// Every attribute of a function that some reader opens, as drivers/pci/pci-sysfs.c has it.
    fn attributes(&self) -> Vec<(&'static str, String)> {
        let Kind { vendor, device, subsystem: (sub, board), class, driver } = *self.kind;
        let modalias = format!(
            "pci:v{vendor:08X}d{device:08X}sv{sub:08X}sd{board:08X}bc{:02X}sc{:02X}i{:02X}",
            class >> 16,
            class >> 8 & 0xff,
            class & 0xff
        );
        let uevent = format!(
            "DRIVER={driver}\nPCI_CLASS={class:X}\nPCI_ID={vendor:04X}:{device:04X}\n\
             PCI_SUBSYS_ID={sub:04X}:{board:04X}\nPCI_SLOT_NAME={}\nMODALIAS={modalias}\n",
            self.address
        );
        let mut resource = String::new();
        for register in 0..13 {
            let line = match register {
                0 => "0x00000000f0000000 0x00000000f0ffffff 0x0000000000040200",
                _ => "0x0000000000000000 0x0000000000000000 0x0000000000000000",
            };
            let _ = writeln!(resource, "{line}");
        }
        vec![
            ("vendor", format!("0x{vendor:04x}\n")),
            ("device", format!("0x{device:04x}\n")),
            ("subsystem_vendor", format!("0x{sub:04x}\n")),
            ("subsystem_device", format!("0x{board:04x}\n")),
            ("class", format!("0x{class:06x}\n")),
            ("revision", "0xc7\n".to_owned()),
            ("irq", "16\n".to_owned()),
            ("numa_node", "-1\n".to_owned()),
            ("local_cpulist", "0-15\n".to_owned()),
            ("power_state", "D0\n".to_owned()),
            ("reset_method", "flr bus\n".to_owned()),
            ("driver_override", "(null)\n".to_owned()),
            ("enable", "1\n".to_owned()),
            ("modalias", modalias + "\n"),
            ("uevent", uevent),
            ("resource", resource),
        ]
    }

    /// The standard header of the configuration space, little-endian.
    fn config(&self) -> [u8; 256] {
        let kind = self.kind;
        let mut bytes = [0; 256];
        bytes[0..2].copy_from_slice(&kind.vendor.to_le_bytes());
        bytes[2..4].copy_from_slice(&kind.device.to_le_bytes());
        bytes[8] = 0xc7;
        bytes[9..12].copy_from_slice(&kind.class.to_le_bytes()[..3]);
        bytes[14] = u8::from(kind.class == ROOT_PORT.class); // header type
        bytes[44..46].copy_from_slice(&kind.subsystem.0.to_le_bytes());
        bytes[46..48].copy_from_slice(&kind.subsystem.1.to_le_bytes());
        bytes
    }
}
