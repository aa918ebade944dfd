//! Which files of a transaction are no longer as it left them.

use super::record::{Change, Saved};
use crate::sys::writer::digest;
use crate::sys::{Observed, Sysroot};

/// Absolute paths, each with what became of the file. What cannot be read is left out, and so are
/// permission bits, but for those by which a file is a program.
pub fn edited<'a>(
    changes: impl IntoIterator<Item = &'a Change>,
    root: &Sysroot,
) -> Vec<(String, String)> {
    let what = |change: &Change| match (&change.after, root.read(change.inside())) {
        (Saved::Present { .. }, Observed::Absent) => Some("is gone"),
        (Saved::Absent, Observed::Present(_)) => Some("is there again"),
        (Saved::Present { digest: left, mode, .. }, Observed::Present(bytes)) => {
            let may_run = |mode: u32| mode & 0o111 != 0;
            let now = root.meta(change.inside()).into_present();
            if digest(&bytes) != *left {
                Some("was edited")
            } else if may_run(*mode) && now.is_some_and(|now| !may_run(now.mode)) {
                Some("is not executable any more")
            } else {
                None
            }
        }
        _ => None,
    };
    let edited = changes.into_iter().filter_map(|change| Some((change, what(change)?)));
    edited.map(|(change, what)| (change.path.clone(), what.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Stage;
    use crate::sys::Tree;

    fn left(path: &str, text: Option<&str>, mode: u32) -> Change {
        let after = text.map_or(Saved::Absent, |text| Saved::Present {
            digest: digest(text.as_bytes()),
            mode,
            uid: 0,
            gid: 0,
        });
        let (path, before) = (path.to_owned(), Saved::Absent);
        Change { path, stage: Stage::BeforeCommands, before, after }
    }

    #[test]
    fn files_that_are_not_as_they_were_left_are_named() {
        let tree = "passthru-tree 1\netc/kept {mode=0755} = a\netc/mode {mode=0600} = a\n\
                    etc/script = a\n\
                    etc/text {mode=0755} = b\netc/back = b\n";
        let root = Sysroot::from_tree(Tree::parse(tree).unwrap());
        let changes = [
            left("/etc/kept", Some("a\n"), 0o755),
            left("/etc/mode", Some("a\n"), 0o644),
            left("/etc/script", Some("a\n"), 0o755),
            left("/etc/text", Some("a\n"), 0o755),
            left("/etc/back", None, 0),
            left("/etc/gone", Some("a\n"), 0o644),
            left("/etc/never", None, 0),
        ];
        let expected = [
            ("/etc/script", "is not executable any more"),
            ("/etc/text", "was edited"),
            ("/etc/back", "is there again"),
            ("/etc/gone", "is gone"),
        ];
        let expected = expected.map(|(path, what)| (path.to_owned(), what.to_owned()));
        assert_eq!(edited(&changes, &root), expected);
    }
}
