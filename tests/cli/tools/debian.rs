//! A Debian with its real kernel package, in which the planned commands run for real:
//! `update-initramfs`, `dracut`, `update-grub`. Their images and boot menu are then read.
//!
//! The system is made in a mount namespace of its own, in which this test starts itself again;
//! so nothing stays mounted, however it ends.

mod image;
mod menu;
mod packages;
mod root;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use image::{Image, Kind};
use root::{Machine, Root};

use super::{Planned, find, skipped};

const WHAT: &str = "images and boot menu of a planned Debian";
/// Set in the namespace: the working directory.
const INSIDE: &str = "PASSTHRU_TEST_DEBIAN";
/// GRUB makes no recovery entries, and saves what was chosen.
const NO_RECOVERY: &str = "GRUB_DISABLE_RECOVERY=true\nGRUB_SAVEDEFAULT=true\n";
/// Written there when everything was looked at, or when the system could not be made.
const DONE: &str = "done";
const SKIPPED: &str = "skipped";

/// Small packages that cannot be installed beside dracut or without a kernel.
const MORE: [&str; 2] = ["initramfs-tools", "linux-base"];

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
        None => match packages::download(&MORE) {
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
    said.lines().filter(|line| line.contains(": apply took ")).for_each(|line| println!("{line}"));
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

fn inside(work: &Path) {
    let root = match Root::make(work) {
        Ok(root) => root,
        Err(reason) => return std::fs::write(work.join(SKIPPED), reason).expect("written"),
    };
    by_address_with_initramfs_tools(&root);
    by_id_with_dracut_and_no_grub_drop_ins(&root);
    by_address_with_dracut(&root);
    by_id_in_modprobe_with_initramfs_tools(&root);
    on_trial_with_grub(&root);
    an_image_without_the_module_is_refused(&root);
    a_menu_without_the_words_is_refused(&root);
    std::fs::write(work.join(DONE), "").expect("written");
}

/// A plan that passthru carried out in the system.
struct Applied {
    machine: Machine,
    planned: Planned,
    before: State,
}

/// What a transaction may touch, a line each: every file of /etc and /boot but images, with mode,
/// owner and digest, and what the distribution's own tool lists of the image.
struct State(BTreeSet<String>);

impl State {
    fn of(root: &Root, generator: Kind) -> Self {
        let script = "cd / && find etc boot usr/lib/dracut/modules.d ! -name 'initrd*' \
                      -printf '%p %y %m %U %G %l\\n'; \
                      find etc boot -type f ! -name 'initrd*' -print0 | xargs -0 sha256sum";
        let files = root.run(&["sh", "-c", script]);
        let image = Image::unpack(root, generator).into_paths();
        Self(files.lines().map(str::to_owned).chain(image).collect())
    }

    /// Lines that only one of the two has.
    fn differences(&self, other: &Self) -> Vec<String> {
        self.0.symmetric_difference(&other.0).cloned().collect()
    }
}

/// Carries the plan for a recorded machine with this system's files out, by passthru itself.
fn apply(root: &Root, host: &str, args: &[&'static str], generator: Kind) -> Applied {
    root.choose_generator(generator);
    let machine = root.machine(host);
    let planned = Planned::of(&machine, args);
    let commands = planned.commands();
    assert_eq!(commands[0][0], generator.command(), "{host}");
    run_all(root, &machine, &commands);
    let before = State::of(root, generator);
    let clock = std::time::Instant::now();
    let output = root.passthru(&machine, &[&["apply", "--yes", "--no-trial"], args].concat());
    let whole = clock.elapsed().as_millis();
    assert_eq!(output.code, 0, "{host}: {}{}", output.stdout, output.stderr);
    let read_back = "The boot menu and the images were read back and hold what they should";
    assert!(output.stdout.contains(read_back), "{host}: {}", output.stdout);
    let generators = root.milliseconds_of_programs();
    let own = whole - u128::from(generators);
    println!(
        "{host}: apply took {whole} ms, of which its programs took {generators} ms; {own} ms are its own"
    );
    assert!(own < u128::from(generators), "its own share is the smaller one");
    Applied { machine, planned, before }
}

/// A host-only image depends on the devices around it.
fn run_all(root: &Root, machine: &Machine, commands: &[Vec<&str>]) {
    for command in commands {
        let output = root.enter(machine, command);
        assert_eq!(output.code, 0, "{command:?}: {}{}", output.stdout, output.stderr);
    }
}

impl Applied {
    /// Images and menu are right, as the distribution's own tools read them.
    fn is_right(&self, root: &Root, generator: Kind) -> Image {
        let image = Image::unpack(root, generator);
        assert_eq!(image.problems(&self.planned), [""; 0]);
        assert_eq!(menu::problems(root, &self.planned), [""; 0]);
        image
    }

    /// passthru takes it back: the same files, and images that hold the same files.
    fn take_back(&self, root: &Root, generator: Kind) {
        let output = root.passthru(&self.machine, &["undo", "--yes"]);
        assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
        assert_eq!(State::of(root, generator).differences(&self.before), [""; 0]);
    }
}

fn by_address_with_initramfs_tools(root: &Root) {
    let done = apply(root, "z490-arch", &[], Kind::InitramfsTools);
    let planned = &done.planned;
    assert_eq!(planned.method(), "address");
    assert!(planned.text("/etc/default/grub.d/passthru.cfg").is_some(), "Debian reads drop-ins");
    done.is_right(root, Kind::InitramfsTools);
    broken_files_are_noticed(root, &done);
    done.take_back(root, Kind::InitramfsTools);
}

fn by_id_with_dracut_and_no_grub_drop_ins(root: &Root) {
    root.edit("usr/sbin/grub-mkconfig", |text| {
        assert!(text.contains("default/grub.d/"), "Debian's own");
        text.replace("default/grub.d/", "default/none.d/")
    });
    root.edit("etc/default/grub", |text| text + NO_RECOVERY);
    let done = apply(root, "h170-mint-turing", &[], Kind::Dracut);
    assert_eq!(done.planned.method(), "id");
    assert!(done.planned.text("/etc/default/grub").is_some(), "the file itself is edited");
    done.is_right(root, Kind::Dracut);
    done.take_back(root, Kind::Dracut);
    root.edit("etc/default/grub", |text| text.replace(NO_RECOVERY, ""));
    root.edit("usr/sbin/grub-mkconfig", |text| text.replace("default/none.d/", "default/grub.d/"));
}

fn by_address_with_dracut(root: &Root) {
    root.edit("etc/default/grub", |text| text + NO_RECOVERY);
    let done = apply(root, "z270-centos7-twins", &["02:00.0"], Kind::Dracut);
    assert_eq!(done.planned.method(), "address");
    done.is_right(root, Kind::Dracut);
    a_broken_script_breaks_no_menu(root);
    done.take_back(root, Kind::Dracut);
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
    let settings = "etc/initramfs-tools/conf.d/test";
    root.edit(settings, |text| text.replace("COMPRESS=gzip", "COMPRESS=zstd"));
    let args = ["08:00.0", "--ids-in", "modprobe"];
    let done = apply(root, "b450-debian-dirty-group", &args, Kind::InitramfsTools);
    assert_eq!(done.planned.method(), "id");
    let image = done.is_right(root, Kind::InitramfsTools);
    let ids = format!("ids={}", done.planned.words("/binding/ids").join(","));
    assert!(image.loads("snd_hda_intel").iter().any(|line| line.contains(&ids)), "{ids}");
    done.take_back(root, Kind::InitramfsTools);
}

/// The real grub-mkconfig makes an entry on trial, the real grub-reboot selects it, and after undo
/// nothing is left of either, not even the environment block.
fn on_trial_with_grub(root: &Root) {
    root.choose_generator(Kind::InitramfsTools);
    let machine = root.machine("z490-arch");
    run_all(root, &machine, &Planned::of(&machine, &[]).commands());
    let before = State::of(root, Kind::InitramfsTools);
    let block = root.path.join("boot/grub/grubenv");
    assert!(!block.exists(), "Debian makes none by itself");
    let output = root.passthru(&machine, &["apply", "--yes"]);
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    let said = "that one boot starts passthru-trial>0, which is on trial";
    assert!(output.stdout.contains(said), "{}", output.stdout);
    let text = std::fs::read_to_string(&block).expect("an environment block");
    assert!(text.lines().any(|line| line == "next_entry=passthru-trial>0"), "{text}");
    let menu = std::fs::read_to_string(root.path.join("boot/grub/grub.cfg")).expect("a menu");
    let (normal, tried) = menu.split_once("submenu 'With passthru, on trial'").expect("a submenu");
    assert!(!normal.contains("passthru.bind="), "{normal}");
    let linux = tried.lines().find(|line| line.trim_start().starts_with("linux")).expect("a line");
    assert!(linux.contains(&root.release) && linux.contains("passthru.bind="), "{linux}");
    root.run(&["update-grub"]);
    let again = std::fs::read_to_string(root.path.join("boot/grub/grub.cfg")).expect("a menu");
    assert_eq!(again, menu, "who writes the menu anew keeps it");
    let output = root.passthru(&machine, &["undo", "--yes"]);
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert_eq!(State::of(root, Kind::InitramfsTools).differences(&before), [""; 0]);
}

/// A check that cannot fail proves nothing: with the files spoilt, each one complains.
fn broken_files_are_noticed(root: &Root, done: &Applied) {
    let scripts = "etc/initramfs-tools/scripts/init-top";
    root.rename(&format!("{scripts}/00-passthru"), &format!("{scripts}/vfio-bind"));
    root.set_mode("etc/initramfs-tools/hooks/passthru", 0o644);
    root.rename("etc/modprobe.d/00-passthru.conf", "etc/modprobe.d/00-passthru.off");
    root.run(&["update-initramfs", "-u", "-k", "all"]);
    let problems = Image::unpack(root, Kind::InitramfsTools).problems(&done.planned);
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
    root.run(&["update-initramfs", "-u", "-k", "all"]);
}

/// The generator leaves the modules out and says that all is well.
fn an_image_without_the_module_is_refused(root: &Root) {
    const FUNCTIONS: &str = "usr/share/initramfs-tools/hook-functions";
    let spoil = |text: String| text + "\nmanual_add_modules() { :; }\n";
    let release = &root.release;
    let wanted = format!("The image must hold the module vfio_pci for {release}, and does not.");
    refuses(root, Kind::InitramfsTools, FUNCTIONS, spoil, &wanted);
}

/// The program that writes the menu forgets a variable and says that all is well.
fn a_menu_without_the_words_is_refused(root: &Root) {
    const SCRIPT: &str = "etc/grub.d/10_linux";
    let spoil = |text: String| text.replace("${GRUB_CMDLINE_LINUX_DEFAULT}", "");
    refuses(root, Kind::InitramfsTools, SCRIPT, spoil, "passthru.bind=");
}

/// With a program of the system spoilt, apply refuses for that reason and leaves everything,
/// images and menu to the byte, as it was.
fn refuses(
    root: &Root,
    generator: Kind,
    program: &str,
    spoil: impl FnOnce(String) -> String,
    wanted: &str,
) {
    root.choose_generator(generator);
    let machine = root.machine("z490-arch");
    run_all(root, &machine, &Planned::of(&machine, &[]).commands());
    let whole = std::fs::read_to_string(root.path.join(program)).expect("it is there");
    root.edit(program, spoil);
    let image = root.path.join(format!("boot/initrd.img-{}", root.release));
    let bytes = || std::fs::read(&image).expect("an image");
    let (before, image_before) = (State::of(root, generator), bytes());
    let output = root.passthru(&machine, &["apply", "--yes", "--no-trial"]);
    assert_eq!(output.code, 2, "{}{}", output.stdout, output.stderr);
    for part in ["do not hold what they should", wanted, "all files are as before"] {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
    assert!(bytes() == image_before, "the image that was there is back");
    assert_eq!(State::of(root, generator).differences(&before), [""; 0]);
    root.edit(program, |_| whole);
}
