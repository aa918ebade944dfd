//! A host that runs in QEMU, without KVM, and a shell in it by ssh.

mod power;

use std::fs;
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
