//! `inspect --groups` prints what the shell loop around `lspci` prints, which guides show.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::harness::{Machine, passthru, project};
use super::tools::skipped;

const PCI_IDS: &str = "/usr/share/misc/pci.ids";

/// The loop as it stands in guides, with the root in front of its paths. udev's hardware
/// database, in which Debian's lspci looks for ids that the list lacks, is that of the machine
/// that runs the tests and not of the root, so it is left out.
const SCRIPT: &str = r#"
shopt -s nullglob
for g in $(find "$ROOT"/sys/kernel/iommu_groups/* -maxdepth 0 -type d | sort -V); do
    echo "IOMMU Group ${g##*/}:"
    for d in $g/devices/*; do
        echo -e "\t$(lspci -A linux-sysfs -O hwdb.disable=1 -O sysfs.path="$ROOT"/sys/bus/pci -nns ${d##*/})"
    done
done
"#;

fn can_compare() -> bool {
    let lspci = Command::new("lspci").arg("--version").output().is_ok_and(|o| o.status.success());
    let why = match (lspci, Path::new(PCI_IDS).exists()) {
        (true, true) => return true,
        (false, _) => "lspci is not installed (package pciutils)",
        (true, false) => "/usr/share/misc/pci.ids is not installed (package pci.ids)",
    };
    skipped("groups as the loop around lspci prints them", why);
    false
}

/// What the loop prints, and complaints of lspci.
fn by_script(root: &Path) -> (String, String) {
    let output = Command::new("bash")
        .args(["-c", SCRIPT])
        .env("ROOT", root)
        .env("LC_ALL", "C")
        .output()
        .expect("bash starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr))
}

fn assert_same(machine: &Machine, what: &str) {
    let (wanted, complaints) = by_script(&machine.root());
    assert_eq!(complaints, "", "{what}");
    let output = machine.run(&["inspect", "--groups"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{what}");
    similar_lines(&output.stdout, &wanted, what);
}

/// The first line that differs says more than two long texts.
fn similar_lines(ours: &str, wanted: &str, what: &str) {
    for (number, (a, b)) in ours.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(a, b, "{what}, line {}", number + 1);
    }
    assert_eq!(ours, wanted, "{what}");
}

/// One PCI function, as lspci wants to see it.
struct Function {
    vendor: u16,
    device: u16,
    class: u32,
    revision: u8,
}

/// Puts beside what we read what lspci reads: single attributes and the header of the
/// configuration space (drivers/pci/pci-sysfs.c).
fn for_lspci(machine: Machine, dir: &str, function: &Function) -> Machine {
    let mut config = [0_u8; 64];
    config[0..2].copy_from_slice(&function.vendor.to_le_bytes());
    config[2..4].copy_from_slice(&function.device.to_le_bytes());
    config[8] = function.revision;
    config[9..12].copy_from_slice(&function.class.to_le_bytes()[..3]);
    let lines = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n".repeat(13);
    machine
        .write(&format!("{dir}/config"), config)
        .write(&format!("{dir}/vendor"), format!("{:#06x}\n", function.vendor))
        .write(&format!("{dir}/device"), format!("{:#06x}\n", function.device))
        .write(&format!("{dir}/class"), format!("{:#08x}\n", function.class))
        .write(&format!("{dir}/irq"), "0\n")
        .write(&format!("{dir}/resource"), lines)
}

fn with_list(machine: Machine) -> Machine {
    machine.write("usr/share/misc/pci.ids", std::fs::read(PCI_IDS).expect("the list"))
}

/// Recorded hosts lack what only lspci reads; all of it follows from what they have.
fn completed(name: &str) -> Machine {
    let mut machine = with_list(Machine::new(name));
    let bus = machine.root().join("sys/bus/pci/devices");
    for entry in std::fs::read_dir(bus).expect("devices") {
        let address = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let dir = format!("sys/bus/pci/devices/{address}");
        let read = |name: &str| std::fs::read_to_string(machine.root().join(&dir).join(name));
        let hex = |text: &str| {
            u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).expect("hex")
        };
        // Hosts recorded by hand may have single attributes instead of `uevent`.
        let uevent = read("uevent").unwrap_or_default();
        let value = |key: &str| uevent.lines().find_map(|line| line.strip_prefix(key));
        let number = |part: Option<&str>, name: &str| match part {
            Some(text) => hex(text),
            None => hex(&read(name).expect("an attribute")),
        };
        let id = value("PCI_ID=").and_then(|id| id.split_once(':'));
        let half = |number: u32| u16::try_from(number).expect("16 bits");
        let revision = read("revision").map_or(0, |text| hex(&text));
        let function = Function {
            vendor: half(number(id.map(|id| id.0), "vendor")),
            device: half(number(id.map(|id| id.1), "device")),
            class: number(value("PCI_CLASS="), "class"),
            revision: u8::try_from(revision).expect("8 bits"),
        };
        let group = std::fs::read_link(machine.root().join(&dir).join("iommu_group"));
        machine = for_lspci(machine, &dir, &function);
        if let Ok(group) = group {
            let number = group.file_name().expect("a number").to_str().expect("UTF-8").to_owned();
            machine = machine.link(
                &format!("sys/kernel/iommu_groups/{number}/devices/{address}"),
                "../../nowhere",
            );
        }
    }
    machine
}

#[test]
fn recorded_hosts_have_the_groups_of_the_script() {
    if !can_compare() {
        return;
    }
    let hosts = std::fs::read_dir(project().join("hosts")).expect("hosts");
    let mut names: Vec<String> = hosts
        .filter_map(|entry| {
            entry.expect("an entry").file_name().to_str()?.strip_suffix(".tree").map(str::to_owned)
        })
        .collect();
    names.sort();
    let groups = |name: &str| passthru(&["--host", name, "inspect", "--groups"]).stdout;
    let with_groups: Vec<&String> = names.iter().filter(|name| !groups(name).is_empty()).collect();
    assert!(with_groups.len() > 15, "{with_groups:?}");
    for name in with_groups {
        assert_same(&completed(name), name);
    }
}

/// Numbers from a seed (xorshift, Marsaglia 2003): the same machines on every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("small")
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// Ids in the installed list, ids that only newer lists have, and ids that none has.
fn ids(known: &[(u16, u16)], numbers: &mut Numbers) -> (u16, u16) {
    let unlisted = [(0x10de, 0x2b85), (0x1002, 0x7550), (0x10de, 0xfffe), (0xfff0, 0x0001)];
    if numbers.below(3) > 0 { numbers.of(known) } else { numbers.of(&unlisted) }
}

fn known_ids() -> Vec<(u16, u16)> {
    let bytes = std::fs::read(PCI_IDS).expect("the list");
    let text = String::from_utf8_lossy(&bytes);
    let mut vendor = None;
    let mut all = Vec::new();
    for line in text.lines().take_while(|line| !line.starts_with("C ")) {
        let hex = |text: &str| u16::from_str_radix(text.get(..4)?, 16).ok();
        match line.strip_prefix('\t') {
            None if !line.starts_with('#') => vendor = hex(line),
            Some(rest) if !rest.starts_with('\t') => all.extend(vendor.zip(hex(rest))),
            _ => {}
        }
    }
    all
}

fn generated(seed: u64, count: usize, domains: &[&str]) -> Machine {
    // Known, with an interface of its own, unknown subclass, unknown base class.
    let classes = [
        0x03_0000, 0x03_0200, 0x03_8000, 0x04_0300, 0x06_0400, 0x06_0401, 0x06_0000, 0x0c_0330,
        0x0c_8000, 0x01_0802, 0x02_0000, 0x12_0000, 0x03_7700, 0x0c_fe00, 0xff_0000, 0xff_ff00,
        0x50_1234, 0x00_0000, 0x00_0100, 0x05_8000,
    ];
    let mut numbers = Numbers(seed);
    let known = known_ids();
    let mut machine = with_list(Machine::new("vm-firecracker"));
    machine = machine.remove("sys/bus/pci/devices").remove("sys/devices");
    for index in 0..count {
        let (bus, slot, function) = (index / 200, index / 8 % 25, index % 8);
        let address = format!("{}:{:02x}:{slot:02x}.{function}", numbers.of(domains), bus + 1);
        let dir = format!("sys/devices/pci0000:00/{address}");
        let (vendor, device) = ids(&known, &mut numbers);
        let revision = u8::try_from(numbers.of(&[0, 0, 1, 0x0f, 0xa1, 0xff])).expect("8 bits");
        let function = Function { vendor, device, class: numbers.of(&classes), revision };
        let mut uevent = String::new();
        // As drivers/pci/pci-driver.c writes them: the class without leading zeros.
        let _ = writeln!(uevent, "PCI_CLASS={:04X}", function.class);
        let _ = writeln!(uevent, "PCI_ID={vendor:04X}:{device:04X}");
        let _ = writeln!(uevent, "MODALIAS=pci:v{vendor:08X}d{device:08X}");
        let group = numbers.of(&[0, 1, 2, 9, 10, 11, 99, 100, 101]);
        machine = for_lspci(machine, &dir, &function)
            .write(&format!("{dir}/uevent"), uevent)
            .write(&format!("{dir}/revision"), format!("{revision:#04x}\n"))
            .link(&format!("{dir}/iommu_group"), &format!("../../../kernel/iommu_groups/{group}"))
            .link(
                &format!("sys/bus/pci/devices/{address}"),
                &format!("../../../devices/pci0000:00/{address}"),
            )
            .link(
                &format!("sys/kernel/iommu_groups/{group}/devices/{address}"),
                &format!("../../../../devices/pci0000:00/{address}"),
            );
    }
    // A group that lost its devices keeps its directory.
    std::fs::create_dir_all(machine.root().join("sys/kernel/iommu_groups/12/devices"))
        .expect("dir");
    machine
}

#[test]
fn generated_machines_have_the_groups_of_the_script() {
    if !can_compare() {
        return;
    }
    let kinds: [&[&str]; 4] =
        [&["0000"], &["0000", "0001"], &["0002", "a000", "ffff"], &["0000", "2000", "10000"]];
    for (seed, domains) in (0x9e37_79b9_7f4a_7c15..).zip(kinds) {
        let machine = generated(seed, 48, domains);
        assert_same(&machine, &format!("domains {domains:?}"));
    }
}

/// Without a list of the host's the compiled one gives names; the layout stays.
#[test]
fn groups_have_names_without_a_list() {
    let output = passthru(&["--host", "z490-arch", "inspect", "--groups"]);
    let lines: Vec<&str> = output.stdout.lines().filter(|line| line.contains("07:00.")).collect();
    assert_eq!(
        lines,
        [
            "\t07:00.0 VGA compatible controller [0300]: Advanced Micro Devices, Inc. [AMD/ATI] Navi 23 [Radeon RX 6600/6600 XT/6600M] [1002:73ff] (rev c7)",
            "\t07:00.1 Audio device [0403]: Advanced Micro Devices, Inc. [AMD/ATI] Navi 21/23 HDMI/DP Audio Controller [1002:ab28]"
        ]
    );
}
