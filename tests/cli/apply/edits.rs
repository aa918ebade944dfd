//! What somebody edits after passthru is theirs: taking back never loses it.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{answer, differing, done};
use crate::harness::Machine;

const GRUB: &str = "etc/default/grub";

#[test]
fn edits_of_other_lines_stay() {
    let machine = Machine::new("h170-mint-turing");
    let before = machine.text(GRUB);
    done(&machine, &["apply", "--yes", "--no-trial"]);
    let machine = machine
        .replace(GRUB, "GRUB_TIMEOUT=", "# slower\nGRUB_TIMEOUT=9")
        .write("etc/modprobe.d/00-passthru.conf", "")
        .remove("etc/modules-load.d/passthru.conf");
    let output = answer(&machine, &["undo", "--yes"]);
    assert!(
        output.stdout.contains("/etc/default/grub was edited since; those edits stay."),
        "{}",
        output.stdout
    );
    assert_eq!(
        machine.text(GRUB),
        before.replace("GRUB_TIMEOUT=", "# slower\nGRUB_TIMEOUT=9"),
        "ours is gone, theirs is there"
    );
}

#[test]
fn edits_of_the_same_line_are_shown_and_only_our_words_can_go() {
    let machine = Machine::new("h170-mint-turing");
    let before = machine.text(GRUB);
    done(&machine, &["apply", "--yes", "--no-trial"]);
    let machine = machine.replace(GRUB, "quiet splash", "quiet splash nosmt");
    let edited = machine.everything();
    let output = machine.run(&["undo", "--yes"]);
    assert_eq!(output.code, 1, "{}{}", output.stdout, output.stderr);
    let line = before.lines().find(|line| line.starts_with("GRUB_CMDLINE_LINUX_DEFAULT"));
    let back = format!("    +{}\n", line.expect("a line"));
    for part in [
        back.as_str(),
        "/etc/default/grub was edited where passthru had changed it",
        "    -GRUB_CMDLINE_LINUX_DEFAULT=\"quiet splash intel_iommu=on",
        "    +GRUB_CMDLINE_LINUX_DEFAULT=\"quiet splash nosmt intel_iommu=on",
    ] {
        assert!(output.stdout.contains(part), "{part}: {}", output.stdout);
    }
    assert!(output.stderr.contains("--only-our-words"), "{}", output.stderr);
    assert_eq!(differing(&edited, &machine.everything()), [""; 0], "nothing was changed");
    done(&machine, &["undo", "--yes", "--only-our-words"]);
    assert_eq!(machine.text(GRUB), before.replace("quiet splash", "quiet splash nosmt"));
    assert!(!machine.at("etc/modprobe.d/00-passthru.conf").exists());
}

/// Generators copy it, so the images are right when they hold what is left of it.
#[test]
fn images_are_to_hold_what_stays_of_an_edited_file() {
    const OURS: &str = "etc/modprobe.d/00-passthru.conf";
    const THEIRS: &str = "options kvm x=1\n";
    let machine = Machine::new("h170-mint-turing");
    done(&machine, &["apply", "--yes"]);
    let applied = machine.text(OURS) + THEIRS;
    let machine = machine.write(OURS, &applied);
    let in_image = |number: u32| {
        let record = machine.text(&format!("var/lib/passthru/{number}/record.json"));
        let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
        ["done", "undone"].map(|aim| {
            let files = record[aim]["artefacts"]["images"]["files"].as_array();
            let mut files = files.expect("files").iter();
            let file = files.find(|file| file["path"] == OURS).expect("the file");
            file["text"].as_str().map(str::to_owned)
        })
    };
    done(&machine, &["undo", "--yes"]);
    assert_eq!(machine.text(OURS), THEIRS);
    assert_eq!(in_image(2), [Some(THEIRS.to_owned()), Some(applied.clone())]);
    done(&machine, &["undo", "2", "--yes"]);
    assert_eq!(machine.text(OURS), applied);
    assert_eq!(in_image(3), [Some(applied), Some(THEIRS.to_owned())]);
}

#[test]
fn an_edit_in_the_middle_of_our_own_file_is_not_thrown_away() {
    let machine = Machine::new("h170-mint-turing");
    done(&machine, &["apply", "--yes", "--no-trial"]);
    let path = "etc/modprobe.d/00-passthru.conf";
    let text = machine.text(path).replacen("\nsoftdep", "\noptions kvm x=1\nsoftdep", 1);
    let machine = machine.write(path, &text);
    let output = machine.run(&["undo", "--yes", "--only-our-words"]);
    assert_eq!(output.code, 1, "{}{}", output.stdout, output.stderr);
    assert!(output.stderr.contains("Take your edits out of these files"), "{}", output.stderr);
    assert_eq!(machine.text(path), text);
    // A line at the end is no conflict: it stays, and only it.
    let ours = text.replace("options kvm x=1\n", "");
    let machine = machine.write(path, format!("{ours}options kvm x=1\n"));
    done(&machine, &["undo", "--yes"]);
    assert_eq!(machine.text(path), "options kvm x=1\n");
}

#[test]
fn a_mode_that_somebody_set_stays() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = Machine::new("h170-mint-turing");
    done(&machine, &["apply", "--yes", "--no-trial"]);
    let path = machine.at(GRUB);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
    done(&machine, &["undo", "--yes"]);
    let mode = std::fs::metadata(&path).expect("there").permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600);
}

#[test]
fn extended_attributes_and_links_are_kept() {
    let machine = Machine::new("h170-mint-turing");
    let real = machine.at("etc/grub-defaults");
    std::fs::rename(machine.at(GRUB), &real).expect("renamed");
    let machine = machine.link(GRUB, "/etc/grub-defaults");
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::setxattr(&real, "user.note", b"mine", flags).is_err() {
        return crate::tools::skipped("extended attributes", "this filesystem has none");
    }
    let before = machine.everything();
    let note = || {
        let mut value = [0_u8; 4];
        rustix::fs::getxattr(&real, "user.note", &mut value[..]).expect("it is there");
        value
    };
    done(&machine, &["apply", "--yes", "--no-trial"]);
    assert!(machine.at(GRUB).is_symlink());
    assert!(std::fs::read_to_string(&real).expect("there").contains("iommu=pt"));
    assert_eq!(note(), *b"mine");
    done(&machine, &["undo", "--yes"]);
    assert_eq!(differing(&before, &machine.everything()), [""; 0]);
    assert_eq!(note(), *b"mine");
}

/// One edit of a person: a line put into a file, taken out of it, or changed.
#[derive(Debug, Clone)]
enum Edit {
    Insert { at: prop::sample::Index, line: String },
    Append { at: prop::sample::Index, word: String },
}

fn edit() -> impl Strategy<Value = (prop::sample::Index, Edit)> {
    let line = "# [a-z]{3,8}";
    let insert =
        (any::<prop::sample::Index>(), line).prop_map(|(at, line)| Edit::Insert { at, line });
    let append = (any::<prop::sample::Index>(), " # [a-z]{3,8}")
        .prop_map(|(at, word)| Edit::Append { at, word });
    (any::<prop::sample::Index>(), prop_oneof![insert, append])
}

/// Whatever is edited between apply and undo: each edit is there afterwards, or undo refuses and
/// changes nothing.
#[test]
fn a_random_edit_is_never_lost() {
    let machine = Machine::new("z490-arch");
    done(&machine, &["apply", "--yes", "--no-trial"]);
    let log = answer(&machine, &["--json", "log", "show", "1"]).json();
    let changes = log["changes"].as_array().expect("a list").clone();
    let paths: Vec<String> =
        changes.iter().map(|c| c["path"].as_str().expect("a path")[1..].to_owned()).collect();
    // Long scripts of passthru's own would take most edits, and conflict.
    let paths: Vec<String> =
        paths.into_iter().filter(|path| !path.starts_with("etc/initcpio/")).collect();
    let applied: Vec<String> = paths.iter().map(|path| machine.text(path)).collect();
    let mut outcomes = [0, 0];
    let cases = Config { cases: 48, ..Config::default() };
    let machine = std::cell::RefCell::new(Some(machine));
    let counted = std::cell::RefCell::new(&mut outcomes);
    TestRunner::new(cases)
        .run(&proptest::collection::vec(edit(), 1..3), |edits| {
            let mut machine = machine.borrow_mut();
            let here = machine.take().expect("one at a time");
            let (here, marks) = edits.iter().fold((here, Vec::new()), |(here, mut marks), edit| {
                let path = edit.0.get(&paths);
                let text = here.text(path);
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                let mark = match &edit.1 {
                    Edit::Insert { at, line } => {
                        lines.insert(at.index(lines.len() + 1), line.clone());
                        line.clone()
                    }
                    Edit::Append { at, word } => {
                        let index = at.index(lines.len().max(1));
                        lines.resize(lines.len().max(1), String::new());
                        lines[index].push_str(word);
                        word.clone()
                    }
                };
                marks.push((path.clone(), mark));
                (here.write(path, lines.join("\n") + "\n"), marks)
            });
            let edited = here.everything();
            let output = here.run(&["undo", "--yes"]);
            let said = format!("{edits:?}\n{}{}", output.stdout, output.stderr);
            counted.borrow_mut()[usize::from(output.code != 0)] += 1;
            if output.code == 0 {
                for (path, mark) in &marks {
                    let left = std::fs::read_to_string(here.at(path)).unwrap_or_default();
                    prop_assert!(left.contains(mark.trim()), "{path}: {mark}\n{said}");
                }
                // Back to where it was applied.
                done(&here, &["undo", "--yes", "2"]);
                std::fs::remove_dir_all(here.at("var/lib/passthru/2")).expect("removed");
                std::fs::remove_dir_all(here.at("var/lib/passthru/3")).expect("removed");
            } else {
                prop_assert_eq!(output.code, 1, "{}", said);
                prop_assert_eq!(differing(&edited, &here.everything()), [""; 0], "{}", said);
            }
            let here =
                paths.iter().zip(&applied).fold(here, |here, (path, text)| here.write(path, text));
            *machine = Some(here);
            Ok(())
        })
        .expect("holds");
    assert!(outcomes[0] > 3 && outcomes[1] > 3, "both answers were seen: {outcomes:?}");
}
