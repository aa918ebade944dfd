//! Whether a card can be plugged into a domain that runs, and behind which root port.
//!
//! QEMU tells the guest of a slot when its function 0 arrives (QEMU, hw/pci/pcie.c,
//! `pcie_cap_slot_plug_cb`), and libvirt plugs one device at a time (virsh(1), `attach-device`).
//! Root ports themselves cannot be plugged (QEMU, docs/pcie.txt, 5).

use super::card::{Card, source_of};
use super::domain::{Domain, bus_of, root_port};
use crate::config::xml::Element;
use crate::host::pci::PciAddress;

/// A domain that is on.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    /// As libvirt calls its state.
    pub state: &'a str,
    /// It has a definition that stays.
    pub persistent: bool,
    /// As it runs.
    pub active: &'a Domain<'a>,
    /// As it will start next.
    pub inactive: &'a Domain<'a>,
}

/// Why a card is not plugged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLive {
    /// The guest would see a part of it.
    #[error(
        "the card has {0} functions, and only a card of a single one can be plugged: libvirt plugs one function at a time, and the guest looks at a slot once"
    )]
    Functions(usize),
    /// Something that is asked for too needs a start of the domain.
    #[error("{0} needs the domain off")]
    With(&'static str),
    /// There would be no place for the card after the next start.
    #[error("the domain is transient: it has no definition that stays")]
    Transient,
    /// Nobody answers there.
    #[error("the domain is {0}, and only one that is running can be plugged into")]
    State(String),
    /// It is there already, by somebody else.
    #[error("the running domain has {0} already")]
    There(PciAddress),
    /// Nowhere to plug it.
    #[error(
        "the running domain has no free root port of PCI Express that a device can be plugged into"
    )]
    NoPort,
}

/// The root port that the card goes behind: free in the running domain, and at its next start.
///
/// # Errors
/// Why it cannot be plugged.
pub fn port(
    running: &Running<'_>,
    card: &Card,
    with: Option<&'static str>,
) -> Result<u32, NotLive> {
    if card.functions.len() > 1 {
        return Err(NotLive::Functions(card.functions.len()));
    }
    if let Some(option) = with {
        return Err(NotLive::With(option));
    }
    if !running.persistent {
        return Err(NotLive::Transient);
    }
    if running.state != "running" {
        return Err(NotLive::State(running.state.to_owned()));
    }
    if let Some(there) = running.active.sources().find(|source| card.has(*source)) {
        return Err(NotLive::There(there));
    }
    let next: Vec<u32> = free_ports(running.inactive).collect();
    free_ports(running.active).find(|port| next.contains(port)).ok_or(NotLive::NoPort)
}

/// Root ports on the first bus with nothing behind them, which take devices while the guest runs
/// (libvirt, domain XML format, `hotplug`).
fn free_ports<'a>(domain: &'a Domain<'_>) -> impl Iterator<Item = u32> + 'a {
    let devices = domain.devices();
    let takes = |device: &&Element| {
        bus_of(device) == Some(0) && device.attribute_at(&["target"], "hotplug") != Some("off")
    };
    let ports = devices.iter().filter(takes).filter_map(root_port);
    ports.filter(|port| devices.iter().all(|device| bus_of(device) != Some(*port)))
}

/// A running domain has this host device, wherever the guest sees it.
pub fn plugged(active: &Element, device: &Element) -> bool {
    let devices = active.child("devices").map_or(&[][..], |devices| &devices.children);
    let source = source_of(device);
    source.is_some() && devices.iter().any(|other| source_of(other) == source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::attach::{Wish, attach};
    use crate::vm::detach::detach;
    use crate::vm::note::{Note, Port};
    use crate::vm::tests::{card as both, wish};

    /// Ports 1 and 3 are taken, 2 takes nothing while the guest runs, 5 is behind another: 4 is free.
    const PORTS: &str = "<domain>
  <os firmware='efi'><type arch='x86_64' machine='pc-q35-9.0'>hvm</type></os>
  <devices>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'><address type='pci' bus='0x00' slot='0x02'/></controller>
    <controller type='pci' index='2' model='pcie-root-port'>
      <target chassis='2' hotplug='off'/>
      <address type='pci' bus='0x00' slot='0x03'/>
    </controller>
    <controller type='pci' index='3' model='pcie-root-port'><address type='pci' bus='0x00' slot='0x04'/></controller>
    <controller type='pci' index='4' model='pcie-root-port'><address type='pci' bus='0x00' slot='0x05'/></controller>
    <controller type='pci' index='5' model='pcie-root-port'><address type='pci' bus='0x01' slot='0x00'/></controller>
    <interface type='user'><address type='pci' bus='0x03' slot='0x00'/></interface>
  </devices>
</domain>
";
    const NETWORK: &str = "<interface type='user'><address type='pci' bus='0x03' slot='0x00'/>";

    fn single() -> Card {
        let mut card = both();
        card.functions.truncate(1);
        card
    }

    fn judged(
        (active, inactive): (&str, &str),
        (state, persistent): (&str, bool),
        (card, with): (&Card, Option<&'static str>),
    ) -> Result<u32, String> {
        let (active, inactive) = (Domain::parse(active), Domain::parse(inactive));
        let (active, inactive) = (active.expect("a domain"), inactive.expect("a domain"));
        let running = Running { state, persistent, active: &active, inactive: &inactive };
        port(&running, card, with).map_err(|why| why.to_string())
    }

    #[test]
    fn a_card_is_plugged_or_there_is_a_reason() {
        let (one, two) = (single(), both());
        let taken = PORTS.replace(NETWORK, &NETWORK.replace("0x03", "0x04"));
        let hostdev = one.hostdevs(4, crate::vm::card::Managed::ByHost, None).concat();
        let there = PORTS.replace("  </devices>", &format!("{hostdev}\n  </devices>"));
        let (same, runs) = ((PORTS, PORTS), ("running", true));
        assert_eq!(judged(same, runs, (&one, None)), Ok(4));
        let no = |both, is, what| judged(both, is, what).expect_err("refused");
        assert_eq!(
            no(same, ("paused", false), (&two, Some("--rom"))),
            "the card has 2 functions, and only a card of a single one can be plugged: libvirt plugs one function at a time, and the guest looks at a slot once"
        );
        assert_eq!(no(same, runs, (&one, Some("--rom"))), "--rom needs the domain off");
        assert_eq!(
            no(same, ("running", false), (&one, None)),
            "the domain is transient: it has no definition that stays"
        );
        assert_eq!(
            no(same, ("paused", true), (&one, None)),
            "the domain is paused, and only one that is running can be plugged into"
        );
        assert_eq!(
            no((&there, PORTS), runs, (&one, None)),
            "the running domain has 0000:07:00.0 already"
        );
        let none = "the running domain has no free root port of PCI Express that a device can be plugged into";
        assert_eq!(judged((&taken, &taken), runs, (&one, None)), Ok(3));
        assert_eq!(no((&taken, PORTS), runs, (&one, None)), none, "4 is free next time alone");
        assert_eq!(no((PORTS, &taken), runs, (&one, None)), none, "4 is free now alone");
    }

    #[test]
    fn a_port_that_was_found_stays() {
        let card = single();
        let wish = Wish { free_port: Some(4), ..wish(&card) };
        let with = attach(&Domain::parse(PORTS).expect("a domain"), &wish).expect("attached");
        let diff = similar::TextDiff::from_lines(PORTS, &with);
        assert_eq!(
            diff.unified_diff().context_radius(0).to_string(),
            "@@ -14 +14,7 @@
-  </devices>
+    <hostdev mode='subsystem' type='pci' managed='yes'>
+      <source>
+        <address domain='0x0000' bus='0x07' slot='0x00' function='0x0'/>
+      </source>
+      <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>
+    </hostdev>
+  </devices><metadata><passthru:vm xmlns:passthru='urn:passthru:vm:1' metadata='made'><passthru:card display='0000:07:00.0' port='4' root-port='found'><passthru:function address='0000:07:00.0' identity='1002:73ff:1462:5022'/></passthru:card></passthru:vm></metadata>
"
        );
        let domain = Domain::parse(&with).expect("a domain");
        let noted = Note::of(&domain).attached.remove(0);
        assert_eq!(noted.port, Port::Found(4));
        let back = detach(&domain, &noted);
        assert_eq!((back.text.as_str(), back.remarks), (PORTS, Vec::new()));
    }

    #[test]
    fn a_device_is_plugged_where_the_domain_has_its_source() {
        let read = |xml: &str| Element::parse(xml).expect("XML");
        let device = single().hostdevs(4, crate::vm::card::Managed::ByHost, None).concat();
        let active = |device: &str| read(&format!("<domain><devices>{device}</devices></domain>"));
        let other = device.replace("bus='0x07'", "bus='0x08'");
        assert_ne!(device, other);
        assert!(plugged(&active(&device.replace("'no'", "'yes'")), &read(&device)));
        assert!(!plugged(&active(&other), &read(&device)));
        assert!(!plugged(&read("<domain/>"), &read(&device)));
    }
}
