//! Reading back what the programs of a plan made: the boot menu and its images. Nothing that
//! was not really looked at counts as right.

use std::collections::BTreeMap;

use crate::host::{Host, image, menu};
use crate::plan::artefacts::{Artefacts, ReadBack, problems};
use crate::sys::Sysroot;

/// Looks at the menu, and at the images of its normal entries where the plan is about images.
/// `host` says which loader is in use; files are read anew.
pub fn read_back(root: &Sysroot, host: &Host, wanted: &Artefacts) -> ReadBack {
    let wanted = Artefacts { kernels: kernels(root, host, wanted), ..wanted.clone() };
    let menu = menu::read(root, host);
    let entries = menu.present().map_or(&[][..], Vec::as_slice);
    let mut looked: Vec<String> = entries.iter().map(|entry| entry.place.clone()).collect();
    looked.dedup();
    let mut images = BTreeMap::new();
    for path in wanted.images_of(entries) {
        let seen = image::read(root, path);
        if seen.is_present() {
            looked.push(format!("/{path}"));
        }
        images.insert(path.to_owned(), seen);
    }
    ReadBack { problems: problems(&wanted, &menu, &images), looked }
}

/// Releases with modules whose kernel is in /boot under the name that grub-mkconfig looks for:
/// those that were there for the plan, and those that are there now.
fn kernels(root: &Sysroot, host: &Host, wanted: &Artefacts) -> Vec<String> {
    let mut all = [wanted.kernels.as_slice(), &host.kernel.installed].concat();
    all.sort_unstable();
    all.dedup();
    all.retain(|release| !root.exists(&format!("boot/vmlinuz-{release}")).is_absent());
    all
}

#[cfg(test)]
mod tests;
