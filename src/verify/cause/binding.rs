//! A function that should be on vfio-pci is not.

use super::{AGAIN, Cause, changed_since, forbidden, is_image, missing_words, problems};
use super::{iommu, moved, order, parameter, script};
use crate::check::Evidence;
use crate::config::cmdline::Parameter;
use crate::host::Observed;
use crate::host::kernel::ModuleState;
use crate::host::pci::{DEVICES, PciAddress};
use crate::host::selected::{BIND, IDS};
use crate::verify::scene::Scene;

const REBUILD: &str = "Run `passthru apply` again, which builds the image anew, and reboot.";

/// The likeliest first: what else is wrong comes before what only the binding shows.
pub fn not_bound(scene: &Scene<'_>, address: PciAddress) -> Cause {
    let driver = scene.host.device(address).and_then(|device| device.driver.as_deref());
    moved::displaced(scene, address)
        .or_else(|| no_iommu(scene))
        .or_else(|| not_selected(scene))
        .or_else(|| vfio_forbidden(scene))
        .or_else(|| lost_later(scene, address, driver))
        .or_else(|| image_problem(scene))
        .or_else(|| script::said(scene, address))
        .or_else(|| not_in_kernel(scene))
        .or_else(|| no_script(scene, address))
        .or_else(|| built_in(scene, address, driver))
        .or_else(|| order::first(scene, address, driver?))
        .or_else(|| not_loaded(scene))
        .or_else(|| other_override(scene, address))
        .or_else(|| found(scene))
        .unwrap_or_else(|| unexplained(scene, address, driver))
}

/// Without a group there is nothing to register with VFIO (drivers/vfio/group.c).
fn no_iommu(scene: &Scene<'_>) -> Option<Cause> {
    (scene.host.iommu.enabled() == Some(false)).then(|| iommu::off(scene))
}

fn not_selected(scene: &Scene<'_>) -> Option<Cause> {
    let selects = |word: &&str| [BIND, IDS].iter().any(|key| Parameter::parse(word).is(key));
    let word = missing_words(scene).into_iter().find(selects)?;
    Some(parameter::missing(scene, word))
}

fn vfio_forbidden(scene: &Scene<'_>) -> Option<Cause> {
    let word = forbidden(scene, "vfio_pci")?;
    let text = format!("The kernel command line forbids vfio-pci: `{}`.", word.found);
    Some(
        Cause::new(text, "Reboot without that word, and run `passthru verify` again.")
            .and_all([word]),
    )
}

fn lost_later(scene: &Scene<'_>, address: PciAddress, driver: Option<&str>) -> Option<Cause> {
    if !script::bound_it(scene, address) {
        return None;
    }
    let now = driver.map_or_else(|| "nothing has it".to_owned(), |name| format!("{name} has it"));
    let text = format!(
        "{address} was on vfio-pci early in this boot and {now} now: something gave it back later, \
         such as libvirt after a guest, or driverctl."
    );
    let hint = "Reboot and run `passthru verify` before a guest is started. For the guest, \
                set managed='no' for the card, or start it only after the card is on vfio-pci.";
    Some(Cause::new(text, hint).and("dev/kmsg", format!("passthru: {address} is on vfio-pci")))
}

/// Somebody opened the image and found it wrong.
fn image_problem(scene: &Scene<'_>) -> Option<Cause> {
    let (path, what) = problems(scene, is_image).next()?;
    let text = format!(
        "The image {path} does not do what passthru set up: {}.{}",
        parameter::sentence(what),
        changed_since(scene, true)
    );
    let all = problems(scene, is_image).map(|(path, what)| Evidence::new(path, what));
    let said = scene.script().map(|text| Evidence::new("dev/kmsg", format!("passthru: {text}")));
    Some(Cause::new(text, REBUILD).and_all(all).and_all(said))
}

fn not_in_kernel(scene: &Scene<'_>) -> Option<Cause> {
    let missing = scene.host.kernel.vfio_pci.present() == Some(&ModuleState::Missing);
    let release = scene.host.kernel.release.as_deref().unwrap_or("that runs");
    let text = format!("The kernel {release} has vfio-pci neither as a module nor built in.");
    let finding = scene.finding(&["vfio-missing", "kernel-modules-missing"]);
    let evidence = finding.map(|finding| finding.evidence.clone()).unwrap_or_default();
    let hint = "Boot a kernel with VFIO, or install the package with the rest of this kernel's \
                modules.";
    missing.then(|| Cause::new(text, hint).and_all(evidence))
}

/// The script writes `vfio-pci` as the override of every function before anything else, and it
/// stays there unless the script says in the kernel's log why not.
fn no_script(scene: &Scene<'_>, address: PciAddress) -> Option<Cause> {
    let word = scene.case.active.last(BIND)?;
    let seen = scene.facts.overrides.get(&address)?;
    if !seen.is_absent() || scene.script().next().is_some() {
        return None;
    }
    let (text, hint) = if scene.has_whole_log() {
        (
            "The kernel got the word that selects the card, but nothing in the initramfs acted on \
             it: the image that was started does not hold passthru's script.",
            REBUILD,
        )
    } else {
        (
            "The kernel got the word that selects the card, but nothing acted on it, or it was \
             taken back. The kernel's log would tell, but not all of it could be read.",
            "Run `sudo passthru verify`. If that tells no more, run `passthru apply` again, which \
             builds the image anew, and reboot.",
        )
    };
    let path = format!("{DEVICES}/{address}/driver_override");
    Some(Cause::new(text, hint).and("proc/cmdline", word.word).and(path, "not set"))
}

fn built_in(scene: &Scene<'_>, address: PciAddress, driver: Option<&str>) -> Option<Cause> {
    let kernel = &scene.host.kernel;
    let module = driver?.replace('-', "_");
    let claims = |name: &str| name == module || (module == "xhci_hcd" && name == "xhci_pci");
    let claimants = kernel.claimants.get(&address)?;
    let claimant =
        claimants.iter().find(|claimant| claimant.built_in && claims(&claimant.module))?;
    let text = format!(
        "{} is built into this kernel and takes {address} before any module can be loaded.",
        claimant.module
    );
    let hint = "libvirt can move it to vfio-pci when a guest starts (managed='yes'), where the \
                host can do without it then; or use a kernel that has the driver as a module.";
    let dir = kernel.modules_dir.present()?;
    Some(Cause::new(text, hint).and(format!("{dir}/modules.builtin"), claimant.module.clone()))
}

fn not_loaded(scene: &Scene<'_>) -> Option<Cause> {
    let kernel = &scene.host.kernel;
    // An empty list is one that could not be read: a kernel with modules has some loaded.
    let known = !kernel.loaded.is_empty();
    let module = kernel.vfio_pci.present() == Some(&ModuleState::Module);
    if !known || !module || kernel.loaded.contains("vfio_pci") {
        return None;
    }
    let text = "vfio-pci is not loaded: neither the initramfs nor a softdep asked for it.";
    let cause = Cause::new(text, REBUILD).and("proc/modules", "no vfio_pci");
    let finding = scene.finding(&IMAGE_FINDINGS);
    Some(cause.and_all(finding.map(|found| found.evidence.clone()).unwrap_or_default()))
}

fn other_override(scene: &Scene<'_>, address: PciAddress) -> Option<Cause> {
    let seen = scene.facts.overrides.get(&address)?;
    let name = seen.present().filter(|name| *name != "vfio-pci")?;
    let text =
        format!("Something wrote a driver_override: only the driver `{name}` may take {address}.");
    let hint = "Find what writes it (driverctl, a udev rule), take that away, and reboot.";
    Some(Cause::new(text, hint).and(format!("{DEVICES}/{address}/driver_override"), name))
}

/// Findings of `check` that explain an image without vfio-pci.
const IMAGE_FINDINGS: [&str; 3] =
    ["mkinitcpio-drop-in-ignored", "initramfs-stale", "vfio-not-in-initramfs"];

fn found(scene: &Scene<'_>) -> Option<Cause> {
    scene
        .finding(&IMAGE_FINDINGS)
        .map(|finding| Cause { hint: REBUILD.to_owned(), ..Cause::found(finding) })
}

fn unexplained(scene: &Scene<'_>, address: PciAddress, driver: Option<&str>) -> Cause {
    let text = match driver {
        Some(driver) => format!(
            "{driver} took {address} before vfio-pci did, and nothing that could be read says why."
        ),
        None => format!(
            "No driver has {address}: vfio-pci did not take it, and nothing that could be read says \
             why."
        ),
    };
    let hint = match &scene.facts.log {
        Observed::Unreadable(_) => "Run `sudo passthru verify`: the kernel's log tells more.",
        _ => AGAIN,
    };
    Cause::new(text, hint)
}
