//! What every case boots: a kernel and modules of Debian, and passthru linked statically.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::packages::{download, package_file};
use super::program::static_program;
pub use super::program::{copy, find, run};

/// Made once for all cases, or the reason why not.
pub static KERNEL: LazyLock<Result<Kernel, String>> = LazyLock::new(Kernel::make);

/// Programs by Debian package.
const PROGRAMS: [(&str, &str); 8] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
    ("busybox", "busybox"),
    ("modprobe", "kmod"),
    ("depmod", "kmod"),
    ("cpio", "cpio"),
    ("ldd", "libc-bin"),
];

/// Drivers of the devices in a guest, and those that passthru needs.
const MODULES: [&str; 10] = [
    "vfio_pci",
    "vfio_iommu_type1",
    "bochs",
    "snd_hda_intel",
    "virtio_gpu",
    "virtio_pci",
    "virtio_console",
    "e1000e",
    "xhci_pci",
    "nvme",
];

/// Files of depmod that are not made from the modules themselves.
const LISTS: [&str; 3] = ["modules.builtin", "modules.builtin.modinfo", "modules.order"];

/// A kernel to boot.
pub struct Kernel {
    /// What `uname -r` says in it.
    pub release: String,
    /// passthru, without a library.
    pub program: PathBuf,
    /// The unpacked package.
    dir: PathBuf,
}

impl Kernel {
    fn make() -> Result<Self, String> {
        let missing = PROGRAMS.iter().find(|(program, _)| find(program).is_none());
        if let Some((program, package)) = missing {
            return Err(format!("{program} is missing; on Debian: apt-get install {package}"));
        }
        let packages = download(&[])?;
        let read = |error: std::io::Error| error.to_string();
        let release = fs::read_to_string(packages.join("release")).map_err(read)?;
        let file = package_file(&packages, &format!("linux-image-{release}"));
        let file = file.ok_or("the kernel was not downloaded")?;
        let dir = unpack(&file, &release);
        Ok(Self { program: static_program(), release, dir })
    }

    /// The kernel itself.
    pub fn image(&self) -> PathBuf {
        self.dir.join(format!("boot/vmlinuz-{}", self.release))
    }

    fn modules(&self) -> PathBuf {
        self.dir.join("lib/modules").join(&self.release)
    }

    /// What depmod wrote of all modules of the package.
    pub fn list(&self, name: &str) -> String {
        fs::read_to_string(self.modules().join(name)).expect(name)
    }

    /// Puts the modules below the root of an image, with what they depend on.
    pub fn put_modules(&self, root: &Path) {
        let to = root.join("lib/modules").join(&self.release);
        let mut files = BTreeSet::new();
        for line in self.list("modules.dep").lines() {
            let (path, needs) = line.split_once(':').expect("a path and what it needs");
            let file = path.rsplit('/').next().expect("a name");
            let name = file.split('.').next().expect("a name").replace('-', "_");
            if MODULES.contains(&name.as_str()) {
                files.insert(path.to_owned());
                files.extend(needs.split_whitespace().map(str::to_owned));
            }
        }
        assert!(files.len() > MODULES.len(), "{files:?}");
        for path in files.iter().map(String::as_str).chain(LISTS) {
            copy(&self.modules().join(path), &to.join(path));
        }
        run(Command::new(find("depmod").expect("looked for"))
            .arg("-b")
            .arg(root)
            .arg(&self.release));
    }
}

/// Kernel and modules, once for each version of the package.
fn unpack(package: &Path, release: &str) -> PathBuf {
    let name = package.file_stem().expect("a name");
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernel").join(name);
    if dir.exists() {
        return dir;
    }
    let part = dir.with_extension("part");
    let _ = fs::remove_dir_all(&part);
    fs::create_dir_all(&part).expect("a directory");
    let script =
        "dpkg-deb --fsys-tarfile \"$1\" | tar -x -C \"$2\" --wildcards './boot/vmlinuz-*' ./lib";
    run(Command::new("sh").args(["-c", script, "unpack"]).arg(package).arg(&part));
    run(Command::new(find("depmod").expect("looked for")).arg("-b").arg(&part).arg(release));
    fs::rename(&part, &dir).expect("renamed");
    dir
}
