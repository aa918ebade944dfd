//! A function that stays with the host lost its driver.

use super::{Cause, forbidden, kernel_changed, moved, recovery_word, taken};
use crate::host::pci::{PciAddress, PciDevice};
use crate::verify::scene::Scene;

/// Why another driver has it, or none.
pub fn lost(scene: &Scene<'_>, address: PciAddress, driver: &str) -> Cause {
    moved::displaced(scene, address)
        .or_else(|| addresses_shifted(scene, address))
        .or_else(|| on_vfio(scene, address))
        .or_else(|| driver_forbidden(scene, driver))
        .or_else(|| recovery(scene))
        .or_else(|| install_cancelled(scene, driver))
        .or_else(|| blacklisted(scene, driver))
        .or_else(|| another_kernel(scene, driver))
        .or_else(|| not_loaded(scene, address, driver))
        .unwrap_or_else(|| unexplained(scene, address, driver))
}

/// Nothing is known of what was there, and it is not there any more.
fn addresses_shifted(scene: &Scene<'_>, address: PciAddress) -> Option<Cause> {
    scene.device(address).is_absent().then(|| {
        Cause::new(
            format!("There is no device at {address} any more: it moved, or is gone."),
            "`passthru inspect` shows where everything is now. After a change of hardware, run \
             `passthru undo` and plan anew.",
        )
    })
}

fn on_vfio(scene: &Scene<'_>, address: PciAddress) -> Option<Cause> {
    let device = scene.host.device(address).filter(|device| device.on_vfio())?;
    Some(taken::by(scene, &[device]))
}

fn driver_forbidden(scene: &Scene<'_>, driver: &str) -> Option<Cause> {
    let word = forbidden(scene, driver)?;
    let text = format!("The kernel command line forbids {driver}: `{}`.", word.found);
    Some(Cause::new(text, "Reboot without that word.").and_all([word]))
}

fn recovery(scene: &Scene<'_>) -> Option<Cause> {
    let word = recovery_word(scene)
        .or_else(|| scene.case.active.first("nomodeset").map(|parameter| parameter.word))?;
    let text = format!(
        "This boot keeps graphics drivers away or stops early (`{word}`), as recovery entries do."
    );
    Some(Cause::new(text, super::PICK_ENTRY).and("proc/cmdline", word))
}

/// A softdep on a module makes modprobe drop its `install` line (modprobe.d(5)), and for some
/// drivers that line is what loads them.
fn install_cancelled(scene: &Scene<'_>, driver: &str) -> Option<Cause> {
    let modprobe = &scene.host.modprobe;
    let install = modprobe.install_line(driver)?;
    let softdep = modprobe.softdeps(driver).into_iter().next()?;
    let text = format!(
        "/{}, line {}, has a softdep for {driver}, and so modprobe drops the `install` line of \
         /{}, line {}, which loads it.",
        softdep.path, softdep.line, install.path, install.line
    );
    let hint = "Take the softdep out, rebuild the image, and reboot.";
    Some(
        Cause::new(text, hint)
            .and(softdep.path, format!("line {}: softdep {driver}", softdep.line))
            .and(install.path, format!("install {driver} {}", install.what)),
    )
}

fn blacklisted(scene: &Scene<'_>, driver: &str) -> Option<Cause> {
    let listed = scene.host.modprobe.blacklisted(driver);
    let placed = listed.first()?;
    let text = format!("/{}, line {}, forbids {driver}.", placed.path, placed.line);
    let hint = "Take that line out if the host needs the driver, rebuild the image, and reboot.";
    Some(Cause::new(text, hint).and(placed.path, format!("blacklist {}", placed.what.spelt)))
}

fn another_kernel(scene: &Scene<'_>, driver: &str) -> Option<Cause> {
    let (then, now) = kernel_changed(scene)?;
    let text = format!(
        "Another kernel runs than when the change was made ({now} instead of {then}): {driver} may \
         not be there for it."
    );
    let hint = "Install or build that driver for the running kernel (DKMS), or boot the other one.";
    Some(Cause::new(text, hint).and("proc/sys/kernel/osrelease", now))
}

/// Only for a driver whose module is known to be a file: others are not in the list at all.
fn not_loaded(scene: &Scene<'_>, address: PciAddress, driver: &str) -> Option<Cause> {
    let kernel = &scene.host.kernel;
    let module = driver.replace('-', "_");
    let mut claimants = kernel.claimants.get(&address)?.iter();
    let is_file = claimants.any(|one| one.module == module && !one.built_in);
    if kernel.loaded.is_empty() || kernel.loaded.contains(&module) || !is_file {
        return None;
    }
    let text = format!("The driver {driver} is not loaded.");
    let hint = format!("Try `sudo modprobe {driver}`; what it says, or `sudo dmesg`, tells why.");
    Some(Cause::new(text, hint).and("proc/modules", format!("no {module}")))
}

fn unexplained(scene: &Scene<'_>, address: PciAddress, driver: &str) -> Cause {
    let held = |device: &PciDevice| device.driver.clone();
    let now = scene.host.device(address).and_then(held);
    let text = match now {
        Some(now) => format!("{now} took {address} instead of {driver}."),
        None => format!("No driver has {address}, although {driver} had it before."),
    };
    Cause::new(text, "Look for the address in `sudo dmesg`: the drivers say there what failed.")
}
