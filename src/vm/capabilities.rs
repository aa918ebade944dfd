//! What libvirt says that it can do for a Q35 machine (`virsh domcapabilities`).

use std::collections::BTreeSet;

use crate::config::xml::{Element, XmlError};

/// The answer, as far as a domain is made from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Most virtual processors.
    pub cpus: u32,
    /// `<os firmware='efi'>` is known.
    pub efi: bool,
    /// Modes of the processor that can be had: `host-passthrough`, `host-model`, ….
    pub cpu_modes: BTreeSet<String>,
    /// Hyper-V enlightenments that can be had; `None` where it does not say.
    pub hyperv: Option<BTreeSet<String>>,
    /// Emulated TPM 2.0 with the CRB interface.
    pub tpm: bool,
    /// Protocols of the emulated screen.
    pub graphics: BTreeSet<String>,
    /// Models of the emulated screen.
    pub video: BTreeSet<String>,
    /// Devices of the host can be passed.
    pub hostdev: bool,
    /// Version of libvirt as one number, 9000000 for 9.0.0.
    pub libvirt: u32,
}

impl Capabilities {
    /// Reads the answer, and the version that `virsh version` prints.
    ///
    /// # Errors
    /// It is no XML.
    pub fn parse(xml: &str, version: &str) -> Result<Self, XmlError> {
        let root = Element::parse(xml)?;
        let modes = root.child("cpu").into_iter().flat_map(|cpu| cpu.all("mode"));
        let modes = modes.filter(|mode| mode.attribute("supported") == Some("yes"));
        let tpm = words(&root, &["devices", "tpm"], "backendModel").contains("emulator")
            && words(&root, &["devices", "tpm"], "model").contains("tpm-crb");
        let tpm_versions = words(&root, &["devices", "tpm"], "backendVersion");
        let hyperv = root.at(&["features", "hyperv"]);
        Ok(Self {
            cpus: root.attribute_at(&["vcpu"], "max").and_then(|max| max.parse().ok()).unwrap_or(0),
            efi: words(&root, &["os"], "firmware").contains("efi"),
            cpu_modes: modes.filter_map(|mode| mode.attribute("name")).map(str::to_owned).collect(),
            hyperv: hyperv.map(|_| words(&root, &["features", "hyperv"], "features")),
            // The versions are listed since libvirt 8.6; before that an emulator meant 2.0 too.
            tpm: tpm && (tpm_versions.is_empty() || tpm_versions.contains("2.0")),
            graphics: words(&root, &["devices", "graphics"], "type"),
            video: words(&root, &["devices", "video"], "modelType"),
            hostdev: words(&root, &["devices", "hostdev"], "subsysType").contains("pci"),
            libvirt: version_of(version),
        })
    }
}

/// Values of an enum of a supported element.
fn words(root: &Element, path: &[&str], name: &str) -> BTreeSet<String> {
    let Some(element) = root.at(path).filter(|e| e.attribute("supported") != Some("no")) else {
        return BTreeSet::new();
    };
    let enums = element.all("enum").filter(|list| list.attribute("name") == Some(name));
    enums.flat_map(|list| list.all("value")).map(|value| value.text.trim().to_owned()).collect()
}

/// The first `libvirt X.Y.Z` as X·1000000 + Y·1000 + Z.
fn version_of(text: &str) -> u32 {
    let found = text.lines().find_map(|line| line.rsplit_once("libvirt ").map(|(_, v)| v.trim()));
    let mut parts = found.unwrap_or_default().split('.').map(|part| part.parse::<u32>().ok());
    let mut next = || parts.next().flatten().unwrap_or(0).min(999);
    next() * 1_000_000 + next() * 1000 + next()
}
