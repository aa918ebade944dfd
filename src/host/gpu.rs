//! Cards: display functions with their companions, what they show, who uses them.

use serde::Serialize;

use super::pci::{PciAddress, PciDevice, address_in};
use super::rom;
use crate::sys::{Observed, Sysroot};

/// ASPEED makes graphics for management controllers only; no guest wants one.
const ASPEED: u16 = 0x1a03;
const AMD: u16 = 0x1002;
const AMD_CPU: u16 = 0x1022;
const INTEL: u16 = 0x8086;

/// Who a card belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The host's own display.
    Host,
    /// Could go to a guest.
    Candidate,
    /// A VFIO driver holds it.
    Assigned,
}

/// A monitor connector of a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Connector {
    /// Name without the card: `DP-1`.
    pub name: String,
    /// A monitor is there; `None` where the kernel does not know, or the file was not read.
    pub connected: Option<bool>,
}

/// A graphics card, or an integrated GPU.
#[derive(Debug, Clone, PartialEq)]
pub struct Gpu {
    /// Its display function.
    pub address: PciAddress,
    /// All functions that go together, the display function first.
    pub functions: Vec<PciAddress>,
    /// Part of the processor or chipset.
    pub integrated: bool,
    /// The firmware's boot display.
    pub boot_display: bool,
    /// Connectors that its driver shows.
    pub connectors: Vec<Connector>,
    /// DRM nodes: `card0`.
    pub drm_cards: Vec<String>,
    /// Frame buffers of the console on it: `fb0`.
    pub framebuffers: Vec<String>,
    /// The firmware's frame buffer is still in use on it: its platform device.
    pub boot_framebuffer: Option<String>,
    /// The option ROM holds an EFI image.
    pub efi_rom: Observed<bool>,
    /// Who it belongs to.
    pub role: Role,
}

impl Gpu {
    /// Names of connectors with a monitor.
    pub fn connected(&self) -> impl Iterator<Item = &str> {
        self.connectors.iter().filter(|c| c.connected == Some(true)).map(|c| c.name.as_str())
    }

    /// It shows a picture now, as far as the kernel knows.
    pub fn shows_picture(&self) -> bool {
        self.connected().next().is_some() || self.boot_framebuffer.is_some()
    }
}

/// All cards, and management displays apart from them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gpus {
    /// Cards in address order.
    pub cards: Vec<Gpu>,
    /// Displays of management controllers (BMC).
    pub management: Vec<PciAddress>,
}

/// Display functions and their companions, without looking at anything else.
pub fn card_functions(devices: &[PciDevice]) -> Vec<Vec<&PciDevice>> {
    let displays = devices.iter().filter(|d| d.class.is_gpu() && !d.virtual_function);
    let mut cards: Vec<Vec<&PciDevice>> = Vec::new();
    for display in displays {
        let taken = |card: &Vec<&PciDevice>| card.iter().any(|f| f.address == display.address);
        if !cards.iter().any(taken) {
            cards.push(functions_of(devices, display));
        }
    }
    cards
}

/// All functions of the slot go together. The slot of an integrated AMD GPU also holds the
/// processor's own USB and security functions (vendor 1022), which stay with the host.
fn functions_of<'a>(devices: &'a [PciDevice], display: &'a PciDevice) -> Vec<&'a PciDevice> {
    let at = devices.partition_point(|d| d.address < PciAddress { function: 0, ..display.address });
    let slot = devices[at..].iter().take_while(|d| d.address.same_slot(display.address));
    let slot: Vec<_> = slot.filter(|d| !d.virtual_function).collect();
    let apu = is_apu(&slot, display);
    let mut functions = vec![display];
    functions.extend(slot.into_iter().filter(|d| {
        d.address != display.address && (!apu || (d.id.vendor == AMD && d.class.code() == 0x0403))
    }));
    functions
}

fn is_apu(slot: &[&PciDevice], display: &PciDevice) -> bool {
    display.id.vendor == AMD && slot.iter().any(|d| d.id.vendor == AMD_CPU)
}

/// Reads what the cards show and says who owns each.
pub fn read(root: &Sysroot, devices: &[PciDevice], probe: rom::Probe) -> Gpus {
    let displays = Displays::read(root);
    let mut gpus = Gpus::default();
    for functions in card_functions(devices) {
        let display = functions[0];
        if display.id.vendor == ASPEED {
            gpus.management.push(display.address);
            continue;
        }
        let slot: Vec<_> =
            devices.iter().filter(|d| d.address.same_slot(display.address)).collect();
        let boot_display = display.boot_vga.present() == Some(&true);
        let integrated = is_apu(&slot, display)
            || (display.id.vendor == INTEL
                && display.upstream.is_empty()
                && display.address.device == 2);
        gpus.cards.push(Gpu {
            address: display.address,
            functions: functions.iter().map(|f| f.address).collect(),
            integrated,
            boot_display,
            connectors: displays.connectors(display.address),
            drm_cards: displays.cards(display.address),
            framebuffers: displays.framebuffers(display.address),
            boot_framebuffer: displays.boot_framebuffer(display, boot_display),
            efi_rom: rom::has_efi_image(root, display, boot_display, probe),
            role: Role::Candidate,
        });
    }
    assign_roles(&mut gpus, devices);
    gpus
}

/// The host keeps the card that shows its picture; where only discrete cards show one and
/// an integrated GPU has a driver, the host can live on that.
fn assign_roles(gpus: &mut Gpus, devices: &[PciDevice]) {
    let driver = |address: PciAddress| {
        devices.iter().find(|d| d.address == address).and_then(|d| d.driver.as_deref())
    };
    for card in &mut gpus.cards {
        if driver(card.address).is_some_and(super::pci::is_vfio_driver) {
            card.role = Role::Assigned;
        }
    }
    let free: Vec<usize> =
        (0..gpus.cards.len()).filter(|i| gpus.cards[*i].role == Role::Candidate).collect();
    let cards = &gpus.cards;
    let assigned = cards.iter().any(|card| card.role == Role::Assigned);
    let bmc_boots = gpus.management.iter().any(|address| {
        devices.iter().any(|d| d.address == *address && d.boot_vga.present() == Some(&true))
    });
    let showing = free.iter().copied().max_by_key(|i| {
        let card = &cards[*i];
        let shows = card.connected().next().is_some();
        (shows, card.boot_display, card.connected().count(), std::cmp::Reverse(*i))
    });
    let showing = showing.filter(|i| {
        let card = &cards[*i];
        card.connected().next().is_some()
            || card.boot_display
            || (free.len() == 1 && !assigned && !bmc_boots)
    });
    let Some(showing) = showing else { return };
    let spare_integrated = free
        .iter()
        .copied()
        .find(|i| *i != showing && cards[*i].integrated && driver(cards[*i].address).is_some());
    let others = free.iter().filter(|i| **i != showing && !cards[**i].integrated).count();
    let host = match spare_integrated {
        Some(integrated) if !cards[showing].integrated && others == 0 && !assigned => integrated,
        _ => showing,
    };
    gpus.cards[host].role = Role::Host;
}

/// DRM connectors and frame buffers, by the PCI function below which they hang.
#[derive(Default)]
struct Displays {
    cards: Vec<(String, PciAddress)>,
    connectors: Vec<(String, Connector)>,
    framebuffers: Vec<(String, PciAddress)>,
    platform: Vec<(String, Option<PciAddress>)>,
    boot_range: Option<(u64, u64)>,
}

const DRM: &str = "sys/class/drm";
const FRAMEBUFFERS: &str = "sys/class/graphics";
const PLATFORM: &str = "sys/bus/platform/devices";

impl Displays {
    fn read(root: &Sysroot) -> Self {
        let mut found = Self::default();
        for name in root.list(DRM).into_present().unwrap_or_default() {
            if let Some((card, connector)) = name.split_once('-') {
                if connector.starts_with("Writeback") {
                    continue; // memory, not a socket (drivers/gpu/drm/drm_writeback.c)
                }
                let status = root.line(&format!("{DRM}/{name}/status"));
                let connected = match status.present().map(String::as_str) {
                    Some("connected") => Some(true),
                    Some("disconnected") => Some(false),
                    _ => None,
                };
                let connector = Connector { name: connector.to_owned(), connected };
                found.connectors.push((card.to_owned(), connector));
            } else if name.starts_with("card")
                && let Some(address) = place_of(root, DRM, &name)
            {
                found.cards.push((name, address));
            }
        }
        for name in root.list(FRAMEBUFFERS).into_present().unwrap_or_default() {
            if let Some(address) = place_of(root, FRAMEBUFFERS, &name) {
                found.framebuffers.push((name, address));
            }
        }
        for name in root.list(PLATFORM).into_present().unwrap_or_default() {
            if is_boot_framebuffer(&name)
                && root.link(&format!("{PLATFORM}/{name}/driver")).is_present()
            {
                let target = root.link(&format!("{PLATFORM}/{name}")).into_present();
                found.platform.push((name, target.and_then(|target| address_in(&target))));
            }
        }
        if !found.platform.is_empty() {
            found.boot_range = boot_range(root);
        }
        found
    }

    fn cards(&self, address: PciAddress) -> Vec<String> {
        self.cards.iter().filter(|(_, at)| *at == address).map(|(name, _)| name.clone()).collect()
    }

    fn connectors(&self, address: PciAddress) -> Vec<Connector> {
        let cards = self.cards(address);
        let own = self.connectors.iter().filter(|(card, _)| cards.contains(card));
        own.map(|(_, connector)| connector.clone()).collect()
    }

    fn framebuffers(&self, address: PciAddress) -> Vec<String> {
        self.framebuffers
            .iter()
            .filter(|(_, at)| *at == address)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The firmware's frame buffer is on this card: the platform device hangs below it, its
    /// memory lies in one of its BARs, or nothing of that is known and it is the boot display.
    fn boot_framebuffer(&self, display: &PciDevice, boot_display: bool) -> Option<String> {
        let inside = |(start, end): (u64, u64)| {
            display.bars.iter().any(|bar| {
                bar.memory && bar.start != 0 && bar.start <= start && end < bar.start + bar.size
            })
        };
        let on_card = |parent: &Option<PciAddress>| match (parent, self.boot_range) {
            (Some(parent), _) => *parent == display.address,
            (None, Some(range)) => inside(range),
            (None, None) => boot_display,
        };
        self.platform.iter().find(|(_, parent)| on_card(parent)).map(|(name, _)| name.clone())
    }
}

/// Names that drivers/firmware/sysfb.c and sysfb_simplefb.c give.
fn is_boot_framebuffer(name: &str) -> bool {
    ["efi-framebuffer", "simple-framebuffer", "vesa-framebuffer"]
        .iter()
        .any(|p| name.starts_with(p))
}

fn place_of(root: &Sysroot, class: &str, name: &str) -> Option<PciAddress> {
    let target = root.link(&format!("{class}/{name}")).into_present();
    target.as_deref().and_then(address_in).or_else(|| {
        let device = root.link(&format!("{class}/{name}/device")).into_present()?;
        address_in(&device)
    })
}

/// Range of `BOOTFB` in /proc/iomem (drivers/firmware/sysfb_simplefb.c); zeros for others than root.
fn boot_range(root: &Sysroot) -> Option<(u64, u64)> {
    let names: [&[u8]; 3] = [b"BOOTFB", b"efifb", b"simplefb"];
    let text = root.lines("proc/iomem", |line| names.iter().any(|name| line.ends_with(name)));
    let text = text.into_present()?;
    let (range, _) = text.lines().next()?.split_once(" : ")?;
    let (start, end) = range.trim().split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    number(start).zip(number(end)).filter(|(start, _)| *start != 0)
}
