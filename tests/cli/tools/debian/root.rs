//! A Debian to change root into: this system's own /usr below an overlay, a copy of its /etc,
//! and a real kernel, on a filesystem of its own so that GRUB finds a device for it.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::image::Kind;
use crate::harness;
use crate::tools::output;

/// The system, mounted in this process's namespace.
pub struct Root {
    /// Where it is.
    pub path: PathBuf,
    /// Release of its kernel.
    pub release: String,
    _device: Loop,
}

/// Modules that the images hold beside ours: one driver that a plan puts after vfio-pci. The
/// rest makes the images small, and quick to build.
const SETTINGS: [(&str, &str); 5] = [
    ("etc/initramfs-tools/conf.d/test", "MODULES=list\nCOMPRESS=gzip\n"),
    ("etc/initramfs-tools/modules", "snd_hda_intel\n"),
    (
        "etc/dracut.conf.d/test.conf",
        "hostonly=yes\ncompress=cat\nadd_drivers+=\" snd_hda_intel \"\n",
    ),
    (
        "etc/default/grub",
        "GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\nGRUB_DISTRIBUTOR=Debian\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"\"\nGRUB_DISABLE_OS_PROBER=true\n",
    ),
    ("etc/fstab", ""),
];

/// $1: working directory, $2: release of the kernel, $3: free loop device. `-o loop=` detaches
/// the device with the last mount.
const MAKE: &str = r#"
set -e
cd "$1"
M=$1/root
mkdir -p "$M"
truncate -s 3G disk.img
mkfs.ext4 -q -F disk.img
mount -o loop="$3" disk.img "$M"
mkdir -p "$M"/{proc,sys,dev,run,tmp,root,usr,boot/grub,var/tmp,var/lib,.up,.wk}
chmod 1777 "$M"/tmp "$M"/var/tmp
for d in bin sbin lib lib64; do ln -s "usr/$d" "$M/$d"; done
cp -a /etc "$M/"
cp -a /var/lib/dpkg "$M/var/lib/"
mount -t overlay overlay -o "lowerdir=/usr,upperdir=$M/.up,workdir=$M/.wk" "$M/usr"
unpack() { dpkg-deb --fsys-tarfile "$1" | tar -x -C "$M" --keep-directory-symlink "${@:2}"; }
unpack packages/linux-image-"$2"_*.deb ./boot ./lib/modules
unpack packages/initramfs-tools_*.deb ./etc ./usr/sbin
unpack packages/linux-base_*.deb ./usr/bin ./usr/share/perl5
mount -t proc proc "$M/proc"
mount -t sysfs -o ro sysfs "$M/sys"
mount -t devtmpfs dev "$M/dev"
mount -t tmpfs run "$M/run"
chroot "$M" depmod "$2"
: >"$M/boot/initrd.img-$2"
"#;

/// Enters the system with the devices of a recorded machine. $1: the system, $2: the machine;
/// then a program with its arguments. What is mounted here is gone with this process.
const ENTER: &str = r#"
set -e
M=$1 S=$2
shift 2
mount --bind "$S/sys" "$M/sys"
# The interrupts of the machine that runs the test say nothing of the recorded one.
[ -e "$S/proc/interrupts" ] || echo "16: 1 IR-PCI-MSI-edge" >"$S/proc/interrupts"
(cd "$S/proc" && find . -type f) | while read -r file; do
    if [ -e "$M/proc/$file" ]; then mount --bind "$S/proc/$file" "$M/proc/$file"; fi
done
devices=$(cd "$M/dev" && echo null zero full random urandom tty loop*)
mkdir -p "$M/.dev"
mount -t tmpfs dev "$M/.dev"
for device in $devices; do cp -a "$M/dev/$device" "$M/.dev/"; done
(cd "$S/dev" 2>/dev/null && find . -type f) | while read -r file; do : >"$M/.dev/$file"; done
mount --move "$M/.dev" "$M/dev"
# For the program itself: its filesystem is on a plain disk.
mount --bind "$S/proc/mounts" "$M/proc/$$/mounts"
exec chroot "$M" "$@"
"#;

impl Root {
    /// Runs passthru in it, as root of the running system.
    pub fn passthru(&self, machine: &Machine, args: &[&str]) -> harness::Output {
        self.enter(machine, &[&["/usr/bin/passthru"], args].concat())
    }

    /// Runs a program in it, with the devices of a recorded machine around it.
    pub fn enter(&self, machine: &Machine, argv: &[&str]) -> harness::Output {
        let program = self.path.join("usr/bin/passthru");
        if !program.exists() {
            std::fs::copy(env!("CARGO_BIN_EXE_passthru"), program).expect("copied");
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-c", ENTER, "enter"]).arg(&self.path);
        command.arg(machine.root()).args(argv).env_clear().env("LC_ALL", "C");
        let output = command
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .expect("unshare starts");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        harness::Output {
            code: output.status.code().expect("no signal"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Makes it below a directory, or says why that cannot be done here.
    pub fn make(work: &Path) -> Result<Self, String> {
        let release = std::fs::read_to_string(work.join("packages/release"))
            .map_err(|error| error.to_string())?;
        let device = Loop::free().ok_or("there is no free loop device")?;
        let mut command = Command::new("bash");
        command.args(["-c", MAKE, "make"]).arg(work).arg(&release).arg(device.path());
        let result = command.output().map_err(|error| error.to_string())?;
        if !result.status.success() {
            let stderr = String::from_utf8_lossy(&result.stderr);
            return Err(format!(
                "the system cannot be made: {}",
                stderr.trim().replace('\n', "; ")
            ));
        }
        let root = Self { path: work.join("root"), release, _device: device };
        for (path, text) in SETTINGS {
            std::fs::write(root.path.join(path), text).expect("written");
        }
        Ok(root)
    }

    /// How long the programs of the last transaction ran, as its journal has it.
    pub fn milliseconds_of_programs(&self) -> u64 {
        let state = self.path.join("var/lib/passthru");
        let numbers = std::fs::read_dir(&state).expect("it is there").filter_map(|entry| {
            entry.expect("an entry").file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        });
        let last = numbers.max().expect("a transaction");
        let journal = state.join(last.to_string()).join("journal.jsonl");
        let text = std::fs::read_to_string(journal).expect("a journal");
        let events = text.lines().map(serde_json::from_str::<serde_json::Value>);
        events.filter_map(|event| event.expect("JSON")["milliseconds"].as_u64()).sum()
    }

    /// Runs a program in it.
    pub fn run(&self, argv: &[&str]) -> String {
        let mut command = Command::new("chroot");
        command.arg(&self.path).args(argv).env_clear().env("LC_ALL", "C").env("TMPDIR", "/var/tmp");
        output(command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
    }

    /// A hook in /etc/kernel says which generator acts on a new kernel.
    pub fn choose_generator(&self, kind: Kind) {
        for generator in [Kind::InitramfsTools, Kind::Dracut] {
            let hook = self.path.join("etc/kernel/postinst.d").join(generator.package());
            if generator == kind {
                std::fs::write(&hook, "#!/bin/sh\n").expect("written");
            } else if hook.exists() {
                std::fs::remove_file(&hook).expect("removed");
            }
        }
    }

    pub fn edit(&self, path: &str, edit: impl FnOnce(String) -> String) {
        let path = self.path.join(path);
        let text = std::fs::read_to_string(&path).expect("it is there");
        std::fs::write(&path, edit(text)).expect("written");
    }

    pub fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path.join(from), self.path.join(to)).expect("renamed");
    }

    pub fn set_mode(&self, path: &str, mode: u32) {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.path.join(path), permissions).expect("mode set");
    }

    /// A recorded machine on which this system runs: its /sys and /proc, our files.
    pub fn machine(&self, host: &str) -> Machine {
        let line = format!("BOOT_IMAGE=/boot/vmlinuz-{} root=/dev/sda1 ro quiet\n", self.release);
        let machine = harness::Machine::new(host)
            .write("proc/sys/kernel/osrelease", format!("{}\n", self.release))
            .write("proc/version", format!("Linux version {} (x) #1 SMP\n", self.release))
            .write("proc/cmdline", line)
            .write("proc/mounts", "/dev/sda1 / ext4 rw 0 0\n");
        let efi = machine.root().join("sys/firmware/efi");
        let machine = if efi.exists() { machine.remove("sys/firmware/efi") } else { machine };
        let at = machine.root();
        for dir in ["bin", "sbin", "lib", "lib64", "usr", "etc", "boot", "var", "efi"] {
            if std::fs::symlink_metadata(at.join(dir)).is_ok_and(|meta| meta.is_dir()) {
                std::fs::remove_dir_all(at.join(dir)).expect("removed");
            } else {
                let _ = std::fs::remove_file(at.join(dir));
            }
        }
        for dir in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{dir}"), at.join(dir)).expect("a link");
        }
        for dir in ["etc", "boot", "usr", "var"] {
            std::fs::create_dir(at.join(dir)).expect("a directory");
            output(Command::new("mount").arg("--bind").arg(self.path.join(dir)).arg(at.join(dir)));
        }
        Machine(ManuallyDrop::new(machine))
    }
}

/// A machine with parts of the system mounted on it. Never dropped: that would remove what is
/// mounted. The outer process removes its directory when these mounts are gone.
pub struct Machine(ManuallyDrop<harness::Machine>);

impl Deref for Machine {
    type Target = harness::Machine;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// A loop device with two digits: 10_linux of GRUB takes /dev/loop[0-9] for an image that is
/// mounted from another filesystem, and then makes no entry.
struct Loop {
    number: u32,
    made: bool,
}

impl Loop {
    fn free() -> Option<Self> {
        let in_use = |number: &u32| Path::new(&format!("/sys/block/loop{number}/loop")).exists();
        let number = (10..100).find(|number| !in_use(number))?;
        let mut device = Self { number, made: false };
        if !device.path().exists() {
            let mut mknod = Command::new("mknod");
            mknod.args(["-m", "660"]).arg(device.path()).args(["b", "7", &number.to_string()]);
            device.made = mknod.status().is_ok_and(|status| status.success());
        }
        Some(device)
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/dev/loop{}", self.number))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if self.made {
            let _ = std::fs::remove_file(self.path());
        }
    }
}
