//! A wish made whole: what it leaves open is decided from the host and from libvirt's answer.

use super::capabilities::Capabilities;
use super::spec::{Accelerator, Disk, Network, Size, VERSION, VmSpec, Windows};
use crate::host::Observed;
use crate::host::cpu::{Cpu, CpuVendor};
use crate::host::resources::Resources;

const GIB: u64 = 1 << 30;
/// The host keeps at least so many processors.
const HOST_CPUS: u32 = 2;

/// The host, as far as a guest takes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Logical processors.
    pub cpus: u32,
    /// Memory.
    pub memory: Size,
    /// Who made the processor.
    pub vendor: CpuVendor,
    /// The best UEFI image for guests.
    pub firmware: Firmware,
}

/// What UEFI images for guests can do, the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// None is known.
    None,
    /// UEFI without Secure Boot.
    Plain,
    /// Secure Boot can be had, with no keys in it.
    SecureBoot,
    /// Secure Boot with the keys of Microsoft.
    EnrolledKeys,
}

impl Room {
    /// From what was read.
    pub fn of(cpu: Option<&Cpu>, resources: &Resources) -> Self {
        let online = u32::try_from(resources.online().len()).ok().filter(|count| *count > 0);
        let has = |word: &str| match &resources.firmware {
            Observed::Present(all) => all.iter().any(|one| one.features.contains(word)),
            _ => false,
        };
        let firmware = match &resources.firmware {
            Observed::Present(all) if !all.is_empty() => {
                match (has("secure-boot"), has("enrolled-keys")) {
                    (true, true) => Firmware::EnrolledKeys,
                    (true, false) => Firmware::SecureBoot,
                    _ => Firmware::Plain,
                }
            }
            _ => Firmware::None,
        };
        Self {
            cpus: online.or(cpu.and_then(|cpu| cpu.threads)).unwrap_or(0),
            memory: Size(resources.memory.present().copied().unwrap_or(0)),
            vendor: cpu.map_or(CpuVendor::Other, |cpu| cpu.vendor),
            firmware,
        }
    }
}

/// A wish that leaves nothing open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Which Windows.
    pub os: Windows,
    /// Virtual processors.
    pub cpus: u32,
    /// Memory.
    pub memory: Size,
    /// Disk.
    pub disk: Disk,
    /// Network.
    pub network: Network,
    /// Installation volume.
    pub iso: Option<String>,
    /// Driver volume.
    pub virtio_iso: Option<String>,
    /// TPM 2.0.
    pub tpm: bool,
    /// Secure Boot.
    pub secure_boot: SecureBoot,
    /// Hide KVM.
    pub hide_hypervisor: bool,
    /// What runs the guest's code.
    pub accelerator: Accelerator,
}

/// Secure Boot of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecureBoot {
    /// Not there.
    Off,
    /// There, with no keys: Windows Setup asks for no more than that it can be had.
    NoKeys,
    /// There, with the keys of Microsoft.
    Keys,
}

/// Why no machine can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// More than there is.
    #[error("{asked} virtual processors were asked for, and this host has {has}")]
    Cpus {
        /// What was asked for.
        asked: u32,
        /// What there is.
        has: u32,
    },
    /// More than there is.
    #[error("{asked} of memory were asked for, and this host has {} MiB", has.mebibytes())]
    Memory {
        /// What was asked for.
        asked: Size,
        /// What there is.
        has: Size,
    },
    /// Less than Windows accepts.
    #[error("{asked} of memory were asked for, and Windows needs {least}")]
    LittleMemory {
        /// What was asked for.
        asked: Size,
        /// What Windows needs.
        least: Size,
    },
    /// None at all.
    #[error("0 virtual processors were asked for")]
    NoCpus,
    /// The host has no UEFI image for guests.
    #[error("this host has no UEFI firmware for guests, and a GPU does not work without")]
    NoFirmware,
    /// It was asked for explicitly.
    #[error("no firmware of this host offers Secure Boot to guests")]
    NoSecureBoot,
    /// It was asked for explicitly.
    #[error("libvirt offers no emulated TPM 2.0")]
    NoTpm,
}

/// Something that the host does not offer, and what is done without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// Windows 11 asks for a TPM.
    Tpm,
    /// Windows 11 asks for Secure Boot.
    SecureBoot,
    /// The firmware has no keys of Microsoft.
    Keys,
    /// The emulated screen is shown by VNC.
    Spice,
    /// Windows sees neither disk nor network before it has their drivers.
    VirtioDrivers,
    /// Windows 11 asks for two.
    Cpus,
}

impl Lack {
    /// What it means and what to do.
    pub fn text(self) -> &'static str {
        match self {
            Self::Tpm => {
                "libvirt offers no emulated TPM 2.0, and the Setup of Windows 11 asks for one. Install swtpm (on Debian and Ubuntu `swtpm swtpm-tools`, elsewhere `swtpm`), restart libvirt, and create the machine again."
            }
            Self::SecureBoot => {
                "No firmware of this host offers Secure Boot to guests, and the Setup of Windows 11 asks for one that can. Install it: on Debian and Ubuntu `ovmf`, on Fedora and Arch `edk2-ovmf`, on openSUSE `qemu-ovmf-x86_64`."
            }
            Self::Keys => {
                "The firmware of this host has Secure Boot without Microsoft's keys: Windows 11 installs, and Secure Boot shows as off until keys are enrolled in the firmware's menu."
            }
            Self::Spice => {
                "This QEMU has no SPICE, so the emulated screen is shown by VNC (virt-manager and virt-viewer show both). For SPICE: on Debian and Ubuntu `qemu-system-modules-spice`, on Fedora `qemu-ui-spice-core`, on Arch `qemu-ui-spice-core qemu-hw-display-qxl`."
            }
            Self::VirtioDrivers => {
                "Without --virtio-iso Windows Setup sees no disk: download virtio-win.iso from https://fedorapeople.org/groups/virt/virtio-win/ and name it, so that `Load driver` finds viostor and NetKVM."
            }
            Self::Cpus => "Windows 11 asks for two processors, and one was asked for.",
        }
    }
}

/// Decides what the wish leaves open.
///
/// # Errors
/// Why no machine can be made.
pub fn whole(
    spec: &VmSpec,
    room: &Room,
    can: &Capabilities,
) -> Result<(Whole, Vec<Lack>), Impossible> {
    let mut lacks = Vec::new();
    let os = spec.os.unwrap_or(Windows::Win11);
    let eleven = os == Windows::Win11;
    let cpus = cpus(spec, room)?;
    if eleven && cpus < 2 {
        lacks.push(Lack::Cpus);
    }
    if !can.efi || room.firmware == Firmware::None {
        return Err(Impossible::NoFirmware);
    }
    let tpm = match (spec.tpm, can.tpm) {
        (Some(true), false) => return Err(Impossible::NoTpm),
        (None, false) if eleven => {
            lacks.push(Lack::Tpm);
            false
        }
        (asked, can) => asked.unwrap_or(eleven) && can,
    };
    let secure_boot = match (spec.secure_boot.unwrap_or(eleven), room.firmware) {
        (false, _) => SecureBoot::Off,
        (true, Firmware::EnrolledKeys) => SecureBoot::Keys,
        (true, Firmware::SecureBoot) => {
            lacks.push(Lack::Keys);
            SecureBoot::NoKeys
        }
        (true, _) if spec.secure_boot == Some(true) => return Err(Impossible::NoSecureBoot),
        (true, _) => {
            lacks.push(Lack::SecureBoot);
            SecureBoot::Off
        }
    };
    if !can.graphics.contains("spice") {
        lacks.push(Lack::Spice);
    }
    if spec.virtio_iso.is_none() {
        lacks.push(Lack::VirtioDrivers);
    }
    let whole = Whole {
        os,
        cpus,
        memory: memory(spec, room, os)?,
        disk: spec.disk.clone().unwrap_or(Disk::New(Size(50 * GIB))),
        network: spec.network.clone().unwrap_or(Network::Libvirt("default".to_owned())),
        iso: spec.iso.clone(),
        virtio_iso: spec.virtio_iso.clone(),
        tpm,
        secure_boot,
        hide_hypervisor: spec.hide_hypervisor.unwrap_or(true),
        accelerator: spec.accelerator.unwrap_or_default(),
    };
    Ok((whole, lacks))
}

/// Half of the processors, and the host keeps at least two, as far as it has them.
fn cpus(spec: &VmSpec, room: &Room) -> Result<u32, Impossible> {
    match spec.cpus {
        Some(0) => Err(Impossible::NoCpus),
        Some(asked) if room.cpus > 0 && asked > room.cpus => {
            Err(Impossible::Cpus { asked, has: room.cpus })
        }
        Some(asked) => Ok(asked),
        None => Ok((room.cpus / 2).max(2).min(room.cpus.saturating_sub(HOST_CPUS)).max(1)),
    }
}

/// Half of the memory in whole GiB, which the guest locks: the other half stays the host's.
fn memory(spec: &VmSpec, room: &Room, os: Windows) -> Result<Size, Impossible> {
    let least = os.least_memory();
    let asked = spec.memory.unwrap_or(Size(room.memory.0 / 2).whole_gibibytes().max(least));
    if asked < least {
        return Err(Impossible::LittleMemory { asked, least });
    }
    if room.memory.0 > 0 && asked >= room.memory {
        return Err(Impossible::Memory { asked, has: room.memory });
    }
    Ok(asked)
}

impl Whole {
    /// As a wish that leaves nothing open.
    pub fn spec(&self) -> VmSpec {
        VmSpec {
            version: VERSION,
            os: Some(self.os),
            cpus: Some(self.cpus),
            memory: Some(self.memory),
            disk: Some(self.disk.clone()),
            network: Some(self.network.clone()),
            iso: self.iso.clone(),
            virtio_iso: self.virtio_iso.clone(),
            tpm: Some(self.tpm),
            secure_boot: Some(self.secure_boot != SecureBoot::Off),
            hide_hypervisor: Some(self.hide_hypervisor),
            accelerator: Some(self.accelerator),
        }
    }
}
