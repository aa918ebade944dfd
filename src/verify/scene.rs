//! Everything that a judgement looks at, with the few questions that several of them ask.

use super::then::Then;
use super::trial::OnTrial;
use crate::check::{Case, Desired, Finding};
use crate::host::booted::{Facts, LogLine};
use crate::host::pci::{DEVICES, PciAddress, PciDevice};
use crate::host::{Host, Observed};
use crate::plan::Expectation;

/// The machine after the reboot, and what was expected of it.
pub struct Scene<'a> {
    /// What was expected.
    pub expected: &'a [Expectation],
    /// What was known when the change was made.
    pub then: &'a Then,
    /// The machine as it is.
    pub host: &'a Host,
    /// What was read beside it.
    pub facts: &'a Facts,
    /// Command lines, as started and as configured.
    pub case: Case<'a>,
    /// What `check` finds on the machine now.
    pub findings: Vec<Finding>,
    /// An entry that was selected for one boot.
    pub trial: Option<&'a OnTrial>,
}

/// The card that expectations speak of, as a user would name it.
pub fn card_of(expected: &[Expectation]) -> Option<String> {
    expected.iter().find_map(|expectation| match expectation {
        Expectation::OnVfio(address) | Expectation::NotOnVfio(address) => Some(address.to_string()),
        _ => None,
    })
}

impl<'a> Scene<'a> {
    /// Asks `check` too: what it finds is the cause of much.
    pub fn new(
        expected: &'a [Expectation],
        then: &'a Then,
        host: &'a Host,
        facts: &'a Facts,
        desired: &'a Desired,
    ) -> Self {
        let case = Case::new(host, desired);
        let findings = crate::check::run(&case).findings;
        Self { expected, then, host, facts, case, findings, trial: None }
    }

    /// The first of these findings that `check` has now.
    pub fn finding(&self, codes: &[&str]) -> Option<&Finding> {
        codes.iter().find_map(|code| self.findings.iter().find(|finding| finding.code == *code))
    }

    /// The function at an address.
    pub fn device(&self, address: PciAddress) -> Observed<&'a PciDevice> {
        match (&self.host.devices, self.host.device(address)) {
            (_, Some(device)) => Observed::Present(device),
            (Observed::Present(_), None) => match self.unread(address, "") {
                Some(reason) => Observed::Unreadable(reason),
                None => Observed::Absent,
            },
            (Observed::Absent, None) => Observed::Unreadable("it is not there".to_owned()),
            (Observed::Unreadable(reason), None) => Observed::Unreadable(reason.clone()),
        }
    }

    /// Driver of a function; absent where none has it.
    pub fn driver(&self, device: &'a PciDevice) -> Observed<&'a str> {
        let unread = || ["/uevent", "/driver"].iter().find_map(|a| self.unread(device.address, a));
        match (device.driver.as_deref(), unread()) {
            (Some(driver), _) => Observed::Present(driver),
            (None, Some(reason)) => Observed::Unreadable(reason),
            (None, None) => Observed::Absent,
        }
    }

    /// Why something of a function could not be read.
    pub fn unread(&self, address: PciAddress, attribute: &str) -> Option<String> {
        let path = format!("{DEVICES}/{address}{attribute}");
        let unreadable = self.facts.unreadable.iter().chain(&self.host.unreadable);
        let mut of_path = unreadable.filter(|(other, _)| *other == path);
        of_path.next().map(|(_, reason)| reason.clone())
    }

    /// A function that may hide what is looked for, since it could not be read.
    pub fn hidden_function(&self) -> Option<(String, String)> {
        let dir = format!("{DEVICES}/");
        let of_function = |path: &str| {
            let rest = path.strip_prefix(&dir)?;
            let attribute = rest.split_once('/').map_or("", |(_, attribute)| attribute);
            matches!(attribute, "" | "uevent" | "driver").then_some(())
        };
        let unreadable = self.host.unreadable.iter();
        unreadable.clone().find(|(path, _)| of_function(path).is_some()).cloned()
    }

    /// Identity of a function, or the path that hides it and the reason.
    pub fn ids(&self, device: &PciDevice) -> Result<String, (String, String)> {
        if device.subsystem.is_none() {
            for attribute in ["/subsystem_vendor", "/subsystem_device"] {
                if let Some(reason) = self.unread(device.address, attribute) {
                    return Err((format!("{}{attribute}", device.path()), reason));
                }
            }
        }
        Ok(device.identity())
    }

    /// What is expected on the command line, as a user would call it.
    pub fn added(&self) -> &'static str {
        if self.then.by_hand { "what is configured for vfio-pci" } else { "what passthru added" }
    }

    /// The log was read, and nothing of its beginning is lost: the first second is in it.
    pub fn has_whole_log(&self) -> bool {
        self.log().next().is_some_and(|line| line.micros < 1_000_000)
    }

    /// What a function should be, if it is something else now or gone.
    pub fn displaced(&self, address: PciAddress) -> Option<&'a str> {
        let ids = self.identity(address)?;
        match self.device(address) {
            Observed::Present(device) => match self.ids(device) {
                Ok(found) => (found != ids).then_some(ids),
                Err(_) => None,
            },
            Observed::Absent => Some(ids),
            Observed::Unreadable(_) => None,
        }
    }

    /// What a function should be: expected, or else recorded.
    pub fn identity(&self, address: PciAddress) -> Option<&'a str> {
        let expected = self.expected.iter().find_map(|expectation| match expectation {
            Expectation::Identity(at, ids) if *at == address => Some(ids.as_str()),
            _ => None,
        });
        expected.or_else(|| self.then.at(address).map(|function| function.ids.as_str()))
    }

    /// A function that has these ids and was not known to be there.
    pub fn elsewhere(&self, ids: &str, from: PciAddress) -> Option<&'a PciDevice> {
        let settled = |at: PciAddress| self.identity(at) == Some(ids);
        let mut all = self.host.devices().iter();
        all.find(|d| d.address != from && d.identity() == ids && !settled(d.address))
    }

    /// Functions that should be on vfio-pci.
    pub fn to_bind(&self) -> impl Iterator<Item = PciAddress> {
        self.expected.iter().filter_map(|expectation| match expectation {
            Expectation::OnVfio(address) => Some(*address),
            _ => None,
        })
    }

    /// The kernel's log; empty where it could not be read.
    pub fn log(&self) -> impl DoubleEndedIterator<Item = &'a LogLine> {
        self.facts.log.present().map_or(&[][..], Vec::as_slice).iter()
    }

    /// What our script in the initramfs said.
    pub fn script(&self) -> impl DoubleEndedIterator<Item = &'a str> {
        self.log().filter_map(|line| line.text.strip_prefix("passthru: "))
    }
}
