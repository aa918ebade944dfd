//! Machines to run the program on, and what it said.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// What one run of the program gave.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The JSON document on standard output.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("{error}\nstdout: {}\nstderr: {}", self.stdout, self.stderr)
        })
    }
}

/// Runs the program with a plain environment: no terminal, C locale, no colours.
pub fn passthru(args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_passthru"))
        .args(args)
        .env_clear()
        .env("LC_ALL", "C")
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    Output {
        code: output
            .status
            .code()
            .unwrap_or_else(|| panic!("killed by a signal: {:?}", output.status)),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A recorded host, unpacked as real files that a test may change.
pub struct Machine {
    dir: TempDir,
}

impl Machine {
    /// One of the hosts inside the program.
    pub fn new(host: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = dir.path().join("root");
        let output =
            passthru(&["--host", host, "capture", "--unpack", root.to_str().expect("UTF-8")]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{host}");
        Self { dir }
    }

    /// Where its files are.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Where one of its files is.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Puts a file, making its directories.
    pub fn write(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let to = self.at(path);
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("directories");
        std::fs::write(&to, content).expect("a file");
        self
    }

    /// Replaces text in a file; the text must be there.
    pub fn replace(self, path: &str, from: &str, to: &str) -> Self {
        let text = std::fs::read_to_string(self.at(path)).expect("the file is there");
        assert!(text.contains(from), "{path} has no {from:?}");
        self.write(path, text.replace(from, to))
    }

    /// Takes a file or directory away; it must be there.
    pub fn remove(self, path: &str) -> Self {
        let at = self.at(path);
        if std::fs::symlink_metadata(&at).expect("it is there").is_dir() {
            std::fs::remove_dir_all(&at).expect("removed");
        } else {
            std::fs::remove_file(&at).expect("removed");
        }
        self
    }

    /// Puts a symbolic link in place of whatever stands there.
    pub fn link(self, path: &str, target: &str) -> Self {
        let at = self.at(path);
        std::fs::create_dir_all(at.parent().expect("a parent")).expect("directories");
        let _ = std::fs::remove_file(&at);
        std::os::unix::fs::symlink(target, &at).expect("a link");
        self
    }

    /// Sets the permission bits of a file.
    pub fn mode(self, path: &str, mode: u32) -> Self {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(self.at(path), permissions).expect("a mode");
        self
    }

    /// Runs the program on it.
    pub fn run(&self, args: &[&str]) -> Output {
        let root = self.root();
        let mut all = vec!["--root", root.to_str().expect("UTF-8")];
        all.extend(args);
        passthru(&all)
    }

    /// Makes the changes of a plan document, as `apply` would, without running its commands.
    pub fn lay(self, plan: &serde_json::Value) -> Self {
        let changes = plan["changes"].as_array().expect("changes").clone();
        changes.iter().fold(self, |machine, change| {
            let path = change["path"].as_str().expect("a path").trim_start_matches('/');
            let after = &change["after"];
            if after["state"] == "absent" {
                return machine.remove(path);
            }
            let mode =
                u32::from_str_radix(after["mode"].as_str().expect("a mode"), 8).expect("octal");
            machine.write(path, after["text"].as_str().expect("a text")).mode(path, mode)
        })
    }

    /// Everything below its root but passthru's own state: kind, mode, owner, and content of each
    /// path. Directories on the way to that state are left out, too.
    pub fn everything(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let root = self.root();
        let mut dirs = vec![root.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(&dir).expect("a directory") {
                let path = entry.expect("an entry").path();
                let name = path.strip_prefix(&root).expect("inside").to_str().expect("UTF-8");
                let meta = std::fs::symlink_metadata(&path).expect("it is there");
                if name == "var/lib/passthru" {
                    continue;
                }
                let content = if meta.is_symlink() {
                    format!("-> {}", std::fs::read_link(&path).expect("a link").display())
                } else if meta.is_dir() {
                    dirs.push(path.clone());
                    "directory".to_owned()
                } else {
                    String::from_utf8_lossy(&std::fs::read(&path).expect("a file")).into_owned()
                };
                let (mode, uid, gid) = (meta.mode(), meta.uid(), meta.gid());
                if name != "var" && name != "var/lib" {
                    found.insert(name.to_owned(), format!("{mode:o} {uid}:{gid} {content}"));
                }
            }
        }
        found
    }

    /// The text of a file of the machine.
    pub fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Codes of the findings of `check`, with their severity.
    pub fn findings(&self, args: &[&str]) -> Vec<(String, String)> {
        let mut all = vec!["--json", "check"];
        all.extend(args);
        let document = self.run(&all).json();
        let findings = document["findings"].as_array().expect("findings").clone();
        let word = |finding: &serde_json::Value, key: &str| {
            finding[key].as_str().expect("a word").to_owned()
        };
        findings.iter().map(|finding| (word(finding, "code"), word(finding, "severity"))).collect()
    }
}

/// Where the sources of the project are.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
