//! A host that runs in QEMU, without KVM: its power, its devices, and a shell in it by ssh.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::image::{OVMF, Variant};
use super::program::{run, static_program};
use super::progress::{say, timed};
use super::topology::Topology;

/// A boot takes half a minute on two cores that have nothing else to do, and many times that where
/// they have.
const BOOT: Duration = Duration::from_secs(600);
const POWEROFF: Duration = Duration::from_secs(300);
/// A boot that hangs in the emulation is given up after so long.
const HUNG: Duration = Duration::from_secs(120);
/// How often the emulation may fail in one story.
const RESTARTS: u32 = 2;
const SIGABRT: i32 = 6;

/// A reboot ends QEMU, and another one starts the machine: where the old one goes on, now and then
/// a processor gets no interrupts of its timer any more.
///
/// The processor has virtualization that QEMU can emulate (SVM; there is no VMX without KVM), and
/// the IOMMU is Intel's, which works with it. `split` lets it remap interrupts.
const PC: &str = "-accel tcg,thread=multi,tb-size=1024 -M q35,kernel-irqchip=split -smp 2 \
    -nodefaults -display none -no-reboot -cpu max,vendor=AuthenticAMD";
const REST: &str = "-device virtio-blk-pci,addr=10.0,drive=disk \
    -device virtio-net-pci,addr=11.0,netdev=net,romfile= -device virtio-rng-pci,addr=12.0";

/// One at a time: emulation takes all cores.
static ONE: Mutex<()> = Mutex::new(());
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(static_program);

/// What a command in the guest gave.
#[derive(Debug)]
#[must_use]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A host of which a story is told. Its disk is its own; what it is made from stays as it is.
pub struct Machine {
    pub variant: Variant,
    story: String,
    topology: Topology,
    dir: TempDir,
    port: u16,
    qemu: Option<Child>,
    restarts: u32,
    /// Of the boot that answered last.
    boot_id: String,
    _one: MutexGuard<'static, ()>,
}

impl Machine {
    /// Boots a host with these devices and puts passthru there; or says why that cannot be done.
    pub fn start(variant: Variant, topology: Topology) -> Option<Self> {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let story = std::thread::current().name().unwrap_or("story").replace("::", "-");
        let disk = match variant.disk() {
            Ok(disk) => disk,
            Err(reason) => {
                say(&format!("SKIPPED: a host on an emulated machine: {reason}"));
                return None;
            }
        };
        let program = LazyLock::force(&PROGRAM);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| dir.path().join(name);
        let mut keygen = Command::new("ssh-keygen");
        run(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at("key")));
        let mut create = Command::new("qemu-img");
        create.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(disk);
        run(create.arg(at("disk")));
        fs::copy(OVMF[1], at("efivars")).expect("copied");
        let mut machine = Self {
            variant,
            story,
            topology,
            dir,
            port: 0,
            qemu: None,
            restarts: 0,
            boot_id: String::new(),
            _one: one,
        };
        machine.switch_on();
        timed("passthru is put there", || {
            let file = fs::File::open(program).expect("it was built");
            let at = "/usr/local/bin/passthru";
            let put = machine.ssh(&format!("cat >{at} && chmod 755 {at}")).stdin(file).output();
            assert!(put.expect("ssh starts").status.success());
        });
        Some(machine)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn switch_on(&mut self) {
        assert!(self.qemu.is_none());
        let what = format!("boot of {:?} with {:?}", self.variant, self.topology);
        timed(&what, || {
            self.start_qemu();
            self.wait_for_boot();
        });
    }

    fn start_qemu(&mut self) {
        // Free now, and nobody else here asks for one.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        self.port = free.expect("a port").port();
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(format!("{PC} {} {REST}", self.topology.options()).split_whitespace());
        qemu.args(["-m", &self.variant.memory().to_string()]);
        let drive = |options: &str, file: &Path| format!("{options},file={}", file.display());
        qemu.arg("-drive").arg(drive("id=disk,if=none,cache=unsafe", &self.at("disk")));
        if self.variant == Variant::SystemdBoot {
            let code = drive("if=pflash,format=raw,readonly=on", Path::new(OVMF[0]));
            let variables = drive("if=pflash,format=raw", &self.at("efivars"));
            qemu.args(["-drive", &code, "-drive", &variables]);
        }
        let net = format!("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{}-:22", self.port);
        qemu.args(["-netdev", &net]);
        let key = format!("name=opt/lab.key,file={}", self.at("key.pub").display());
        qemu.args(["-fw_cfg", &key]);
        let serial = format!("file,id=serial,append=on,path={}", self.at("serial").display());
        qemu.args(["-chardev", &serial, "-serial", "chardev:serial"]);
        let errors = fs::File::create(self.at("errors")).expect("a file");
        qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        self.qemu = Some(qemu.spawn().expect("QEMU starts"));
    }

    /// Waits until the guest answers, from another boot than the one that answered last. Where the
    /// emulation fails, which to the guest is a power cut, it is started once more, and that is
    /// said.
    fn wait_for_boot(&mut self) {
        let (mut start, mut so_far) = (Instant::now(), self.serial().len());
        loop {
            if let Some(id) = self.boot_id().filter(|id| *id != self.boot_id) {
                self.boot_id = id;
                return;
            }
            let waited = start.elapsed();
            let failed = self.emulation_failed(so_far, waited);
            if let Some(reason) = failed.as_ref().filter(|_| self.restarts < RESTARTS) {
                say(&format!("  RETRIED: {reason}"));
                self.restarts += 1;
                self.kill();
                self.start_qemu();
                (start, so_far) = (Instant::now(), self.serial().len());
                continue;
            }
            assert!(failed.is_none() && waited < BOOT, "no answer after {waited:?}: {failed:?}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// QEMU 10.0 ends in about one boot of a hundred with a failed assertion of its own
    /// (system/physmem.c `iotlb_to_section`). A timer whose interrupts do not come any more is
    /// noticed by Linux.
    fn emulation_failed(&mut self, so_far: usize, waited: Duration) -> Option<String> {
        let ended = self.qemu.as_mut().and_then(|qemu| qemu.try_wait().expect("it is ours"));
        if let Some(status) = ended {
            let errors = fs::read_to_string(self.at("errors")).unwrap_or_default();
            assert_eq!(status.signal(), Some(SIGABRT), "QEMU ended: {status}\n{errors}");
            return Some(format!("QEMU gave up: {}", errors.trim()));
        }
        // kernel/rcu/tree_stall.h `rcu_check_gp_kthread_expired_fqs_timer`.
        const STALLED: &str = "kthread timer wakeup didn't happen for";
        let hung =
            waited > HUNG && self.serial().get(so_far..).is_some_and(|new| new.contains(STALLED));
        hung.then(|| format!("the emulated timer stopped ({STALLED} …)"))
    }

    fn boot_id(&self) -> Option<String> {
        let output = self.ssh("cat /proc/sys/kernel/random/boot_id").output().expect("ssh starts");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn ssh(&self, command: &str) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(["-q", "-F", "none", "-o", "StrictHostKeyChecking=no"]);
        ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes"]);
        // On a busy machine a greeting takes many seconds.
        ssh.args(["-o", "ConnectTimeout=30", "-o", "ServerAliveInterval=20"]);
        ssh.arg("-i").arg(self.at("key")).args(["-p", &self.port.to_string(), "root@127.0.0.1"]);
        ssh.arg(command).stdin(Stdio::null());
        ssh
    }

    /// Runs a command of the shell in the guest.
    pub fn run(&self, command: &str) -> Output {
        let output = self.ssh(command).output().expect("ssh starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().expect("no signal");
        Output { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// What a command printed that has to succeed.
    pub fn read(&self, command: &str) -> String {
        let output = self.run(command);
        assert_eq!(output.code, 0, "{command}\n{}{}", output.stdout, output.stderr);
        output.stdout
    }

    /// Runs passthru in the guest.
    pub fn passthru(&self, args: &[&str]) -> Output {
        let words: Vec<String> = args.iter().map(|arg| format!("'{arg}'")).collect();
        let what = format!("passthru {}", args.join(" "));
        timed(&what, || self.run(&format!("passthru {}", words.join(" "))))
    }

    /// Reboots as its user would.
    pub fn reboot(&mut self) {
        timed("reboot", || {
            self.end("systemctl reboot");
            self.start_qemu();
            self.wait_for_boot();
        });
    }

    /// Reboots into something that says this on the serial console and never answers.
    pub fn reboot_into(&mut self, said: &str) {
        let so_far = self.serial().len();
        timed(&format!("reboot into {said}"), || {
            self.end("systemctl reboot");
            self.start_qemu();
            let start = Instant::now();
            while !self.serial()[so_far..].contains(said) {
                assert!(start.elapsed() < BOOT, "the console does not say {said}");
                std::thread::sleep(Duration::from_millis(500));
            }
        });
    }

    /// Waits until a command in the guest prints a line.
    pub fn wait_until(&self, command: &str, line: &str) {
        timed(&format!("until `{command}` says {line}"), || {
            let start = Instant::now();
            while self.run(command).stdout.trim() != line {
                assert!(start.elapsed() < BOOT, "{command}: {}", self.run(command).stdout);
                std::thread::sleep(Duration::from_millis(500));
            }
        });
    }

    /// Starts passthru in the guest and does not wait for it.
    pub fn start_passthru(&self, args: &[&str]) -> Child {
        let mut ssh = self.ssh(&format!("passthru {}", args.join(" ")));
        ssh.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ssh starts")
    }

    /// Switches off, and on again with other devices.
    pub fn change_devices(&mut self, topology: Topology) {
        timed("poweroff", || self.end("systemctl poweroff"));
        self.topology = topology;
        self.switch_on();
    }

    /// Runs a command at whose end QEMU ends.
    fn end(&mut self, command: &str) {
        let _ = self.run(command);
        let start = Instant::now();
        let mut qemu = self.qemu.take().expect("it runs");
        while qemu.try_wait().expect("it is ours").is_none() {
            if start.elapsed() > POWEROFF {
                let _ = qemu.kill();
                let _ = qemu.wait();
                panic!("the host did not end with {command}");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Takes the power away at once, and gives it back.
    pub fn power_cut(&mut self) {
        self.kill();
        self.switch_on();
    }

    fn kill(&mut self) {
        if let Some(mut qemu) = self.qemu.take() {
            let _ = qemu.kill();
            let _ = qemu.wait();
        }
    }

    /// Everything that came out of the serial port, of all boots.
    pub fn serial(&self) -> String {
        let bytes = fs::read(self.at("serial")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab/serial");
            let kept = dir.join(&self.story);
            let copied = fs::create_dir_all(&dir).and_then(|()| fs::copy(self.at("serial"), &kept));
            if copied.is_ok() {
                say(&format!("The serial log is in {}", kept.display()));
            }
        }
    }
}
