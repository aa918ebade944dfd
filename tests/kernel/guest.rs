//! A PC that QEMU emulates, processor and IOMMU included: no virtualization is needed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::image;
use super::kernel::{KERNEL, Kernel};
pub use super::topology::Topology;

/// A boot takes five to fifteen seconds on two cores, and up to thirty beside other work.
const DEADLINE: Duration = Duration::from_secs(90);
/// One at a time: emulation takes all cores.
static ONE: Mutex<()> = Mutex::new(());

/// No KVM. `split` lets the emulated IOMMU remap interrupts.
const PC: &str = "-accel tcg,thread=multi -M q35,kernel-irqchip=split -smp 2 -m 512 -nodefaults \
    -display none -no-reboot -cpu";
/// Disk and network, which are not used, and a port for what the guest says: the recorded machines
/// in `hosts/` had functions there, and groups are numbered in the order of all functions. A serial
/// port would not do: with the IOMMU of AMD, QEMU delivers no interrupt of the IO-APIC, which the
/// first 4096 bytes do not need.
const REST: &str = "-blockdev null-co,node-name=none -device virtio-blk-pci,addr=10.0,drive=none \
    -device virtio-net-pci,addr=11.0 -device virtio-serial-pci,addr=12.0 \
    -device virtserialport,chardev=said,name=said";
/// `panic=-1`: a kernel that panics restarts at once, and QEMU ends. `no_timer_check`: where the
/// host is busy, ticks come too late for the kernel's test of the timer, and with interrupts
/// remapped it then panics (timer_irq_works and panic_if_irq_remap in arch/x86).
///
/// Without a console on its frame buffer: one boot of 25 waited for ever for virtio-gpu to draw it.
const KERNEL_WORDS: &str = "console=ttyS0 panic=-1 mitigations=off no_timer_check \
    drm_kms_helper.fbdev_emulation=0";

/// What a guest said, by command: exit code and output.
pub struct Said {
    parts: BTreeMap<String, (i32, String)>,
    /// The serial console and standard error, for whoever looks into a failure.
    console: String,
}

impl Said {
    fn parse(text: &str, console: String) -> Self {
        let mut parts = BTreeMap::new();
        let mut open = String::new();
        for line in text.lines() {
            if line.starts_with("@begin ") {
                open.clear();
            } else if let Some(end) = line.strip_prefix("@end ") {
                let (code, name) = end.split_once(' ').expect("code and name");
                parts.insert(name.to_owned(), (code.parse().expect("a code"), open.clone()));
            } else {
                open.push_str(line);
                open.push('\n');
            }
        }
        let errors = parts.get("errors").map_or("", |(_, text)| text.as_str());
        let console = format!("{console}{errors}");
        Self { parts, console }
    }

    /// Exit code and output of one command.
    pub fn part(&self, name: &str) -> (i32, &str) {
        let part = self.parts.get(name);
        let (code, text) = part.unwrap_or_else(|| panic!("no {name}\n{}", end_of(&self.console)));
        (*code, text)
    }

    /// The document that a command printed.
    pub fn json(&self, name: &str) -> Value {
        let (code, text) = self.part(name);
        serde_json::from_str(text).unwrap_or_else(|error| {
            panic!("{name}: {code}, {error}: {text}\n{}", end_of(&self.console))
        })
    }

    /// The driver of each function, by address without domain; nothing where there is none.
    pub fn drivers(&self, addresses: &[&str]) -> Vec<&str> {
        let (_, text) = self.part("drivers");
        let line = |address: &&str| {
            let prefix = format!("0000:{address} ");
            let found = text.lines().find_map(|line| line.strip_prefix(&prefix));
            found.unwrap_or_else(|| panic!("no {address}\n{text}"))
        };
        addresses.iter().map(line).collect()
    }

    /// Lines of the kernel's log that passthru's script wrote, without time.
    pub fn script(&self) -> Vec<&str> {
        let (_, text) = self.part("log");
        text.lines()
            .filter_map(|line| line.split_once("passthru: ").map(|(_, said)| said))
            .collect()
    }
}

/// Boots a machine and waits until it is off. `host` has its files, `words` go
/// onto the kernel's command line.
pub fn boot(kernel: &Kernel, topology: Topology, host: Option<&Path>, words: &str) -> Said {
    boot_and(kernel, topology, host, words, "")
}

/// The same, where `more` is done at the end: lines of shell, with `say NAME COMMAND`.
pub fn boot_and(
    kernel: &Kernel,
    topology: Topology,
    host: Option<&Path>,
    words: &str,
    more: &str,
) -> Said {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let initramfs = dir.path().join("initramfs");
    image::write(kernel, host, more, &initramfs);
    let line = format!("{} {KERNEL_WORDS} {words}", grub(kernel, host));
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let run = || start(kernel, topology, &initramfs, line.trim());
    let result = match run() {
        // Emulation loses an interrupt once in many boots. Whatever came to its end, by a panic
        // too, is a result.
        Err(Failure { last_line: Some(line), .. }) => {
            say(&format!("RETRIED: a machine did not come to its end in time, but to `{line}`"));
            run()
        }
        other => other,
    };
    result.unwrap_or_else(|failure| panic!("{}", failure.text))
}

/// A machine that did not say everything.
struct Failure {
    text: String,
    /// Where its console stood, if it would still run.
    last_line: Option<String>,
}

fn start(
    kernel: &Kernel,
    topology: Topology,
    initramfs: &Path,
    line: &str,
) -> Result<Said, Failure> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| dir.path().join(name);
    let mut qemu = Command::new("qemu-system-x86_64");
    let options = format!("{PC} {} {} {REST}", topology.processor(), topology.options());
    qemu.args(options.split_whitespace());
    qemu.arg("-serial").arg(format!("file:{}", at("console").display()));
    qemu.arg("-chardev").arg(format!("file,id=said,path={}", at("said").display()));
    qemu.arg("-kernel").arg(kernel.image()).arg("-initrd").arg(initramfs);
    qemu.args(["-append", line]);
    let errors = fs::File::create(at("errors")).expect("a file");
    let mut child =
        qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn().expect("it starts");
    let start = Instant::now();
    let ended = loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            break Some(status);
        }
        if start.elapsed() > DEADLINE {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let text = |name: &str| {
        let bytes = fs::read(at(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    };
    let (said, console) = (text("said"), text("console"));
    if ended.is_some_and(|status| status.success()) && said.ends_with("@done\n") {
        return Ok(Said::parse(&said, console));
    }
    let text = format!(
        "the machine did not come to its end ({ended:?} after {:?})\n{}{}",
        start.elapsed(),
        text("errors"),
        end_of(&console)
    );
    let last_line = console.lines().last().unwrap_or_default();
    Err(Failure { text, last_line: ended.is_none().then(|| last_line.to_owned()) })
}

/// What GRUB puts first, by which it is known.
fn grub(kernel: &Kernel, host: Option<&Path>) -> String {
    let words = || format!("BOOT_IMAGE=/boot/vmlinuz-{} root=/dev/sda1 ro", kernel.release);
    host.map(|_| words()).unwrap_or_default()
}

/// The last lines of a serial log.
fn end_of(console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    let end = &lines[lines.len().saturating_sub(40)..];
    format!("The serial console ends so:\n{}", end.join("\n"))
}

/// The kernel, or one line that says why the case did not run.
pub fn kernel_or_skip() -> Option<&'static Kernel> {
    match &*KERNEL {
        Ok(kernel) => Some(kernel),
        Err(reason) => {
            say(&format!("SKIPPED: a kernel on emulated machines: {reason}"));
            None
        }
    }
}

/// Not through print!, which the test runner captures.
fn say(line: &str) {
    std::io::Write::write_all(&mut std::io::stdout().lock(), format!("{line}\n").as_bytes())
        .expect("standard output");
}
