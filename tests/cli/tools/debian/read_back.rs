//! What passthru's own reader says about the images and the menu.

use std::path::Path;

use passthru::proof::by_path::{self, Way};
use serde_json::Value;

use super::root::{Machine, Root};

/// What must hold once the plan is carried out, asked for before that.
pub struct Wanted(String);

impl Wanted {
    pub fn of(machine: &Machine, args: &[&str]) -> Self {
        Self(by_path::wanted(&machine.root(), args).expect("there is a plan"))
    }

    /// What is wrong when the plan was carried out.
    pub fn problems(&self, machine: &Machine) -> Vec<String> {
        self.read_back(machine, Way::There)
    }

    /// What is left when the plan was taken back.
    pub fn leftovers(&self, machine: &Machine) -> Vec<String> {
        self.read_back(machine, Way::Back)
    }

    fn read_back(&self, machine: &Machine, way: Way) -> Vec<String> {
        let seen = by_path::read_back(&machine.root(), &self.0, way).expect("it is read");
        let seen: Value = serde_json::from_str(&seen).expect("JSON");
        let list = |key: &str| seen[key].as_array().expect(key).clone();
        let word = |value: &Value| value.as_str().expect("a text").to_owned();
        let problems: Vec<String> = list("problems")
            .iter()
            .map(|problem| format!("{}: {}", word(&problem["path"]), word(&problem["text"])))
            .collect();
        assert!(!problems.is_empty() || list("looked").len() > 1, "it was looked at: {seen}");
        problems
    }

    /// A file is spoilt, and put back as it was; each of these is noticed.
    pub fn notices_spoilt_files(&self, root: &Root, machine: &Machine, word: &str) {
        let (menu, image) =
            (root.path.join("boot/grub/grub.cfg"), root.path.join(root.image_path()));
        let cut = |bytes: &[u8], parts: usize| bytes[..bytes.len() / 16 * parts].to_vec();
        for parts in [0, 1, 7, 15] {
            let spoilt = self.with(&image, |bytes| cut(bytes, parts), machine);
            let text = spoilt.concat();
            let named = text.contains("cut off") || text.contains("no archive");
            assert!(named || text.contains("must hold"), "{parts}: {spoilt:?}");
        }
        let without = |text: &str| text.replacen(&format!(" {word}"), "", 1);
        let spoilt = self.with(&menu, |bytes| without(&utf8(bytes)).into_bytes(), machine);
        assert_eq!(spoilt.len(), 1, "{spoilt:?}");
        assert!(spoilt[0].contains(&format!("must have {word}, and has: ")), "{spoilt:?}");
        let everywhere = |text: &str| text.replace(" single", &format!(" single {word}"));
        let spoilt = self.with(&menu, |bytes| everywhere(&utf8(bytes)).into_bytes(), machine);
        assert!(spoilt.concat().contains("No entry is left"), "{spoilt:?}");
        let middle = |text: &str| text[..text.find("submenu").expect("a submenu") + 60].to_owned();
        let spoilt = self.with(&menu, |bytes| middle(&utf8(bytes)).into_bytes(), machine);
        assert!(spoilt.concat().contains("cannot be read"), "{spoilt:?}");
        assert_eq!(self.problems(machine), [""; 0], "all is as before");
    }

    fn with(
        &self,
        path: &Path,
        spoil: impl FnOnce(&[u8]) -> Vec<u8>,
        machine: &Machine,
    ) -> Vec<String> {
        let good = std::fs::read(path).expect("it is there");
        std::fs::write(path, spoil(&good)).expect("written");
        let problems = self.problems(machine);
        std::fs::write(path, good).expect("written");
        assert!(!problems.is_empty(), "{}: nothing was noticed", path.display());
        problems
    }
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}
