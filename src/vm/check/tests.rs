use super::*;
use crate::host::resources::HugePages;
use crate::host::rom::Probe;
use crate::sys::{Sysroot, host_tree};
use crate::vm::attach::{Screen, Wish, attach};
use crate::vm::card::{Card, Managed};

const DOMAIN: &str = include_str!("../../../tests/domains/virt-install-win11.xml");
const GIB: u64 = 1 << 30;

/// A domain with its card on the guide's machine, all being well; `change` spoils one thing.
struct Case {
    xml: String,
    host: Host,
    resources: Resources,
    autostart: bool,
    files: Vec<FileSeen>,
    networks: Vec<(String, Option<bool>)>,
    taken: Vec<String>,
    hooks: Vec<Hook>,
}

impl Case {
    fn new(managed: Managed) -> Self {
        let tree = host_tree("z490-arch").expect("it is recorded").expect("it is a tree");
        let mut host = Host::read(&Sysroot::from_tree(tree), Probe::No);
        let gpu = host.gpus.cards.iter().find(|gpu| gpu.address.bus == 7).expect("it").clone();
        if let Observed::Present(devices) = &mut host.devices {
            for device in devices.iter_mut().filter(|d| gpu.functions.contains(&d.address)) {
                device.driver = Some("vfio-pci".to_owned());
            }
        }
        let card = Card::of(&host, &gpu);
        assert_eq!(card.managed(&host), Managed::ByHost);
        let (screen, rom) = (Screen::Keep, None);
        let wish = Wish { card: &card, managed, rom, screen, shared_memory: None, free_port: None };
        let xml = attach(&Domain::parse(DOMAIN).expect("a domain"), &wish).expect("attached");
        let file = |problem| FileSeen {
            what: "disk".to_owned(),
            path: "/var/lib/libvirt/images/win11.qcow2".to_owned(),
            problem: Observed::Present(problem),
        };
        Self {
            xml,
            host,
            resources: Resources {
                memory: Observed::Present(32 * GIB),
                available: Observed::Present(20 * GIB),
                processors: Observed::Absent,
                isolated: Vec::new(),
                huge_pages: Vec::new(),
                nodes: Vec::new(),
                firmware: Observed::Absent,
            },
            autostart: false,
            files: vec![file(None)],
            networks: vec![("default".to_owned(), Some(true))],
            taken: Vec::new(),
            hooks: vec![Hook { path: "/etc/libvirt/hooks/qemu".to_owned(), mode: 0o755 }],
        }
    }

    fn look<T>(&self, running: bool, look: impl FnOnce(&Sides<'_>) -> T) -> T {
        let domain = Domain::parse(&self.xml).expect("a domain");
        look(&Sides {
            note: &Note::of(&domain),
            domain: &domain,
            host: &self.host,
            resources: &self.resources,
            autostart: self.autostart,
            running,
            files: &self.files,
            networks: &self.networks,
            taken: &self.taken,
            hooks: &self.hooks,
        })
    }

    fn found(&self) -> Vec<String> {
        let line = |f: &Finding| format!("{} {}: {}", f.severity.word(), f.code, f.detail);
        self.look(false, |sides| run(sides).0.iter().map(line).collect())
    }

    fn device(&mut self, address: &str) -> &mut crate::host::pci::PciDevice {
        let address = address.parse().expect("an address");
        let Observed::Present(devices) = &mut self.host.devices else { panic!("devices") };
        devices.iter_mut().find(|device| device.address == address).expect("it is there")
    }

    fn replace(&mut self, from: &str, to: &str) {
        assert!(self.xml.contains(from), "{from}");
        self.xml = self.xml.replace(from, to);
    }
}

#[test]
fn nothing_is_found_where_all_is_well() {
    let case = Case::new(Managed::ByHost);
    assert_eq!(case.found(), [""; 0]);
    case.look(false, |sides| {
        assert_eq!(run(sides).1.len(), CHECKS.len(), "what holds is said");
        assert_eq!(unknown(sides), [""; 0]);
    });
}

type Spoil = fn(&mut Case);

#[test]
fn each_check_finds_what_it_is_for() {
    let cases: &[(Spoil, &str)] = &[
        (
            |c| c.replace("pc-q35-7.2", "pc-i440fx-7.2"),
            "blocker vm-unfit: A GPU does not work in this machine: its machine type is pc-i440fx-7.2",
        ),
        (
            |c| c.device("0000:07:00.1").id.device = 1,
            "blocker vm-card-differs: The card that was attached is not on this host as it was: 0000:07:00.1 is 1002:0001",
        ),
        (
            |c| c.replace("identity='1002:73ff:", "identity='1002:73fe:"),
            "blocker vm-card-differs: ",
        ),
        (
            |c| {
                c.replace(
                    "bus='0x07' slot='0x00' function='0x1'/>\n      </source>",
                    "bus='0x77' slot='0x00' function='0x1'/>\n      </source>",
                )
            },
            "blocker vm-functions-missing: The machine has a part of the card 0000:07:00.0, and not 0000:07:00.1.",
        ),
        (
            |c| c.replace(" multifunction='on'", ""),
            "blocker vm-card-slot: QEMU will not start: the guest's 0000:0f:00.0 is function 0 of a slot with several, and does not say so.",
        ),
        (
            |c| {
                c.replace(
                    "slot='0x00' function='0x1'/>\n    </hostdev>",
                    "slot='0x01' function='0x1'/>\n    </hostdev>",
                )
            },
            "warning vm-card-slot: The functions of the card 0000:07:00.0 stand in several slots of the guest",
        ),
        (
            |c| {
                let from = "slot='0x00' function='0x0' multifunction='on'/>";
                c.replace(from, "slot='0x00' function='0x2'/>");
            },
            "blocker vm-card-slot: The guest will not find the card 0000:07:00.0: nothing is at 0000:0f:00.0",
        ),
        (
            |c| {
                let group = c.device("0000:07:00.0").iommu_group;
                c.device("0000:00:1f.3").iommu_group = group;
            },
            "blocker vm-group-not-viable: 0000:00:1f.3",
        ),
        (
            |c| c.device("0000:07:00.0").driver = Some("amdgpu".to_owned()),
            "blocker vm-card-not-bound: 0000:07:00.0",
        ),
        (|c| c.taken.push("other".to_owned()), "blocker vm-card-taken: The domain other runs"),
        (
            |c| c.files[0].problem = Observed::Present(Some("it is not there".to_owned())),
            "blocker vm-file-unreadable: QEMU cannot open the disk /var/lib/libvirt/images/win11.qcow2: it is not there.",
        ),
        (
            |c| c.resources.available = Observed::Present(8 * GIB),
            "blocker vm-memory-short: The machine locks 16384 MiB of memory, and 8192 MiB are free.",
        ),
        (
            |c| {
                c.replace(
                    "  <currentMemory",
                    "  <memoryBacking><hugepages/></memoryBacking>\n  <currentMemory",
                )
            },
            "blocker vm-memory-short: The machine takes 16384 MiB of huge pages, and 0 MiB are free.",
        ),
        (
            |c| c.networks[0].1 = Some(false),
            "blocker vm-network-inactive: The libvirt network default is not active.",
        ),
        (
            |c| c.networks[0].1 = None,
            "blocker vm-network-inactive: There is no libvirt network default.",
        ),
        (
            |c| c.hooks[0].mode = 0o644,
            "warning vm-hook-not-executable: libvirt skips the hook /etc/libvirt/hooks/qemu",
        ),
        (|c| c.device("0000:07:00.0").bars[0].size = 64 * GIB, "warning vm-large-bar: "),
    ];
    for (spoil, wanted) in cases {
        let mut case = Case::new(Managed::ByHost);
        spoil(&mut case);
        let found = case.found();
        assert!(matches!(&found[..], [one] if one.starts_with(wanted)), "{wanted}: {found:?}");
    }
    let mut case = Case::new(Managed::ByLibvirt);
    case.autostart = true;
    assert!(case.found()[0].starts_with("warning vm-autostart: "), "{:?}", case.found());
    case.device("0000:07:00.0").driver = Some("amdgpu".to_owned());
    assert!(case.found()[0].starts_with("warning vm-card-not-bound: "), "{:?}", case.found());
}

#[test]
fn enough_huge_pages_and_a_running_machine_are_fine() {
    let mut case = Case::new(Managed::ByHost);
    case.replace("  <currentMemory", "  <memoryBacking><hugepages><page size='1' unit='G'/></hugepages></memoryBacking>\n  <currentMemory");
    case.resources.huge_pages = vec![
        HugePages { kibibytes: 1 << 20, all: 16, free: 15 },
        HugePages { kibibytes: 2048, all: 9999, free: 9999 },
    ];
    assert_eq!(case.found().len(), 1, "pages of another size do not count");
    case.resources.huge_pages[0].free = 16;
    assert_eq!(case.found(), [""; 0]);
    case.resources.huge_pages.clear();
    assert_eq!(case.look(true, |sides| run(sides).0.len()), 0, "its pages are in use by itself");
}

#[test]
fn what_could_not_be_looked_at_is_no_yes() {
    let mut case = Case::new(Managed::ByHost);
    case.files[0].problem = Observed::Unreadable("Permission denied".to_owned());
    case.resources.available = Observed::Absent;
    let unknown = case.look(false, unknown);
    assert_eq!(
        unknown,
        [
            "disk /var/lib/libvirt/images/win11.qcow2: Permission denied",
            "/proc/meminfo: the free memory"
        ]
    );
}
