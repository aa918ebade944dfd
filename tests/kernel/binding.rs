//! Cards are on vfio-pci where a plan says so and nowhere else: what was applied to a Debian on
//! the same machine is booted, and `verify` judges from inside.

use serde_json::{Value, json};

use super::groups::{groups_of, is_captured, raises};
use super::guest::{Said, Topology, boot, boot_and, kernel_or_skip};
use super::host::{Host, debian};

/// Both functions of the first and of the second card.
const TWINS: [&str; 4] = ["01:00.0", "01:00.1", "02:00.0", "02:00.1"];
const NORMAL: [&str; 4] = ["bochs-drm", "snd_hda_intel", "bochs-drm", "snd_hda_intel"];

/// The second of two identical cards is to be given away.
fn twins() -> Option<(&'static super::kernel::Kernel, Host)> {
    let kernel = kernel_or_skip()?;
    let host = Host::apply(kernel, "qemu-twin-igpu", &["02:00.0"]);
    assert_eq!(host.method(), "address");
    Some((kernel, host))
}

/// Everything that `verify` expects holds.
fn is_met(said: &Said) {
    let document = said.json("verify");
    let (code, _) = said.part("verify");
    assert_eq!((code, &document["verdict"]), (0, &Value::from("met")), "{document:#}");
}

/// `verify` says no, and gives this as cause of everything that does not hold.
fn is_unmet(said: &Said, cause: &str) {
    let document = said.json("verify");
    let (code, _) = said.part("verify");
    assert_eq!((code, &document["verdict"]), (1, &Value::from("unmet")), "{document:#}");
    let mut expectations = document["expectations"].as_array().expect("expectations").iter();
    let has = |one: &Value| one["cause"].as_str().is_some_and(|text| text.contains(cause));
    assert!(expectations.all(|one| one["verdict"] == "met" || has(one)), "{document:#}");
}

/// VFIO has the group of a function, as `inspect` numbers it, and no other; and it says that this
/// one is viable.
fn is_the_only_group(said: &Said, address: &str) {
    let document = said.json("inspect");
    let gpus = document["gpus"].as_array().expect("gpus").iter();
    let mut functions = gpus.flat_map(|gpu| gpu["functions"].as_array().expect("functions"));
    let function = functions.find(|function| function["address"] == address).expect("it is there");
    let group = &function["iommu_group"];
    let (_, nodes) = said.part("nodes");
    assert_eq!(nodes.lines().collect::<Vec<_>>(), [&group.to_string(), "vfio"]);
    let document = said.json("verify");
    let state = json!([{"group": group, "viable": true, "in_use": false}]);
    assert_eq!(document["vfio_groups"], state, "{document:#}");
    assert_eq!(found(&document), json!([read(&format!("/dev/vfio/{group}"), "viable")]));
}

/// What `verify` read of the card's group.
fn found(document: &Value) -> Value {
    let mut expectations = document["expectations"].as_array().expect("expectations").iter();
    let is_group = |one: &&Value| one["id"].as_str().is_some_and(|id| id.starts_with("group:"));
    expectations.find(is_group).expect("a group is expected")["evidence"].clone()
}

fn read(path: &str, found: &str) -> Value {
    json!({"path": path, "found": found})
}

#[test]
fn one_of_two_identical_cards_is_bound_by_address() {
    let Some((kernel, host)) = twins() else { return };
    let words = host.words();
    assert!(words.contains("passthru.bind=") && words.contains("@0000:02:00.0"), "{words}");
    let said = boot(kernel, Topology::TwinIgpu, Some(&host.root()), &words);
    assert_eq!(said.drivers(&TWINS), ["bochs-drm", "snd_hda_intel", "vfio-pci", "vfio-pci"]);
    assert_eq!(said.script(), ["0000:02:00.0 is on vfio-pci", "0000:02:00.1 is on vfio-pci"]);
    is_the_only_group(&said, "0000:02:00.0");
    is_met(&said);
}

#[test]
fn an_entry_without_the_word_boots_as_before() {
    let Some((kernel, host)) = twins() else { return };
    let said = boot(kernel, Topology::TwinIgpu, Some(&host.root()), "");
    assert_eq!(said.drivers(&TWINS), NORMAL);
    assert_eq!(said.script(), [""; 0]);
    is_unmet(&said, "and an entry without it was started");
}

#[test]
fn a_wrong_id_binds_nothing_and_the_log_says_so() {
    let Some((kernel, host)) = twins() else { return };
    let words = host.words().replace("8086:2668", "8086:2669");
    let said = boot(kernel, Topology::TwinIgpu, Some(&host.root()), &words);
    assert_eq!(said.drivers(&TWINS), NORMAL);
    let log = said.script();
    assert!(log[0].starts_with("expected 8086:2669:"), "{log:?}");
    assert_eq!(log[1..], ["nothing is bound to vfio-pci"]);
    is_unmet(&said, "The kernel got another value for passthru.bind");
}

#[test]
fn with_the_module_blacklisted_the_normal_drivers_take_the_card() {
    let Some((kernel, host)) = twins() else { return };
    let words = host.words() + " module_blacklist=vfio_pci";
    let said = boot(kernel, Topology::TwinIgpu, Some(&host.root()), &words);
    assert_eq!(said.drivers(&TWINS), NORMAL);
    assert_eq!(said.script(), ["vfio-pci cannot be loaded, nothing is bound to it"]);
    is_unmet(&said, "The kernel command line forbids vfio-pci");
}

/// By ids on the command line: the softdep has vfio-pci loaded before the card's drivers.
#[test]
fn a_card_is_bound_by_ids_on_the_command_line() {
    let Some(kernel) = kernel_or_skip() else { return };
    let host = Host::apply(kernel, "qemu-intel", &["01:00.0"]);
    assert_eq!(host.method(), "id");
    let words = host.words();
    assert!(words.contains("vfio-pci.ids=1234:1111,8086:2668"), "{words}");
    let said = boot(kernel, Topology::Intel, Some(&host.root()), &words);
    assert_eq!(said.drivers(&TWINS[..2]), ["vfio-pci", "vfio-pci"]);
    is_the_only_group(&said, "0000:01:00.0");
    is_met(&said);
}

#[test]
fn a_card_is_bound_by_ids_in_modprobe() {
    let Some(kernel) = kernel_or_skip() else { return };
    let host = Host::apply(kernel, "qemu-intel", &["01:00.0", "--ids-in", "modprobe"]);
    let words = host.words();
    assert!(!words.contains("ids="), "{words}");
    let said = boot(kernel, Topology::Intel, Some(&host.root()), &words);
    assert_eq!(said.drivers(&TWINS[..2]), ["vfio-pci", "vfio-pci"]);
    is_met(&said);
}

/// Two network adapters of one id, one of them in the card's slot: the subsystem id tells them
/// apart, to vfio-pci too.
#[test]
fn a_card_is_bound_by_subsystem_ids() {
    let Some(kernel) = kernel_or_skip() else { return };
    let said = boot(kernel, Topology::SharedId, None, "");
    is_captured(&said);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let capture = dir.path().join("machine.tree");
    std::fs::write(&capture, said.part("capture").1).expect("written");
    let machine = debian(kernel, capture.to_str().expect("UTF-8")).write("dev/kvm", "");
    let host = Host::apply_to(kernel, machine, &["01:00.0"]);
    assert_eq!(host.method(), "subsystem-id");
    let words = host.words();
    assert!(words.contains("vfio-pci.ids=1234:1111:1af4:1100,8086:10d3:1af4:1234"), "{words}");
    let said = boot(kernel, Topology::SharedId, Some(&host.root()), &words);
    let drivers = said.drivers(&["01:00.0", "01:00.1", "02:00.0"]);
    assert_eq!(drivers, ["vfio-pci", "vfio-pci", "e1000e"]);
    is_the_only_group(&said, "0000:01:00.0");
    is_met(&said);
    is_captured(&said);
}

/// One of two identical cards, where no other display is.
fn twin_without_another_display(topology: Topology, recorded: &str) {
    let Some(kernel) = kernel_or_skip() else { return };
    let host = Host::apply(kernel, recorded, &["02:00.0"]);
    assert_eq!(host.method(), "address");
    let said = boot(kernel, topology, Some(&host.root()), &host.words());
    assert_eq!(groups_of(&said, &TWINS), [["01:00.0", "01:00.1"], ["02:00.0", "02:00.1"]]);
    assert_eq!(said.drivers(&TWINS), ["bochs-drm", "snd_hda_intel", "vfio-pci", "vfio-pci"]);
    raises(&said, "id-shared");
    is_the_only_group(&said, "0000:02:00.0");
    is_met(&said);
}

#[test]
fn a_twin_keeps_the_picture() {
    twin_without_another_display(Topology::Twin, "qemu-twin");
}

#[test]
fn a_twin_keeps_the_picture_with_amd() {
    twin_without_another_display(Topology::AmdTwin, "qemu-amd-twin");
}

#[test]
fn a_card_is_bound_by_ids_with_amd() {
    let Some(kernel) = kernel_or_skip() else { return };
    let host = Host::apply(kernel, "qemu-amd", &["01:00.0"]);
    assert_eq!(host.method(), "id");
    let said = boot(kernel, Topology::Amd, Some(&host.root()), &host.words());
    let iommu = &said.json("inspect")["iommu"];
    assert_eq!((&iommu["kind"], &iommu["firmware_table"]), (&"amd-vi".into(), &"IVRS".into()));
    let groups = groups_of(&said, &["00:03.0", "01:00.0", "02:00.0"]);
    assert_eq!(groups, [vec!["00:03.0"], vec!["01:00.0", "01:00.1"], vec!["02:00.0"]]);
    assert_eq!(said.drivers(&TWINS[..2]), ["vfio-pci", "vfio-pci"]);
    is_the_only_group(&said, "0000:01:00.0");
    is_met(&said);
    is_captured(&said);
}

/// A drive that had no driver when the plan was made has one now, and then no longer. The group is
/// asked about also while it is open elsewhere, and by a user who may not open it.
#[test]
fn a_group_with_a_member_on_a_driver_of_the_host_is_not_viable() {
    let Some(kernel) = kernel_or_skip() else { return };
    let drive = "sys/devices/pci0000:00/0000:00:03.1/0000:02:00.0/driver";
    let machine = debian(kernel, "qemu-dirty-nvme").remove(drive);
    let host = Host::apply_to(kernel, machine, &["01:00.0", "--allow", "group-shared"]);
    let more = "\
echo nobody:x:65534:65534::/:/bin/sh >>/etc/passwd
nobody() { start-stop-daemon -S -c nobody -x /bin/passthru -- --json verify; }
open() { passthru --json verify 9</dev/vfio/2; }
say nobody nobody
echo 0000:02:00.0 >/sys/bus/pci/drivers/nvme/unbind
say free passthru --json verify
say free-nobody nobody
say free-open open
";
    let said = boot_and(kernel, Topology::DirtyNvme, Some(&host.root()), &host.words(), more);
    assert_eq!(said.drivers(&["01:00.0", "01:00.1", "02:00.0"]), ["vfio-pci", "vfio-pci", "nvme"]);
    let state =
        |viable: Value, in_use: Value| json!([{"group": 2, "viable": viable, "in_use": in_use}]);
    let nvme = read("/sys/bus/pci/devices/0000:02:00.0/driver", "nvme");
    let denied = "there, VFIO could not be asked: permission denied (root may read it)";
    let open = "in use: another process has it open";
    for (name, verdict, groups, evidence) in [
        ("verify", "unmet", state(false.into(), false.into()), vec!["not viable"]),
        ("nobody", "unmet", state(Value::Null, Value::Null), vec![denied]),
        ("free", "met", state(true.into(), false.into()), vec!["viable"]),
        ("free-nobody", "met", state(Value::Null, Value::Null), vec![denied]),
        ("free-open", "met", state(Value::Null, true.into()), vec![open]),
    ] {
        let document = said.json(name);
        assert_eq!(document["verdict"], verdict, "{name}: {document:#}");
        assert_eq!(document["vfio_groups"], groups, "{name}");
        let mut all: Vec<Value> = evidence.iter().map(|one| read("/dev/vfio/2", one)).collect();
        all.extend((verdict == "unmet").then(|| nvme.clone()));
        assert_eq!(found(&document), Value::from(all), "{name}");
    }
    is_unmet(
        &said,
        "In the card's group 2, drivers of the host still hold 0000:02:00.0 Red Hat, Inc. QEMU NVM \
         Express Controller (nvme). A group goes to a guest as a whole or not at all.",
    );
}
