//! The XML of a new domain. What libvirt decides better (firmware image, addresses, controllers,
//! emulator, UUID) is left out.

use super::capabilities::Capabilities;
use super::make::{SecureBoot, Whole};
use super::note;
use super::spec::{Accelerator, Network};
use crate::config::xml::Written;
use crate::host::cpu::CpuVendor;

/// Another vendor of the hypervisor than Microsoft: 12 characters, no comma.
const VENDOR: &str = "passthruhost";

/// Enlightenments that virt-manager sets too, with those that each needs (QEMU,
/// docs/system/i386/hyperv.rst). Left out: `avic` and `evmcs` depend on the processor and on
/// nested virtualization, `reset`, `reenlightenment` and `crash` help no desktop.
const HYPERV: [(&str, &[&str]); 10] = [
    ("relaxed", &[]),
    ("vapic", &[]),
    ("spinlocks", &[]),
    ("vpindex", &[]),
    ("runtime", &[]),
    ("synic", &["vpindex"]),
    ("stimer", &["vpindex", "synic"]),
    ("frequencies", &[]),
    ("tlbflush", &["vpindex"]),
    ("ipi", &["vpindex"]),
];

/// Image of a disk as QEMU reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Sparse, with a table.
    Qcow2,
    /// Byte for byte.
    Raw,
}

/// Where the disk of a new machine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Absolute path.
    pub path: String,
    /// How it is read.
    pub format: Format,
    /// A block device of the host.
    pub block: bool,
}

/// The domain.
pub fn domain(
    name: &str,
    whole: &Whole,
    image: &Image,
    can: &Capabilities,
    vendor: CpuVendor,
) -> String {
    let os = Written::new("libosinfo:os").with("id", whole.os.osinfo());
    let libosinfo = Written::new("libosinfo:libosinfo")
        .with("xmlns:libosinfo", "http://libosinfo.org/xmlns/libvirt/domain/1.0")
        .and(os);
    let metadata =
        Written::new("metadata").and(libosinfo).and(note::with_spec(&whole.spec().render()));
    let power = Written::new("pm").and_all(
        ["suspend-to-mem", "suspend-to-disk"].map(|way| Written::new(way).with("enabled", "no")),
    );
    let domain = Written::new("domain")
        .with("type", whole.accelerator.domain_type())
        .and(Written::text("name", name))
        .and(metadata)
        .and(Written::text("memory", whole.memory.mebibytes() << 10).with("unit", "KiB"))
        .and(Written::text("vcpu", whole.cpus).with("placement", "static"))
        .and(Written::text("iothreads", 1))
        .and(firmware(whole))
        .and(features(whole, can))
        .and(cpu(whole, can, vendor))
        .and(clock(whole))
        .and(power)
        .and(devices(whole, image, can));
    domain.render() + "\n"
}

/// libvirt chooses the image by these features.
fn firmware(whole: &Whole) -> Written {
    let feature = |name: &str, on: bool| {
        Written::new("feature").with("enabled", if on { "yes" } else { "no" }).with("name", name)
    };
    let secure = whole.secure_boot != SecureBoot::Off;
    let keys = secure.then(|| feature("enrolled-keys", whole.secure_boot == SecureBoot::Keys));
    let features = Written::new("firmware").and(feature("secure-boot", secure)).and_all(keys);
    let machine = Written::text("type", "hvm").with("arch", "x86_64").with("machine", "q35");
    Written::new("os").with("firmware", "efi").and(machine).and(features)
}

fn on(name: &str) -> Written {
    Written::new(name).with("state", "on")
}

fn features(whole: &Whole, can: &Capabilities) -> Written {
    let kvm = whole.accelerator == Accelerator::Kvm;
    let offered = |name: &str| can.hyperv.as_ref().is_none_or(|all| all.contains(name));
    let mut chosen: Vec<&str> = Vec::new();
    for (name, needs) in HYPERV {
        if offered(name) && needs.iter().all(|need| chosen.contains(need)) {
            chosen.push(name);
        }
    }
    let enlightenments = chosen.iter().map(|name| match *name {
        "spinlocks" => on("spinlocks").with("retries", 8191),
        "stimer" => on("stimer").and(on("direct")),
        name => on(name),
    });
    let hide = whole.hide_hypervisor && offered("vendor_id");
    let vendor = hide.then(|| on("vendor_id").with("value", VENDOR));
    let hyperv =
        Written::new("hyperv").with("mode", "custom").and_all(enlightenments).and_all(vendor);
    let hidden = (whole.hide_hypervisor && kvm).then(|| Written::new("kvm").and(on("hidden")));
    let smm = (whole.secure_boot != SecureBoot::Off).then(|| on("smm"));
    let ioapic = kvm.then(|| Written::new("ioapic").with("driver", "kvm"));
    Written::new("features")
        .and(Written::new("acpi"))
        .and(Written::new("apic"))
        .and(hyperv)
        .and_all(hidden)
        .and(Written::new("vmport").with("state", "off"))
        .and_all(smm)
        .and_all(ioapic)
}

/// The host's own processor, all virtual ones as cores: threads are shown to the guest only where
/// they are pinned to threads of one core (`vm tune`), or Windows would schedule by what is not
/// so.
fn cpu(whole: &Whole, can: &Capabilities, vendor: CpuVendor) -> Written {
    let topology = Written::new("topology")
        .with("sockets", 1)
        .with("dies", 1)
        .with("cores", whole.cpus)
        .with("threads", 1);
    let cpu = Written::new("cpu");
    if !can.cpu_modes.contains("host-passthrough") {
        let mode = ["host-model", "maximum"].into_iter().find(|mode| can.cpu_modes.contains(*mode));
        let mode = if whole.accelerator == Accelerator::Tcg { Some("maximum") } else { mode };
        return cpu.with("mode", mode.unwrap_or("host-model")).and(topology);
    }
    // Large BARs need the guest to know as many address bits as the host has (since 8.7.0).
    let bits =
        (can.libvirt >= 8_007_000).then(|| Written::new("maxphysaddr").with("mode", "passthrough"));
    let topoext = (vendor == CpuVendor::Amd)
        .then(|| Written::new("feature").with("policy", "require").with("name", "topoext"));
    cpu.with("mode", "host-passthrough")
        .with("check", "none")
        .with("migratable", "off")
        .and(topology)
        .and(Written::new("cache").with("mode", "passthrough"))
        .and_all(bits)
        .and_all(topoext)
}

fn clock(whole: &Whole) -> Written {
    let timer = |name: &str| Written::new("timer").with("name", name);
    let hypervclock = (whole.accelerator == Accelerator::Kvm)
        .then(|| timer("hypervclock").with("present", "yes"));
    Written::new("clock")
        .with("offset", "localtime")
        .and(timer("rtc").with("tickpolicy", "catchup"))
        .and(timer("pit").with("tickpolicy", "delay"))
        .and(timer("hpet").with("present", "no"))
        .and_all(hypervclock)
}

fn devices(whole: &Whole, image: &Image, can: &Capabilities) -> Written {
    let cdroms = [&whole.iso, &whole.virtio_iso].into_iter().zip(["sda", "sdb"]);
    let cdroms = cdroms.filter_map(|(path, target)| Some(cdrom(path.as_ref()?, target)));
    let tpm = whole.tpm.then(|| {
        let backend = Written::new("backend").with("type", "emulator").with("version", "2.0");
        Written::new("tpm").with("model", "tpm-crb").and(backend)
    });
    let usb = Written::new("controller").with("type", "usb").with("model", "qemu-xhci");
    let input = |kind: &str| Written::new("input").with("type", kind).with("bus", "usb");
    Written::new("devices")
        .and(usb.with("ports", 15))
        .and(disk(image))
        .and_all(cdroms)
        .and(interface(&whole.network))
        .and_all([input("tablet"), input("keyboard")])
        .and_all(tpm)
        .and_all(screen(can))
        .and(Written::new("memballoon").with("model", "none"))
}

fn disk(image: &Image) -> Written {
    let (kind, source) = if image.block { ("block", "dev") } else { ("file", "file") };
    let format = match image.format {
        Format::Qcow2 => "qcow2",
        Format::Raw => "raw",
    };
    let driver = Written::new("driver")
        .with("name", "qemu")
        .with("type", format)
        .with("cache", "none")
        .with("io", "native")
        .with("discard", "unmap")
        .with("iothread", 1);
    Written::new("disk")
        .with("type", kind)
        .with("device", "disk")
        .and(driver)
        .and(Written::new("source").with(source, &image.path))
        .and(Written::new("target").with("dev", "vda").with("bus", "virtio"))
        .and(Written::new("boot").with("order", 2))
}

/// The installation volume is the first to be started from; it asks for a key, and without one
/// the disk is.
fn cdrom(path: &str, target: &str) -> Written {
    let boot = (target == "sda").then(|| Written::new("boot").with("order", 1));
    Written::new("disk")
        .with("type", "file")
        .with("device", "cdrom")
        .and(Written::new("driver").with("name", "qemu").with("type", "raw"))
        .and(Written::new("source").with("file", path))
        .and(Written::new("target").with("dev", target).with("bus", "sata"))
        .and(Written::new("readonly"))
        .and_all(boot)
}

fn interface(network: &Network) -> Written {
    let source = Written::new("source");
    let (kind, source) = match network {
        Network::Libvirt(name) => ("network", source.with("network", name)),
        Network::Bridge(name) => ("bridge", source.with("bridge", name)),
        Network::Macvtap(name) => ("direct", source.with("dev", name).with("mode", "bridge")),
    };
    let model = Written::new("model").with("type", "virtio");
    Written::new("interface").with("type", kind).and(source).and(model)
}

/// The emulated screen for the installation, only for this host's users.
fn screen(can: &Capabilities) -> Vec<Written> {
    let spice = can.graphics.contains("spice");
    let listen = Written::new("listen").with("type", "address").with("address", "127.0.0.1");
    let graphics = Written::new("graphics")
        .with("type", if spice { "spice" } else { "vnc" })
        .with("autoport", "yes")
        .and(listen);
    let models = ["virtio", "qxl", "vga"];
    let model = models.into_iter().find(|model| can.video.contains(*model)).unwrap_or("vga");
    let mut all = vec![graphics];
    if spice {
        let target =
            Written::new("target").with("type", "virtio").with("name", "com.redhat.spice.0");
        all.push(Written::new("channel").with("type", "spicevmc").and(target));
        all.push(Written::new("sound").with("model", "ich9"));
        all.push(Written::new("audio").with("id", 1).with("type", "spice"));
    }
    all.push(Written::new("video").and(Written::new("model").with("type", model)));
    all
}
