use proptest::prelude::*;

use super::*;
use crate::check::{Case, Desired};
use crate::host::Host;
use crate::host::rom::Probe;
use crate::sys::{Sysroot, host_tree};

fn host(name: &str) -> Host {
    Host::read(&Sysroot::from_tree(host_tree(name).unwrap().unwrap()), Probe::No)
}

fn written(expected: &[Expectation]) -> Vec<String> {
    expected.iter().map(Expectation::id).collect()
}

fn wish(gpu: Option<&str>) -> Desired {
    Desired { gpu: gpu.map(str::to_owned), ..Desired::default() }
}

#[test]
fn an_undo_expects_what_was() {
    let host = host("z490-arch");
    let desired = wish(None);
    let case = Case::new(&host, &desired);
    assert_eq!(
        written(&before(&case)),
        [
            "no-parameter:passthru.bind=1002:73ff:1462:5022@0000:07:00.0,1002:ab28:1002:ab28@0000:07:00.1",
            "identity:0000:07:00.0=1002:73ff:1462:5022",
            "identity:0000:07:00.1=1002:ab28:1002:ab28",
            "not-vfio:0000:07:00.0",
            "driver:0000:07:00.0=amdgpu",
            "not-vfio:0000:07:00.1",
            "driver:0000:07:00.1=snd_hda_intel",
            "driver:0000:03:00.0=amdgpu",
            "driver:0000:03:00.1=snd_hda_intel",
            "vfio:nothing-else",
        ]
    );
}

/// The card was on vfio-pci before, by what the user has configured, and is again.
#[test]
fn an_undo_leaves_what_the_user_has_bound() {
    let host = host("qemu-sdboot-intel-bound");
    let desired = wish(Some("01:00.0"));
    let case = Case::new(&host, &desired);
    let expected = written(&before(&case));
    assert!(expected.contains(&"vfio:0000:01:00.0".to_owned()), "{expected:?}");
    assert!(!expected.iter().any(|id| id.starts_with("not-vfio")), "{expected:?}");
}

/// Nothing selects it: a guest has it for now.
#[test]
fn an_undo_expects_nothing_of_what_a_guest_has() {
    let mut tree = host_tree("qemu-sdboot-intel-bound").unwrap().unwrap();
    let empty = crate::sys::Node::File { bytes: Vec::new(), meta: None };
    tree.insert("etc/modprobe.d/vfio.conf", empty);
    let host = Host::read(&Sysroot::from_tree(tree), Probe::No);
    let desired = wish(Some("01:00.0"));
    let expected = written(&before(&Case::new(&host, &desired)));
    assert!(!expected.iter().any(|id| id.contains("vfio:0000:01:00")), "{expected:?}");
}

/// This machine's boot entries are not in the recording; its kernel got the words all the same.
#[test]
fn an_undo_does_not_promise_what_it_did_not_bring() {
    let host = host("qemu-sdboot-intel-bound");
    let desired = wish(Some("00:02.0"));
    let expected = written(&before(&Case::new(&host, &desired)));
    let there = |id: &str| expected.iter().any(|other| other == id);
    assert!(!there("no-parameter:iommu=pt"), "{expected:?}");
    assert!(expected.iter().any(|id| id.starts_with("no-parameter:vfio-pci.ids=")), "{expected:?}");
}

#[test]
fn a_word_that_the_plan_takes_out_comes_back() {
    let tree = host_tree("z490-arch").unwrap().unwrap().render();
    let tree = tree.replace("intel_iommu=on iommu=pt", "intel_iommu=on iommu=off");
    let root = Sysroot::from_tree(crate::sys::Tree::parse(&tree).unwrap());
    let host = Host::read(&root, Probe::No);
    let desired = wish(Some("07:00.0"));
    let expected = before(&Case::new(&host, &desired));
    assert!(expected.contains(&Expectation::Parameter("iommu=off".to_owned())), "{expected:?}");
    assert!(expected.contains(&Expectation::NoParameter("iommu=pt".to_owned())), "{expected:?}");
}

#[test]
fn no_list_is_ever_empty() {
    for (name, _) in crate::sys::HOSTS {
        let host = host(name);
        for gpu in host.gpus.cards.iter().map(|gpu| Some(gpu.address.to_string())).chain([None]) {
            let desired = wish(gpu.as_deref());
            let case = Case::new(&host, &desired);
            assert!(!before(&case).is_empty(), "{name} {gpu:?}");
            let Some(binding) = Binding::choose(&case) else { continue };
            assert!(!all(&case, &binding).is_empty(), "{name} {gpu:?}");
            for expected in all(&case, &binding).iter().chain(&before(&case)) {
                let id = expected.id();
                assert_eq!(Expectation::from_id(&id).as_ref(), Some(expected), "{name} {id}");
            }
        }
    }
}

#[test]
fn names_are_exact() {
    for wrong in [
        "",
        "parameter",
        "parameter:",
        "iommu:off",
        "vfio:07:00.0",
        "vfio:0000:07:00.A",
        "driver:0000:07:00.0",
        "driver:0000:07:00.0=",
        "group:018",
        "group:-1",
        "identity:0000:07:00.0=1002:73ff",
        "identity:0000:07:00.0=1002:73FF:1462:5022",
        "identity:0000:07:00.0=1002:73ff:1462:5022:",
        "colour:red",
    ] {
        assert_eq!(Expectation::from_id(wrong), None, "{wrong}");
    }
}

#[test]
fn the_sentence_is_ignored_when_read() {
    let text = r#"{"text": "x", "id": "driver:0000:07:00.0=a=b", "new": 1}"#;
    let read: Expectation = serde_json::from_str(text).unwrap();
    assert_eq!(read, Expectation::Keeps("07:00.0".parse().unwrap(), "a=b".to_owned()));
    let error = serde_json::from_str::<Expectation>(r#"{"id": "x:y"}"#).unwrap_err();
    assert!(error.to_string().starts_with("no expectation is called `x:y`"), "{error}");
}

fn any_address() -> impl Strategy<Value = PciAddress> {
    (any::<u32>(), any::<u8>(), 0_u8..32, 0_u8..8)
        .prop_map(|(domain, bus, device, function)| PciAddress { domain, bus, device, function })
}

fn any_expectation() -> impl Strategy<Value = Expectation> {
    let word = || "[ -~]{1,40}";
    let ids = "[0-9a-f]{4}(:[0-9a-f]{4}){3}";
    prop_oneof![
        word().prop_map(Expectation::Parameter),
        word().prop_map(Expectation::NoParameter),
        Just(Expectation::IommuOn),
        (any_address(), ids).prop_map(|(address, ids)| Expectation::Identity(address, ids)),
        any_address().prop_map(Expectation::OnVfio),
        any_address().prop_map(Expectation::NotOnVfio),
        (any_address(), word()).prop_map(|(address, driver)| Expectation::Keeps(address, driver)),
        any::<u32>().prop_map(Expectation::VfioGroup),
        Just(Expectation::NothingElseTaken),
    ]
}

proptest! {
    #[test]
    fn name_and_expectation_are_inverse(expected in any_expectation()) {
        let id = expected.id();
        prop_assert_eq!(Expectation::from_id(&id), Some(expected.clone()));
        let json = serde_json::to_string(&expected).unwrap();
        prop_assert_eq!(serde_json::from_str::<Expectation>(&json).unwrap(), expected);
    }

    #[test]
    fn nothing_else_is_read(id in "(parameter|no-parameter|vfio|not-vfio|driver|group|identity|iommu):[0-9a-f:.=-]{0,30}") {
        if let Some(read) = Expectation::from_id(&id) {
            prop_assert_eq!(read.id(), id);
        }
    }
}
