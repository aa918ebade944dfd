//! Whether an image binds the card before anything else can take it.

mod order;

use std::collections::{BTreeMap, BTreeSet};

use super::{FileRole, ImageArtefacts, ImageFile, Problem, entries, problem};
use crate::host::Observed;
use crate::host::image::Image;
use crate::host::menu::MenuEntry;

const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;

/// Everything that is wrong with the images of normal entries; entries that share images are
/// judged once. `kernels` are releases: some distributions name kernels after something else
/// (`vmlinuz-6.1-x86_64` of Manjaro), and then any directory of modules will do.
pub fn problems(
    wanted: &ImageArtefacts,
    kernels: &[String],
    menu: &[MenuEntry],
    images: &BTreeMap<String, Observed<Image>>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut done = BTreeSet::new();
    for entry in menu.iter().filter(|entry| entries::is_normal(entry)) {
        let own: Vec<&str> = entry.images().collect();
        let release = entry.release().filter(|release| kernels.iter().any(|own| own == release));
        if !done.insert((release, own.clone())) {
            continue;
        }
        let Some(last) = own.last() else {
            let text = "must start with an initramfs image, and has none";
            problems.push(problem(&entry.place, format!("\"{}\" {text}.", entry.title)));
            continue;
        };
        match together(&own, images) {
            Ok(image) => {
                let texts = of_image(wanted, release, &image);
                problems.extend(texts.into_iter().map(|text| problem(&format!("/{last}"), text)));
            }
            Err(unseen) => problems.push(unseen),
        }
    }
    problems
}

/// All images of an entry as the kernel unpacks them, one over the other.
fn together(paths: &[&str], images: &BTreeMap<String, Observed<Image>>) -> Result<Image, Problem> {
    let mut all = Image::default();
    for path in paths {
        let text = match images.get(*path) {
            Some(Observed::Present(image)) => {
                all = image.clone().over(&all);
                continue;
            }
            Some(Observed::Absent) => "The image is not there.".to_owned(),
            Some(Observed::Unreadable(reason)) => {
                format!("Nobody can tell what the image holds: {reason}.")
            }
            None => "The image was not looked at.".to_owned(),
        };
        return Err(problem(&format!("/{path}"), text));
    }
    Ok(all)
}

fn of_image(wanted: &ImageArtefacts, release: Option<&str>, image: &Image) -> Vec<String> {
    let mut problems = Vec::new();
    for module in &wanted.modules {
        if !has_module(image, release, module) {
            let kernel = release.map(|release| format!(" for {release}")).unwrap_or_default();
            problems
                .push(format!("The image must hold the module {module}{kernel}, and does not."));
        }
    }
    problems.extend(wanted.files.iter().filter_map(|file| of_file(file, image)));
    problems.extend(order::problems(wanted, image));
    problems
}

/// As a file under either spelling, compressed or not, or named as built in.
fn has_module(image: &Image, release: Option<&str>, module: &str) -> bool {
    let is_it = |path: &str| {
        let path = path.strip_prefix("usr/").unwrap_or(path);
        let (dir, rest) = path.strip_prefix("lib/modules/")?.split_once('/')?;
        release.is_none_or(|release| release == dir).then_some(rest.to_owned())
    };
    let named = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        let name =
            [".gz", ".xz", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        name.strip_suffix(".ko").is_some_and(|name| name.replace('-', "_") == module)
    };
    let is_file = |mode: u32| mode & S_IFMT == S_IFREG;
    let as_file = image
        .paths
        .iter()
        .any(|(path, member)| is_file(member.mode) && is_it(path).is_some_and(|rest| named(&rest)));
    let built_in = image.texts.iter().any(|(path, text)| {
        is_it(path).is_some_and(|rest| rest == "modules.builtin") && text.lines().any(named)
    });
    as_file || built_in
}

fn of_file(file: &ImageFile, image: &Image) -> Option<String> {
    let path = place_of(file, image);
    let there = image.find(&path).is_some();
    match (&file.text, image.text(&path)) {
        (None, _) if there => Some(format!("The image must not hold {path}, and does.")),
        (Some(_), _) if !there => Some(format!("The image must hold {path}, and does not.")),
        (Some(_), None) => Some(format!("{path} in the image is no file with a text.")),
        (Some(wanted), Some(found)) if wanted != found => Some(format!(
            "{path} in the image must be as planned, and is another text: {}",
            first_difference(wanted, found)
        )),
        _ => None,
    }
}

/// dracut keeps hooks below /var since version 104.
fn place_of(file: &ImageFile, image: &Image) -> String {
    let other = file.path.replacen("usr/lib/dracut/hooks/", "var/lib/dracut/hooks/", 1);
    if image.find(&file.path).is_none() && image.find(&other).is_some() {
        return other;
    }
    file.path.clone()
}

fn first_difference(wanted: &str, found: &str) -> String {
    let (mut wanted, mut found) = (wanted.lines(), found.lines());
    for number in 1.. {
        match (wanted.next(), found.next()) {
            (None, None) => break,
            (expected, got) if expected != got => {
                let quote =
                    |line: Option<&str>| line.map_or("nothing".to_owned(), |l| format!("{l:?}"));
                return format!("line {number} is {}, not {}.", quote(got), quote(expected));
            }
            _ => {}
        }
    }
    "only its line ends differ.".to_owned()
}

/// The binding script is wanted in the image.
fn wants_script(wanted: &ImageArtefacts) -> bool {
    wanted.files.iter().any(|file| file.role == FileRole::Script && file.text.is_some())
}
