//! Parts of a wish that are written as one word: sizes, disks, networks, and who runs the guest.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{GIB, MIB};

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
