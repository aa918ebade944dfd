//! The namespace with its daemon.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::{Machine, Output};
use crate::tools::output;

/// Memory in place of every directory that libvirt and passthru write to, a /dev without KVM, and
/// the user that the distribution's package would have made.
const MAKE: &str = r#"
set -e
for dir in /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt \
        /var/lib/swtpm-localca /var/lib/passthru /etc/tmpfiles.d /run /usr/local/bin; do
    mkdir -p $dir
    mount -t tmpfs -o mode=755 tmpfs $dir
done
mkdir -p /run/lock /run/libvirt /run/dev /etc/libvirt/qemu /var/lib/libvirt/images
for file in passwd group; do
    grep -v '^libvirt-qemu:' /etc/$file >/run/$file
done
echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin' >>/run/passwd
echo 'libvirt-qemu:x:64055:' >>/run/group
for file in passwd group; do mount --bind /run/$file /etc/$file; done
mount -t tmpfs -o mode=755 dev /run/dev
for node in null zero full random urandom tty ptmx; do
    : >/run/dev/$node
    mount --bind /dev/$node /run/dev/$node
done
mkdir /run/dev/pts /run/dev/shm
mount --bind /dev/pts /run/dev/pts
mount -t tmpfs -o mode=1777 shm /run/dev/shm
ln -s /proc/self/fd /run/dev/fd
ln -s /proc/self/fd/0 /run/dev/stdin
mount --move /run/dev /dev
printf 'auth_unix_rw = "none"\nauth_unix_ro = "none"\nunix_sock_rw_perms = "0770"\n' >/etc/libvirt/libvirtd.conf
printf 'security_driver = "none"\nuser = "root"\ngroup = "root"\nstdio_handler = "file"\ncgroup_controllers = []\n' >/etc/libvirt/qemu.conf
echo media >/var/lib/libvirt/images/windows.iso
echo media >/var/lib/libvirt/images/virtio-win.iso
"#;

/// Enters with the devices and processors of a recorded machine, whose KVM and VFIO are there.
/// $1: the machine; then a program with its arguments.
const ENTER: &str = r#"
set -e
S=$1
shift
mount --bind "$S/sys" /sys
[ -e "$S/proc/interrupts" ] || echo "16: 1 IR-PCI-MSI-edge" >"$S/proc/interrupts"
for file in cmdline config.gz cpuinfo interrupts modules sys/kernel/osrelease; do
    [ ! -e "$S/proc/$file" ] || [ ! -e /proc/$file ] || mount --bind "$S/proc/$file" /proc/$file
done
[ ! -d "$S/lib/modules" ] || [ ! -d /lib/modules ] || mount --bind "$S/lib/modules" /lib/modules
D=$(mktemp -d)
mount -t tmpfs -o mode=755 dev $D
for node in null zero full random urandom tty; do : >$D/$node; mount --bind /dev/$node $D/$node; done
ln -s /proc/self/fd/0 $D/stdin
: >$D/kvm
mkdir $D/vfio $D/shm
: >$D/vfio/vfio
mount --bind /dev/shm $D/shm
mount --move $D /dev
eval "$BEFORE"
exec "$@"
"#;

/// Another /usr/bin, without virsh.
pub const WITHOUT_VIRSH: &str = "mkdir -p /run/all && mount --bind /usr/bin /run/all && mount -t tmpfs \
    bin /usr/bin && /run/all/ln -s /run/all/* /usr/bin/ && /run/all/rm /usr/bin/virsh";

/// The program that follows runs as a user without rights.
pub const AS_NOBODY: &str = "touch /run/passthru && mount --bind $1 /run/passthru && shift && \
    set -- setpriv --reuid=65534 --regid=65534 --clear-groups /run/passthru \"$@\"";

/// A libvirt of its own, and the machine that passthru sees around it.
pub struct House {
    daemon: Child,
    machine: Machine,
    work: PathBuf,
}

impl House {
    /// Makes the namespace of this process the house.
    pub fn make(work: &Path) -> Self {
        let _ = output(Command::new("bash").args(["-c", MAKE]));
        let machine = with_cores(Machine::new("z490-arch"));
        let house = Self { daemon: start(work), machine, work: work.to_owned() };
        println!("{}", house.virsh(&["version"]).lines().last().unwrap_or_default());
        house
    }

    /// Kills the daemon, if it still runs.
    pub fn stop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }

    /// Kills the daemon, if it still runs, and starts another.
    pub fn restart(&mut self) {
        self.stop();
        self.daemon = start(&self.work);
    }

    /// Number of the daemon's process.
    pub fn pid(&self) -> u32 {
        self.daemon.id()
    }

    /// Runs passthru in it.
    pub fn passthru(&self, args: &[&str]) -> Output {
        self.passthru_after("", args)
    }

    /// The same after commands of bash, in a namespace of its own.
    pub fn passthru_after(&self, before: &str, args: &[&str]) -> Output {
        let root = self.machine.root();
        let root = root.to_str().expect("UTF-8");
        let output = Command::new("unshare")
            .args(["--mount", "bash", "-c", ENTER, "enter", root])
            .arg(env!("CARGO_BIN_EXE_passthru"))
            .args(args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .env("BEFORE", before)
            .output()
            .expect("unshare starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Output {
            code: output.status.code().expect("it ended by itself"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// passthru, which must do it; what it says.
    pub fn does(&self, args: &[&str]) -> String {
        let output = self.passthru(args);
        assert_eq!(output.code, 0, "{args:?}: {}{}", output.stdout, output.stderr);
        output.stdout
    }

    /// passthru, which must not; what it says, and nothing else.
    pub fn refuses(&self, args: &[&str]) -> String {
        let output = self.passthru(args);
        assert_eq!((output.code, &*output.stdout), (2, ""), "{args:?}: {}", output.stderr);
        output.stderr
    }

    /// Has the kernel say from now on that the machine has two NUMA nodes, with the card on the
    /// second, which has the upper half of the cores.
    pub fn split_into_nodes(&self) {
        let script = "set -e; cd $0/sys; echo 0-1 >devices/system/node/online; \
            for cpu in 5 6 7 8 9 15 16 17 18 19; do cd devices/system/cpu/cpu$cpu; rm node0; \
            ln -s ../../node/node1 node1; cd ../../../..; done; \
            echo 'Node 1 MemTotal: 33554432 kB' >devices/system/node/node1/meminfo; \
            echo 1 >bus/pci/devices/0000:07:00.0/numa_node";
        let nodes = self.machine.at("sys/devices/system/node/node1");
        std::fs::create_dir_all(nodes).expect("a directory");
        let _ = output(Command::new("bash").args(["-c", script]).arg(self.machine.root()));
    }

    /// passthru, which shows what it would do and then cannot; what it complains of.
    pub fn fails(&self, args: &[&str]) -> String {
        let output = self.passthru(args);
        assert_eq!(output.code, 2, "{args:?}: {}{}", output.stdout, output.stderr);
        output.stderr
    }

    /// virsh, which must succeed.
    pub fn virsh(&self, args: &[&str]) -> String {
        let mut command = Command::new("/usr/bin/virsh");
        output(command.args(["--quiet", "--connect", "qemu:///system"]).args(args))
    }

    /// A domain as it would start next.
    pub fn xml(&self, name: &str) -> String {
        self.virsh(&["dumpxml", "--inactive", "--security-info", name])
    }

    /// Names of all domains, and of all images.
    pub fn all(&self) -> (String, Vec<String>) {
        (
            self.virsh(&["list", "--all", "--name"]).trim().to_owned(),
            names("/var/lib/libvirt/images"),
        )
    }

    /// A file in the working directory.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.work.join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// libvirt's own schema accepts a domain.
    pub fn validates(&self, xml: &str) {
        let path = self.file("validate.xml", xml);
        let _ = output(Command::new("virt-xml-validate").args([&path, "domain"]));
    }
}

/// The 10 cores of its processor on one cache, numbered as the kernel does for Intel, and 4 GiB of
/// huge pages.
fn with_cores(machine: Machine) -> Machine {
    let pages = "sys/kernel/mm/hugepages/hugepages-2048kB";
    let machine = machine
        .write("sys/devices/system/cpu/online", "0-19\n")
        .write(&format!("{pages}/nr_hugepages"), "2048\n")
        .write(&format!("{pages}/free_hugepages"), "2048\n");
    (0..20).fold(machine, |machine, cpu| {
        let dir = format!("sys/devices/system/cpu/cpu{cpu}");
        let siblings = format!("{},{}\n", cpu % 10, cpu % 10 + 10);
        machine
            .write(&format!("{dir}/topology/thread_siblings_list"), siblings)
            .write(&format!("{dir}/cache/index3/shared_cpu_list"), "0-19\n")
            .write(&format!("{dir}/cache/index3/size"), "20480K\n")
            .link(&format!("{dir}/node0"), "../../node/node0")
    })
}

/// What libvirt's test driver, which starts nothing, keeps of a domain that it defines by its schema.
/// It knows KVM wherever it runs, and forgets everything when virsh ends.
pub fn on_the_test_driver(file: &str, name: &str) -> String {
    let both = format!("define --validate {file}; dumpxml --inactive {name}");
    let mut command = Command::new("/usr/bin/virsh");
    output(command.args(["--quiet", "--connect", "test:///default", &both]))
}

/// Where the last transaction stands.
pub fn last_state(house: &House) -> String {
    let log = house.passthru(&["--json", "log"]).json();
    let last = log["transactions"].as_array().and_then(|all| all.last()).expect("one").clone();
    last["state"].as_str().expect("a word").to_owned()
}

/// What is in a directory.
pub fn names(dir: &str) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let names = entries.map(|e| e.expect("an entry").file_name().into_string().expect("UTF-8"));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop();
    }
}

fn start(work: &Path) -> Child {
    let log = std::fs::File::create(work.join("libvirtd.log")).expect("a log");
    let daemon = Command::new("libvirtd")
        .args(["--config", "/etc/libvirt/libvirtd.conf"])
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("libvirtd starts");
    let answers = || {
        let mut command = Command::new("/usr/bin/virsh");
        command.args(["--quiet", "--connect", "qemu:///system", "list"]);
        command.output().is_ok_and(|output| output.status.success())
    };
    assert!(
        (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            answers()
        }),
        "libvirtd answers: {}",
        std::fs::read_to_string(work.join("libvirtd.log")).unwrap_or_default()
    );
    daemon
}
