//! What boot menu and images must hold when a plan was carried out, or taken back, and what is
//! wrong with them. Pure: `proof` looks, this judges.
//!
//! What could not be looked at is a problem here, never a yes.

mod collect;
mod entries;
mod image;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::host::Observed;
use crate::host::image::Image;
use crate::host::initramfs::InitramfsKind;
use crate::host::menu::MenuEntry;

/// What a generator and a boot loader have to make of the changed files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Artefacts {
    /// Words that every normal entry must have.
    pub words: Vec<String>,
    /// Words that no normal entry may have.
    pub removed: Vec<String>,
    /// Words that came with the plan; some entry must have none of them.
    pub ours: Vec<String>,
    /// Words that no entry at all may have.
    pub nowhere: Vec<String>,
    /// Words that every entry on trial must have, and there must be one; none where nothing is
    /// tried. Normal entries have none of [`Self::ours`] then.
    #[serde(default)]
    pub trial: Vec<String>,
    /// Releases that a normal entry must start.
    pub kernels: Vec<String>,
    /// What the images of normal entries must hold; none where the plan leaves images alone.
    pub images: Option<ImageArtefacts>,
}

/// What an image has to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct ImageArtefacts {
    /// Who builds it.
    pub generator: InitramfsKind,
    /// Modules that must be there, as files or built into the kernel.
    pub modules: Vec<String>,
    /// Files that must be there as planned, or must not be there.
    pub files: Vec<ImageFile>,
    /// Modules that vfio-pci must come before where the image loads modules by a list.
    pub rivals: Vec<String>,
}

/// A file of our own in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct ImageFile {
    /// Path in the image, without a slash in front.
    pub path: String,
    /// Its text; none where it must not be there.
    pub text: Option<String>,
    /// The same when the plan is taken back.
    pub taken_back: Option<String>,
    /// What it does there.
    pub role: FileRole,
}

/// What a file of our own does in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum FileRole {
    /// Read by modprobe.
    Modprobe,
    /// Binds the card; has to run before anything else.
    Script,
    /// Starts the script where systemd is the image's init.
    Unit,
}

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Problem {
    /// The file with the entry, the image, or `boot menu` where there is none.
    pub path: String,
    /// What was expected and what was found.
    pub text: String,
}

/// What looking at boot menu and images gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct ReadBack {
    /// Files that were read to their end.
    pub looked: Vec<String>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl ReadBack {
    /// Something was looked at, and nothing is wrong.
    pub fn holds(&self) -> bool {
        !self.looked.is_empty() && self.problems.is_empty()
    }
}

impl Artefacts {
    /// What must hold after the plan was taken back: our words in no entry, and of our files in
    /// the images what was there before.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let images = self.images.as_ref().map(|images| ImageArtefacts {
            modules: Vec::new(),
            files: images.files.iter().map(ImageFile::reversed).collect(),
            ..images.clone()
        });
        Self {
            words: Vec::new(),
            removed: Vec::new(),
            ours: Vec::new(),
            nowhere: self.ours.clone(),
            trial: Vec::new(),
            kernels: self.kernels.clone(),
            images,
        }
    }

    /// A file that images hold under the path that it has on the host gets another text.
    pub fn edited(&mut self, path: &str, text: Option<&str>, taken_back: Option<&str>) {
        let files = self.images.iter_mut().flat_map(|images| &mut images.files);
        for file in files.filter(|file| file.path == path) {
            file.text = text.map(str::to_owned);
            file.taken_back = taken_back.map(str::to_owned);
        }
    }

    /// Images that have to be read, for a menu.
    pub fn images_of<'a>(&self, menu: &'a [MenuEntry]) -> BTreeSet<&'a str> {
        let booted = |entry: &&MenuEntry| entries::is_normal(entry) || entries::is_trial(entry);
        let all = menu.iter().filter(|entry| self.images.is_some() && booted(entry));
        all.flat_map(MenuEntry::images).collect()
    }
}

impl ImageFile {
    fn reversed(&self) -> Self {
        Self { text: self.taken_back.clone(), taken_back: self.text.clone(), ..self.clone() }
    }
}

/// The path of problems with the menu as a whole.
const MENU: &str = "boot menu";

/// Everything that is not as it must be. `images` has what was seen at each path that
/// [`Artefacts::images_of`] names.
pub fn problems(
    wanted: &Artefacts,
    menu: &Observed<Vec<MenuEntry>>,
    images: &BTreeMap<String, Observed<Image>>,
) -> Vec<Problem> {
    let entries = match menu {
        Observed::Present(entries) => entries,
        Observed::Absent => return vec![problem(MENU, "There is no boot menu.".to_owned())],
        Observed::Unreadable(reason) => {
            return vec![problem(MENU, format!("The boot menu cannot be read: {reason}."))];
        }
    };
    let mut problems = entries::problems(wanted, entries);
    if let Some(own) = &wanted.images {
        problems.extend(image::problems(own, &wanted.kernels, entries, images));
    }
    problems
}

fn problem(path: &str, text: String) -> Problem {
    Problem { path: path.to_owned(), text }
}

#[cfg(test)]
mod tests;
