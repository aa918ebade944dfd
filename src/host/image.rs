//! An initramfs image as the kernel would unpack it: what is in it, and the text of what
//! decides the order of drivers.

use std::collections::{BTreeMap, BTreeSet};

use crate::sys::{ArchiveEntry, Observed, Sysroot};

/// Files whose text is kept, without a `usr/` in front: whole directories end with a slash.
const TEXTS: [&str; 15] = [
    "config",
    "conf/modules",
    "etc/cmdline.d/",
    "etc/modprobe.d/",
    "etc/modules-load.d/",
    "etc/systemd/system/passthru-bind.service",
    "hooks/passthru",
    "lib/cmdline.d/",
    "lib/dracut/hooks/pre-udev/",
    "lib/modprobe.d/",
    "lib/modules-load.d/",
    "lib/systemd/system/passthru-bind.service",
    "run/modprobe.d/",
    "scripts/init-top/",
    "var/lib/dracut/hooks/pre-udev/",
];

/// One thing in an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Kind and permission bits, as in stat(2).
    pub mode: u32,
    /// Where a symbolic link leads.
    pub target: Option<String>,
}

/// What an image holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Every path, without a slash in front.
    pub paths: BTreeMap<String, Member>,
    /// The text of those files that matter here.
    pub texts: BTreeMap<String, String>,
}

/// Reads an image below a root. One that cannot be read to its end is unreadable.
pub fn read(root: &Sysroot, path: &str) -> Observed<Image> {
    let mut image = Image::default();
    let seen = root.image(path, &is_text, &mut |entry| image.add(entry));
    seen.map(|()| image.with_built_in(root))
}

fn is_text(path: &str) -> bool {
    let path = path.strip_prefix("usr/").unwrap_or(path);
    let listed = TEXTS.iter().any(|text| match text.strip_suffix('/') {
        Some(dir) => path.rsplit_once('/').is_some_and(|(parent, _)| parent == dir),
        None => path == *text,
    });
    listed || (path.starts_with("lib/modules/") && path.ends_with("/modules.builtin"))
}

/// Of a path below lib/modules.
fn release(path: &str) -> Option<String> {
    let inside = path.strip_prefix("usr/").unwrap_or(path).strip_prefix("lib/modules/")?;
    Some(inside.split_once('/')?.0.to_owned())
}

impl Image {
    /// Puts one thing in the place of what was there.
    fn add(&mut self, entry: ArchiveEntry) {
        let text = entry.content.and_then(|content| String::from_utf8(content).ok());
        match text {
            Some(text) => self.texts.insert(entry.path.clone(), text),
            None => self.texts.remove(&entry.path),
        };
        self.paths.insert(entry.path, Member { mode: entry.mode, target: entry.target });
    }

    /// mkinitcpio leaves out the list of what is built into the kernel; the system has it.
    fn with_built_in(mut self, root: &Sysroot) -> Self {
        let releases: BTreeSet<String> =
            self.paths.keys().filter_map(|path| release(path)).collect();
        for release in releases {
            let path = format!("lib/modules/{release}/modules.builtin");
            if self.find(&path).is_none()
                && let Observed::Present(text) = root.text(&path)
            {
                self.texts.insert(path, text);
            }
        }
        self
    }

    /// What the kernel has after it unpacked several images in this order.
    #[must_use]
    pub fn over(mut self, below: &Image) -> Self {
        let own: BTreeSet<String> = self.paths.keys().cloned().collect();
        let visible = |path: &&String| !own.contains(*path);
        for path in below.texts.keys().filter(visible) {
            self.texts.entry(path.clone()).or_insert_with(|| below.texts[path].clone());
        }
        for path in below.paths.keys().filter(visible) {
            self.paths.insert(path.clone(), below.paths[path].clone());
        }
        self
    }

    /// The path under which something stands: in an image with merged /usr, `lib` is a link.
    pub fn find(&self, path: &str) -> Option<&str> {
        let other = match path.strip_prefix("usr/") {
            Some(rest) => rest.to_owned(),
            None => format!("usr/{path}"),
        };
        let known = |path: &str| self.paths.get_key_value(path).map(|(path, _)| path.as_str());
        known(path).or_else(|| known(&other))
    }

    /// What stands at a path.
    pub fn member(&self, path: &str) -> Option<&Member> {
        self.paths.get(self.find(path)?)
    }

    /// The text at a path.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(self.find(path)?).map(String::as_str)
    }

    /// Texts right below a directory, `usr/` before it or not, by file name.
    pub fn texts_in(&self, dir: &str) -> BTreeMap<&str, &str> {
        let dir = dir.strip_prefix("usr/").unwrap_or(dir);
        let inside = self.texts.iter().filter_map(|(path, text)| {
            let (parent, name) = path.rsplit_once('/')?;
            let parent = parent.strip_prefix("usr/").unwrap_or(parent);
            (parent == dir).then_some((name, text.as_str()))
        });
        inside.collect()
    }

    /// Something executable stands there.
    pub fn is_executable(&self, path: &str) -> bool {
        self.member(path).is_some_and(|member| member.mode & 0o111 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, content: Option<&[u8]>) -> ArchiveEntry {
        let content = content.map(<[u8]>::to_vec);
        ArchiveEntry { path: path.to_owned(), mode: 0o100_644, content, target: None }
    }

    fn image(entries: &[(&str, &str)]) -> Image {
        let mut image = Image::default();
        for (path, text) in entries {
            image.add(entry(path, Some(text.as_bytes())));
        }
        image
    }

    #[test]
    fn the_texts_that_decide_are_kept() {
        for path in [
            "etc/modprobe.d/a.conf",
            "usr/lib/modprobe.d/a.conf",
            "scripts/init-top/ORDER",
            "usr/lib/dracut/hooks/pre-udev/00-passthru.sh",
            "config",
            "lib/modules/6.1/modules.builtin",
        ] {
            assert!(is_text(path), "{path}");
        }
        for path in ["etc/passwd", "etc/modprobe.d/a/b", "init", "usr/lib/modules/6.1/modules.dep"]
        {
            assert!(!is_text(path), "{path}");
        }
    }

    #[test]
    fn the_last_of_two_entries_counts() {
        let mut image = image(&[("config", "old")]);
        image.add(entry("config", None));
        assert_eq!((image.text("config"), image.paths.len()), (None, 1));
        image.add(entry("config", Some(b"\xff")));
        assert_eq!(image.text("config"), None, "no text");
    }

    #[test]
    fn later_images_cover_earlier_ones() {
        let first = image(&[("config", "first"), ("hooks/passthru", "a")]);
        let second = image(&[("config", "second")]);
        let both = second.over(&first);
        assert_eq!((both.text("config"), both.text("hooks/passthru")), (Some("second"), Some("a")));
    }

    #[test]
    fn usr_may_be_merged_or_not() {
        let image = image(&[("usr/lib/modprobe.d/a.conf", "x"), ("lib/modprobe.d/b.conf", "y")]);
        assert_eq!(image.text("lib/modprobe.d/a.conf"), Some("x"));
        assert_eq!(image.text("usr/lib/modprobe.d/b.conf"), Some("y"));
        let names: Vec<_> = image.texts_in("usr/lib/modprobe.d").into_keys().collect();
        assert_eq!(names, ["a.conf", "b.conf"]);
    }

    #[test]
    fn a_recorded_image_was_not_looked_into() {
        let mut tree = crate::sys::Tree::default();
        tree.insert("boot/initrd.img", crate::sys::Node::Present(None));
        let root = Sysroot::from_tree(tree);
        assert!(read(&root, "boot/initrd.img").is_unreadable());
        assert!(read(&root, "boot/other").is_absent());
    }
}
