use super::*;

struct Scratch {
    dir: tempfile::TempDir,
    disk: Writer,
}

impl Scratch {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = Writer::open(dir.path()).unwrap();
        Self { dir, disk }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.dir.path().join(path)).unwrap();
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(path)).unwrap()
    }

    fn names(&self, path: &str) -> Vec<String> {
        self.disk.names(path).unwrap()
    }

    fn replace(&self, path: &str, text: &str) -> Result<()> {
        let (uid, gid) = (process_user(), rustix::process::getegid().as_raw());
        self.disk.replace(path, text.as_bytes(), Attributes { mode: 0o640, uid, gid })
    }
}

fn process_user() -> u32 {
    crate::sys::process::user()
}

#[test]
fn a_place_is_where_all_links_lead() {
    let scratch = Scratch::new();
    scratch.write("usr/lib/real/file", "");
    scratch.link("lib", "usr/lib");
    scratch.link("usr/lib/alias", "/usr/lib/real/../real");
    scratch.link("there", "lib/alias/file");
    scratch.link("loop", "loop");
    let place =
        |path: &str| scratch.disk.place(path).map(|place| place.path).map_err(|e| e.errno());
    let cases = [
        ("usr/lib/real/file", Ok("usr/lib/real/file")),
        ("/lib/real/./file", Ok("usr/lib/real/file")),
        ("there", Ok("usr/lib/real/file")),
        ("lib/alias/new", Ok("usr/lib/real/new")),
        ("../../lib/new", Ok("usr/lib/new")),
        ("loop", Err(Some(Errno::LOOP))),
        ("none/new", Err(Some(Errno::NOENT))),
        ("..", Err(Some(Errno::INVAL))),
        ("", Err(Some(Errno::INVAL))),
    ];
    for (path, wanted) in cases {
        assert_eq!(place(path), wanted.map(str::to_owned), "{path:?}");
    }
}

#[test]
fn a_replaced_file_is_whole_and_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new();
    scratch.write("etc/a", "old");
    // What a crash left behind is no obstacle.
    scratch.write("etc/.a.passthru-new", "half");
    scratch.replace("etc/a", "new").unwrap();
    assert_eq!(
        (scratch.text("etc/a").as_str(), scratch.names("etc")),
        ("new", vec!["a".to_owned()])
    );
    let mode = std::fs::metadata(scratch.dir.path().join("etc/a")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    assert_eq!(scratch.replace("none/a", "new").map_err(|e| e.errno()), Err(Some(Errno::NOENT)));
    scratch.write("etc/.b.passthru-new", "half");
    scratch.disk.sweep("etc/b").unwrap();
    scratch.disk.sweep("none/b").unwrap();
    assert_eq!(scratch.names("etc"), ["a"]);
}

#[test]
fn a_link_stays_and_leads_to_the_new_content() {
    let scratch = Scratch::new();
    scratch.write("real", "old");
    scratch.link("alias", "/real");
    scratch.replace("alias", "new").unwrap();
    assert!(scratch.disk.is_link("alias") && !scratch.disk.is_link("real"));
    assert_eq!(scratch.text("real"), "new");
}

#[test]
fn a_torn_line_is_cut_off_before_the_next() {
    let scratch = Scratch::new();
    scratch.disk.append_line("journal", "one").unwrap();
    scratch.write("journal", "one\ntw");
    scratch.disk.append_line("journal", "three").unwrap();
    assert_eq!(scratch.text("journal"), "one\nthree\n");
}

#[test]
fn copies_tell_what_was_copied() {
    let scratch = Scratch::new();
    let big = "x".repeat(200_000);
    scratch.write("a", &big);
    let copied = scratch.disk.copy("a", "b", 0o600).unwrap();
    assert_eq!(copied, digest(big.as_bytes()));
    assert_eq!(scratch.disk.digest_of("b").unwrap(), Some(copied));
    assert_eq!(scratch.disk.digest_of("c").unwrap(), None);
    assert_eq!(
        digest(b""),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "as sha256sum prints it"
    );
}

#[test]
fn what_is_gone_is_gone() {
    let scratch = Scratch::new();
    scratch.write("d/e/f", "");
    assert!(!scratch.disk.remove_dir("d").unwrap(), "something is in it");
    scratch.link("d/out", "/");
    scratch.disk.remove_tree("d").unwrap();
    assert_eq!(scratch.names(""), [""; 0]);
    scratch.disk.remove("d/e/f").unwrap();
    assert!(scratch.disk.remove_dir("d/e").unwrap());
}

#[test]
fn a_lock_names_who_has_it() {
    let scratch = Scratch::new();
    let held = scratch.disk.lock("lock").unwrap();
    let own = std::process::id().to_string();
    assert!(
        matches!(scratch.disk.lock("lock"), Err(LockError::Held { pid, alive: true }) if pid == own)
    );
    drop(held);
    assert!(scratch.disk.lock("lock").is_ok());
}
