//! Groups are those that the kernel forms, on machines where functions share one and where none
//! do. What a group becomes depends on ACS of the ports above (drivers/iommu/iommu.c,
//! pci_device_group).

use serde_json::Value;

use super::guest::{Said, Topology, boot, kernel_or_skip};
use super::harness::passthru;

fn look(topology: Topology) -> Option<Said> {
    let kernel = kernel_or_skip()?;
    let said = boot(kernel, topology, None, "");
    is_captured(&said);
    Some(said)
}

/// From its capture a machine looks as it does from inside, with one exception: an option ROM is
/// not read unless the user asks for it, and why it is not is another reason where the card is
/// there.
pub fn is_captured(said: &Said) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("machine.tree");
    let (code, text) = said.part("capture");
    assert_eq!(code, 0, "{text}");
    std::fs::write(&file, text).expect("written");
    let path = file.to_str().expect("UTF-8");
    let without_reason = |mut document: Value| {
        let unreadable = document["unreadable"].as_array_mut().expect("what could not be read");
        for one in unreadable {
            if one["path"].as_str().is_some_and(|path| path.ends_with("/rom")) {
                one["reason"] = Value::Null;
            }
        }
        document
    };
    for name in ["inspect", "check"] {
        let read = passthru(&["--root", path, "--json", name]);
        assert_eq!(read.code, said.part(name).0, "{}", read.stderr);
        assert_eq!(without_reason(read.json()), without_reason(said.json(name)));
    }
}

/// Addresses of each group that has one of these functions, by the group's number.
pub fn groups_of(said: &Said, of: &[&str]) -> Vec<Vec<String>> {
    let document = said.json("inspect");
    assert_eq!(document["iommu"]["enabled"], true);
    let groups = document["iommu"]["groups"].as_array().expect("groups");
    let addresses = |group: &serde_json::Value| -> Vec<String> {
        let devices = group["devices"].as_array().expect("devices").iter();
        let address = |device: &serde_json::Value| {
            let address = device["address"].as_str().expect("an address");
            address.strip_prefix("0000:").expect("domain 0").to_owned()
        };
        devices.map(address).collect()
    };
    let all = groups.iter().map(addresses);
    all.filter(|group| group.iter().any(|address| of.contains(&address.as_str()))).collect()
}

/// A finding of `check`.
pub fn raises(said: &Said, code: &str) {
    let document = said.json("check");
    let mut findings = document["findings"].as_array().expect("findings").iter();
    assert!(findings.any(|finding| finding["code"] == code), "no {code}: {document:#}");
}

#[test]
fn a_card_behind_a_root_port_is_alone() {
    let Some(said) = look(Topology::Intel) else { return };
    let groups = groups_of(&said, &["00:03.0", "01:00.0", "01:00.1", "02:00.0"]);
    assert_eq!(groups, [vec!["00:03.0"], vec!["01:00.0", "01:00.1"], vec!["02:00.0"]]);
    let document = said.json("inspect");
    assert_eq!(document["iommu"]["kind"], "vt-d");
    assert_eq!(document["iommu"]["firmware_table"], "DMAR");
    let gpus = document["gpus"].as_array().expect("gpus");
    let card = gpus.iter().find(|gpu| gpu["address"] == "0000:01:00.0").expect("the card");
    let functions = card["functions"].as_array().expect("functions");
    let seen: Vec<_> = functions.iter().map(|f| (&f["address"], &f["id"], &f["class"])).collect();
    let text: Vec<String> = seen.iter().map(|(a, i, c)| format!("{a} {i} {c}")).collect();
    assert_eq!(
        text,
        [r#""0000:01:00.0" "1234:1111" "0380""#, r#""0000:01:00.1" "8086:2668" "0403""#,]
    );
    raises(&said, "inside-vm");
    raises(&said, "cpu-virtualization-off");
}

#[test]
fn the_only_card_is_alone() {
    let Some(said) = look(Topology::Single) else { return };
    assert_eq!(groups_of(&said, &["01:00.0"]), [["01:00.0", "01:00.1"]]);
    raises(&said, "only-gpu");
}

#[test]
fn a_port_of_a_switch_shares_the_group_of_the_card_behind_it() {
    let Some(said) = look(Topology::Switch) else { return };
    let groups = groups_of(&said, &["01:00.0", "03:00.0"]);
    assert_eq!(groups, [vec!["01:00.0"], vec!["02:00.0", "03:00.0", "03:00.1"]]);
    raises(&said, "bridges-stay");
}

#[test]
fn ports_of_a_switch_in_one_slot_share_a_group() {
    let Some(said) = look(Topology::DirtySwitch) else { return };
    let all = ["02:00.0", "02:00.1", "03:00.0", "03:00.1", "04:00.0"];
    assert_eq!(groups_of(&said, &["03:00.0"]), [all]);
}

#[test]
fn root_ports_without_acs_in_one_slot_share_a_group() {
    let Some(said) = look(Topology::DirtyNvme) else { return };
    let all = ["00:03.0", "00:03.1", "01:00.0", "01:00.1", "02:00.0"];
    assert_eq!(groups_of(&said, &["01:00.0"]), [all]);
}

#[test]
fn a_whole_slot_of_root_ports_without_acs_shares_a_group() {
    let Some(said) = look(Topology::DirtyXhci) else { return };
    let all = ["00:03.0", "00:03.1", "00:03.2", "01:00.0", "01:00.1", "02:00.0", "03:00.0"];
    assert_eq!(groups_of(&said, &["01:00.0"]), [all]);
    raises(&said, "group-shared");
}

#[test]
fn without_an_iommu_there_are_no_groups() {
    let Some(said) = look(Topology::NoIommu) else { return };
    let document = said.json("inspect");
    assert_eq!(document["iommu"]["enabled"], false);
    assert_eq!(document["iommu"]["groups"], serde_json::json!([]));
    raises(&said, "iommu-off-firmware");
}

#[test]
fn an_iommu_that_the_command_line_switches_off_is_named() {
    let Some(kernel) = kernel_or_skip() else { return };
    let said = boot(kernel, Topology::Intel, None, "intel_iommu=off");
    assert_eq!(said.json("inspect")["iommu"]["enabled"], false);
    raises(&said, "iommu-off-argument");
}
