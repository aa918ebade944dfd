//! Virtual machines that libvirt starts at boot, and the host devices they take.

use super::pci::PciAddress;
use crate::sys::{Observed, Sysroot};

/// Where libvirt keeps its machines.
pub const DOMAINS: &str = "etc/libvirt/qemu/";
const AUTOSTART: &str = "etc/libvirt/qemu/autostart";

/// A machine that is started at boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its file.
    pub path: String,
    /// Its name.
    pub name: String,
    /// PCI functions of the host that it takes.
    pub hostdevs: Vec<PciAddress>,
}

/// Reads the domains linked for autostart.
pub fn read_autostart(root: &Sysroot) -> Observed<Vec<Domain>> {
    root.list(AUTOSTART).map(|names| {
        let files = names.iter().filter_map(|file| Some((file, file.strip_suffix(".xml")?)));
        let domains = files.filter_map(|(file, name)| {
            let path = format!("{AUTOSTART}/{file}");
            let text = root.text(&path).into_present()?;
            Some(Domain { path, name: name.to_owned(), hostdevs: hostdevs(&text) })
        });
        domains.collect()
    })
}

/// A domain without anything but its host devices: passwords, serial numbers, paths and MAC
/// addresses stand in the rest.
pub fn only_hostdevs(xml: &str) -> String {
    let parts = xml.split("<hostdev").skip(1).filter_map(|part| part.split_once("</hostdev>"));
    let devices: String = parts.map(|(body, _)| format!("<hostdev{body}</hostdev>\n")).collect();
    format!("<domain>\n{devices}</domain>\n")
}

/// Addresses in `<hostdev type='pci'><source><address …/>`.
fn hostdevs(xml: &str) -> Vec<PciAddress> {
    let mut found = Vec::new();
    for part in xml.split("<hostdev").skip(1) {
        let body = part.split("</hostdev>").next().unwrap_or_default();
        let Some((head, rest)) = body.split_once('>') else {
            continue;
        };
        let source = rest.split_once("<source").and_then(|(_, s)| s.split_once("</source>"));
        let address = source.and_then(|(source, _)| source.split_once("<address"));
        if attribute(head, "type").as_deref() == Some("pci")
            && let Some((_, address)) = address
        {
            found.extend(address_of(address.split('>').next().unwrap_or_default()));
        }
    }
    found
}

fn address_of(attributes: &str) -> Option<PciAddress> {
    let number = |name: &str| {
        let value = attribute(attributes, name)?;
        u32::from_str_radix(value.strip_prefix("0x").unwrap_or(&value), 16).ok()
    };
    Some(PciAddress {
        domain: number("domain").unwrap_or(0),
        bus: u8::try_from(number("bus")?).ok()?,
        device: u8::try_from(number("slot")?).ok()?,
        function: u8::try_from(number("function")?).ok()?,
    })
}

fn attribute(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!(" {name}="))?;
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    rest[1..].split_once(quote).map(|(value, _)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_pci_hostdevs_only() {
        let xml = "<domain><devices>\
            <hostdev mode='subsystem' type='usb'><source><address bus='1' device='2'/></source></hostdev>\
            <hostdev mode='subsystem' type='pci' managed='yes'><source>\
            <address domain='0x0000' bus='0x07' slot='0x00' function='0x1'/></source>\
            <address type='pci' bus='0x09' slot='0x00' function='0x0'/></hostdev></devices></domain>";
        let found: Vec<String> = hostdevs(xml).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["0000:07:00.1"]);
        assert!(hostdevs("<hostdev type='pci'").is_empty());
        assert_eq!(hostdevs(&only_hostdevs(xml)), hostdevs(xml));
        assert_eq!(only_hostdevs(&only_hostdevs(xml)), only_hostdevs(xml));
    }
}
