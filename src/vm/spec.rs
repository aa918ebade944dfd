//! The wish for a machine: small, in TOML, with everything that libvirt can decide left to it.

mod parts;

pub use parts::{Accelerator, Disk, Network, Size};

use serde::{Deserialize, Serialize};

/// Number of the form of a wish.
pub const VERSION: u32 = 1;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Which Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Windows {
    /// Windows 10.
    Win10,
    /// Windows 11: TPM 2.0, Secure Boot, 4 GiB, 64 GB, 2 processors.
    Win11,
}

impl Windows {
    /// Its id in the database of libosinfo, by which virt-manager knows it.
    pub fn osinfo(self) -> &'static str {
        match self {
            Self::Win10 => "http://microsoft.com/win/10",
            Self::Win11 => "http://microsoft.com/win/11",
        }
    }

    /// Least memory that Setup accepts.
    pub fn least_memory(self) -> Size {
        match self {
            Self::Win10 => Size(2 * GIB),
            Self::Win11 => Size(4 * GIB),
        }
    }

    /// The word of the wish.
    pub fn word(self) -> &'static str {
        match self {
            Self::Win10 => "win10",
            Self::Win11 => "win11",
        }
    }
}

/// A wish with what it leaves open.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmSpec {
    /// Form of this file.
    pub version: u32,
    /// Which Windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<Windows>,
    /// Virtual processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
    /// Network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Windows' installation volume, an absolute path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iso: Option<String>,
    /// Volume with the virtio drivers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtio_iso: Option<String>,
    /// TPM 2.0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm: Option<bool>,
    /// Secure Boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<bool>,
    /// Hide KVM and name another vendor of the hypervisor, as drivers of NVIDIA before 465 need.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hide_hypervisor: Option<bool>,
    /// What runs the guest's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accelerator: Option<Accelerator>,
}

/// Why a text is no wish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSpec {
    /// It is no TOML, or a field is unknown or of another kind.
    #[error("{0}")]
    Toml(String),
    /// A newer program wrote it.
    #[error("it has version {0}, and this program knows version {VERSION}")]
    Version(u32),
}

impl VmSpec {
    /// Reads a wish.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, BadSpec> {
        let spec: Self = toml::from_str(text)
            .map_err(|error| BadSpec::Toml(error.to_string().trim_end().to_owned()))?;
        if spec.version != VERSION {
            return Err(BadSpec::Version(spec.version));
        }
        Ok(spec)
    }

    /// The wish with what another one says instead, where that says something.
    #[must_use]
    pub fn overridden_by(self, other: Self) -> Self {
        Self {
            version: VERSION,
            os: other.os.or(self.os),
            cpus: other.cpus.or(self.cpus),
            memory: other.memory.or(self.memory),
            disk: other.disk.or(self.disk),
            network: other.network.or(self.network),
            iso: other.iso.or(self.iso),
            virtio_iso: other.virtio_iso.or(self.virtio_iso),
            tpm: other.tpm.or(self.tpm),
            secure_boot: other.secure_boot.or(self.secure_boot),
            hide_hypervisor: other.hide_hypervisor.or(self.hide_hypervisor),
            accelerator: other.accelerator.or(self.accelerator),
        }
    }

    /// As TOML; every value is plain text, a number or a word, so it is written by hand.
    pub fn render(&self) -> String {
        use std::fmt::Write as _;
        let mut out = format!("version = {}\n", self.version);
        let mut text = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                let value = serde_json::Value::String(value); // a JSON string is a TOML string
                let _ = writeln!(out, "{name} = {value}");
            }
        };
        text("os", self.os.map(|os| os.word().to_owned()));
        text("memory", self.memory.map(|size| size.to_string()));
        text("disk", self.disk.as_ref().map(ToString::to_string));
        text("network", self.network.as_ref().map(ToString::to_string));
        text("iso", self.iso.clone());
        text("virtio_iso", self.virtio_iso.clone());
        text(
            "accelerator",
            self.accelerator.map(|accelerator| match accelerator {
                Accelerator::Kvm => "kvm".to_owned(),
                Accelerator::Tcg => "tcg".to_owned(),
            }),
        );
        let mut plain = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                let _ = writeln!(out, "{name} = {value}");
            }
        };
        plain("cpus", self.cpus.map(|cpus| cpus.to_string()));
        plain("tpm", self.tpm.map(|word| word.to_string()));
        plain("secure_boot", self.secure_boot.map(|word| word.to_string()));
        plain("hide_hypervisor", self.hide_hypervisor.map(|word| word.to_string()));
        out
    }
}

#[cfg(test)]
mod tests;
