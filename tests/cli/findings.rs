//! Every finding: a machine that raises it, and one that does not.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::harness::{Machine, Output, passthru, project};

/// What `check` is run on.
struct Subject {
    place: Place,
    args: &'static [&'static str],
}

enum Place {
    /// A recorded host as it is.
    Host(&'static str),
    /// One varied as real files.
    Files(Box<Machine>),
    /// One varied as text, for what cannot be a file: free space and sizes.
    Text(tempfile::NamedTempFile),
}

impl Subject {
    fn with(self, args: &'static [&'static str]) -> Self {
        Self { args, ..self }
    }

    fn run(&self, verb: &str) -> Output {
        let args = [&["--json", verb][..], self.args].concat();
        match &self.place {
            Place::Host(name) => passthru(&[&["--host", name], &args[..]].concat()),
            Place::Files(machine) => machine.run(&args),
            Place::Text(file) => {
                let path = file.path().to_str().expect("UTF-8");
                passthru(&[&["--root", path], &args[..]].concat())
            }
        }
    }

    /// The findings with this code.
    fn findings(&self, code: &str) -> Vec<Value> {
        let document = self.run("check").json();
        let all = document["findings"].as_array().expect("findings").clone();
        all.into_iter().filter(|finding| finding["code"] == code).collect()
    }
}

fn host(name: &'static str) -> Subject {
    Subject { place: Place::Host(name), args: &[] }
}

fn files(machine: Machine) -> Subject {
    Subject { place: Place::Files(Box::new(machine)), args: &[] }
}

fn text(host: &str, edits: &[(&str, &str)]) -> Subject {
    let path = project().join("hosts").join(format!("{host}.tree"));
    let mut tree = std::fs::read_to_string(path).expect("a recorded host");
    for (from, to) in edits {
        assert!(tree.contains(from), "{host} has no {from:?}");
        tree = tree.replace(from, to);
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), tree).expect("written");
    Subject { place: Place::Text(file), args: &[] }
}

const CMDLINE: &str = "proc/cmdline";
const ENTRY: &str = "boot/loader/entries/arch.conf";
const MKINITCPIO: &str = "etc/mkinitcpio.conf";
const MODULES_DIR: &str = "usr/lib/modules/6.7.9-arch1-1";
/// The guest's card of z490-arch, and the host's.
const GUEST: &str = "sys/devices/pci0000:00/0000:00:1b.4/0000:05:00.0/0000:06:00.0/0000:07:00";
const OWN: &str = "sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:00.0/0000:03:00";
const EFIVARS: &str = "sys/firmware/efi/efivars";
const LOADER: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// As `apply` leaves it; without the first line it is the user's.
const TRIAL: &str = "# Written by passthru. Take it back with: passthru undo\ntitle Arch Linux (passthru, on trial)\n\
    linux /vmlinuz-linux\ninitrd /initramfs-linux.img\noptions root=PARTUUID=00000000-0000-0000-0000-000000000002 rw \
    quiet splash intel_iommu=on iommu=pt passthru.bind=1002:73ff:1462:5022@0000:07:00.0\n";
const MOVED: &str = "version = 1\ngpu = '0000:03:00.0'\nids = ['1002:73ff:1462:5022']\n";

fn z490() -> Machine {
    Machine::new("z490-arch")
}

/// More words on the running kernel's command line.
fn active(machine: Machine, words: &str) -> Machine {
    machine.replace(CMDLINE, " iommu=pt", &format!(" iommu=pt {words}"))
}

/// More words in the boot entry.
fn configured(machine: Machine, words: &str) -> Machine {
    machine.replace(ENTRY, " iommu=pt", &format!(" iommu=pt {words}"))
}

fn both(words: &str) -> Machine {
    configured(active(z490(), words), words)
}

fn without_groups(machine: Machine) -> Machine {
    machine.remove("sys/kernel/iommu_groups")
}

/// A directory in place of a file, so that nobody can read it.
fn unreadable(machine: Machine, path: &str) -> Machine {
    let machine = machine.remove(path);
    machine.write(&format!("{path}/inside"), "")
}

/// A file that was changed so many seconds after a fixed time.
fn changed_at(machine: Machine, path: &str, seconds: u64) -> Machine {
    let file = std::fs::File::options()
        .append(true)
        .open(machine.root().join(path))
        .expect("the file is there");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds);
    file.set_modified(time).expect("a time");
    machine
}

fn stale(image: u64, configuration: u64) -> Machine {
    let machine = z490().replace(MKINITCPIO, "MODULES=()", "MODULES=(vfio_pci)");
    let machine = changed_at(machine, "boot/initramfs-linux.img", image);
    changed_at(machine, MKINITCPIO, configuration)
}

fn modprobe(name: &str, line: &str) -> Machine {
    z490().write(&format!("etc/modprobe.d/{name}"), format!("{line}\n"))
}

fn interrupts(chip: &str) -> Machine {
    let text = format!(
        "           CPU0\n  1:   9   {chip}IO-APIC    1-edge  i8042\n 24:   0   {chip}PCI-MSI-0000:00:1c.0    0-edge  PCIe PME\n"
    );
    z490().write("proc/interrupts", text)
}

fn regions(kind: &str) -> Machine {
    let text = format!(
        "0x00000000cd000000 0x00000000cdffffff {kind}\n0x00000000fee00000 0x00000000feefffff msi\n"
    );
    z490().write("sys/kernel/iommu_groups/18/reserved_regions", text)
}

/// An option ROM with one image of this code type (PCI Firmware Specification 3.3, 5.1).
fn rom(code_type: u8) -> Vec<u8> {
    let mut rom = vec![0; 512];
    rom[..3].copy_from_slice(&[0x55, 0xaa, 1]);
    rom[0x18] = 0x40;
    rom[0x40..0x44].copy_from_slice(b"PCIR");
    rom[0x4a] = 0x18;
    rom[0x50] = 1;
    rom[0x54] = code_type;
    rom[0x55] = 0x80;
    rom
}

fn autostart(address: &str) -> Machine {
    let xml = format!(
        "<domain><devices><hostdev mode='subsystem' type='pci'><source><address domain='0x0000' {address}/></source></hostdev></devices></domain>\n"
    );
    z490().write("etc/libvirt/qemu/autostart/win11.xml", xml)
}

struct Row {
    code: &'static str,
    severity: &'static str,
    remedy: &'static str,
    /// End of the path of a reading, and a part of what was read there.
    evidence: (&'static str, &'static str),
    raised: fn() -> Subject,
    silent: fn() -> Subject,
}

macro_rules! rows {
    ($($code:literal $severity:ident $remedy:ident $path:literal $found:literal: $raised:expr, $silent:expr;)*) => {
        const ROWS: &[Row] = &[$(Row {
            code: $code,
            severity: stringify!($severity),
            remedy: stringify!($remedy),
            evidence: ($path, $found),
            raised: || $raised,
            silent: || $silent,
        }),*];
    };
}

rows! {
    "inside-vm" blocker manual "/proc/cpuinfo" "hypervisor":
        host("vm-firecracker"), host("z490-arch");
    "cpu-virtualization-off" blocker manual "/proc/cpuinfo" "no flag `vmx`":
        files(z490().replace("proc/cpuinfo", " vmx ", " ")), host("z490-arch");
    "kvm-missing" blocker manual "/dev/kvm" "not there":
        files(z490().remove("dev/kvm")), host("z490-arch");
    "iommu-off-firmware" blocker manual "/sys/firmware/acpi/tables" "no DMAR":
        host("haswell-laptop-kali"), host("z690-arch-iommu-off");
    "iommu-off-argument" blocker plan "/boot/loader/entries/arch.conf" "intel_iommu=off":
        files(without_groups(both("intel_iommu=off"))), files(without_groups(both("amd_iommu=off")));
    "iommu-off-kernel" blocker plan "/sys/firmware/acpi/tables/DMAR" "present":
        host("z690-arch-iommu-off"), files(without_groups(z490()));
    "iommu-driver-failed" blocker manual "/sys/kernel/iommu_groups" "no groups":
        files(without_groups(z490())), host("z690-arch-iommu-off");
    "vfio-missing" blocker manual "/modules.dep" "no vfio-pci":
        files(z490().write(&format!("{MODULES_DIR}/modules.dep"), "kernel/fs/xfs/xfs.ko.zst:\n")),
        host("z490-arch");
    "kernel-modules-missing" blocker manual "/usr/lib/modules/6.7.8-arch1-1" "not there":
        files(z490().write("proc/sys/kernel/osrelease", "6.7.8-arch1-1\n")), host("z490-arch");
    "no-gpu" blocker manual "/sys/bus/pci/devices" "none of a display class":
        host("vm-firecracker"), host("z490-arch");
    "gpu-ambiguous" blocker manual "/sys/bus/pci/devices" "0000:16:00.0":
        host("server-8xa100-ubuntu"), host("server-8xa100-ubuntu").with(&["16:00.0"]);
    "card-moved" blocker manual "/etc/passthru.toml" "0000:03:00.0 1002:73ff":
        files(z490().write("etc/passthru.toml", MOVED)), files(z490());
    "only-gpu" blocker manual "/0000:01:00.0/driver" "nvidia":
        host("b560-nobara-single-gpu"), host("h170-mint-turing");
    "gpu-drives-display" warning manual "/sys/class/drm/card1-*" "DP-2":
        host("h170-mint-turing"), host("z490-arch");
    "device-dead" blocker manual "/0000:07:00.0/power_state" "error":
        files(z490().write(&format!("{GUEST}.0/power_state"), "error\n")),
        files(z490().write(&format!("{GUEST}.0/power_state"), "D3cold\n"));
    "gpu-not-translated" blocker manual "/0000:07:00.0/iommu_group" "not there":
        files(z490().remove(&format!("{GUEST}.0/iommu_group"))), host("z490-arch");
    "reserved-region-direct" blocker manual "/iommu_groups/18/reserved_regions" "0x00000000cd000000":
        files(regions("direct")), files(regions("direct-relaxable"));
    "group-two-gpus" blocker manual "/iommu_groups/1/devices/0000:03:00.0" "driver amdgpu":
        files(z490().link(&format!("{GUEST}.0/iommu_group"), "../../../../../../kernel/iommu_groups/1")),
        host("z490-arch");
    "group-shared" blocker manual "/iommu_groups/12/devices/0000:05:00.0" "driver nvme":
        host("b450-debian-dirty-group"), host("h170-mint-turing");
    "group-bridge-driver" blocker manual "/0000:00:01.0/driver" "shpchp":
        files(Machine::new("h170-mint-turing").replace("sys/devices/pci0000:00/0000:00:01.0/uevent", "DRIVER=pcieport", "DRIVER=shpchp")),
        host("h170-mint-turing");
    "host-disk-in-group" blocker manual "/0000:05:00.0" "nvme0n1: /":
        host("b450-debian-dirty-group"), host("z490-arch");
    "host-network-in-group" blocker manual "/0000:04:00.0" "enp4s0: up":
        host("b450-debian-dirty-group"), host("z490-arch");
    "host-input-in-group" blocker manual "/devices/0000:01:00.0" "xhci_hcd":
        host("b450-debian-dirty-group"), host("z490-arch");
    "foreign-device-on-vfio" blocker manual "/0000:03:00.1/driver" "vfio-pci":
        files(z490().replace(&format!("{OWN}.1/uevent"), "DRIVER=snd_hda_intel", "DRIVER=vfio-pci")),
        files(z490().replace(&format!("{GUEST}.1/uevent"), "DRIVER=snd_hda_intel", "DRIVER=vfio-pci"));
    "ids-name-host-device" warning manual "/etc/default/grub" "8086:9c31":
        host("haswell-laptop-kali"), files(both("vfio-pci.ids=1002:73ff"));
    "function-wrong-driver" warning plan "/0000:07:00.0/driver" "amdgpu":
        files(active(z490(), "vfio-pci.ids=1002:73ff")), host("z490-arch");
    "card-partly-bound" warning plan "/0000:07:00.0/driver" "amdgpu":
        files(z490().replace(&format!("{GUEST}.1/uevent"), "DRIVER=snd_hda_intel", "DRIVER=vfio-pci")),
        host("qemu-intel-bound");
    "id-shared" warning plan "/0000:03:00.1/uevent" "1002:ab28":
        host("z490-arch"), host("h170-mint-turing");
    "claimant-built-in" warning manual "/modules.builtin" "xhci_pci":
        files(Machine::new("h170-mint-turing").write("usr/lib/modules/6.8.0-90-generic/modules.builtin", "kernel/drivers/usb/host/xhci-pci.ko\n")),
        host("h170-mint-turing");
    "driver-override-left" warning manual "/0000:07:00.0/driver_override" "vfio-pci":
        files(z490().write(&format!("{GUEST}.0/driver_override"), "vfio-pci\n")),
        files(z490().write(&format!("{GUEST}.0/driver_override"), "amdgpu\n"));
    "vm-autostart-host-gpu" warning manual "/etc/libvirt/qemu/autostart/win11.xml" "0000:03:00.0":
        files(autostart("bus='0x03' slot='0x00' function='0x0'")),
        files(autostart("bus='0x07' slot='0x00' function='0x0'"));
    "card-on-host-driver" note plan "/0000:07:00.0/driver" "amdgpu":
        host("z490-arch"), host("qemu-intel-bound");
    "already-configured" note none "/0000:01:00.0/driver" "vfio-pci":
        host("qemu-intel-bound"), host("z490-arch");
    "bootloader-conflict" blocker manual "/boot/limine.conf" "present":
        files(no_loader_variables().write("boot/limine.conf", "timeout: 3\n")),
        files(z490().write("boot/limine.conf", "timeout: 3\n"));
    "bootloader-manual" warning manual "/LoaderInfo-*" "systemd-boot":
        host("x570-popos-kernelstub"), host("z490-arch");
    "config-unreadable" blocker manual "/etc/mkinitcpio.conf" "directory":
        files(unreadable(z490(), MKINITCPIO)),
        files(z490().write("etc/modprobe.d/old.conf/file", "options vfio-pci ids=1:2\n"));
    "config-not-understood" warning manual "/etc/mkinitcpio.conf" "$(cat":
        files(z490().replace(MKINITCPIO, "MODULES=()", "MODULES=($(cat /etc/early))")), host("z490-arch");
    "esp-not-mounted" blocker manual "/etc/fstab" "/boot":
        files(z490().replace("proc/mounts", "/dev/nvme0n1p1 /boot vfat rw,relatime 0 0\n", "").write("etc/fstab", FSTAB)),
        files(z490().write("etc/fstab", FSTAB));
    "boot-space-low" blocker manual "/boot" "10 of 300 MiB free":
        text("z490-arch", &[(IMAGE, "boot/initramfs-linux.img {size=41943040} present"), (&space(), "boot space free=10485760 total=314572800")]),
        text("z490-arch", &[(IMAGE, "boot/initramfs-linux.img {size=41943040} present"), (&space(), "boot space free=62914560 total=314572800")]);
    "bls-ignores-default-grub" warning manual "/etc/default/grub" "vfio-pci.ids=10de:2482":
        files(Machine::new("b560-nobara-single-gpu").replace("etc/default/grub", " iommu=pt", " iommu=pt vfio-pci.ids=10de:2482")),
        host("b560-nobara-single-gpu");
    "grub-no-recovery" warning manual "/etc/default/grub" "GRUB_DISABLE_RECOVERY=true":
        host("z270-centos7-twins"), host("h170-mint-turing");
    "on-trial" note manual "/boot/loader/entries/arch-trial.conf" "passthru.bind=1002:73ff":
        files(z490().write("boot/loader/entries/arch-trial.conf", TRIAL)),
        files(z490().write("boot/loader/entries/arch-trial.conf", TRIAL.split_once('\n').expect("lines").1));
    "parameter-not-active" warning manual "/boot/loader/entries/arch.conf" "vfio-pci.ids=1002:73ff":
        files(configured(z490(), "vfio-pci.ids=1002:73ff")), files(both("vfio-pci.ids=1002:73ff"));
    "parameter-not-configured" warning manual "/proc/cmdline" "vfio-pci.ids=1002:73ff":
        files(active(z490(), "vfio-pci.ids=1002:73ff")), files(both("vfio-pci.ids=1002:73ff"));
    "parameter-misspelt" warning manual "/proc/cmdline" "quite":
        host("b560-nobara-single-gpu"), host("z490-arch");
    "initramfs-manual" warning manual "/usr/bin" "none of mkinitcpio":
        host("qemu-intel"), host("z490-arch");
    "vfio-not-in-initramfs" warning plan "/etc/mkinitcpio.conf" "vfio_pci is not listed":
        files(both("vfio-pci.ids=1002:73ff")),
        files(both("vfio-pci.ids=1002:73ff").replace(MKINITCPIO, "MODULES=()", "MODULES=(vfio-pci)"));
    "initramfs-stale" warning manual "/boot/initramfs-linux.img" "1700000000":
        files(stale(0, 60)), files(stale(60, 0));
    "mkinitcpio-drop-in-ignored" warning plan "/etc/mkinitcpio.d/linux.preset" "ALL_config=/etc/mkinitcpio.conf":
        files(drop_in().replace("etc/mkinitcpio.d/linux.preset", "PRESETS=", "ALL_config=\"/etc/mkinitcpio.conf\"\nPRESETS=")),
        files(drop_in());
    "stale-module-name" warning manual "/etc/mkinitcpio.conf" "vfio_virqfd":
        files(z490().replace(MKINITCPIO, "MODULES=()", "MODULES=(vfio_pci vfio_virqfd)")),
        files(z490().replace(MKINITCPIO, "MODULES=()", "MODULES=(vfio_pci vfio_virqfd?)"));
    "gpu-driver-in-initramfs" note plan "/etc/mkinitcpio.conf" "nvidia_modeset":
        host("xps15-arch-optimus"), host("h170-mint-turing");
    "vfio-options-repeated" warning manual "/etc/modprobe.d/b.conf" "ids=1002:ab28":
        files(modprobe("a.conf", "options vfio-pci ids=1002:73ff").write("etc/modprobe.d/b.conf", "options vfio_pci ids=1002:ab28\n")),
        files(modprobe("a.conf", "options vfio-pci ids=1002:73ff").write("etc/modprobe.d/b.conf", "options vfio_pci disable_vga=1\n"));
    "vfio-options-built-in" warning plan "/etc/modprobe.d/vfio.conf" "ids=10de:1b80":
        files(Machine::new("x570-popos-kernelstub").write("etc/modprobe.d/vfio.conf", "options vfio-pci ids=10de:1b80\n")),
        files(modprobe("vfio.conf", "options vfio-pci ids=1002:73ff"));
    "vfio-parameter-unknown" warning manual "/etc/modprobe.d/vfio.conf" "kvm.ignore_msrs=1":
        files(modprobe("vfio.conf", "options vfio-pci ids=1002:73ff kvm.ignore_msrs=1")),
        files(modprobe("vfio.conf", "options vfio-pci ids=1002:73ff disable-vga=1"));
    "modprobe-file-ignored" warning manual "/etc/modprobe.d/vfio" "ignored":
        files(modprobe("vfio", "options vfio-pci ids=1002:73ff")), files(modprobe("README", "See modprobe.d(5)."));
    "softdep-cancels-install" warning manual "/etc/modprobe.d/x.conf" "install nouveau /bin/false":
        files(modprobe("x.conf", "install nouveau /bin/false\nsoftdep nouveau pre: vfio-pci")),
        files(modprobe("x.conf", "install nouveau /bin/false\nsoftdep amdgpu pre: vfio-pci"));
    "interrupt-remapping-off" blocker manual "/proc/interrupts" "no chip name begins with IR-":
        files(interrupts("")), files(interrupts("IR-"));
    "unsafe-vfio-option" warning manual "/allow_unsafe_interrupts" "Y":
        files(z490().write("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n")),
        files(z490().write("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "N\n"));
    "acs-override-active" warning manual "/proc/cmdline" "pcie_acs_override=downstream":
        host("z270-centos7-twins").with(&["01:00.0"]), host("z490-arch");
    "acs-override-ineffective" warning manual "/sys/kernel/iommu_groups" "0000:05:00.0":
        files(Machine::new("b450-debian-dirty-group").replace(CMDLINE, " ro quiet", " ro quiet pcie_acs_override=downstream")),
        host("b450-debian-dirty-group");
    "host-gpu-no-monitor" warning manual "/sys/class/drm/card0-*/status" "none is `connected`":
        host("h170-mint-turing"), host("z490-arch");
    "headless-host" warning manual "/0000:01:00.0/driver" "nvidia":
        host("b560-nobara-single-gpu"), host("z490-arch");
    "gpu-boot-display" warning manual "/0000:01:00.0/boot_vga" "1":
        host("h170-mint-turing"), host("z490-arch");
    "framebuffer-on-gpu" warning manual "/sys/class/graphics/fb0" "on this card":
        host("h170-mint-turing"), host("z490-arch");
    "gpu-no-outputs" warning manual "/0000:01:00.0/class" "0x030200":
        host("xps15-arch-optimus"), host("z490-arch");
    "hybrid-laptop" warning manual "/chassis_type" "10":
        host("xps15-arch-optimus"), host("h170-mint-turing");
    "apu-assigned" warning manual "/0000:05:00.0" "Barcelo":
        host("m5-proxmox-apu"), host("z490-arch");
    "reset-missing" warning manual "/reset_method" "not there":
        host("m5-proxmox-apu"), host("z490-arch");
    "rom-no-efi" warning manual "/0000:07:00.0/rom" "no image of code type 3":
        files(z490().write(&format!("{GUEST}.0/rom"), rom(0))), files(z490().write(&format!("{GUEST}.0/rom"), rom(3)));
    "rom-absent" warning manual "/rom" "not there":
        host("xps15-arch-optimus"), host("z490-arch");
    "proprietary-driver" warning plan "/0000:01:00.0/driver" "nvidia":
        host("b560-nobara-single-gpu"), host("h170-mint-turing");
    "old-kernel" warning manual "/osrelease" "3.10.0":
        host("z270-centos7-twins"), host("z490-arch");
    "hypervisor-missing" warning manual "/usr/bin" "no qemu-system-x86_64":
        host("qemu-intel"), host("h170-mint-turing");
    "companion-functions" note none "/0000:07:00.1/driver" "snd_hda_intel":
        host("z490-arch"), host("xps15-arch-optimus");
    "functions-in-several-groups" note none "/devices/0000:07:00.1" "Navi":
        host("z490-arch"), host("h170-mint-turing");
    "bridges-stay" note none "/devices/0000:00:01.0" "pcieport":
        host("h170-mint-turing"), host("z490-arch");
    "same-driver" note none "/0000:03:00.0/driver" "amdgpu":
        host("z490-arch"), host("h170-mint-turing");
    "identical-gpus" note none "/0000:02:00.0/uevent" "10de:1c03":
        host("z270-centos7-twins"), host("z490-arch");
    "gpu-behind-chipset" note none "/0000:07:00.0" "0000:01:00.2":
        host("b450-debian-dirty-group"), host("h170-mint-turing");
    "numa-locality" note none "/0000:10:00.0/numa_node" "0":
        host("server-8xa100-ubuntu").with(&["10:00.0"]), host("z490-arch");
    "nvswitch-fabric" note none "/sys/bus/pci/devices/0000:54:00.0" "NVSwitch":
        host("server-8xa100-ubuntu"), host("z490-arch");
    "many-gpus" note none "/sys/bus/pci/devices" "8 display functions":
        host("server-8xa100-ubuntu"), host("z490-arch");
    "bmc-boot-display" note none "/0000:03:00.0/boot_vga" "1":
        host("server-8xa100-ubuntu"), host("z490-arch");
    "igpu-not-translated" note none "/0000:00:02.0/iommu_group" "not there":
        files(Machine::new("h170-mint-turing").remove("sys/devices/pci0000:00/0000:00:02.0/iommu_group")),
        host("h170-mint-turing");
    "iommu-passthrough" note none "/proc/cmdline" "iommu=pt":
        host("z490-arch"), host("z690-arch-iommu-off");
    "amd-iommu-on" note manual "/proc/cmdline" "amd_iommu=on":
        host("x570-popos-kernelstub"), host("z490-arch");
    "vfio-built-in" note plan "/modules.builtin" "vfio-pci":
        host("x570-popos-kernelstub"), host("z490-arch");
    "legacy-bios-host" note none "/sys/firmware/efi" "not there":
        host("z270-centos7-twins"), host("z490-arch");
    "secure-boot-on" note none "/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c" "on":
        files(z490().write(&format!("{EFIVARS}/SecureBoot-{GLOBAL}"), [6, 0, 0, 0, 1])),
        files(z490().write(&format!("{EFIVARS}/SecureBoot-{GLOBAL}"), [6, 0, 0, 0, 0]));
}

const IMAGE: &str = "boot/initramfs-linux.img present";
const FSTAB: &str =
    "# <device> <dir> <type>\nUUID=0000 / ext4 rw 0 1\nUUID=1111-2222 /boot/ vfat rw 0 2\n";

/// The line with the free space of z490-arch.
fn space() -> String {
    let path = project().join("hosts/z490-arch.tree");
    let tree = std::fs::read_to_string(path).expect("a recorded host");
    tree.lines().find(|line| line.starts_with("boot space ")).expect("its free space").to_owned()
}

fn no_loader_variables() -> Machine {
    z490()
        .remove(&format!("{EFIVARS}/LoaderInfo-{LOADER}"))
        .remove(&format!("{EFIVARS}/LoaderEntrySelected-{LOADER}"))
}

fn drop_in() -> Machine {
    z490().write("etc/mkinitcpio.conf.d/vfio.conf", "MODULES+=(vfio_pci)\n")
}

#[test]
fn every_code_has_a_row() {
    let codes = passthru(&["--json", "explain"]).json();
    let codes = codes.as_array().expect("a list").iter();
    // Those of `vm check` ask libvirt, and have their rows beside it (src/vm/check/tests.rs).
    let of_vm = std::fs::read_to_string(super::harness::project().join("src/vm/check.rs"));
    let of_vm = of_vm.expect("the checks of machines");
    let codes: BTreeSet<&str> = codes
        .map(|entry| entry["code"].as_str().expect("a code"))
        .filter(|code| !of_vm.contains(&format!("\"{code}\" =>")))
        .collect();
    let rows: BTreeSet<&str> = ROWS.iter().map(|row| row.code).collect();
    assert_eq!(rows.len(), ROWS.len(), "a code has two rows");
    let missing: Vec<_> = codes.symmetric_difference(&rows).collect();
    assert!(missing.is_empty(), "codes without a row, or rows without a code: {missing:?}");
}

#[test]
fn every_finding_is_raised_where_it_should_be() {
    let mut wrong = Vec::new();
    for row in ROWS {
        let subject = (row.raised)();
        let found = subject.findings(row.code);
        let Some(finding) = found.first() else {
            wrong.push(format!("{}: not raised\n{}", row.code, subject.run("check").stdout));
            continue;
        };
        let severity = finding["severity"].as_str().unwrap_or_default();
        let kind = finding["remedy"]["kind"].as_str().unwrap_or_default();
        if (severity, kind) != (row.severity, row.remedy) {
            wrong.push(format!("{}: {severity}, {kind}", row.code));
        }
        let words = finding["remedy"]["text"].as_str().unwrap_or_default();
        if words.is_empty() != (kind == "none") {
            wrong.push(format!("{}: the remedy is {kind}, its text {words:?}", row.code));
        }
        let (path, read) = row.evidence;
        let says = |finding: &Value| {
            let evidence = finding["evidence"].as_array().expect("evidence");
            evidence.iter().any(|one| {
                one["path"].as_str().is_some_and(|p| p.starts_with('/') && p.ends_with(path))
                    && one["found"].as_str().is_some_and(|f| f.contains(read))
            })
        };
        if !found.iter().any(says) {
            wrong.push(format!("{}: no evidence {path} = {read}\n{finding:#}", row.code));
        }
        let page = passthru(&["--json", "explain", row.code]).json();
        let title = finding["title"].as_str().unwrap_or_default();
        let heading = page["page"].as_str().unwrap_or_default().lines().next().unwrap_or_default();
        if title.is_empty() || page["title"] != title || heading != format!("# {title}") {
            wrong.push(format!("{}: the page has another title than {title:?}", row.code));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_finding_is_raised_where_it_should_not_be() {
    let raised = ROWS.iter().filter(|row| !(row.silent)().findings(row.code).is_empty());
    let raised: Vec<&str> = raised.map(|row| row.code).collect();
    assert!(raised.is_empty(), "{raised:?}");
}

/// What must not be concluded when something could not be looked at.
#[test]
fn what_was_not_seen_is_not_said_to_be_absent() {
    type Unknown = (fn() -> Machine, &'static [&'static str], Option<&'static str>);
    let cases: &[Unknown] = &[
        // A processor of which nothing is known has not lost its flag.
        (|| z490().write("proc/cpuinfo", ""), &["cpu-virtualization-off"], Some("/proc/cpuinfo")),
        // Containers hide /sys/firmware: that is no legacy BIOS and no missing DMAR.
        (
            || {
                let machine = without_groups(z490()).remove("sys/firmware");
                machine.replace(CMDLINE, " intel_iommu=on", "")
            },
            &["iommu-off-firmware", "legacy-bios-host"],
            Some("/sys/firmware/acpi/tables"),
        ),
        // No chip is named at all.
        (|| z490().write("proc/interrupts", ""), &["interrupt-remapping-off"], None),
        // The lists of modules are damaged, not the kernel.
        (
            || {
                let machine = unreadable(z490(), &format!("{MODULES_DIR}/modules.builtin"));
                machine.write(&format!("{MODULES_DIR}/modules.dep"), "kernel/fs/xfs/xfs.ko:\n")
            },
            &["vfio-missing", "stale-module-name"],
            Some("/usr/lib/modules"),
        ),
        (
            || unreadable(z490(), &format!("{MODULES_DIR}/modules.alias")),
            &[],
            Some("/usr/lib/modules/6.7.9-arch1-1/modules.alias"),
        ),
        // A monitor may be plugged in where the status cannot be read.
        (
            || {
                let machine = unreadable(z490(), "sys/class/drm/card0-HDMI-A-1/status");
                machine.write("sys/class/drm/card0-DP-1/status", "unknown\n")
            },
            &["host-gpu-no-monitor"],
            None,
        ),
        // Regions that could not be read may be direct ones.
        (
            || unreadable(z490(), "sys/kernel/iommu_groups/18/reserved_regions"),
            &["reserved-region-direct"],
            Some("/sys/kernel/iommu_groups/18/reserved_regions"),
        ),
        // A function that cannot be read may share an id or a group.
        (
            || z490().link("sys/bus/pci/devices/0000:00:1f.3", "../../../devices/nowhere"),
            &[],
            Some("/sys/bus/pci/devices/0000:00:1f.3"),
        ),
        // A group link that is no link.
        (
            || {
                z490()
                    .remove(&format!("{GUEST}.0/iommu_group"))
                    .write(&format!("{GUEST}.0/iommu_group"), "18\n")
            },
            &["gpu-not-translated"],
            Some("/sys/bus/pci/devices/0000:07:00.0/iommu_group"),
        ),
        (|| z490().remove(CMDLINE), &["parameter-not-active"], Some("/proc/cmdline")),
        // Words of the boot loader's own stand in the entry.
        (
            || configured(active(z490(), "vfio-pci.ids=1002:73ff"), "$kernelopts"),
            &["parameter-not-configured"],
            None,
        ),
    ];
    let mut wrong = Vec::new();
    for (index, (machine, not, undecided)) in cases.iter().enumerate() {
        let machine = machine();
        let output = machine.run(&["--json", "check"]);
        let document = output.json();
        let codes: Vec<&str> = document["findings"]
            .as_array()
            .expect("findings")
            .iter()
            .filter_map(|finding| finding["code"].as_str())
            .collect();
        wrong.extend(
            not.iter().filter(|code| codes.contains(code)).map(|code| format!("{index}: {code}")),
        );
        if let Some(path) = undecided {
            let open = document["undecided"].as_array().expect("a list");
            if !open.iter().any(|one| one == path) || output.code != 1 {
                wrong.push(format!("{index}: undecided {open:?}, exit {}", output.code));
            }
            let plan = machine.run(&["plan"]);
            if plan.code != 1 || !plan.stdout.contains(path) {
                wrong.push(format!("{index}: plan {}\n{}", plan.code, plan.stdout));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Ordinary machines that look like a problem and are none.
#[test]
fn ordinary_machines_raise_nothing() {
    type Ordinary = (fn() -> Machine, &'static str);
    let cases: &[Ordinary] = &[
        // Images on a FAT partition have times in steps of two seconds.
        (|| stale(59, 60), "initramfs-stale"),
        // Another kernel's image stays as it was.
        (
            || {
                let machine = Machine::new("z270-centos7-twins")
                    .write("etc/dracut.conf.d/vfio.conf", "force_drivers+=\" vfio_pci \"\n");
                let machine = changed_at(machine, "etc/dracut.conf.d/vfio.conf", 60);
                let machine = changed_at(
                    machine,
                    "boot/initramfs-3.10.0-957.27.2.el7.acs_kernel.x86_64.img",
                    90,
                );
                changed_at(
                    machine.write("boot/initramfs-3.10.0-1.el7.x86_64.img", ""),
                    "boot/initramfs-3.10.0-1.el7.x86_64.img",
                    0,
                )
            },
            "initramfs-stale",
        ),
        // A guest runs with the card; libvirt's override goes when it stops.
        (
            || {
                z490().write(&format!("{GUEST}.0/driver_override"), "vfio-pci\n").replace(
                    &format!("{GUEST}.0/uevent"),
                    "DRIVER=amdgpu",
                    "DRIVER=vfio-pci",
                )
            },
            "driver-override-left",
        ),
        // An automount point counts as mounted.
        (
            || {
                z490()
                    .replace(
                        "proc/mounts",
                        "/dev/nvme0n1p1 /boot vfat rw,relatime 0 0",
                        "systemd-1 /boot autofs rw,relatime 0 0",
                    )
                    .write("etc/fstab", FSTAB)
            },
            "esp-not-mounted",
        ),
        // The writeback connector is no socket.
        (
            || z490().write("sys/class/drm/card0-Writeback-1/status", "unknown\n"),
            "host-gpu-no-monitor",
        ),
        // A note of the user's, and a directory with old files, are not read by modprobe.
        (
            || z490().write("etc/modprobe.d/old/vfio.conf", "options vfio-pci ids=1:2\n"),
            "config-unreadable",
        ),
        // Another maker's word.
        (|| active(z490(), "amd_iommu=off"), "iommu-off-argument"),
        // The only keyboard hangs on the host's own controller.
        (|| keyboard("h170-mint-turing", "0000:00:14.0"), "host-input-in-group"),
    ];
    let raised = cases.iter().enumerate().filter(|(_, (machine, code))| {
        machine().findings(&[]).iter().any(|(found, _)| found == code)
    });
    let raised: Vec<_> = raised.map(|(index, (_, code))| (index, code)).collect();
    assert!(raised.is_empty(), "{raised:?}");
}

fn keyboard(host: &str, controller: &str) -> Machine {
    let text = format!(
        "I: Bus=0003 Vendor=046d Product=c31c Version=0110\nN: Name=\"Keyboard\"\nS: Sysfs=/devices/pci0000:00/{controller}/usb1/1-1/1-1:1.0/input/input5\nH: Handlers=sysrq kbd leds event5\n\n"
    );
    Machine::new(host).write("proc/bus/input/devices", text)
}

/// What else has to be seen on real machines.
#[test]
fn hidden_problems_are_seen() {
    type Hidden = (fn() -> Machine, &'static [&'static str], &'static str, &'static str);
    let cases: &[Hidden] = &[
        // The keyboard hangs on the card's own USB port.
        (
            || keyboard("h170-mint-turing", "0000:00:01.0/0000:01:00.2"),
            &[],
            "host-input-in-group",
            "blocker",
        ),
        // A kernel without the IOMMU's driver: a parameter would not help.
        (
            || {
                let config = "boot/config-6.8.0-90-generic";
                without_groups(Machine::new("h170-mint-turing"))
                    .replace(config, "CONFIG_INTEL_IOMMU=y\n", "")
                    .replace(CMDLINE, " intel_iommu=on", "")
            },
            &[],
            "iommu-driver-failed",
            "blocker",
        ),
        // The unsafe mode's groups are none (drivers/vfio/group.c).
        (
            || {
                let machine = without_groups(z490()).replace(CMDLINE, " intel_iommu=on", "");
                machine
                    .replace(
                        &format!("{GUEST}.1/uevent"),
                        "DRIVER=snd_hda_intel",
                        "DRIVER=vfio-pci",
                    )
                    .link(
                        &format!("{GUEST}.1/iommu_group"),
                        "../../../../../../kernel/iommu_groups/0",
                    )
                    .write("sys/kernel/iommu_groups/0/name", "vfio-noiommu\n")
            },
            &[],
            "iommu-off-kernel",
            "blocker",
        ),
        // The only card with a driver shows the host's picture, even if it tells of no monitor.
        (
            || {
                let machine = z490().replace(&format!("{OWN}.0/uevent"), "DRIVER=amdgpu\n", "");
                let machine =
                    machine.remove("sys/class/drm/card0").remove("sys/class/graphics/fb0");
                machine.remove("sys/class/drm/card1")
            },
            &["07:00.0"],
            "gpu-drives-display",
            "blocker",
        ),
        // Interrupts are not remapped, and VFIO was told to live with it.
        (
            || {
                interrupts("")
                    .write("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n")
            },
            &[],
            "interrupt-remapping-off",
            "warning",
        ),
        // The product names the hypervisor, the vendor does not.
        (
            || {
                z490()
                    .write("sys/class/dmi/id/sys_vendor", "Someone\n")
                    .write("sys/class/dmi/id/product_name", "VMware7,1\n")
            },
            &[],
            "inside-vm",
            "warning",
        ),
    ];
    let mut wrong = Vec::new();
    for (index, (machine, args, code, severity)) in cases.iter().enumerate() {
        let found = machine().findings(args);
        if !found.iter().any(|(c, s)| c == code && s == severity) {
            wrong.push(format!("{index}: no {severity} {code} in {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_lifted_blocker_lets_the_plan_through() {
    const IGPU: &str = "sys/devices/pci0000:00/0000:00:02.0/uevent";
    const NO_DRIVER: &str = "PCI_CLASS=30000\nPCI_ID=8086:1912\nMODALIAS=pci:v00008086d00001912sv00000000sd00000000bc03sc00i00\n";
    type Lifted = (fn() -> Subject, &'static str, &'static [&'static str]);
    let cases: &[Lifted] = &[
        (
            || files(interrupts("")),
            "interrupt-remapping-off",
            &["--allow", "interrupt-remapping-off"],
        ),
        (
            || files(Machine::new("h170-mint-turing").write(IGPU, NO_DRIVER)),
            "gpu-drives-display",
            &["01:00.0", "--allow", "gpu-drives-display"],
        ),
    ];
    for (subject, code, allow) in cases {
        let refused = subject().with(&allow[..allow.len() - 2]).run("plan");
        assert_eq!(
            (refused.code, refused.json()["schema"]["name"].as_str()),
            (1, Some("check")),
            "{code}"
        );
        let plan = subject().with(allow).run("plan");
        assert_eq!(
            (plan.code, plan.json()["schema"]["name"].as_str()),
            (0, Some("plan")),
            "{code}: {}",
            plan.stdout
        );
        assert_eq!(plan.stderr, "", "{code}");
        let finding = &subject().with(allow).findings(code)[0];
        assert_eq!(
            (&finding["allowed"], &finding["severity"]),
            (&Value::Bool(true), &Value::from("blocker"))
        );
    }
    // The one card of a host can be given away, on a loader that passthru edits.
    let single = || {
        let gone = ["0000:03:00.0", "0000:03:00.1"];
        let gone = gone.map(|address| format!("sys/bus/pci/devices/{address}"));
        gone.iter().fold(
            z490().remove("sys/class/drm/card0").remove("sys/class/graphics/fb0"),
            |machine, path| machine.remove(path),
        )
    };
    assert_eq!(files(single()).run("plan").code, 1);
    let plan = files(single()).with(&["--allow", "only-gpu"]).run("plan");
    assert_eq!(
        (plan.code, plan.json()["gpu"].as_str()),
        (0, Some("0000:07:00.0")),
        "{}",
        plan.stdout
    );
}

#[test]
fn other_findings_cannot_be_lifted() {
    let allow: &[&str] =
        &["--allow", "host-disk-in-group", "--allow", "group-shared", "--allow", "bridges-stay"];
    for verb in ["check", "plan"] {
        let plain = host("b450-debian-dirty-group").run(verb);
        let asked = host("b450-debian-dirty-group").with(allow).run(verb);
        assert_eq!((asked.code, &asked.stdout), (plain.code, &plain.stdout), "{verb}");
        let told = "--allow group-shared changes nothing: this blocker cannot be lifted.\n\
                    --allow host-disk-in-group changes nothing: this blocker cannot be lifted.\n\
                    --allow bridges-stay changes nothing: it blocks nothing.\n";
        assert_eq!(asked.stderr, format!("{told}{}", plain.stderr), "{verb}");
    }
    let unknown = passthru(&["--host", "z490-arch", "check", "--allow", "everything"]);
    assert_eq!(
        (unknown.code, unknown.stdout.as_str(), unknown.stderr.as_str()),
        (
            2,
            "",
            "Error: there is no finding `everything`\nHint: `passthru check` shows the codes.\n"
        )
    );
}
