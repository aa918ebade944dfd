//! A Debian with its real kernel package, in which the planned commands run for real:
//! `update-initramfs`, `dracut`, `update-grub`. Their images and boot menu are then read.
//!
//! The system is made in a mount namespace of its own, in which this test starts itself again;
//! so nothing stays mounted, however it ends.

mod image;
mod menu;
mod root;

use std::path::{Path, PathBuf};
use std::process::Command;

use image::{Image, Kind};
use root::{Machine, Root};

use super::{Planned, find, output, skipped};

const WHAT: &str = "images and boot menu of a planned Debian";
/// Set in the namespace: the working directory.
const INSIDE: &str = "PASSTHRU_TEST_DEBIAN";
/// GRUB makes no recovery entries, and saves what was chosen.
const NO_RECOVERY: &str = "GRUB_DISABLE_RECOVERY=true\nGRUB_SAVEDEFAULT=true\n";
/// Written there when everything was looked at, or when the system could not be made.
const DONE: &str = "done";
const SKIPPED: &str = "skipped";

/// Programs by Debian package: what makes the system, and what is tested.
const PROGRAMS: [(&str, &str); 16] = [
    ("apt-get", "apt"),
    ("apt-cache", "apt"),
    ("dpkg", "dpkg"),
    ("dpkg-deb", "dpkg"),
    ("unshare", "util-linux"),
    ("losetup", "mount"),
    ("mkfs.ext4", "e2fsprogs"),
    ("depmod", "kmod"),
    ("cpio", "cpio"),
    ("busybox", "busybox"),
    ("udevadm", "udev"),
    ("mkinitramfs", "initramfs-tools-core"),
    ("dracut", "dracut-core"),
    ("grub-mkconfig", "grub-common"),
    ("update-grub", "grub2-common"),
    ("perl", "perl-base"),
];

#[test]
fn debian_builds_what_is_planned() {
    if let Some(work) = std::env::var_os(INSIDE) {
        return inside(Path::new(&work));
    }
    let packages = match cannot_run() {
        Some(reason) => return skipped(WHAT, &reason),
        None => match download() {
            Ok(packages) => packages,
            Err(reason) => return skipped(WHAT, &reason),
        },
    };
    let work = tempfile::tempdir().expect("a temporary directory");
    std::os::unix::fs::symlink(&packages, work.path().join("packages")).expect("a link");
    let output = Command::new("unshare")
        .args(["--mount", "--fork", "--kill-child"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", "tools::debian::debian_builds_what_is_planned", "--nocapture"])
        .env(INSIDE, work.path())
        .env("TMPDIR", work.path())
        .output()
        .expect("unshare starts");
    if let Ok(reason) = std::fs::read_to_string(work.path().join(SKIPPED)) {
        return skipped(WHAT, &reason);
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    assert!(work.path().join(DONE).exists(), "it ran to its end: {said}");
}

fn cannot_run() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can mount and change root".to_owned());
    }
    let missing = PROGRAMS.iter().find(|(program, _)| find(program).is_none());
    if let Some((program, package)) = missing {
        return Some(format!("{program} is missing; on Debian: apt-get install {package}"));
    }
    let debian = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    (!debian.lines().any(|line| line == "ID=debian")).then(|| "this system is no Debian".to_owned())
}

/// The kernel, and two small packages that cannot be installed beside dracut or without a
/// kernel, in a directory that later runs use again.
fn download() -> Result<PathBuf, String> {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("debian");
    std::fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    let architecture = output(Command::new("dpkg").arg("--print-architecture"));
    let meta = format!("linux-image-{}", architecture.trim());
    let depends = output(Command::new("apt-cache").args(["depends", &meta]));
    let kernel = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    let kernel = kernel.ok_or(format!("apt knows no {meta}: run apt-get update"))?;
    let packages = [&format!("linux-image-{kernel}"), "initramfs-tools", "linux-base"];
    let mut command = Command::new("apt-get");
    command.args(["download", "--quiet"]).args(packages).current_dir(&dir);
    let result = command.output().map_err(|error| error.to_string())?;
    let by_hand =
        || format!("run: cd {} && apt-get download {}", dir.display(), packages.join(" "));
    let there = |package: &&str| root::package_file(&dir, package).is_some();
    if result.status.success() {
        remove_older(&dir, &packages);
    } else if !packages.iter().all(there) {
        // Without a network, what an earlier run left does.
        return Err(by_hand());
    }
    std::fs::write(dir.join("release"), kernel).map_err(|error| error.to_string())?;
    Ok(dir)
}

/// Removes versions that an earlier run left and that are not the newest now.
fn remove_older(dir: &Path, packages: &[&str]) {
    let uris = output(Command::new("apt-get").args(["download", "--print-uris"]).args(packages));
    let newest: Vec<&str> =
        uris.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    for entry in std::fs::read_dir(dir).expect("it is there") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".deb") && !newest.contains(&name) {
            std::fs::remove_file(&path).expect("removed");
        }
    }
}

fn inside(work: &Path) {
    let root = match Root::make(work) {
        Ok(root) => root,
        Err(reason) => return std::fs::write(work.join(SKIPPED), reason).expect("written"),
    };
    by_address_with_initramfs_tools(&root);
    by_id_with_dracut_and_no_grub_drop_ins(&root);
    by_address_with_dracut(&root);
    by_id_in_modprobe_with_initramfs_tools(&root);
    std::fs::write(work.join(DONE), "").expect("written");
}

/// Plans for a recorded machine with this system's files, and carries the plan out.
fn carry_out(root: &Root, host: &str, args: &[&str], generator: Kind) -> (Machine, Planned) {
    root.choose_generator(generator);
    let machine = root.machine(host);
    let planned = Planned::of(&machine, args);
    planned.lay_out(&root.path);
    let commands = planned.commands();
    assert_eq!(commands[0][0], generator.command(), "{host}");
    for command in commands {
        root.run(&command);
    }
    (machine, planned)
}

fn by_address_with_initramfs_tools(root: &Root) {
    let (_machine, planned) = carry_out(root, "z490-arch", &[], Kind::InitramfsTools);
    assert_eq!(planned.method(), "address");
    assert!(planned.text("/etc/default/grub.d/passthru.cfg").is_some(), "Debian reads drop-ins");
    assert_eq!(Image::unpack(root, Kind::InitramfsTools).problems(&planned), [""; 0]);
    assert_eq!(menu::problems(root, &planned), [""; 0]);
    broken_files_are_noticed(root, &planned);
    planned.take_back(&root.path);
}

fn by_id_with_dracut_and_no_grub_drop_ins(root: &Root) {
    root.edit("usr/sbin/grub-mkconfig", |text| {
        assert!(text.contains("default/grub.d/"), "Debian's own");
        text.replace("default/grub.d/", "default/none.d/")
    });
    root.edit("etc/default/grub", |text| text + NO_RECOVERY);
    let (_machine, planned) = carry_out(root, "h170-mint-turing", &[], Kind::Dracut);
    assert_eq!(planned.method(), "id");
    assert!(planned.text("/etc/default/grub").is_some(), "the file itself is edited");
    assert_eq!(Image::unpack(root, Kind::Dracut).problems(&planned), [""; 0]);
    assert_eq!(menu::problems(root, &planned), [""; 0]);
    planned.take_back(&root.path);
    root.edit("etc/default/grub", |text| text.replace(NO_RECOVERY, ""));
    root.edit("usr/sbin/grub-mkconfig", |text| text.replace("default/none.d/", "default/grub.d/"));
}

fn by_address_with_dracut(root: &Root) {
    let args = ["02:00.0"];
    root.edit("etc/default/grub", |text| text + NO_RECOVERY);
    let (_machine, planned) = carry_out(root, "z270-centos7-twins", &args, Kind::Dracut);
    assert_eq!(planned.method(), "address");
    assert_eq!(Image::unpack(root, Kind::Dracut).problems(&planned), [""; 0]);
    assert_eq!(menu::problems(root, &planned), [""; 0]);
    a_broken_script_breaks_no_menu(root);
    planned.take_back(&root.path);
    root.edit("etc/default/grub", |text| text.replace(NO_RECOVERY, ""));
}

/// Without 10_linux, or with one that fails or prints what GRUB does not read, the menu is made
/// without our entries.
fn a_broken_script_breaks_no_menu(root: &Root) {
    let (script, kept) = ("etc/grub.d/10_linux", "etc/grub.d/10_linux~");
    root.rename(script, kept);
    for text in [
        "",
        "#!/bin/sh\necho \"menuentry 'x' {\"\necho ' linux /x'\n[ -z \"$GRUB_DISABLE_SUBMENU\" ] && echo '}'\nexit 0\n",
    ] {
        if !text.is_empty() {
            std::fs::write(root.path.join(script), text).expect("written");
            root.set_mode(script, 0o755);
        }
        root.run(&["update-grub"]);
        let menu = std::fs::read_to_string(root.path.join("boot/grub/grub.cfg")).expect("a menu");
        assert!(menu.contains("42_passthru ###") && !menu.contains("passthru-stock"), "{menu}");
    }
    root.rename(kept, script);
    // One that fails does so here only.
    root.edit(script, |text| {
        text.replacen("set -e\n", "set -e\n[ -z \"$GRUB_DISABLE_SUBMENU\" ] || exit 3\n", 1)
    });
    root.run(&["update-grub"]);
    let menu = std::fs::read_to_string(root.path.join("boot/grub/grub.cfg")).expect("a menu");
    assert!(menu.contains("gnulinux-simple") && !menu.contains("passthru-stock"), "{menu}");
    root.edit(script, |text| text.replacen("[ -z \"$GRUB_DISABLE_SUBMENU\" ] || exit 3\n", "", 1));
}

fn by_id_in_modprobe_with_initramfs_tools(root: &Root) {
    let args = ["08:00.0", "--ids-in", "modprobe"];
    let (_machine, planned) =
        carry_out(root, "b450-debian-dirty-group", &args, Kind::InitramfsTools);
    assert_eq!(planned.method(), "id");
    let image = Image::unpack(root, Kind::InitramfsTools);
    assert_eq!(image.problems(&planned), [""; 0]);
    let ids = format!("ids={}", planned.words("/binding/ids").join(","));
    assert!(image.loads("snd_hda_intel").iter().any(|line| line.contains(&ids)), "{ids}");
    assert_eq!(menu::problems(root, &planned), [""; 0]);
    planned.take_back(&root.path);
}

/// A check that cannot fail proves nothing: with the files spoilt, each one complains.
fn broken_files_are_noticed(root: &Root, planned: &Planned) {
    let scripts = "etc/initramfs-tools/scripts/init-top";
    root.rename(&format!("{scripts}/00-passthru"), &format!("{scripts}/vfio-bind"));
    root.set_mode("etc/initramfs-tools/hooks/passthru", 0o644);
    root.rename("etc/modprobe.d/00-passthru.conf", "etc/modprobe.d/00-passthru.off");
    root.run(&["update-initramfs", "-u", "-k", "all"]);
    let problems = Image::unpack(root, Kind::InitramfsTools).problems(planned);
    let expected = [
        "no vfio-pci.ko",
        "no vfio_iommu_type1.ko",
        "no etc/modprobe.d/00-passthru.conf as planned",
        "no scripts/init-top/00-passthru as planned",
        "scripts/init-top/ORDER does not start with 00-passthru",
        "vfio-pci is not loaded before snd_hda_intel",
    ];
    assert_eq!(problems, expected);
    root.rename(&format!("{scripts}/vfio-bind"), &format!("{scripts}/00-passthru"));
    root.rename("etc/modprobe.d/00-passthru.off", "etc/modprobe.d/00-passthru.conf");
}
