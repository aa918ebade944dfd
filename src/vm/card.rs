//! A card of the host as a domain has it: both of its keys, and where the guest sees it.

use crate::config::xml::{Element, Written};
use crate::host::Host;
use crate::host::gpu::Gpu;
use crate::host::pci::PciAddress;

/// Who puts the card on vfio-pci (libvirt, domain format, `managed`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Managed {
    /// The host does, at boot. libvirt must not, so that a host that booted without the card's
    /// entry keeps its display and the guest does not start.
    ByHost,
    /// libvirt does, when the guest starts, and gives it back to the host's driver afterwards.
    ByLibvirt,
}

impl Managed {
    /// As the attribute has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::ByHost => "no",
            Self::ByLibvirt => "yes",
        }
    }
}

/// One function with both keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Where it is on the host.
    pub address: PciAddress,
    /// `vendor:device:subvendor:subdevice`.
    pub identity: String,
}

/// All functions of one slot of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// In address order.
    pub functions: Vec<Function>,
    /// The one that shows pictures, and has the option ROM.
    pub display: PciAddress,
}

impl Card {
    /// A card as the host has it now.
    pub fn of(host: &Host, gpu: &Gpu) -> Self {
        let functions = host
            .functions(gpu)
            .map(|device| Function { address: device.address, identity: device.identity() });
        let mut functions: Vec<Function> = functions.collect();
        functions.sort_by_key(|function| function.address);
        Self { functions, display: gpu.address }
    }

    /// Who binds it on this host now.
    pub fn managed(&self, host: &Host) -> Managed {
        let bound =
            |function: &Function| host.device(function.address).is_some_and(|d| d.on_vfio());
        if self.functions.iter().all(bound) { Managed::ByHost } else { Managed::ByLibvirt }
    }

    /// It has a function at this address.
    pub fn has(&self, address: PciAddress) -> bool {
        self.functions.iter().any(|function| function.address == address)
    }

    /// How the card on the host is another one than this, if it is.
    pub fn differs_on(&self, host: &Host) -> Option<String> {
        self.functions.iter().find_map(|function| {
            let Function { address, identity } = function;
            match host.device(*address) {
                None => Some(format!("{address} ({identity}) is not there")),
                Some(device) if device.identity() == *identity => None,
                Some(device) => Some(format!("{address} is {}, not {identity}", device.identity())),
            }
        })
    }

    /// Its host devices in one slot of the guest, functions numbered as on the host.
    pub fn hostdevs(&self, bus: u32, managed: Managed, rom: Option<&str>) -> Vec<String> {
        let each = self.functions.iter().map(|function| {
            let PciAddress { domain, bus: host_bus, device, function: number } = function.address;
            let source = Written::new("address")
                .with("domain", format!("{domain:#06x}"))
                .with("bus", format!("{host_bus:#04x}"))
                .with("slot", format!("{device:#04x}"))
                .with("function", format!("{number:#x}"));
            let mut guest = Written::new("address")
                .with("type", "pci")
                .with("domain", "0x0000")
                .with("bus", format!("{bus:#04x}"))
                .with("slot", "0x00")
                .with("function", format!("{number:#x}"));
            if number == 0 && self.functions.len() > 1 {
                guest = guest.with("multifunction", "on");
            }
            // Only the display function has a ROM to read.
            let rom = rom.filter(|_| function.address == self.display);
            Written::new("hostdev")
                .with("mode", "subsystem")
                .with("type", "pci")
                .with("managed", managed.word())
                .and(Written::new("source").and(source))
                .and_all(rom.map(|file| Written::new("rom").with("file", file)))
                .and(guest)
                .render()
        });
        each.collect()
    }
}

/// Address of the host's function that a host device takes.
pub fn source_of(hostdev: &Element) -> Option<PciAddress> {
    if hostdev.name != "hostdev" || hostdev.attribute("type") != Some("pci") {
        return None;
    }
    address_of(hostdev.at(&["source", "address"])?)
}

/// An address as libvirt writes it, `slot` being the device.
pub fn address_of(element: &Element) -> Option<PciAddress> {
    Some(PciAddress {
        domain: number(element, "domain").unwrap_or(0),
        bus: u8::try_from(number(element, "bus")?).ok()?,
        device: u8::try_from(number(element, "slot")?).ok()?,
        function: u8::try_from(number(element, "function").unwrap_or(0)).ok()?,
    })
}

/// A number in decimal, or in hex behind `0x`.
pub fn number(element: &Element, name: &str) -> Option<u32> {
    let value = element.attribute(name)?;
    match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => value.parse().ok(),
    }
}
