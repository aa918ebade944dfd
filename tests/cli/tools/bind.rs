//! The script that binds by address, under every shell that an image may have. Its paths are
//! replaced by those of a made machine, and what the kernel does on a write is done by a script.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{Planned, find, output, skipped};
use crate::harness::{Machine, project};

/// Does what the kernel does when something is written to its files: on `unbind` the device has
/// no driver; on `drivers_probe` vfio-pci takes a free device whose override names it.
const KERNEL: &str = r#"#!/bin/sh
# kernel FILE TEXT
take() {
    [ -d "$PCI/drivers/vfio-pci" ] || return 0
    for other in "$PCI"/drivers/*/"$1"; do
        [ ! -e "$other" ] || return 0
    done
    read -r override <"$PCI/devices/$1/driver_override"
    [ "$override" != vfio-pci ] || ln -s "$PCI/devices/$1" "$PCI/drivers/vfio-pci/$1"
}
case $1 in
    */unbind) rm "${1%/*}/$2" ;;
    */drivers_probe) take "$2" ;;
    modprobe) mkdir "$PCI/drivers/vfio-pci"; for one in "$PCI"/devices/*; do take "${one##*/}"; done ;;
esac
"#;

/// Whether vfio-pci can be had, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vfio {
    Module,
    BuiltIn,
    /// `module_blacklist=vfio_pci`, or not in the image.
    Missing,
}

/// Address, the four ids, class, driver.
type Device = (&'static str, &'static str, &'static str, &'static str);

const GPU: Device = ("0000:07:00.0", "1002:73ff:1462:5022", "030000", "");
const SOUND: Device = ("0000:07:00.1", "1002:ab28:1002:ab28", "040300", "");
const HOST_GPU: Device = ("0000:03:00.0", "1002:73df:1462:3980", "030000", "amdgpu");
const CARD: &[Device] = &[HOST_GPU, GPU, SOUND];
const WORD: &str =
    "passthru.bind=1002:73ff:1462:5022@0000:07:00.0,1002:ab28:1002:ab28@0000:07:00.1";

/// What the machine has and is told, and what comes of it.
#[derive(Clone, Copy)]
struct Case {
    devices: &'static [Device],
    vfio: Vfio,
    cmdline: &'static str,
    log: &'static str,
    bound: &'static [&'static str],
}

const BOTH: &[&str] = &["0000:07:00.0", "0000:07:00.1"];
const BOTH_LOG: &str = "<6>passthru: 0000:07:00.0 is on vfio-pci\n\
                        <6>passthru: 0000:07:00.1 is on vfio-pci\n";
const OK: Case =
    Case { devices: CARD, vfio: Vfio::Module, cmdline: WORD, log: BOTH_LOG, bound: BOTH };
const NOTHING: Case = Case { log: "", bound: &[], ..OK };

/// A machine on which nothing is bound, and what the log says before it says so.
const fn refused(devices: &'static [Device], cmdline: &'static str, log: &'static str) -> Case {
    Case { devices, vfio: Vfio::Module, cmdline, log, bound: &[] }
}

macro_rules! because {
    ($($line:literal)*) => {
        concat!($("<4>passthru: ", $line, "\n",)* "<4>passthru: nothing is bound to vfio-pci\n")
    };
}

const ONE: &str = "passthru.bind=1002:73ff:1462:5022@0000:07:00.0";

#[rustfmt::skip]
const CASES: &[(&str, Case)] = &[
    ("no word", Case { cmdline: "root=/dev/sda1 ro quiet", ..NOTHING }),
    ("empty command line", Case { cmdline: "", ..NOTHING }),
    ("match", OK),
    ("match among words", Case { cmdline: concat!("BOOT_IMAGE=/vmlinuz  root=/dev/sda1\tro ", "passthru.bind=1002:73ff:1462:5022@0000:07:00.0,1002:ab28:1002:ab28@0000:07:00.1", " quiet"), ..OK }),
    ("built in", Case { vfio: Vfio::BuiltIn, ..OK }),
    ("no vfio-pci", Case { vfio: Vfio::Missing, log: "<4>passthru: vfio-pci cannot be loaded, nothing is bound to it\n", ..NOTHING }),
    ("vendor", refused(&[("0000:07:00.0", "10de:73ff:1462:5022", "030000", "")], ONE, because!("expected 1002:73ff:1462:5022 at 0000:07:00.0, found 10de:73ff:1462:5022"))),
    ("device", refused(&[("0000:07:00.0", "1002:73df:1462:5022", "030000", "")], ONE, because!("expected 1002:73ff:1462:5022 at 0000:07:00.0, found 1002:73df:1462:5022"))),
    ("subsystem vendor", refused(&[("0000:07:00.0", "1002:73ff:1043:5022", "030000", "")], ONE, because!("expected 1002:73ff:1462:5022 at 0000:07:00.0, found 1002:73ff:1043:5022"))),
    ("subsystem device", refused(&[("0000:07:00.0", "1002:73ff:1462:3980", "030000", "")], ONE, because!("expected 1002:73ff:1462:5022 at 0000:07:00.0, found 1002:73ff:1462:3980"))),
    ("one of two", refused(&[GPU, ("0000:07:00.1", "1002:ab28:1002:0000", "040300", "")], WORD, because!("expected 1002:ab28:1002:ab28 at 0000:07:00.1, found 1002:ab28:1002:0000"))),
    ("both", refused(&[("0000:07:00.0", "144d:a808:144d:a801", "010802", "nvme"), ("0000:07:00.1", "8086:1539:1043:85f0", "020000", "")], WORD, because!("expected 1002:73ff:1462:5022 at 0000:07:00.0, found 144d:a808:144d:a801" "expected 1002:ab28:1002:ab28 at 0000:07:00.1, found 8086:1539:1043:85f0"))),
    ("unreadable id", refused(&[("0000:07:00.0", "1002:73ff:1462:", "030000", "")], ONE, because!("expected 1002:73ff:1462:5022 at 0000:07:00.0, found 1002:73ff:1462:????"))),
    ("missing device", refused(&[HOST_GPU, GPU], WORD, because!("expected 1002:ab28:1002:ab28 at 0000:07:00.1, found no device there"))),
    ("empty word", refused(CARD, "passthru.bind=", because!("not vendor:device:subvendor:subdevice@address: ''"))),
    ("word without value", Case { cmdline: "passthru.bind", ..NOTHING }),
    ("malformed", refused(CARD, "passthru.bind=1002:73ff@0000:07:00.0,*,0000:07:00.0 quiet", because!("not vendor:device:subvendor:subdevice@address: '1002:73ff@0000:07:00.0'" "not vendor:device:subvendor:subdevice@address: '*'" "not vendor:device:subvendor:subdevice@address: '0000:07:00.0'"))),
    ("a way out of the directory", refused(CARD, "passthru.bind=1002:73ff:1462:5022@0000/../../x:07:00.0", because!("not vendor:device:subvendor:subdevice@address: '1002:73ff:1462:5022@0000/../../x:07:00.0'"))),
    ("upper case", refused(CARD, "passthru.bind=1002:73FF:1462:5022@0000:07:00.0", because!("not vendor:device:subvendor:subdevice@address: '1002:73FF:1462:5022@0000:07:00.0'"))),
    ("two words, the last is right", Case { cmdline: "passthru.bind=1:2:3:4@x passthru.bind=1002:73ff:1462:5022@0000:07:00.0,1002:ab28:1002:ab28@0000:07:00.1", ..OK }),
    ("two words, the last is wrong", refused(CARD, "passthru.bind=1002:73ff:1462:5022@0000:07:00.0 passthru.bind=1002:73df:1462:5022@0000:07:00.0", because!("expected 1002:73df:1462:5022 at 0000:07:00.0, found 1002:73ff:1462:5022"))),
    ("after --", Case { cmdline: "quiet -- passthru.bind=1002:73ff:1462:5022@0000:07:00.0", ..NOTHING }),
    ("inside quotes", Case { cmdline: "a=\"b passthru.bind=1002:73ff:1462:5022@0000:07:00.0 -- c\" quiet", ..NOTHING }),
    ("after quotes", Case { cmdline: "a=\"b -- c\" passthru.bind=1002:73ff:1462:5022@0000:07:00.0,1002:ab28:1002:ab28@0000:07:00.1", ..OK }),
    ("bound display", refused(&[("0000:07:00.0", "1002:73ff:1462:5022", "030000", "amdgpu"), SOUND], WORD, because!("display 0000:07:00.0 is already on amdgpu and is not taken away from it"))),
    ("display on vfio-pci", Case { devices: &[("0000:07:00.0", "1002:73ff:1462:5022", "030000", "vfio-pci"), SOUND], vfio: Vfio::BuiltIn, ..OK }),
    ("bound xhci", Case { devices: &[GPU, ("0000:07:00.1", "1002:ab28:1002:ab28", "0c0330", "xhci_hcd")], ..OK }),
    ("bridge", refused(&[("0000:07:00.0", "1002:73ff:1462:5022", "060400", "pcieport")], ONE, because!("0000:07:00.0 is a bridge"))),
    ("domain 10000", Case { devices: &[("10000:e1:00.0", "10de:2204:1043:87b5", "030000", "")], cmdline: "passthru.bind=10de:2204:1043:87b5@10000:e1:00.0", log: "<6>passthru: 10000:e1:00.0 is on vfio-pci\n", bound: &["10000:e1:00.0"], ..OK }),
];

/// The made machine, its log, and the script with its paths.
struct Made {
    dir: TempDir,
}

impl Made {
    fn new(devices: &[Device], vfio: Vfio, cmdline: &str) -> Self {
        let made = Self { dir: tempfile::tempdir().expect("a temporary directory") };
        made.write("cmdline", &format!("{cmdline}\n"));
        made.write("kmsg", "");
        made.write("pci/drivers_probe", "");
        for (address, ids, class, driver) in devices {
            let device = format!("pci/devices/{address}");
            let names = ["vendor", "device", "subsystem_vendor", "subsystem_device"];
            for (name, id) in names.iter().zip(ids.split(':')).filter(|(_, id)| !id.is_empty()) {
                made.write(&format!("{device}/{name}"), &format!("0x{id}\n"));
            }
            made.write(&format!("{device}/class"), &format!("0x{class}\n"));
            made.write(&format!("{device}/driver_override"), "(null)\n");
            if !driver.is_empty() {
                made.write(&format!("pci/drivers/{driver}/unbind"), "");
                let link = made.at(&format!("pci/drivers/{driver}/{address}"));
                std::os::unix::fs::symlink(made.at(&device), link).expect("a link");
            }
        }
        let drivers = if vfio == Vfio::BuiltIn { "pci/drivers/vfio-pci" } else { "pci/drivers" };
        std::fs::create_dir_all(made.at(drivers)).expect("directories");
        made.write("kernel", KERNEL);
        let loads = if vfio == Vfio::Missing { "exit 1" } else { "exec \"$KERNEL\" \"$1\"" };
        let check = "[ \"$*\" = vfio-pci ] || exit 1";
        made.write("bin/modprobe", &format!("#!/bin/sh\n{check}\nset -- modprobe\n{loads}\n"));
        output(Command::new("chmod").arg("755").args([made.at("kernel"), made.at("bin/modprobe")]));
        made.write("bind.sh", &made.script());
        made
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let to = self.at(path);
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("directories");
        std::fs::write(to, text).expect("written");
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).expect("it is there")
    }

    fn script(&self) -> String {
        let path = project().join("src/plan/assets/bind.sh");
        let text = std::fs::read_to_string(path).expect("the script");
        let dir = self.dir.path().to_str().expect("UTF-8");
        let replaced = [
            ("pci=/sys/bus/pci\n", format!("pci={dir}/pci\n")),
            ("</proc/cmdline", format!("<{dir}/cmdline")),
            ("[ -e /dev/kmsg ]", format!("[ -e {dir}/kmsg ]")),
            (">/dev/kmsg", format!(">>{dir}/kmsg")),
            ("echo \"$1\" >\"$2\"\n", "echo \"$1\" >\"$2\"\n\"$KERNEL\" \"$2\" \"$1\"\n".into()),
        ];
        replaced.iter().fold(text, |text, (from, to)| {
            assert_eq!(text.matches(from).count(), 1, "{from:?} is in the script once");
            text.replace(from, to)
        })
    }

    /// Runs the script and says what the kernel log and the devices show then.
    fn run(&self, shell: &[PathBuf], way: Way) -> String {
        let script = self.at("bind.sh");
        let mut command = Command::new(&shell[0]);
        command.args(&shell[1..]);
        match way {
            Way::Executed => command.arg(script),
            Way::Sourced => command.args(["-c", SOURCED, "hook"]).arg(script),
        };
        let path = format!("{}:/usr/bin:/bin", self.at("bin").display());
        let said = output(
            command
                .env_clear()
                .env("PATH", path)
                .env("KERNEL", self.at("kernel"))
                .env("PCI", self.at("pci")),
        );
        assert_eq!(said, "", "nothing on standard output");
        self.state()
    }

    fn state(&self) -> String {
        let mut state = self.read("kmsg");
        let entries = std::fs::read_dir(self.at("pci/devices")).expect("devices");
        let mut addresses: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        addresses.sort();
        for address in addresses {
            let taken = self.at(&format!("pci/drivers/vfio-pci/{address}")).exists();
            let text = self.read(&format!("pci/devices/{address}/driver_override"));
            let own = if taken { "taken" } else { "left" };
            writeln!(state, "{address} {own} override={}", text.trim()).expect("a string");
        }
        state
    }
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Executed,
    Sourced,
}

/// A hook that sources the script goes on with its own options and variables.
const SOURCED: &str = r#"
IFS=x; address=own; set -f
. "$1"
[ "$IFS$address$-" = "xown$-" ] || exit 9
case $- in *f*) ;; *) exit 9 ;; esac
"#;

fn shells() -> Vec<Vec<PathBuf>> {
    let mut shells = Vec::new();
    for name in ["dash", "bash", "busybox", "/usr/lib/klibc/bin/sh"] {
        let what = format!("the binding script under {name}");
        match find(name) {
            Some(path) if name == "busybox" => shells.push(vec![path, "sh".into()]),
            Some(path) => shells.push(vec![path]),
            None => skipped(&what, "it is not installed"),
        }
    }
    shells
}

fn expected(case: &Case) -> String {
    let mut devices: Vec<&Device> = case.devices.iter().collect();
    devices.sort();
    let mut text = case.log.to_owned();
    for (address, _, _, driver) in devices {
        let taken = case.bound.contains(address);
        let state = match (taken, case.vfio, *driver) {
            (true, _, _) => "taken override=vfio-pci",
            // Written, and taken back.
            (false, Vfio::Missing, "") => "left override=",
            _ => "left override=(null)",
        };
        writeln!(text, "{address} {state}").expect("a string");
    }
    text
}

#[test]
fn the_script_binds_what_fits_and_nothing_else() {
    for shell in shells() {
        for (name, case) in CASES {
            for way in [Way::Executed, Way::Sourced] {
                let made = Made::new(case.devices, case.vfio, case.cmdline);
                let state = made.run(&shell, way);
                assert_eq!(state, expected(case), "{name}, {shell:?}, {way:?}");
            }
        }
    }
}

/// Every function of every card of a recorded machine, without a driver.
fn recorded(machine: &Machine) -> Made {
    let made = Made::new(&[], Vfio::Module, "");
    let document = machine.run(&["--json", "inspect"]).json();
    let cards = document["gpus"].as_array().expect("cards");
    for function in cards.iter().filter_map(|card| card["functions"].as_array()).flatten() {
        let word = |key: &str| function[key].as_str().unwrap_or_else(|| panic!("no {key}"));
        let device = format!("pci/devices/{}", word("address"));
        let ids = format!("{}:{}", word("id"), word("subsystem_id"));
        let names = ["vendor", "device", "subsystem_vendor", "subsystem_device"];
        for (name, id) in names.iter().zip(ids.split(':')) {
            made.write(&format!("{device}/{name}"), &format!("0x{id}\n"));
        }
        made.write(&format!("{device}/class"), &format!("0x{}00\n", word("class")));
        made.write(&format!("{device}/driver_override"), "(null)\n");
    }
    made
}

#[test]
fn the_script_understands_the_word_that_is_planned() {
    let cards: [(&str, &[&str]); 3] = [
        ("z490-arch", &[]),
        ("z270-centos7-twins", &["01:00.0"]),
        ("z270-centos7-twins", &["02:00.0"]),
    ];
    for (host, args) in cards {
        let machine = Machine::new(host);
        let planned = Planned::of(&machine, args);
        assert_eq!(planned.method(), "address", "{host}");
        let words = planned.words("/kernel_parameters/add").join(" ");
        let own = planned.words("/functions");
        let log = own.iter().map(|address| format!("<6>passthru: {address} is on vfio-pci\n"));
        let untouched = recorded(&machine).state();
        let taken = own.iter().fold(untouched, |state, address| {
            let left = format!("{address} left override=(null)");
            assert!(state.contains(&left), "{state}");
            state.replace(&left, &format!("{address} taken override=vfio-pci"))
        });
        assert!(taken.contains(" left "), "{host}: the other card");
        for shell in shells() {
            let made = recorded(&machine);
            made.write("cmdline", &format!("root=/dev/sda1 ro {words} quiet\n"));
            let wanted = log.clone().collect::<String>() + &taken;
            assert_eq!(made.run(&shell, Way::Executed), wanted, "{host}, {shell:?}");
        }
    }
}

/// mkinitramfs asks for the scripts that go before it and goes on with the answer.
#[test]
fn the_script_names_no_prerequisites() {
    let script = project().join("src/plan/assets/bind.sh");
    for shell in shells() {
        let text = run_prereqs(&shell, &script);
        assert_eq!(text, "\n", "{shell:?}");
    }
}

fn run_prereqs(shell: &[PathBuf], script: &Path) -> String {
    output(Command::new(&shell[0]).args(&shell[1..]).arg(script).arg("prereqs"))
}
