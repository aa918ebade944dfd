//! What an initramfs image holds, and whether it would bind the card before other drivers.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::root::Root;
use crate::tools::{Planned, find, output};

/// Who built it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    InitramfsTools,
    Dracut,
}

impl Kind {
    /// The name of its Debian package and of its hook for new kernels.
    pub fn package(self) -> &'static str {
        match self {
            Self::InitramfsTools => "initramfs-tools",
            Self::Dracut => "dracut",
        }
    }

    /// The program that builds images.
    pub fn command(self) -> &'static str {
        match self {
            Self::InitramfsTools => "update-initramfs",
            Self::Dracut => "dracut",
        }
    }

    /// Where the binding script is, in the image and on the system.
    fn script(self) -> (&'static str, &'static str) {
        match self {
            Self::InitramfsTools => (
                "scripts/init-top/00-passthru",
                "/etc/initramfs-tools/scripts/init-top/00-passthru",
            ),
            Self::Dracut => (
                "usr/lib/dracut/hooks/pre-udev/00-passthru.sh",
                "/usr/lib/dracut/modules.d/91passthru/passthru.sh",
            ),
        }
    }
}

/// An unpacked image.
pub struct Image {
    kind: Kind,
    dir: PathBuf,
    release: String,
    paths: Vec<String>,
}

impl Image {
    /// Unpacks the image of a system with the generator's own tool.
    pub fn unpack(root: &Root, kind: Kind) -> Self {
        let image = format!("/boot/initrd.img-{}", root.release);
        let unpacked = root.path.join("var/tmp/image");
        let _ = std::fs::remove_dir_all(&unpacked);
        let script = match kind {
            Kind::InitramfsTools => "unmkinitramfs \"$1\" /var/tmp/image",
            Kind::Dracut => "mkdir /var/tmp/image && cd /var/tmp/image && lsinitrd --unpack \"$1\"",
        };
        root.run(&["sh", "-c", script, "unpack", &image]);
        let list = match kind {
            Kind::InitramfsTools => "lsinitramfs",
            Kind::Dracut => "lsinitrd",
        };
        let listing = root.run(&[list, &image]);
        // With microcode, unmkinitramfs makes one directory for each archive.
        let main = unpacked.join("main");
        let dir = if main.is_dir() { main } else { unpacked };
        // lsinitrd lists as `ls -l` does.
        let path =
            |line: &str| line.split(" -> ").next()?.split_whitespace().last().map(str::to_owned);
        let paths = listing.lines().filter_map(path).collect();
        Self { kind, dir, release: root.release.clone(), paths }
    }

    /// Everything that it holds, as the tool lists it.
    pub fn into_paths(self) -> Vec<String> {
        self.paths
    }

    /// What is missing or wrong, for a card that is bound as planned.
    pub fn problems(&self, planned: &Planned) -> Vec<String> {
        let mut problems = Vec::new();
        for module in ["vfio-pci.ko", "vfio_iommu_type1.ko"] {
            let there = |path: &String| {
                path.rsplit('/').next().is_some_and(|name| name.starts_with(module))
            };
            if !self.paths.iter().any(there) {
                problems.push(format!("no {module}"));
            }
        }
        problems.extend(self.missing_file(
            planned,
            ("etc/modprobe.d/00-passthru.conf", "/etc/modprobe.d/00-passthru.conf"),
        ));
        if planned.method() == "address" {
            problems.extend(self.missing_script(planned));
        } else if self.paths.iter().any(|path| path == self.kind.script().0) {
            problems.push("a binding script that nothing asks for".to_owned());
        }
        let loaded = self.loads("snd_hda_intel");
        let place = |name: &str| loaded.iter().position(|line| line.contains(name));
        match (place("/vfio-pci.ko"), place("/snd-hda-intel.ko")) {
            (Some(vfio), Some(sound)) if vfio < sound => {}
            _ => problems.push("vfio-pci is not loaded before snd_hda_intel".to_owned()),
        }
        problems.extend(self.wrong_driver_order());
        problems
    }

    /// The modules that modprobe in this image would load for one, in order.
    pub fn loads(&self, module: &str) -> Vec<String> {
        let modprobe = find("modprobe").expect("kmod is there");
        let mut command = Command::new(modprobe);
        command.arg("--show-depends").arg("-C").arg(self.dir.join("etc/modprobe.d"));
        command.arg("-d").arg(&self.dir).args(["-S", &self.release, module]);
        output(&mut command).lines().map(str::to_owned).collect()
    }

    fn missing_file(&self, planned: &Planned, (here, there): (&str, &str)) -> Option<String> {
        let wanted = planned.text(there).expect("it is planned");
        let found = std::fs::read_to_string(self.dir.join(here)).unwrap_or_default();
        let listed = self.paths.iter().any(|path| path == here);
        (found != wanted || !listed).then(|| format!("no {here} as planned"))
    }

    fn missing_script(&self, planned: &Planned) -> Vec<String> {
        let script = self.kind.script();
        let mut problems: Vec<String> = self.missing_file(planned, script).into_iter().collect();
        let order = match self.kind {
            Kind::InitramfsTools => self.order_problem(),
            Kind::Dracut => self.hook_problem(Path::new(script.0)),
        };
        problems.extend(order);
        problems
    }

    /// The scripts are run in the order of this file; `udev` starts the coldplug.
    fn order_problem(&self) -> Option<String> {
        let file = "scripts/init-top/ORDER";
        let text = std::fs::read_to_string(self.dir.join(file)).unwrap_or_default();
        let scripts: Vec<&str> = text.lines().filter(|line| line.starts_with("/scripts")).collect();
        let udev = scripts.iter().position(|line| line.starts_with("/scripts/init-top/udev "));
        let first =
            scripts.first().is_some_and(|line| line.starts_with("/scripts/init-top/00-passthru "));
        let executable = self.is_executable("scripts/init-top/00-passthru");
        let right = first && executable && udev.is_some_and(|place| place > 0);
        (!right).then(|| format!("{file} does not start with 00-passthru"))
    }

    /// dracut sources the hooks of a stage in the order of their names.
    fn hook_problem(&self, script: &Path) -> Option<String> {
        let stage = self.dir.join(script.parent().expect("a parent"));
        let mut names: Vec<_> = std::fs::read_dir(&stage)
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        let first = names.first().map(std::ffi::OsString::as_os_str) == script.file_name();
        (!first).then(|| format!("{names:?}: the binding script is not first"))
    }

    /// dracut loads these before udev; vfio-pci comes with what it depends on.
    fn wrong_driver_order(&self) -> Option<String> {
        if self.kind != Kind::Dracut {
            return None;
        }
        let entries = std::fs::read_dir(self.dir.join("etc/cmdline.d")).into_iter().flatten();
        let text: String = entries
            .map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("a file"))
            .collect();
        let words = text.split_whitespace().filter_map(|word| word.strip_prefix("rd.driver.pre="));
        let loaded: Vec<&str> = words.flat_map(|word| word.split(',')).collect();
        (loaded != ["vfio_pci", "vfio", "vfio_iommu_type1"])
            .then(|| format!("rd.driver.pre is {loaded:?}"))
    }

    fn is_executable(&self, path: &str) -> bool {
        let meta = std::fs::metadata(self.dir.join(path));
        meta.is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0)
    }
}
