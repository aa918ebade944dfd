//! The wish for a machine: small, in TOML, with everything that libvirt can decide left to it.

use std::fmt;
use std::str::FromStr;

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

/// A number of bytes, written `16G` or `512M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub u64);

impl Size {
    /// In MiB, rounded down.
    pub fn mebibytes(self) -> u64 {
        self.0 / MIB
    }

    /// Whole GiB, rounded down.
    #[must_use]
    pub fn whole_gibibytes(self) -> Self {
        Self(self.0 / GIB * GIB)
    }
}

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no size: write it as 16G or 8192M")]
pub struct BadSize(String);

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let bad = || BadSize(text.chars().take(40).collect());
        let plain = text.trim_end_matches("iB").trim_end_matches('B');
        let units = [('M', MIB), ('G', GIB), ('T', GIB << 10)];
        let known = |(letter, unit)| Some((plain.strip_suffix(letter)?, unit));
        let (digits, unit) = units.into_iter().find_map(known).ok_or_else(bad)?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        bytes.filter(|bytes| *bytes > 0 && *bytes <= 1 << 50).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(GIB) {
            write!(f, "{}G", self.0 / GIB)
        } else {
            write!(f, "{}M", self.0 / MIB)
        }
    }
}

impl TryFrom<String> for Size {
    type Error = BadSize;

    fn try_from(text: String) -> Result<Self, BadSize> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

/// Where Windows goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Disk {
    /// A new sparse image of this size.
    New(Size),
    /// An image or a block device that is there.
    Path(String),
    /// A volume of a storage pool that is there.
    Volume {
        /// Name of the pool.
        pool: String,
        /// Name of the volume in it.
        volume: String,
    },
}

/// A text that names no disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no disk: write a size (50G), an absolute path, or POOL/VOLUME")]
pub struct BadDisk(String);

impl FromStr for Disk {
    type Err = BadDisk;

    fn from_str(text: &str) -> Result<Self, BadDisk> {
        let bad = || BadDisk(text.chars().take(80).collect());
        if text.chars().any(char::is_control) {
            return Err(bad());
        }
        if text.starts_with('/') {
            return Ok(Self::Path(text.to_owned()));
        }
        if let Some((pool, volume)) = text.split_once('/') {
            let plain = |name: &str| !name.is_empty() && !name.starts_with(['-', '.']);
            return if plain(pool) && plain(volume) && !volume.contains('/') {
                Ok(Self::Volume { pool: pool.to_owned(), volume: volume.to_owned() })
            } else {
                Err(bad())
            };
        }
        text.parse().map(Self::New).map_err(|_| bad())
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New(size) => write!(f, "{size}"),
            Self::Path(path) => f.write_str(path),
            Self::Volume { pool, volume } => write!(f, "{pool}/{volume}"),
        }
    }
}

impl TryFrom<String> for Disk {
    type Error = BadDisk;

    fn try_from(text: String) -> Result<Self, BadDisk> {
        text.parse()
    }
}

impl From<Disk> for String {
    fn from(disk: Disk) -> Self {
        disk.to_string()
    }
}

/// How the guest reaches the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Network {
    /// A network of libvirt, by name; `default` is behind NAT.
    Libvirt(String),
    /// A bridge of the host.
    Bridge(String),
    /// Beside an interface of the host, which it cannot talk to.
    Macvtap(String),
}

/// A text that names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no network: write the name of a libvirt network, bridge:NAME, or macvtap:NAME"
)]
pub struct BadNetwork(String);

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (kind, name) = text.split_once(':').unwrap_or(("", text));
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
        if name.is_empty() || name.starts_with('-') || !name.chars().all(plain) {
            return Err(BadNetwork(text.chars().take(40).collect()));
        }
        match kind {
            "" => Ok(Self::Libvirt(name.to_owned())),
            "bridge" => Ok(Self::Bridge(name.to_owned())),
            "macvtap" => Ok(Self::Macvtap(name.to_owned())),
            _ => Err(BadNetwork(text.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Libvirt(name) => f.write_str(name),
            Self::Bridge(name) => write!(f, "bridge:{name}"),
            Self::Macvtap(name) => write!(f, "macvtap:{name}"),
        }
    }
}

impl TryFrom<String> for Network {
    type Error = BadNetwork;

    fn try_from(text: String) -> Result<Self, BadNetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

/// What runs the guest's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// The processor, by KVM.
    #[default]
    Kvm,
    /// QEMU by itself (TCG): a hundred times slower, for trying things out.
    Tcg,
}

impl Accelerator {
    /// Type of a libvirt domain.
    pub fn domain_type(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "qemu",
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
