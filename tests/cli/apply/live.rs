//! `apply` on a running system: the root is entered, so that passthru runs programs itself. The
//! generators are small stand-ins that build a real image and a real boot menu from the files
//! that they find; told to, they fail in the ways that generators do.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{differing, last_state};
use crate::harness::{Machine, Output, passthru};
use crate::tools::{find, skipped};

const WHAT: &str = "apply on a running system";
const HOST: &str = "h170-mint-turing";
const RELEASE: &str = "6.8.0-90-generic";
/// Tells the stand-ins how to behave.
const MOOD: &str = "etc/mood";

/// A busybox that is linked to libc, and the program itself, with their libraries.
const PROGRAMS: [(&str, &str); 2] =
    [("/bin/busybox", "usr/bin/busybox"), (env!("CARGO_BIN_EXE_passthru"), "usr/bin/passthru")];

const UPDATE_INITRAMFS: &str = r#"#!/usr/bin/busybox sh
set -e
mood=$(cat /etc/mood 2>/dev/null || :)
echo "update-initramfs $*" >>/calls
image=/boot/initrd.img-6.8.0-90-generic
[ "$mood" != fail ] || { echo broken >"$image"; echo "E: no space left on device" >&2; exit 1; }
[ "$mood" != once ] || { rm /etc/mood; echo broken >"$image"; exit 1; }
[ "$mood" != hang ] || { echo $$ >/pid; echo half >"$image"; echo waiting; exec sleep 1000; }
rm -rf /img; mkdir -p /img/lib/modules/6.8.0-90-generic/kernel /img/etc/modprobe.d
cp /etc/modprobe.d/*.conf /img/etc/modprobe.d/ 2>/dev/null || :
if [ -x /etc/initramfs-tools/hooks/passthru ] && [ "$mood" != hollow ]; then
    : >/img/lib/modules/6.8.0-90-generic/kernel/vfio-pci.ko; : >/img/lib/modules/6.8.0-90-generic/kernel/vfio_iommu_type1.ko
fi
(cd /img; find . | cpio -o -H newc 2>/dev/null) >"$image.new"
[ "$mood" != cut ] || { head -c 200 "$image.new" >"$image.half"; mv "$image.half" "$image.new"; }
mv "$image.new" "$image"
rm -rf /img
"#;

const UPDATE_GRUB: &str = r#"#!/usr/bin/busybox sh
set -e
mood=$(cat /etc/mood 2>/dev/null || :)
echo "update-grub $*" >>/calls
lsb_release() { :; }
. /etc/default/grub
[ "$mood" != forget ] || GRUB_CMDLINE_LINUX_DEFAULT=quiet
linux="linux /boot/vmlinuz-6.8.0-90-generic root=UUID=1 ro"
initrd="initrd /boot/initrd.img-6.8.0-90-generic"
cat >/boot/grub/grub.cfg.new <<END
set default="\${next_entry}"
save_env next_entry
### BEGIN /etc/grub.d/10_linux ###
menuentry 'Linux' --id normal {
	$linux $GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT
	$initrd
}
menuentry 'Linux (recovery mode)' --id recovery {
	$linux single $GRUB_CMDLINE_LINUX
	$initrd
}
### END /etc/grub.d/10_linux ###
END
if grep -q passthru-trial /etc/grub.d/42_passthru 2>/dev/null; then
    add=$(sed -n "s/^add='\(.*\)'$/\1/p" /etc/grub.d/42_passthru)
    cat >>/boot/grub/grub.cfg.new <<END
### BEGIN /etc/grub.d/42_passthru ###
submenu 'With passthru, on trial' --id passthru-trial {
menuentry 'Linux' --id passthru-trial-normal {
	$linux $GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT $add
	$initrd
}
}
### END /etc/grub.d/42_passthru ###
END
fi
mv /boot/grub/grub.cfg.new /boot/grub/grub.cfg
"#;

const GRUB_REBOOT: &str = r#"#!/usr/bin/busybox sh
set -e
mood=$(cat /etc/mood 2>/dev/null || :)
echo "grub-reboot $*" >>/calls
[ "$mood" != unwilling ] || { echo "grub-reboot: error: disk is full" >&2; exit 1; }
[ "$mood" != forgetful ] || exit 0
[ -e /boot/grub/grubenv ] || printf '# GRUB Environment Block\n####' >/boot/grub/grubenv
sed -i -e '/^next_entry=/d' -e "s/^####/next_entry=$1\n&/" /boot/grub/grubenv
[ "$mood" != stuck ] || { echo $$ >/pid; echo half >/boot/initrd.img-6.8.0-90-generic; exec sleep 1000; }
"#;

const GRUB_EDITENV: &str = r#"#!/usr/bin/busybox sh
set -e
echo "grub-editenv $*" >>/calls
sed -i '/^next_entry=/d' /boot/grub/grubenv
"#;

/// A machine whose root is entered.
struct Live(Machine);

impl Live {
    /// `None`, with the reason said, where that cannot be done.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skipped(WHAT, "only root can change root");
            return None;
        }
        for program in ["chroot", "ldd", "busybox"] {
            if find(program).is_none() {
                skipped(WHAT, &format!("{program} is not installed"));
                return None;
            }
        }
        let machine = Machine::new(HOST)
            .write("usr/sbin/update-initramfs", UPDATE_INITRAMFS)
            .write("usr/sbin/update-grub", UPDATE_GRUB)
            .write(&format!("boot/initrd.img-{RELEASE}"), "the old image")
            .write("boot/grub/grub.cfg", "# the old menu\n")
            .write("proc/sys/kernel/random/boot_id", "first\n");
        for program in ["usr/sbin/update-initramfs", "usr/sbin/update-grub"] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(machine.at(program), mode).expect("set");
        }
        let machine = PROGRAMS.iter().fold(machine, |machine, (from, to)| bring(machine, from, to));
        for applet in
            ["sh", "cat", "cp", "mkdir", "rm", "mv", "find", "cpio", "head", "sleep", "grep", "sed"]
        {
            let link = machine.at(&format!("usr/bin/{applet}"));
            std::os::unix::fs::symlink("busybox", link).expect("a link");
        }
        std::fs::create_dir_all(machine.at("dev")).expect("made");
        let null = machine.at("dev/null");
        let made =
            Command::new("mknod").args(["-m", "666"]).arg(&null).args(["c", "1", "3"]).status();
        if !made.is_ok_and(|status| status.success()) {
            skipped(WHAT, "mknod may not make a device here");
            return None;
        }
        Some(Self(machine))
    }

    /// The same with GRUB's own scripts, so that an entry can be tried.
    fn with_grub() -> Option<Self> {
        let machine = Self::new()?.0;
        let scripts = [
            ("usr/sbin/grub-reboot", GRUB_REBOOT),
            ("usr/bin/grub-editenv", GRUB_EDITENV),
            ("etc/grub.d/10_linux", "#!/bin/sh\n"),
        ];
        let put = |machine: Machine, (path, text): (&str, &str)| {
            machine.write(path, text).mode(path, 0o755)
        };
        Some(Self(scripts.into_iter().fold(machine, put)))
    }

    fn calls(&self) -> Vec<String> {
        self.0.text("calls").lines().map(str::to_owned).collect()
    }

    fn mood(self, mood: &str) -> Self {
        Self(self.0.write(MOOD, mood))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command.arg(self.0.root()).arg("/usr/bin/passthru").args(args);
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.output_of(self.command(args))
    }

    /// The same with a small filesystem on one of its directories, which keeps what is there.
    fn run_with_small(&self, dir: &str, size: &str, args: &[&str]) -> Output {
        let script = "set -e; at=$1/$2; cp -a \"$at\" \"$1.kept\"; \
             mount -t tmpfs -o size=$3 tmpfs \"$at\"; cp -a \"$1.kept/.\" \"$at/\"; chmod --reference=\"$1.kept\" \"$at\"; \
             r=$1; shift 3; chroot \"$r\" /usr/bin/passthru \"$@\" || code=$?; \
             cp -a \"$at/.\" \"$r.kept/\"; exit ${code:-0}";
        let root = self.0.root();
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-c", script, "bash"]).arg(&root).args([dir, size]);
        command
            .args(args)
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let output = self.output_of(command);
        let kept = root.with_file_name("root.kept");
        let at = self.0.at(dir);
        std::fs::remove_dir_all(&at).expect("removed");
        std::fs::rename(&kept, &at).expect("what the small one held");
        output
    }

    fn output_of(&self, mut command: Command) -> Output {
        let output = command.output().expect("it starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        let code = output.status.code().expect("no signal");
        Output { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Starts the program and waits until it says that a generator runs.
    fn start(&self, args: &[&str]) -> Child {
        let mut child = self
            .command(args)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("starts");
        let stderr = child.stderr.take().expect("piped");
        let mut lines = BufReader::new(stderr).lines();
        let said = lines.next().expect("a line").expect("read");
        assert!(said.starts_with("Running update-initramfs"), "{said}");
        // Until the stand-in is where it hangs.
        for _ in 0..200 {
            if self.0.text(&format!("boot/initrd.img-{RELEASE}")) == "half\n" {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::spawn(move || lines.for_each(drop));
        child
    }

    /// Everything but what the stand-ins note.
    fn everything(&self) -> std::collections::BTreeMap<String, String> {
        let mut all = self.0.everything();
        all.remove("calls");
        all.remove("pid");
        all.remove(MOOD);
        all
    }

    /// It must refuse, with these words, and leave everything as it was.
    fn fails(&self, parts: &[&str]) {
        let before = self.everything();
        let output = self.run(&["apply", "--yes", "--no-trial"]);
        assert_eq!(output.code, 2, "{}{}", output.stdout, output.stderr);
        for part in parts {
            assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
        }
        assert!(output.stderr.contains("Everything was taken back"), "{}", output.stderr);
        assert_eq!(differing(&before, &self.everything()), [""; 0]);
        assert_eq!(last_state(&self.0), "rolled-back");
        let log = self.run(&["log"]);
        assert!(log.stdout.contains(parts[0]), "the reason is kept: {}", log.stdout);
    }
}

/// Copies a program with the libraries that ldd names.
fn bring(machine: Machine, from: &str, to: &str) -> Machine {
    let output = Command::new("ldd").arg(from).output().expect("ldd starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let libraries: Vec<String> =
        text.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect();
    let pairs = libraries.iter().map(|path| (path.as_str(), &path[1..])).chain([(from, to)]);
    for (from, to) in pairs.collect::<Vec<_>>() {
        let to = machine.at(to);
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("made");
        std::fs::copy(Path::new(from), &to).expect("copied");
    }
    machine
}

#[test]
fn it_runs_each_program_once_reads_back_and_takes_back() {
    let Some(live) = Live::new() else { return };
    let before = live.everything();
    let output = live.run(&["-v", "apply", "--yes", "--no-trial"]);
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    for part in [
        "Done, as transaction 1.",
        "read back /boot/grub/grub.cfg",
        &format!("read back /boot/initrd.img-{RELEASE}"),
        "Reboot, then let `passthru verify` look whether it took effect.",
    ] {
        assert!(output.stdout.contains(part), "{part}: {}", output.stdout);
    }
    assert!(!output.stdout.contains("Run these inside"), "{}", output.stdout);
    assert_eq!(live.0.text("calls"), "update-initramfs -u -k all\nupdate-grub \n");
    assert!(live.0.text("boot/grub/grub.cfg").contains("vfio-pci.ids=10de:2184"));
    let kept = live.0.at("var/lib/passthru/1/output/1-update-initramfs.log");
    assert!(kept.exists(), "what it printed is kept");
    let pending = live.run(&["verify"]);
    assert_eq!(pending.code, 1, "{}{}", pending.stdout, pending.stderr);
    assert!(pending.stdout.contains("pending: the machine was not rebooted yet."));

    let output = live.run(&["undo", "--yes"]);
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert!(!live.0.text("boot/grub/grub.cfg").contains("vfio-pci"));
    let generated = [format!("boot/initrd.img-{RELEASE}"), "boot/grub/grub.cfg".to_owned()];
    let left = differing(&before, &live.everything());
    assert!(left.iter().all(|path| generated.contains(path)), "{left:?}");
    let image = live.0.text(&generated[0]);
    assert!(
        !image.contains("passthru") && !image.contains("vfio-pci.ko"),
        "made anew without ours"
    );
}

#[test]
fn what_generators_do_wrong_is_noticed_and_taken_back() {
    let Some(live) = Live::new() else { return };
    let cases: [(&str, &[&str]); 4] = [
        (
            "fail",
            &["update-initramfs -u -k all failed: it ended with exit code 1", "no space left on"],
        ),
        ("hollow", &["do not hold what they should", "must hold the module vfio_pci for", RELEASE]),
        ("cut", &["do not hold what they should", RELEASE]),
        ("forget", &["do not hold what they should", "/boot/grub/grub.cfg", "vfio-pci.ids="]),
    ];
    let mut live = live;
    for (mood, parts) in cases {
        live = live.mood(mood);
        live.fails(parts);
    }
    let live = live.mood("well");
    assert_eq!(live.run(&["apply", "--yes", "--no-trial"]).code, 0, "and then it works");
}

#[test]
fn a_generator_that_hangs_is_stopped_at_the_deadline() {
    let Some(live) = Live::new() else { return };
    let live = live.mood("hang");
    let before = live.everything();
    let output = live.run(&["apply", "--yes", "--no-trial", "--deadline", "1"]);
    assert_eq!(output.code, 2, "{}", output.stderr);
    for part in ["it was not done after 1 s and was stopped", "--deadline SECONDS"] {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
    assert_eq!(differing(&before, &live.everything()), [""; 0]);
}

#[test]
fn signals_take_everything_back() {
    let Some(mut live) = Live::new() else { return };
    for (signal, name) in [
        (rustix::process::Signal::INT, "SIGINT"),
        (rustix::process::Signal::TERM, "SIGTERM"),
        (rustix::process::Signal::HUP, "SIGHUP"),
    ] {
        live = live.mood("hang");
        let before = live.everything();
        let live_image = live.0.text(&format!("boot/initrd.img-{RELEASE}"));
        assert_eq!(live_image, "the old image");
        let mut child = live.start(&["apply", "--yes", "--no-trial"]);
        let second = live.run(&["apply", "--yes", "--no-trial"]);
        assert_eq!(second.code, 2);
        let holder = format!("(process {})", child.id());
        assert!(second.stderr.contains(&holder), "{holder}: {}", second.stderr);
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).expect("sent");
        assert_eq!(child.wait().expect("ends").code(), Some(2), "{name}");
        assert_eq!(differing(&before, &live.everything()), [""; 0], "{name}");
        let log = live.run(&["log"]);
        assert!(log.stdout.contains(&format!("it was stopped by {name}")), "{}", log.stdout);
    }
}

/// A kill leaves the generator running: until that has ended nobody writes. Then everything is
/// taken back, and what it left of images and menu is made anew, since a kernel may have been
/// installed meanwhile.
#[test]
fn a_kill_in_the_middle_of_a_generator_is_recovered_from() {
    let Some(live) = Live::new() else { return };
    let live = live.mood("hang");
    let before = live.everything();
    let mut child = live.start(&["apply", "--yes", "--no-trial"]);
    let pid = child.id();
    child.kill().expect("killed");
    let _ = child.wait();
    assert_eq!(last_state(&live.0), "unfinished");
    let live = live.mood("well");
    let output = live.run(&["undo", "--yes"]);
    assert_eq!(output.code, 2, "{}{}", output.stdout, output.stderr);
    let wanted = format!(
        "a program that an earlier passthru (process {pid}, which is gone) started is still running"
    );
    assert!(output.stderr.contains(&wanted), "{}", output.stderr);
    let orphan = live.0.text("pid").trim().parse().expect("a number");
    let orphan = rustix::process::Pid::from_raw(orphan).expect("not 0");
    rustix::process::kill_process(orphan, rustix::process::Signal::KILL).expect("ended");
    std::thread::sleep(Duration::from_millis(200));
    // The next writing verb ends it first, and says what it found.
    let output = live.run(&["undo", "--yes"]);
    assert_eq!(output.code, 1, "{}{}", output.stdout, output.stderr);
    let found = "Found transaction 1, applying a plan, begun ";
    assert!(output.stderr.contains(found), "{}", output.stderr);
    let calls = live.0.text("calls");
    let twice = "update-initramfs -u -k all\nupdate-initramfs -u -k all\nupdate-grub \n";
    assert_eq!(calls, twice);
    let made = ["boot/grub/grub.cfg".to_owned(), format!("boot/initrd.img-{RELEASE}")];
    let left = differing(&before, &live.everything());
    let sources: Vec<&String> = left.iter().filter(|path| !made.contains(path)).collect();
    assert_eq!(sources, [""; 0]);
    assert!(!live.0.text(&made[1]).contains("passthru"), "made without ours");
    assert_eq!(last_state(&live.0), "rolled-back");
}

/// Where they cannot be made anew, what was kept is put back.
#[test]
fn what_was_kept_is_put_back_where_it_cannot_be_made_anew() {
    let Some(live) = Live::new() else { return };
    let live = live.mood("hang");
    let before = live.everything();
    let mut child = live.start(&["apply", "--yes", "--no-trial"]);
    child.kill().expect("killed");
    let _ = child.wait();
    let orphan = live.0.text("pid").trim().parse().expect("a number");
    let orphan = rustix::process::Pid::from_raw(orphan).expect("not 0");
    rustix::process::kill_process(orphan, rustix::process::Signal::KILL).expect("ended");
    std::thread::sleep(Duration::from_millis(200));
    let live = live.mood("fail");
    let output = live.run(&["recover"]);
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert!(output.stderr.contains("it could not be made anew"), "{}", output.stderr);
    let left = differing(&before, &live.everything());
    assert_eq!(left, [""; 0]);
}

/// Words that a user asks for as well stay when ours go.
#[test]
fn words_that_others_ask_for_stay_after_an_undo() {
    let Some(live) = Live::new() else { return };
    assert_eq!(live.run(&["apply", "--yes", "--no-trial"]).code, 0);
    let grub = live.0.text("etc/default/grub");
    let line = grub.lines().find(|line| line.contains("vfio-pci.ids=")).expect("our line");
    let word = line.split(['"', ' ']).find(|word| word.starts_with("vfio-pci.ids=")).expect("ours");
    let own = format!("GRUB_CMDLINE_LINUX=\"{word}\"");
    let live = Live(live.0.replace("etc/default/grub", "GRUB_CMDLINE_LINUX=\"\"", &own));
    let output = live.run(&["undo", "--yes"]);
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    let said = format!("{word} stays: /etc/default/grub has it");
    assert!(output.stderr.contains(&said), "{}", output.stderr);
}

/// What somebody took back by hand, without making the images anew, undo makes anew.
#[test]
fn an_undo_by_hand_is_finished() {
    let Some(live) = Live::new() else { return };
    let grub = live.0.text("etc/default/grub");
    assert_eq!(live.run(&["apply", "--yes", "--no-trial"]).code, 0);
    let machine = ["hooks", "modprobe", "load", "toml"].iter().fold(live.0, |machine, which| {
        machine.remove(match *which {
            "hooks" => "etc/initramfs-tools/hooks/passthru",
            "modprobe" => "etc/modprobe.d/00-passthru.conf",
            "load" => "etc/modules-load.d/passthru.conf",
            _ => "etc/passthru.toml",
        })
    });
    let live = Live(machine.write("etc/default/grub", grub));
    let output = live.run(&["undo", "--yes"]);
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("All files are as before already."), "{}", output.stdout);
    assert!(!live.0.text("boot/grub/grub.cfg").contains("vfio-pci"));
}

#[test]
fn a_generator_that_is_missing_is_named_before() {
    let Some(live) = Live::new() else { return };
    let machine = live.0;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(machine.at("usr/sbin/update-grub"), mode).expect("set");
    let live = Live(machine);
    let before = live.everything();
    let output = live.run(&["apply", "--yes", "--no-trial"]);
    assert_eq!(output.code, 2, "{}{}", output.stdout, output.stderr);
    let wanted = "the program update-grub is not there, or not executable";
    assert!(output.stderr.contains(wanted), "{}", output.stderr);
    assert_eq!(differing(&before, &live.everything()), [""; 0]);
    assert!(!live.0.at("calls").exists(), "nothing ran");
}

#[test]
fn changing_the_running_system_needs_root() {
    if !rustix::process::geteuid().is_root() {
        let output = passthru(&["apply", "--yes", "--no-trial"]);
        assert!(output.stderr.contains("changing this machine needs root"), "{}", output.stderr);
        return;
    }
    let Some(live) = Live::new() else { return };
    let mut command = Command::new("chroot");
    command.args(["--userspec=65534:65534"]).arg(live.0.root());
    let output = command
        .args(["/usr/bin/passthru", "apply", "--yes", "--no-trial"])
        .output()
        .expect("starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("changing this machine needs root"), "{stderr}");
}

#[test]
fn a_full_boot_partition_is_named_before() {
    let Some(live) = Live::new() else { return };
    let mounts = live.0.text("proc/mounts") + "/dev/nvme0n1p3 /boot ext4 rw 0 0\n";
    let live = Live(live.0.write("proc/mounts", mounts));
    let before = live.everything();
    let output = live.run_with_small("boot", "8m", &["apply", "--yes", "--no-trial"]);
    assert_eq!(output.code, 2, "{}{}", output.stdout, output.stderr);
    let wanted = "/boot has 7 MiB free, and a new image beside the old one needs 16 MiB";
    assert!(output.stderr.contains(wanted), "{}", output.stderr);
    assert_eq!(differing(&before, &live.everything()), [""; 0]);
    assert!(!live.0.at("calls").exists(), "nothing ran");
}

/// Where there is no room to keep images, they are made again from the sources as they were.
#[test]
fn without_room_to_keep_images_they_are_made_again() {
    let Some(live) = Live::new() else { return };
    let live = Live(live.0.write("var/lib/note", "")).mood("once");
    let before = live.everything();
    let output = live.run_with_small("var/lib", "24m", &["apply", "--yes", "--no-trial"]);
    assert_eq!(output.code, 2, "{}{}", output.stdout, output.stderr);
    assert!(output.stderr.contains("Everything was taken back"), "{}", output.stderr);
    let generated = [format!("boot/initrd.img-{RELEASE}"), "boot/grub/grub.cfg".to_owned()];
    assert_eq!(
        differing(&before, &live.everything()),
        generated.clone().map(|p| p).to_vec().into_iter().rev().collect::<Vec<_>>()
    );
    let calls = live.0.text("calls");
    assert_eq!(calls, "update-initramfs -u -k all\nupdate-initramfs -u -k all\nupdate-grub \n");
    assert!(!live.0.text(&generated[0]).contains("passthru"), "made without ours");
}

/// The entry is selected when everything else is done and read back, and undo takes it back.
#[test]
fn the_entry_on_trial_is_selected_last() {
    let Some(live) = Live::with_grub() else { return };
    let before = live.everything();
    let output = live.run(&["--json", "apply", "--yes"]);
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    let document = output.json();
    assert_eq!(
        document["trial"],
        serde_json::json!({"entry": "passthru-trial>0", "stage": "selected", "text": null})
    );
    let expected = ["update-initramfs -u -k all", "update-grub ", "grub-reboot passthru-trial>0"];
    assert_eq!(live.calls(), expected);
    assert_eq!(document["ran"].as_array().map(Vec::len), Some(3));
    assert!(live.0.text("boot/grub/grubenv").contains("next_entry=passthru-trial>0\n"));
    // GRUB has emptied it in a boot that nobody judged; asked again, just the entry is selected.
    let grub =
        live.0.text("boot/grub/grubenv").replace("next_entry=passthru-trial>0", "next_entry=");
    let live = Live(
        live.0.write("boot/grub/grubenv", grub).write("proc/sys/kernel/random/boot_id", "second\n"),
    );
    let verdict = live.run(&["--json", "verify"]);
    let lost = verdict.json();
    assert_eq!((verdict.code, &lost["trial"]["stage"]), (1, &"lost".into()), "{lost:#}");
    let cause = lost["expectations"][0]["cause"].as_str().expect("a cause").to_owned();
    assert!(cause.starts_with("GRUB was told at 20"), "{cause}");
    assert!(cause.contains("did not come as far as its judgement"), "{cause}");
    let again = live.run(&["--json", "apply", "--yes"]).json();
    assert_eq!((&again["transaction"], &again["changed"]), (&().into(), &serde_json::json!([])));
    assert_eq!(again["trial"]["stage"], "selected", "{again:#}");
    assert_eq!(live.calls()[3..], ["grub-reboot passthru-trial>0"]);
    let output = live.run(&["undo", "--yes"]);
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    // Menu and image are made anew, and nothing is left of the environment block.
    let image = format!("boot/initrd.img-{RELEASE}");
    assert!(!live.0.text("boot/grub/grub.cfg").contains("passthru"));
    let differ = differing(&before, &live.everything());
    assert_eq!(differ, ["boot/grub/grub.cfg", &image, "proc/sys/kernel/random/boot_id"]);
}

/// A block that was there before is as it was, byte by byte, whatever GRUB left in it.
#[test]
fn an_environment_block_that_was_there_comes_back() {
    let block = "boot/grub/grubenv";
    let text = "# GRUB Environment Block\nsaved_entry=x\n####";
    for booted in [false, true] {
        let Some(live) = Live::with_grub() else { return };
        let live = Live(live.0.write(block, text));
        assert_eq!(live.run(&["apply", "--yes"]).code, 0);
        let now = live.0.text(block);
        assert!(now.contains("next_entry=passthru-trial>0\n"), "{now}");
        let kept = live.0.text(block).replace("next_entry=passthru-trial>0", "next_entry=");
        let left = if booted { kept } else { now };
        let live = Live(live.0.write(block, left));
        assert_eq!(live.run(&["undo", "--yes"]).code, 0);
        assert_eq!(live.0.text(block), text, "booted: {booted}");
        // The entry is on trial again, and nobody asked for its boot.
        assert_eq!(live.run(&["undo", "--yes", "2"]).code, 0);
        assert_eq!(live.0.text(block), text);
        let verify = live.run(&["--json", "verify"]).json();
        assert_eq!(verify["trial"]["stage"], "unselected", "{verify:#}");
    }
}

/// Somebody else's choice for the next boot is not replaced.
#[test]
fn another_selection_stands_in_the_way() {
    let Some(live) = Live::with_grub() else { return };
    let block = "# GRUB Environment Block\nnext_entry=windows\n####";
    let live = Live(live.0.write("boot/grub/grubenv", block));
    let before = live.everything();
    let output = live.run(&["apply", "--yes"]);
    assert_eq!(output.code, 2);
    let said = "GRUB is told already to start windows with the next boot";
    assert!(output.stderr.contains(said), "{}", output.stderr);
    assert_eq!(differing(&before, &live.everything()), [""; 0]);
}

/// GRUB would start the entry with every boot, or never.
#[test]
fn a_menu_that_does_not_look_at_the_selection_is_refused() {
    let Some(live) = Live::with_grub() else { return };
    let update = live.0.text("usr/sbin/update-grub").replace("save_env next_entry\n", "");
    let live =
        Live(live.0.write("usr/sbin/update-grub", update).mode("usr/sbin/update-grub", 0o755));
    let before = live.everything();
    let output = live.run(&["apply", "--yes"]);
    assert_eq!(output.code, 2, "{}", output.stdout);
    let said = "the boot menu has no `save_env next_entry`";
    assert!(output.stderr.contains(said), "{}", output.stderr);
    assert_eq!(differing(&before, &live.everything()), [""; 0]);
}

/// The unit waits for whoever has the lock.
#[test]
fn the_judgement_waits_for_the_lock() {
    let Some(live) = Live::with_grub() else { return };
    assert_eq!(live.run(&["apply", "--yes"]).code, 0);
    let line = live.0.text("proc/cmdline").trim_end().to_owned();
    let script = live.0.text("etc/grub.d/42_passthru");
    let words = script.lines().find_map(|line| line.strip_prefix("add='")).expect("words");
    let live = Live(
        live.0
            .write("proc/sys/kernel/random/boot_id", "second\n")
            .write("proc/cmdline", format!("{line} {}\n", words.trim_end_matches('\''))),
    );
    let lock = std::fs::File::options().write(true).open(live.0.at("var/lib/passthru/lock"));
    let lock = lock.expect("it is there");
    lock.lock().expect("nobody has it");
    let child = live.command(&["verify", "--after-boot"]).spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(1500));
    let journal = || live.0.text("var/lib/passthru/1/journal.jsonl");
    assert!(!journal().contains("judged"), "{}", journal());
    // And so does who promotes at the same time.
    let promote = live.command(&["promote", "--yes"]).stderr(Stdio::piped()).spawn();
    std::thread::sleep(Duration::from_millis(500));
    drop(lock);
    let promote = promote.expect("it starts").wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&promote.stderr).into_owned();
    assert_eq!(promote.status.code(), Some(1), "the card is not on vfio-pci: {said}");
    assert!(said.starts_with("Waiting: "), "{said}");
    assert!(said.contains("Not everything holds"), "{said}");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    assert!(journal().contains("\"event\":\"judged\",\"boot_id\":\"second\""), "{}", journal());
}

/// A boot that is judged is remembered, and a later boot of the default entry tells of it.
#[test]
fn what_came_of_a_trial_boot_is_remembered() {
    let Some(live) = Live::with_grub() else { return };
    assert_eq!(live.run(&["apply", "--yes", "--auto-promote"]).code, 0);
    let line = live.0.text("proc/cmdline").trim_end().to_owned();
    let script = live.0.text("etc/grub.d/42_passthru");
    let words = script.lines().find_map(|line| line.strip_prefix("add='")).expect("words");
    let words = words.trim_end_matches('\'').to_owned();
    // Its words are there, and the card is not on vfio-pci.
    let live = Live(
        live.0
            .write("proc/sys/kernel/random/boot_id", "second\n")
            .write("proc/cmdline", format!("{line} {words}\n"))
            .write("boot/grub/grubenv", "# GRUB Environment Block\nnext_entry=\n####"),
    );
    let output = live.run(&["verify", "--after-boot"]);
    assert_eq!(output.code, 1, "{}{}", output.stdout, output.stderr);
    assert!(live.0.text("etc/grub.d/42_passthru").contains("passthru-trial"), "not promoted");
    let refused = live.run(&["promote", "--yes"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("Not everything holds"), "{}", refused.stderr);
    let live = Live(
        live.0
            .write("proc/sys/kernel/random/boot_id", "third\n")
            .write("proc/cmdline", format!("{line}\n")),
    );
    let later = live.run(&["--json", "verify"]).json();
    assert_eq!(later["trial"]["stage"], "failed", "{later:#}");
}

#[test]
fn an_entry_that_cannot_be_selected_takes_everything_back() {
    for (mood, reason) in [
        ("unwilling", "disk is full"),
        ("forgetful", "GRUB was told to start passthru-trial>0 once, and it is told nothing"),
    ] {
        let Some(live) = Live::with_grub() else { return };
        let live = live.mood(mood);
        let before = live.everything();
        let output = live.run(&["apply", "--yes"]);
        assert_eq!(output.code, 2, "{}{}", output.stdout, output.stderr);
        assert!(output.stderr.contains(reason), "{mood}: {}", output.stderr);
        assert!(output.stderr.contains("Everything was taken back"), "{}", output.stderr);
        assert_eq!(differing(&before, &live.everything()), [""; 0], "{mood}");
    }
}

/// A power cut while the entry is being selected: it is selected, and nothing says so.
#[test]
fn a_selection_that_nobody_noted_is_taken_back() {
    let Some(live) = Live::with_grub() else { return };
    let live = live.mood("stuck");
    let before = live.everything();
    let mut child = live.start(&["apply", "--yes"]);
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    assert!(live.0.text("boot/grub/grubenv").contains("next_entry=passthru-trial>0\n"));
    // The stand-in outlives the program, and holds its lock.
    let orphan = live.0.text("pid").trim().parse().expect("a pid");
    let orphan = rustix::process::Pid::from_raw(orphan).expect("a pid");
    rustix::process::kill_process(orphan, rustix::process::Signal::KILL).expect("ended");
    std::thread::sleep(Duration::from_millis(200));
    let live = live.mood("");
    let output = live.run(&["recover"]);
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    let mut after = live.everything();
    let mut before = before;
    // Image and menu are made anew from the files as they were.
    assert!(!live.0.text("boot/grub/grub.cfg").contains("passthru"));
    for state in [&mut before, &mut after] {
        state.remove(&format!("boot/initrd.img-{RELEASE}"));
        state.remove("boot/grub/grub.cfg");
    }
    assert_eq!(differing(&before, &after), [""; 0]);
}
