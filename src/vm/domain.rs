//! What stands in a domain that exists, as far as it decides what may be done with it.

use super::card::{number, source_of};
use crate::config::xml::{Element, XmlError};
use crate::host::pci::PciAddress;

/// A domain with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain<'a> {
    /// Every byte.
    pub text: &'a str,
    /// Its elements with their places.
    pub root: Element,
}

/// Why a text is no domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDomain {
    /// It is not well formed.
    #[error("the XML of the domain is not understood")]
    NoXml(#[from] XmlError),
    /// It is something else.
    #[error("this is no domain but <{0}>")]
    Other(String),
}

/// What keeps a GPU from working in a machine of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Not an x86 machine of KVM.
    #[error("it is no x86_64 virtual machine but {0}")]
    Architecture(String),
    /// PIIX has no PCI Express.
    #[error("its machine type is {0}, which has no PCI Express: GPU drivers need Q35")]
    Machine(String),
    /// No UEFI.
    #[error("it boots with BIOS, and GPU passthrough needs UEFI")]
    Bios,
    /// There is nowhere to put a device.
    #[error("it has no devices at all")]
    NoDevices,
}

impl<'a> Domain<'a> {
    /// Reads a domain.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &'a str) -> Result<Self, NoDomain> {
        let root = Element::parse(text)?;
        if root.name != "domain" {
            return Err(NoDomain::Other(root.name));
        }
        Ok(Self { text, root })
    }

    /// Its devices, in order.
    pub fn devices(&self) -> &[Element] {
        self.root.child("devices").map_or(&[], |devices| &devices.children)
    }

    /// Its memory in bytes (libvirt, domain format, `memory`).
    pub fn memory(&self) -> Option<u64> {
        let memory = self.root.child("memory")?;
        let scale: u64 = match memory.attribute("unit").unwrap_or("KiB") {
            "b" | "bytes" => 1,
            "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "M" | "MiB" => 1 << 20,
            "G" | "GiB" => 1 << 30,
            "T" | "TiB" => 1 << 40,
            _ => 1 << 10,
        };
        memory.text.trim().parse::<u64>().ok()?.checked_mul(scale)
    }

    /// Functions of the host that it takes.
    pub fn sources(&self) -> impl Iterator<Item = PciAddress> {
        self.devices().iter().filter_map(source_of)
    }

    /// Whether a GPU can work in it: Q35 and UEFI.
    pub fn fit(&self) -> Result<(), Unfit> {
        let os = self.root.at(&["os", "type"]);
        let arch = os.and_then(|os| os.attribute("arch")).unwrap_or("x86_64");
        let kind = os.map(|os| os.text.trim()).unwrap_or_default();
        if arch != "x86_64" || kind != "hvm" {
            return Err(Unfit::Architecture(format!("{kind} on {arch}")));
        }
        let machine = os.and_then(|os| os.attribute("machine")).unwrap_or("pc");
        if machine != "q35" && !machine.contains("-q35") {
            return Err(Unfit::Machine(machine.to_owned()));
        }
        let os = self.root.child("os");
        let chosen = os.and_then(|os| os.attribute("firmware"));
        let loader = os.and_then(|os| os.child("loader"));
        let flash = loader.is_some_and(|l| l.attribute("type") == Some("pflash"));
        let efi = |path: &str| {
            let path = path.to_uppercase();
            ["OVMF", "EDK2", "EFI"].iter().any(|word| path.contains(word))
        };
        let named = loader.is_some_and(|loader| efi(loader.text.trim()));
        if chosen != Some("efi") && !flash && !named {
            return Err(Unfit::Bios);
        }
        if self.root.child("devices").is_none_or(|devices| devices.inside.is_none()) {
            return Err(Unfit::NoDevices);
        }
        Ok(())
    }

    /// Slots of the guest's first PCI bus that nothing names, those in the middle first: libvirt
    /// fills it from its beginning, and the chipset has its end.
    pub fn free_slots(&self) -> impl Iterator<Item = u32> {
        let devices = self.devices().iter();
        let addresses = devices.filter_map(|device| device.child("address"));
        let first = addresses.filter(|address| {
            address.attribute("type") == Some("pci") && number(address, "bus").unwrap_or(0) == 0
        });
        let used: Vec<u32> = first.filter_map(|address| number(address, "slot")).collect();
        (0x10..0x1b).chain(0x05..0x10).filter(move |slot| !used.contains(slot))
    }

    /// The first PCI bus of the guest behind all that it has or names.
    pub fn next_bus(&self) -> u32 {
        let devices = self.devices().iter();
        let named = devices.flat_map(|device| {
            let pci = device.name == "controller" && device.attribute("type") == Some("pci");
            let index = pci.then(|| number(device, "index")).flatten();
            index.into_iter().chain(bus_of(device))
        });
        named.max().unwrap_or(0) + 1
    }
}

/// Index of a root port of PCI Express, which is the guest's bus behind it.
pub fn root_port(device: &Element) -> Option<u32> {
    let pci = device.name == "controller" && device.attribute("type") == Some("pci");
    let port = pci && device.attribute("model") == Some("pcie-root-port");
    port.then(|| number(device, "index")).flatten()
}

/// The guest's PCI bus that a device stands on.
pub fn bus_of(device: &Element) -> Option<u32> {
    let address = device.child("address")?;
    (address.attribute("type") == Some("pci")).then(|| number(address, "bus")).flatten()
}
