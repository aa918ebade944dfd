//! Cards are on vfio-pci where a plan says so and nowhere else: what was applied to a Debian on
//! the same machine is booted, and `verify` judges from inside.

use serde_json::Value;

use super::guest::{Said, Topology, boot, kernel_or_skip};
use super::host::Host;

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

/// VFIO has the group of a function, as `inspect` numbers it, and no other.
fn is_the_only_group(said: &Said, address: &str) {
    let document = said.json("inspect");
    let gpus = document["gpus"].as_array().expect("gpus").iter();
    let mut functions = gpus.flat_map(|gpu| gpu["functions"].as_array().expect("functions"));
    let function = functions.find(|function| function["address"] == address).expect("it is there");
    let (_, nodes) = said.part("nodes");
    assert_eq!(nodes.lines().collect::<Vec<_>>(), [&function["iommu_group"].to_string(), "vfio"]);
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
