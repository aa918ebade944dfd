//! Disks of Debian hosts, made from the packages of the distribution without a guest: programs of
//! the tree run in it natively. A disk is made once for each state of this recipe.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use sha2::{Digest as _, Sha256};

use super::packages::{self, package_file};
use super::program::{find, run};
use super::progress::timed;

/// A host: what boots it, and what makes its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    Grub,
    Dracut,
    SystemdBoot,
    /// As `Grub`, with libvirt and a guest for it.
    Libvirt,
}

/// On every host.
const PACKAGES: &str = "systemd-sysv udev openssh-server kmod pciutils zstd e2fsprogs busybox \
    dbus procps";
const UUID: &str = "5a5e1f0a-0000-4000-8000-000000000001";

const ESSENTIAL: &str = include_str!("image/essential.sh");
const HOST: &str = include_str!("image/host.sh");
const GRUB: &str = include_str!("image/grub.sh");
const SYSTEMD_BOOT: &str = include_str!("image/systemd-boot.sh");
const GUEST: &str = include_str!("image/guest.sh");

/// Programs by Debian package.
const PROGRAMS: [(&str, &str); 12] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-img", "qemu-utils"),
    ("mmdebstrap", "mmdebstrap"),
    ("apt-get", "apt"),
    ("cpio", "cpio"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("mke2fs", "e2fsprogs"),
    ("mkfs.vfat", "dosfstools"),
    ("mcopy", "mtools"),
    ("sfdisk", "fdisk"),
    ("unshare", "util-linux"),
];

pub const OVMF: [&str; 2] = ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"];

/// Where a kernel for an update lies in the guest.
pub const UPDATE: &str = "/var/cache/lab";

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Self::Grub => "grub",
            Self::Dracut => "dracut",
            Self::SystemdBoot => "systemd-boot",
            Self::Libvirt => "libvirt",
        }
    }

    fn packages(self) -> &'static str {
        match self {
            Self::Grub => "initramfs-tools grub-pc-bin grub2-common",
            Self::Dracut => "dracut grub-pc-bin grub2-common",
            Self::SystemdBoot => "initramfs-tools systemd-boot",
            Self::Libvirt => {
                "initramfs-tools grub-pc-bin grub2-common libvirt-daemon-system \
                 libvirt-clients qemu-system-x86 ovmf"
            }
        }
    }

    fn loader(self) -> &'static str {
        match self {
            Self::Grub | Self::Dracut | Self::Libvirt => GRUB,
            Self::SystemdBoot => SYSTEMD_BOOT,
        }
    }

    /// MiB that it boots with.
    pub fn memory(self) -> u32 {
        match self {
            Self::Grub | Self::Dracut | Self::SystemdBoot => 1536,
            // What a guest has is locked.
            Self::Libvirt => 3072,
        }
    }

    /// Its disk, made now if there is none, or why it cannot be made here.
    pub fn disk(self) -> Result<PathBuf, String> {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        can_be_made()?;
        let sources = sources()?;
        let dir = directory(&sources);
        let disk = dir.join(format!("{}.raw", self.name()));
        if !disk.exists() {
            let kernels = Kernels::find(&dir)?;
            self.make(&dir, &sources, &kernels, &disk);
        }
        Ok(disk)
    }

    fn make(self, dir: &Path, sources: &str, kernels: &Kernels, disk: &Path) {
        // root's own temporary directory: everyone has to be able to enter the tree.
        let work = tempfile::Builder::new().prefix("lab").tempdir().expect("a directory");
        let script = |name: &str, text: &str| {
            let path = work.path().join(name);
            fs::write(&path, text).expect("written");
            path
        };
        let tree = work.path().join("tree");
        let list = script("sources", sources);
        let essential = script("essential", ESSENTIAL);
        let include = format!("{PACKAGES} {} linux-image-{}", self.packages(), kernels.installed);
        timed(&format!("image {}: packages", self.name()), || {
            let mut command = Command::new("mmdebstrap");
            command.args(["--quiet", "--mode=root", "--variant=apt"]);
            for below in ["man", "doc", "locale", "info"] {
                command.arg(format!("--dpkgopt=path-exclude=/usr/share/{below}/*"));
            }
            command.arg("--aptopt=APT::Install-Recommends \"false\"");
            // One download serves all variants (mmdebstrap(1), "download/empty").
            command.arg("--skip=download/empty,essential/unlink,cleanup/apt");
            let debs = dir.join("packages");
            fs::create_dir_all(&debs).expect("a directory");
            let debs = debs.display();
            command.arg(format!(
                "--setup-hook=mkdir -p \"$1/var/cache/apt/archives\" && \
                 find {debs} -name '*.deb' -exec cp -t \"$1/var/cache/apt/archives\" {{}} +"
            ));
            command.arg(format!("--customize-hook=mv \"$1\"/var/cache/apt/archives/*.deb {debs}/"));
            command.arg(format!("--essential-hook=sh {} \"$1\"", essential.display()));
            command.arg(format!("--include={}", include.replace(' ', ",")));
            run(command.arg(&kernels.suite).arg(&tree).arg(&list));
        });
        timed(&format!("image {}: settings and disk", self.name()), || {
            if let Some(update) = &kernels.update {
                let to = tree.join(UPDATE.trim_start_matches('/'));
                super::program::copy(update, &to.join("linux-image.deb"));
            }
            if self == Self::Libvirt {
                run(Command::new("sh").arg(script("guest", GUEST)).arg(&tree));
            }
            run(Command::new("sh").arg(script("host", HOST)).arg(&tree).arg(UUID));
            let part = disk.with_extension("part");
            let _ = fs::remove_file(&part);
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh"]).arg(script("loader", self.loader()));
            run(command.arg(&tree).arg(&part).arg(UUID));
            let _ = fs::remove_dir(part.with_extension("part.mnt"));
            fs::rename(&part, disk).expect("renamed");
        });
    }
}

fn can_be_made() -> Result<(), String> {
    let missing = PROGRAMS.iter().find(|(program, _)| find(program).is_none());
    if let Some((program, package)) = missing {
        return Err(format!("{program} is missing; on Debian: apt-get install {package}"));
    }
    if let Some(firmware) = OVMF.iter().find(|path| !Path::new(path).exists()) {
        return Err(format!("{firmware} is missing; on Debian: apt-get install ovmf"));
    }
    if run(Command::new("id").arg("-u")).trim() != "0" {
        return Err("only root can make the image of a host".to_owned());
    }
    Ok(())
}

/// The kernel of the release before the newest, so that there is one to update to.
struct Kernels {
    suite: String,
    installed: String,
    update: Option<PathBuf>,
}

impl Kernels {
    fn find(dir: &Path) -> Result<Self, String> {
        let all = suites()?;
        let suite = all.iter().map(|(_, suite)| suite).find(|suite| !suite.contains('-'));
        let suite = suite.ok_or("apt knows no release of Debian")?.clone();
        let packages = packages::download(&[])?;
        let newest = fs::read_to_string(packages.join("release")).expect("it was written");
        let file = package_file(&packages, &format!("linux-image-{newest}"));
        let older = older(&newest);
        // A new place for it: what is downloaded there next may be another version.
        let update = dir.join("linux-image.deb");
        if let Some(file) = file.filter(|_| older.is_some()) {
            super::program::copy(&file, &update);
        }
        let installed = older.unwrap_or(newest);
        Ok(Self { suite, installed, update: update.exists().then_some(update) })
    }
}

/// The release before this one that apt has, of the same version and flavour.
fn older(newest: &str) -> Option<String> {
    let (version, _) = newest.split_once(['-', '+'])?;
    let branch: Vec<&str> = version.split('.').take(2).collect();
    let flavour = newest.rsplit('-').next()?;
    let pattern = format!("^linux-image-{}[.].*-{flavour}$", branch.join("[.]"));
    let names = run(Command::new("apt-cache").args(["search", "--names-only", &pattern]));
    let releases = names.lines().filter_map(|line| {
        let release = line.split(' ').next()?.strip_prefix("linux-image-")?;
        let other = ["cloud", "rt", "unsigned"].iter().any(|word| release.contains(word));
        (!other).then(|| release.to_owned())
    });
    let mut releases: Vec<String> = releases.collect();
    releases.sort_by_key(|release| numbers(release));
    releases.into_iter().rfind(|release| numbers(release) < numbers(newest))
}

fn numbers(release: &str) -> Vec<u32> {
    release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

/// Address and suite of the package lists that apt has, of the release and its updates.
fn suites() -> Result<Vec<(String, String)>, String> {
    let format = "$(REPO_URI) $(CODENAME) $(COMPONENT) $(LABEL)";
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", format, "Created-By: Packages"]);
    let text = run(&mut targets);
    let suites = text.lines().filter_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        [uri, suite, "main", "Debian" | "Debian-Security"] => {
            Some((uri.to_owned(), suite.to_owned()))
        }
        _ => None,
    });
    let suites: Vec<_> = suites.collect();
    if suites.is_empty() {
        Err("apt knows no Debian: run apt-get update".to_owned())
    } else {
        Ok(suites)
    }
}

/// The same for mmdebstrap.
fn sources() -> Result<String, String> {
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let line =
        |(uri, suite): (String, String)| format!("deb [signed-by={keyring}] {uri} {suite} main\n");
    Ok(suites()?.into_iter().map(line).collect())
}

/// Where everything of this recipe is. What an earlier recipe left goes.
fn directory(sources: &str) -> PathBuf {
    let scripts = [ESSENTIAL, HOST, GRUB, SYSTEMD_BOOT, GUEST].concat();
    let recipe = [include_str!("image.rs"), &scripts, sources].concat();
    let digest = Sha256::digest(recipe.as_bytes());
    let name: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab").join("images");
    let dir = all.join(&name);
    fs::create_dir_all(&dir).expect("a directory");
    for entry in fs::read_dir(&all).expect("it is there") {
        let path = entry.expect("an entry").path();
        if path != dir {
            fs::remove_dir_all(path).expect("removed");
        }
    }
    dir
}
