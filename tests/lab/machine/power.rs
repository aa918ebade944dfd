//! The power of a host: QEMU is started for each boot, and ends with it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::super::image::{OVMF, Variant};
use super::super::progress::{say, timed};
use super::super::topology::Topology;
use super::{BOOT, Machine};

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

impl Machine {
    pub(super) fn switch_on(&mut self) {
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

    pub(super) fn kill(&mut self) {
        if let Some(mut qemu) = self.qemu.take() {
            let _ = qemu.kill();
            let _ = qemu.wait();
        }
    }
}
