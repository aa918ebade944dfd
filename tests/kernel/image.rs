//! The initramfs of a case: what initramfs-tools would put there, and an /init that does what its
//! own does up to the point where the drivers are loaded.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::kernel::{Kernel, copy, find, run};

/// busybox goes by these names.
const APPLETS: [&str; 11] = [
    "sh",
    "mount",
    "cat",
    "readlink",
    "basename",
    "ls",
    "poweroff",
    "dmesg",
    "sleep",
    "sync",
    "start-stop-daemon",
];

/// Order of initramfs-tools (init, scripts/init-top/udev): the scripts of init-top, then udev
/// asks for every device's driver by its alias, then the modules that are listed are loaded.
/// What is said goes to a port of its own at the end, when its driver is loaded.
const INIT: &str = r#"#!/bin/sh
export PATH=/sbin:/usr/sbin:/bin:/usr/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
exec >/said 2>/errors
say() {
    name=$1
    shift
    echo "@begin $name"
    "$@"
    echo "@end $? $name"
}
drivers() {
    for device in /sys/bus/pci/devices/*; do
        driver=$(readlink "$device/driver") || driver=-
        echo "${device##*/} ${driver##*/}"
    done
}
for script in /scripts/init-top/*; do
    if [ -x "$script" ]; then "$script"; fi
done
# virtio devices are there once their PCI functions have a driver.
for bus in pci virtio; do
    for device in /sys/bus/$bus/devices/*; do
        [ -e "$device/modalias" ] || continue
        read -r alias <"$device/modalias"
        modprobe -bq "$alias"
    done
done
while read -r module rest; do
    case $module in '' | '#'*) ;; *) modprobe -q "$module" ;; esac
done </etc/initramfs-tools/modules
say drivers drivers
say nodes ls -1 /dev/vfio
say inspect passthru --json inspect
say check passthru --json check
say capture passthru capture
if [ -d /var/lib/passthru ]; then say verify passthru --json verify; fi
@more
say log dmesg
say errors cat /errors
echo @done
for port in /dev/vport*; do cat /said >"$port"; done
poweroff -f
"#;

/// Writes the initramfs of a machine, whose files are below `host` if it has some, and which does
/// `more` at the end.
pub fn write(kernel: &Kernel, host: Option<&Path>, more: &str, to: &Path) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let root = dir.path();
    for path in ["dev", "proc", "sys", "sbin", "usr/bin", "usr/sbin", "etc/initramfs-tools"] {
        fs::create_dir_all(root.join(path)).expect("a directory");
    }
    fs::write(root.join("etc/initramfs-tools/modules"), "").expect("written");
    if let Some(host) = host {
        for part in ["etc", "boot", "var"] {
            run(Command::new("cp").arg("-a").arg(host.join(part)).arg(root));
        }
        // mkinitramfs copies them; /etc/modprobe.d goes as it is.
        let scripts = host.join("etc/initramfs-tools/scripts");
        if scripts.exists() {
            run(Command::new("cp").arg("-a").arg(scripts).arg(root));
        }
    }
    for (program, at) in [("busybox", "bin/busybox"), ("modprobe", "sbin/modprobe")] {
        let program = find(program).expect("looked for");
        copy(&program, &root.join(at));
        for library in libraries(&program) {
            copy(&library, &root.join(library.strip_prefix("/").expect("absolute")));
        }
    }
    for name in APPLETS {
        symlink("busybox", root.join("bin").join(name)).expect("a link");
    }
    copy(&kernel.program, &root.join("bin/passthru"));
    kernel.put_modules(root);
    let init = root.join("init");
    fs::write(&init, INIT.replace("@more\n", more)).expect("written");
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).expect("a mode");
    pack(root, to);
}

/// Writes a directory as an image, without compression.
pub fn pack(root: &Path, to: &Path) {
    let script = "cd \"$1\" && find . | cpio --quiet -o -H newc -R 0:0 >\"$2\"";
    run(Command::new("sh").args(["-c", script, "pack"]).arg(root).arg(to));
}

/// Absolute paths in what ldd prints.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = run(Command::new("ldd").arg(program));
    listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}
