//! Kernel parameters where the boot loader's own tools take them from.

mod entries;
mod grub;

use super::change::Command;
use super::edits::{CannotEdit, Edits};
use super::kernel_parameters::ParameterChange;
use crate::check::Case;
use crate::host::boot::BootloaderKind;

/// Findings that a change of parameters answers.
const BECAUSE: [&str; 7] = [
    "card-on-host-driver",
    "iommu-off-kernel",
    "iommu-off-argument",
    "id-shared",
    "vfio-built-in",
    "function-wrong-driver",
    "companion-functions",
];

/// What the commands after the boot loader's part have to know.
#[derive(Debug, Default)]
pub struct Regenerate {
    /// Programs to run, in order.
    pub commands: Vec<Command>,
    /// They build the initramfs too.
    pub builds_images: bool,
    /// The boot entries are written anew whenever an image was built.
    pub by_images: bool,
}

/// Plans files and commands of the loader in use.
///
/// # Errors
/// A file is not understood, or it cannot be told which one counts.
pub fn plan(
    case: &Case<'_>,
    change: &ParameterChange,
    edits: &mut Edits<'_>,
) -> Result<Regenerate, CannotEdit> {
    match case.host.bootloader.kind {
        BootloaderKind::Grub => grub::plan(case, change, edits),
        BootloaderKind::SystemdBoot => entries::plan(case, change, edits),
        _ => Ok(Regenerate::default()),
    }
}

fn words(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}
