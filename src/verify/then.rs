//! What was known when a transaction was applied, for the comparison after the reboot.

use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::host::booted::Facts;
use crate::host::pci::{PciAddress, is_vfio_driver};

/// A function as it was then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Where it was.
    pub address: PciAddress,
    /// `vendor:device:subvendor:subdevice`.
    pub ids: String,
    /// Driver that held it.
    pub driver: Option<String>,
}

impl Function {
    /// A VFIO driver held it.
    pub fn was_on_vfio(&self) -> bool {
        self.driver.as_deref().is_some_and(is_vfio_driver)
    }
}

/// What a transaction records of the machine that it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Then {
    /// Which boot it was.
    pub boot_id: Option<String>,
    /// Which kernel ran.
    pub kernel_release: Option<String>,
    /// No kernel ran in that root: it was changed from another system.
    pub elsewhere: bool,
    /// Nothing was recorded: somebody set the machine up without passthru.
    #[serde(skip)]
    pub by_hand: bool,
    /// What that kernel was started with.
    pub command_line: Option<String>,
    /// Functions of all cards, and whatever else a VFIO driver held.
    pub functions: Vec<Function>,
}

/// Whether the machine was rebooted since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reboot {
    /// It was.
    Done,
    /// It was not.
    NotYet,
    /// Nobody can tell, for this reason.
    Unknown(String),
}

impl Then {
    /// What there is to record of a host, read in the boot of that id.
    pub fn of(host: &Host, boot_id: Option<String>) -> Self {
        let of_card = |address| host.gpus.cards.iter().any(|gpu| gpu.functions.contains(&address));
        let recorded =
            host.devices().iter().filter(|device| device.on_vfio() || of_card(device.address));
        let functions = recorded.map(|device| Function {
            address: device.address,
            ids: device.identity(),
            driver: device.driver.clone(),
        });
        Self {
            by_hand: false,
            elsewhere: boot_id.is_none() && host.command_line().is_none(),
            boot_id,
            kernel_release: host.kernel.release.clone(),
            command_line: host.command_line().map(str::to_owned),
            functions: functions.collect(),
        }
    }

    /// Compares the boot ids. Another command line says the same as another id: it does not
    /// change while a kernel runs.
    pub fn reboot(&self, host: &Host, facts: &Facts) -> Reboot {
        match (&self.boot_id, facts.boot_id.present()) {
            (Some(then), Some(now)) if then == now => return Reboot::NotYet,
            (Some(_), Some(_)) => return Reboot::Done,
            (_, Some(_)) if self.elsewhere => return Reboot::Done,
            _ => {}
        }
        match (self.command_line.as_deref(), host.command_line()) {
            (Some(then), Some(now)) if then != now => Reboot::Done,
            _ if self.boot_id.is_none() => {
                Reboot::Unknown("no boot id was recorded when the change was made".to_owned())
            }
            _ => Reboot::Unknown("the id of this boot could not be read".to_owned()),
        }
    }

    /// What was recorded at an address.
    pub fn at(&self, address: PciAddress) -> Option<&Function> {
        self.functions.iter().find(|function| function.address == address)
    }
}
