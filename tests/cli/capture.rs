//! A capture stands for the machine: it gives the same answers, holds nothing private, and
//! whatever happens to the file on its way, it is read or refused.

use std::path::Path;

use super::harness::{Machine, Output, passthru, project};

const VERBS: [&[&str]; 3] = [&["--json", "inspect"], &["--json", "check"], &["--json", "plan"]];

fn recorded_hosts() -> Vec<String> {
    let files = std::fs::read_dir(project().join("hosts")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".tree").map(str::to_owned)).collect();
    names.sort();
    names
}

/// The capture of what stands at a path, in a file of its own.
fn captured(root: &Path, to: &Path) -> String {
    let output = passthru(&["--root", root.to_str().unwrap(), "capture"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{}", root.display());
    std::fs::write(to, &output.stdout).unwrap();
    output.stdout
}

/// What all verbs say about a root.
fn answers(root: &Path) -> Vec<Output> {
    let root = root.to_str().unwrap();
    VERBS.iter().map(|verb| passthru(&[&["--root", root], *verb].concat())).collect()
}

#[test]
fn a_host_its_files_its_capture_and_the_capture_of_that_are_one() {
    let hosts = recorded_hosts();
    assert!(hosts.len() > 20);
    for host in hosts {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine::new(&host);
        let (first, second) = (dir.path().join("1"), dir.path().join("2"));
        let text = captured(&machine.root(), &first);
        assert_eq!(text, captured(&first, &second), "{host}");
        let inside: Vec<Output> =
            VERBS.iter().map(|verb| passthru(&[&["--host", &host], *verb].concat())).collect();
        assert_eq!(inside, answers(&machine.root()), "{host}, as files");
        // The second capture is the same text.
        assert_eq!(inside, answers(&first), "{host}, captured");
    }
}

#[test]
fn looking_changes_nothing() {
    let machine = Machine::new("z490-arch");
    let before = listing(&machine.root());
    for verb in VERBS {
        let _ = machine.run(verb);
    }
    let _ = machine.run(&["capture"]);
    assert_eq!(listing(&machine.root()), before);
}

fn listing(root: &Path) -> String {
    let list = std::process::Command::new("find")
        .arg(root)
        .args(["-printf", "%P %y %s %m %T@ %l\n"])
        .output()
        .unwrap();
    assert!(list.status.success());
    String::from_utf8(list.stdout).unwrap()
}

/// What nobody should learn from a bug report.
const PRIVATE: [&str; 17] = [
    "falcon",                               // host name
    "alice",                                // a person
    "Wonderland",                           // the same person in full
    "aabbccddee0f",                         // MAC address in the name of an interface
    "aa:bb:cc:dd:ee:0f",                    // the same, written as usual
    "8f0c5f54-41ff-4f5b-8c1e-0e2a3b4c5d6e", // filesystem
    "9a1d6065-52aa-4a6c-9d2f-1f3b4c5d6e7f", // partition that the firmware starts from
    "AB12-34CD",                            // FAT filesystem
    "c80eb1b0d3094eab84ff90d9f8eecd5c",     // machine-id
    "S4EVNX0R123456",                       // serial number of a disk
    "4c4c4544-0042-3510-8052-b4c04f4e5a32", // virtual machine
    "52:54:00:6b:3c:58",                    // its network card
    "s3cret",                               // its password
    "Win10-Photos",                         // its disk
    "BTNH1234567",                          // a serial number that it shows to its guest
    "Falcon's boot entry",                  // description of a firmware boot entry
    "CODE OF AN OPTION ROM",                // somebody's copyright
];

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Attributes and a zero-terminated text: an EFI variable of a boot loader.
fn variable(text: &str) -> Vec<u8> {
    [&[6, 0, 0, 0][..], &wide(text), &[0, 0]].concat()
}

/// An EFI_LOAD_OPTION with a hard-drive node that holds a partition's GUID and a file path.
fn boot_entry(description: &str, partition: [u8; 16], path: &str) -> Vec<u8> {
    let mut nodes = vec![4, 1, 42, 0, 1, 0, 0, 0];
    nodes.extend([0; 16]); // first and number of blocks
    nodes.extend(partition);
    nodes.extend([2, 2]);
    let path = [wide(path), vec![0, 0]].concat();
    nodes.extend([4, 4]);
    nodes.extend(u16::try_from(path.len() + 4).unwrap().to_le_bytes());
    nodes.extend(path);
    nodes.extend([0x7f, 0xff, 4, 0]);
    let mut entry = vec![7, 0, 0, 0, 1, 0, 0, 0];
    entry.extend(u16::try_from(nodes.len()).unwrap().to_le_bytes());
    entry.extend(wide(description));
    entry.extend([0, 0]);
    entry.extend(nodes);
    entry
}

/// A ROM of one EFI image with text in it.
fn rom(text: &str) -> Vec<u8> {
    let mut rom = vec![0_u8; 1024];
    rom[..2].copy_from_slice(&[0x55, 0xaa]);
    rom[0x18] = 0x40;
    rom[0x40..0x44].copy_from_slice(b"PCIR");
    rom[0x44..0x48].copy_from_slice(&[0x02, 0x10, 0xff, 0x73]);
    rom[0x50] = 2;
    rom[0x54] = 3;
    rom[0x55] = 0x80;
    rom[0x100..0x100 + text.len()].copy_from_slice(text.as_bytes());
    rom
}

const PARTITION: [u8; 16] = [
    0x65, 0x60, 0x1d, 0x9a, 0xaa, 0x52, 0x6c, 0x4a, 0x9d, 0x2f, 0x1f, 0x3b, 0x4c, 0x5d, 0x6e, 0x7f,
];

/// The guide's machine as somebody's own.
fn private_machine() -> Machine {
    let loader = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    let global = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let vars = "sys/firmware/efi/efivars";
    let uuid = "8f0c5f54-41ff-4f5b-8c1e-0e2a3b4c5d6e";
    let machine_id = "c80eb1b0d3094eab84ff90d9f8eecd5c";
    let disk = "/dev/disk/by-id/nvme-Samsung_SSD_980_PRO_S4EVNX0R123456-part2";
    let options = format!(
        "root=UUID={uuid} rw intel_iommu=on iommu=pt resume={disk} ip=:::::falcon:enxaabbccddee0f \
         ifname=lan:aa:bb:cc:dd:ee:0f crypt=/home/alice/key"
    );
    let entry = format!("{machine_id}-falcon.conf");
    Machine::new("z490-arch")
        .write("etc/hostname", "falcon\n")
        .write("proc/sys/kernel/hostname", "falcon\n")
        .write("etc/machine-id", format!("{machine_id}\n"))
        .write(
            "etc/passwd",
            "root:x:0:0::/root:/bin/bash\nalice:x:1000:1000:Alice Wonderland:/home/alice:/bin/bash\n",
        )
        .remove("boot/loader/entries/arch.conf")
        .write(
            &format!("boot/loader/entries/{entry}"),
            format!("title Arch on falcon\nmachine-id {machine_id}\nlinux /vmlinuz-linux\ninitrd /initramfs-linux.img\noptions {options}\n"),
        )
        .write("boot/loader/loader.conf", format!("default {machine_id}-falcon*\n"))
        .write(
            "proc/cmdline",
            format!("initrd=\\{machine_id}\\initramfs-linux.img {options}\n"),
        )
        .write(
            "etc/fstab",
            format!("UUID={uuid} / ext4 rw 0 1\nUUID=AB12-34CD /boot vfat rw 0 2\n/dev/disk/by-uuid/AB12-34CD /srv vfat noauto 0 0\n"),
        )
        .write("etc/default/grub", format!("GRUB_CMDLINE_LINUX=\"resume={disk}\"\n"))
        .write("etc/modprobe.d/alice.conf", "# alice on falcon\noptions kvm ignore_msrs=1\n")
        .write("sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/net/enxaabbccddee0f/operstate", "up\n")
        .link(
            "sys/class/net/enxaabbccddee0f",
            "../../devices/pci0000:00/0000:00:14.0/usb1/1-2/net/enxaabbccddee0f",
        )
        .write("sys/devices/virtual/block/dm-0/dm/name", "falcon-home\n")
        .link("sys/class/block/dm-0", "../../devices/virtual/block/dm-0")
        .link("sys/devices/virtual/block/dm-0/slaves/nvme0n1p3", "../../nvme0n1p3")
        .write(
            "etc/libvirt/qemu/alice-windows.xml",
            "<domain type='kvm'><name>alice-windows</name><uuid>4c4c4544-0042-3510-8052-b4c04f4e5a32</uuid>\n\
             <sysinfo type='smbios'><system><entry name='serial'>BTNH1234567</entry></system></sysinfo>\n\
             <devices><disk><source file='/srv/Win10-Photos.qcow2'/></disk>\n\
             <interface><mac address='52:54:00:6b:3c:58'/></interface>\n\
             <graphics type='vnc' passwd='s3cret'/>\n\
             <hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/></source></hostdev>\n\
             </devices></domain>\n",
        )
        .link("etc/libvirt/qemu/autostart/alice-windows.xml", "/etc/libvirt/qemu/alice-windows.xml")
        .write(&format!("{vars}/LoaderEntrySelected-{loader}"), variable(&entry))
        .write(&format!("{vars}/BootCurrent-{global}"), [6, 0, 0, 0, 2, 0])
        .write(
            &format!("{vars}/Boot0002-{global}"),
            boot_entry(
                "Falcon's boot entry",
                PARTITION,
                &format!("\\EFI\\{machine_id}\\systemd-bootx64.efi"),
            ),
        )
        .write("sys/devices/pci0000:00/0000:00:1b.4/0000:05:00.0/0000:06:00.0/0000:07:00.0/rom", rom("CODE OF AN OPTION ROM"))
}

#[test]
fn a_capture_holds_nothing_private() {
    let dir = tempfile::tempdir().unwrap();
    let machine = private_machine();
    let capture = dir.path().join("capture");
    let text = captured(&machine.root(), &capture);
    let unpacked = dir.path().join("unpacked");
    let root = capture.to_str().unwrap();
    let output = passthru(&["--root", root, "capture", "--unpack", unpacked.to_str().unwrap()]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    // The unpacked files show what base64 hides.
    let mut pile = text.into_bytes();
    pile.extend(listing(&unpacked).into_bytes());
    gather(&unpacked, &mut pile);
    let binary = ("a partition's GUID", PARTITION.to_vec());
    let words = PRIVATE.iter().flat_map(|word| {
        [
            (*word, word.as_bytes().to_vec()),
            (*word, wide(word)),
            (*word, wide(&word.to_lowercase())),
        ]
    });
    for (name, bytes) in words.chain([binary]) {
        assert!(!contains(&pile, &bytes), "{name} is in the capture");
    }
}

#[test]
fn the_machine_has_what_the_capture_must_not() {
    let machine = private_machine();
    let mut pile = listing(&machine.root()).into_bytes();
    gather(&machine.root(), &mut pile);
    for word in PRIVATE {
        assert!(
            contains(&pile, word.as_bytes())
                || contains(&pile, &wide(word))
                || word.starts_with("9a1d"),
            "{word}"
        );
    }
    assert!(contains(&pile, &PARTITION));
}

fn contains(pile: &[u8], bytes: &[u8]) -> bool {
    memchr::memmem::find(pile, bytes).is_some()
}

fn gather(dir: &Path, pile: &mut Vec<u8>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = std::fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            gather(&path, pile);
        } else if meta.is_file() && meta.len() < 1 << 20 {
            pile.extend(std::fs::read(&path).unwrap());
        }
    }
}

/// The machine's answer with the masks that its capture has.
fn masked(text: &str) -> String {
    let masks = [
        ("c80eb1b0d3094eab84ff90d9f8eecd5c", "00000000000000000000000000000001"),
        ("8f0c5f54-41ff-4f5b-8c1e-0e2a3b4c5d6e", "00000000-0000-0000-0000-000000000001"),
        ("nvme-Samsung_SSD_980_PRO_S4EVNX0R123456-part2", "masked-1"),
        ("enxaabbccddee0f", "enx00005e005301"),
        ("aa:bb:cc:dd:ee:0f", "00:00:5e:00:53:01"),
        ("falcon", "host"),
        ("alice", "user1"),
    ];
    masks.iter().fold(text.to_owned(), |text, (private, mask)| text.replace(private, mask))
}

#[test]
fn a_masked_machine_is_judged_as_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    let machine = private_machine();
    let capture = dir.path().join("capture");
    captured(&machine.root(), &capture);
    assert_eq!(
        captured(&capture, &dir.path().join("again")),
        std::fs::read_to_string(&capture).unwrap()
    );
    for (real, recorded) in answers(&machine.root()).into_iter().zip(answers(&capture)) {
        assert_eq!(real.code, recorded.code);
        let (real, recorded): (serde_json::Value, _) =
            (serde_json::from_str(&masked(&real.stdout)).unwrap(), recorded.json());
        pretty_assert_eq(&real, &recorded);
    }
    assert_eq!(machine.run(&["plan"]).code, 0);
    let codes = machine.findings(&[]);
    assert!(codes.iter().any(|(code, _)| code == "vm-autostart-host-gpu"), "{codes:?}");
}

fn pretty_assert_eq(left: &serde_json::Value, right: &serde_json::Value) {
    let (left, right) = (format!("{left:#}"), format!("{right:#}"));
    for (one, other) in left.lines().zip(right.lines()) {
        assert_eq!(one, other);
    }
    assert_eq!(left, right);
}

/// A host name may be a word that the system uses for itself.
#[test]
fn a_host_named_after_its_system_stays_readable() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new("m5-proxmox-apu").write("proc/sys/kernel/hostname", "pve\n");
    let capture = dir.path().join("capture");
    captured(&machine.root(), &capture);
    assert_eq!(answers(&machine.root()), answers(&capture));
}

/// An answer, or one error that says where the file is damaged.
fn read_or_refused(text: &[u8], file: &Path, what: &str) -> i32 {
    std::fs::write(file, text).unwrap();
    let output = passthru(&["--root", file.to_str().unwrap(), "--json", "plan"]);
    match output.code {
        0 | 1 => {
            let _ = output.json();
        }
        2 => {
            let named = output.stderr.contains("line ") || output.stderr.contains("the first line");
            // Without the list of functions, or with text that is none, there is no answer either.
            let no_answer = ["cannot read the PCI functions", "not a passthru capture"];
            assert!(
                named || no_answer.iter().any(|reason| output.stderr.contains(reason)),
                "{what}: {}",
                output.stderr
            );
            assert!(output.stderr.starts_with("Error: "), "{what}: {}", output.stderr);
        }
        code => panic!("{what}: exit code {code}: {}", output.stderr),
    }
    output.code
}

#[test]
fn a_capture_cut_at_any_line_is_read_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("capture");
    let text = std::fs::read_to_string(project().join("hosts/vm-firecracker.tree")).unwrap();
    let mut end = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        read_or_refused(&text.as_bytes()[..end], &file, &format!("before line {}", index + 1));
        let half = (end..=end + line.len() / 2).rfind(|at| text.is_char_boundary(*at)).unwrap();
        read_or_refused(&text.as_bytes()[..half], &file, &format!("in line {}", index + 1));
        end += line.len();
    }
}

#[test]
fn a_capture_with_wrong_bytes_is_read_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("capture");
    let text = std::fs::read(project().join("hosts/z490-arch.tree")).unwrap();
    let mut state = 0x2545_f491_4f6c_dd1d_u64; // a fixed seed: the same damage every time
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 16).unwrap()
    };
    let mut codes = std::collections::BTreeSet::new();
    for round in 0..300 {
        let mut damaged = text.clone();
        for _ in 0..=next() % 20 {
            let at = next() % damaged.len();
            damaged[at] = match next() % 4 {
                0 => u8::try_from(next() % 256).unwrap(),
                1 => b'\n',
                2 => b" {}=:|>-/%0"[next() % 11],
                _ => damaged[at] ^ (1 << (next() % 7)),
            };
        }
        if next() % 3 == 0 {
            damaged.truncate(next() % damaged.len());
        }
        codes.insert(read_or_refused(&damaged, &file, &format!("round {round}")));
    }
    assert!(codes.contains(&0) && codes.contains(&2), "damage of both kinds was made: {codes:?}");
}
