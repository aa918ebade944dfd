//! Kernel parameters where the boot loader's own tools take them from.

mod entries;
mod grub;

pub use entries::{CMDLINE, are_generated};
pub use grub::other_default;

use super::edits::{CannotEdit, Edits};
use super::kernel_parameters::ParameterChange;
use crate::check::Case;
use crate::host::boot::BootloaderKind;
use crate::host::once::BootOnce;

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

/// Plans files of the loader in use.
///
/// # Errors
/// A file is not understood, or it cannot be told which one counts.
pub fn plan(
    case: &Case<'_>,
    change: &ParameterChange,
    edits: &mut Edits<'_>,
) -> Result<(), CannotEdit> {
    match case.host.bootloader.kind {
        BootloaderKind::Grub => grub::plan(case, change, edits),
        BootloaderKind::SystemdBoot => entries::plan(case, change, edits),
        _ => Ok(()),
    }
}

/// Plans entries with the words beside those that stay as they are, and gives what the loader
/// calls the one to start.
///
/// # Errors
/// As [`plan`].
pub fn trial(
    case: &Case<'_>,
    change: &ParameterChange,
    once: BootOnce,
    edits: &mut Edits<'_>,
) -> Result<String, CannotEdit> {
    match once {
        BootOnce::Grub | BootOnce::Grub2 => grub::trial(change, edits),
        BootOnce::SystemdBoot => entries::trial(case, change, edits),
    }
}

fn words(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}
