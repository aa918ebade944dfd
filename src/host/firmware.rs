//! Firmware: UEFI or BIOS, Secure Boot, board, ACPI tables of the IOMMU, EFI variables.

use serde::Serialize;

use crate::sys::{Observed, Sysroot};

/// EFI variables as files (Documentation/filesystems/efivarfs.rst).
pub const EFIVARS: &str = "sys/firmware/efi/efivars";
const DMI: &str = "sys/class/dmi/id";
const TABLES: &str = "sys/firmware/acpi/tables";
/// Vendor GUID of the Boot Loader Interface.
pub const LOADER: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// The one variable of the loader's that is a number and no text.
const FEATURES: &str = "LoaderFeatures";
/// Vendor GUID of the UEFI specification's own variables.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// How the firmware started the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum BootMode {
    /// /sys/firmware/efi is there.
    Uefi,
    /// It is not.
    Bios,
}

/// The ACPI table that describes an IOMMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum IommuTable {
    /// Intel VT-d.
    Dmar,
    /// AMD-Vi.
    Ivrs,
}

impl IommuTable {
    /// The file in sysfs.
    pub fn path(self) -> String {
        format!("/{TABLES}/{}", if self == Self::Dmar { "DMAR" } else { "IVRS" })
    }
}

/// What the firmware is and offers.
#[derive(Debug, Clone, PartialEq)]
pub struct Firmware {
    /// UEFI or BIOS.
    pub boot: Observed<BootMode>,
    /// Secure Boot enforced; absent on BIOS machines.
    pub secure_boot: Observed<bool>,
    /// System vendor (DMI).
    pub system_vendor: Option<String>,
    /// Product name (DMI).
    pub product: Option<String>,
    /// Board vendor (DMI).
    pub vendor: Option<String>,
    /// Board name (DMI).
    pub board: Option<String>,
    /// Chassis type code (SMBIOS 7.4.1).
    pub chassis: Option<u8>,
    /// DMAR or IVRS; absent where the table directory has neither.
    pub iommu_table: Observed<IommuTable>,
    /// Variables about the boot.
    pub efi: EfiVariables,
}

impl Firmware {
    /// Portable chassis: laptop, notebook, sub-notebook, convertible, detachable.
    pub fn is_portable(&self) -> bool {
        matches!(self.chassis, Some(8..=10 | 14 | 30..=32))
    }
}

/// EFI variables that say which loader ran.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EfiVariables {
    /// Product and version of the loader (Boot Loader Interface).
    pub loader_info: Option<String>,
    /// Entry that the loader started.
    pub entry_selected: Option<String>,
    /// What the loader can do, as bits.
    pub loader_features: Option<u64>,
    /// A unified kernel image's stub ran.
    pub stub_info: Option<String>,
    /// File path of the firmware's boot entry that was used.
    pub boot_path: Option<String>,
}

/// Reads the firmware's side of the host.
pub fn read(root: &Sysroot) -> Firmware {
    let dmi = |name: &str| {
        root.line(&format!("{DMI}/{name}")).into_present().filter(|text| !text.is_empty())
    };
    let boot = match root.exists("sys/firmware/efi") {
        Observed::Present(_) => Observed::Present(BootMode::Uefi),
        // Containers hide the whole directory; a machine of either kind has something there.
        Observed::Absent if has_entries(root, "sys/firmware") => Observed::Present(BootMode::Bios),
        Observed::Absent => Observed::Unreadable("/sys/firmware is not shown".to_owned()),
        Observed::Unreadable(reason) => Observed::Unreadable(reason),
    };
    let names = root.list(EFIVARS).into_present().unwrap_or_default();
    Firmware {
        boot,
        secure_boot: secure_boot(root, &names),
        system_vendor: dmi("sys_vendor"),
        product: dmi("product_name"),
        vendor: dmi("board_vendor"),
        board: dmi("board_name"),
        chassis: dmi("chassis_type").and_then(|text| text.parse().ok()),
        iommu_table: iommu_table(root),
        efi: efi_variables(root, &names),
    }
}

fn has_entries(root: &Sysroot, dir: &str) -> bool {
    root.list(dir).present().is_some_and(|names| !names.is_empty())
}

/// The directory is listable by everybody, the tables' bodies only by root. It is never empty
/// where the firmware has ACPI, and hidden in containers: then nothing is known.
fn iommu_table(root: &Sysroot) -> Observed<IommuTable> {
    let tables = root.list(TABLES);
    if matches!(&tables, Observed::Absent) || tables.present().is_some_and(std::vec::Vec::is_empty)
    {
        let reason = "no ACPI table is shown";
        root.note_unreadable(TABLES, reason);
        return Observed::Unreadable(reason.to_owned());
    }
    tables.and_then(|names| {
        if names.iter().any(|name| name == "DMAR") {
            Observed::Present(IommuTable::Dmar)
        } else if names.iter().any(|name| name == "IVRS") {
            Observed::Present(IommuTable::Ivrs)
        } else {
            Observed::Absent
        }
    })
}

fn secure_boot(root: &Sysroot, names: &[String]) -> Observed<bool> {
    let byte = |name: &str| {
        let file = format!("{name}-{GLOBAL}");
        if !names.contains(&file) {
            return Observed::Absent;
        }
        let path = format!("{EFIVARS}/{file}");
        root.read(&path).and_then(|bytes| match bytes.get(4) {
            Some(value) => Observed::Present(*value == 1),
            None => {
                let reason = "it is shorter than a variable";
                root.note_unreadable(&path, reason);
                Observed::Unreadable(reason.to_owned())
            }
        })
    };
    match (byte("SecureBoot"), byte("SetupMode")) {
        (Observed::Present(on), Observed::Present(setup)) => Observed::Present(on && !setup),
        (on, _) => on,
    }
}

fn efi_variables(root: &Sysroot, names: &[String]) -> EfiVariables {
    let text = |name: &str| {
        let file = format!("{name}-{LOADER}");
        if !names.contains(&file) {
            return None;
        }
        let bytes = root.read(&format!("{EFIVARS}/{file}")).into_present()?;
        Some(utf16(bytes.get(4..)?)).filter(|text| !text.is_empty())
    };
    let features = || {
        let file = format!("{FEATURES}-{LOADER}");
        names.contains(&file).then_some(())?;
        let bytes = root.read(&format!("{EFIVARS}/{file}")).into_present()?;
        Some(u64::from_le_bytes(*bytes.get(4..)?.first_chunk()?))
    };
    EfiVariables {
        loader_features: features(),
        loader_info: text("LoaderInfo"),
        entry_selected: text("LoaderEntrySelected"),
        stub_info: text("StubInfo"),
        boot_path: boot_path(root, names),
    }
}

/// The file path in the Boot#### variable that BootCurrent names.
fn boot_path(root: &Sysroot, names: &[String]) -> Option<String> {
    let current = format!("BootCurrent-{GLOBAL}");
    names.contains(&current).then_some(())?;
    let bytes = root.read(&format!("{EFIVARS}/{current}")).into_present()?;
    let number = u16::from_le_bytes([*bytes.get(4)?, *bytes.get(5)?]);
    let entry = format!("Boot{number:04X}-{GLOBAL}");
    names.contains(&entry).then_some(())?;
    load_option_path(root.read(&format!("{EFIVARS}/{entry}")).into_present()?.get(4..)?)
}

/// File path of an EFI_LOAD_OPTION: u32 attributes, u16 length of the device path, a
/// description, then the path; a node of type 4, subtype 4 holds text (UEFI 2.10, 3.1.3 and 10.3.5.4).
fn load_option_path(option: &[u8]) -> Option<String> {
    let description = option.get(6..)?;
    let end = description.chunks_exact(2).position(|unit| unit == [0, 0])?;
    let mut nodes = description.get(end * 2 + 2..)?;
    loop {
        let header = nodes.get(..4)?;
        let length = usize::from(u16::from_le_bytes([header[2], header[3]]));
        let body = nodes.get(4..length)?;
        match (header[0], header[1]) {
            (4, 4) => return Some(utf16(body)),
            (0x7f, _) => return None,
            _ => nodes = nodes.get(length..)?,
        }
    }
}

/// A variable without the partition that a boot entry names, its text passed through `mask`:
/// of a Boot#### variable only the file path is kept, behind an empty description.
pub fn masked_variable(path: &str, bytes: &[u8], mask: impl FnOnce(&str) -> String) -> Vec<u8> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some((attributes, value)) = bytes.split_at_checked(4) else { return bytes.to_vec() };
    let is_entry = name.len() > 9
        && name.starts_with("Boot")
        && name[4..8].bytes().all(|b| b.is_ascii_hexdigit());
    let wide = |text: &str| -> Vec<u8> {
        text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
    };
    let mut out = attributes.to_vec();
    if is_entry {
        let file = wide(&mask(&load_option_path(value).unwrap_or_default()));
        let length = u16::try_from(file.len() + 4).unwrap_or(4).to_le_bytes();
        out.extend([1, 0, 0, 0, 0, 0, 0, 0, 4, 4, length[0], length[1]]);
        out.extend(file);
    } else if name.ends_with(LOADER) && !name.starts_with(FEATURES) {
        // Entries of boot loaders are often named after the machine.
        out.extend(wide(&mask(&utf16(value))));
    } else {
        return bytes.to_vec();
    }
    out
}

/// Text of a variable, up to its first zero.
pub fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let text: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    String::from_utf16_lossy(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_path_in_a_load_option() {
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let path = wide("\\EFI\\systemd\\systemd-bootx64.efi\0");
        let mut option = vec![1, 0, 0, 0, 0, 0];
        option.extend(wide("Linux Boot Manager\0"));
        option.extend([4, 1, 8, 0, 9, 9, 9, 9]); // a hard-drive node, shortened
        option.extend([4, 4]);
        option.extend(u16::try_from(path.len() + 4).unwrap().to_le_bytes());
        option.extend(path);
        assert_eq!(
            load_option_path(&option).as_deref(),
            Some("\\EFI\\systemd\\systemd-bootx64.efi")
        );
        for cut in 0..option.len() {
            let _ = load_option_path(&option[..cut]);
        }
        assert_eq!(load_option_path(&[0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0]), None);
    }

    #[test]
    fn a_variable_keeps_only_masked_text() {
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let path = format!("{EFIVARS}/LoaderEntrySelected-{LOADER}");
        let bytes = [&[6, 0, 0, 0][..], &wide("falcon.conf\0")].concat();
        let masked = masked_variable(&path, &bytes, |text| text.replace("falcon", "host"));
        assert_eq!(utf16(&masked[4..]), "host.conf");
        assert_eq!(masked[..4], bytes[..4]);
        let other = format!("{EFIVARS}/BootCurrent-{GLOBAL}");
        assert_eq!(
            masked_variable(&other, &[6, 0, 0, 0, 2, 0], |_| String::new()),
            [6, 0, 0, 0, 2, 0]
        );
        assert_eq!(masked_variable(&path, &[6], |_| String::new()), [6]);
    }
}
