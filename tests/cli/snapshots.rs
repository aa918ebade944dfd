//! What people see, for every recorded host. These show that an answer changed; whether it is
//! right is for `agreement` and for the reader of the change.

use std::collections::BTreeSet;

use insta::Settings;

use super::harness::{passthru, project};

/// Where several cards are equal, the one that is asked about.
const NAMED: [(&str, &str); 3] = [
    ("qemu-twin-igpu", "01:00.0"),
    ("server-8xa100-ubuntu", "10:00.0"),
    ("z270-centos7-twins", "01:00.0"),
];

/// Where a blocker is lifted on purpose: the only card is given away.
const LIFTED: [(&str, &str); 3] = [
    ("b560-nobara-single-gpu", "only-gpu"),
    ("m5-proxmox-apu", "only-gpu"),
    ("qemu-single", "only-gpu"),
];

/// Names of the recorded hosts.
fn hosts() -> Vec<String> {
    let files = std::fs::read_dir(project().join("hosts")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut hosts: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".tree").map(str::to_owned)).collect();
    hosts.sort();
    hosts
}

/// Name of a snapshot, and the arguments that give it.
fn runs(host: &str) -> Vec<(String, Vec<&str>)> {
    let named = NAMED.iter().find(|(known, _)| *known == host).map(|(_, card)| *card);
    let mut runs = Vec::new();
    if !host.starts_with("qemu-") {
        runs.push((format!("{host}-inspect"), vec!["inspect"]));
    }
    for verb in ["check", "plan"] {
        let mut args = vec![verb, "-v"];
        args.extend(named);
        runs.push((format!("{host}-{verb}"), args));
    }
    if named.is_some() {
        runs.push((format!("{host}-unnamed"), vec!["check", "-v"]));
    }
    if let Some((_, code)) = LIFTED.iter().find(|(known, _)| *known == host) {
        runs.push((format!("{host}-lifted"), vec!["plan", "-v", "--allow", code]));
    }
    runs
}

fn directory() -> std::path::PathBuf {
    project().join("tests/cli/snapshots")
}

fn settings() -> Settings {
    let mut settings = Settings::new();
    settings.set_snapshot_path(directory());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

#[test]
fn people_see_this() {
    settings().bind(|| {
        for host in hosts() {
            for (name, args) in runs(&host) {
                let output = passthru(&[&["--host", &host], args.as_slice()].concat());
                let shown = format!(
                    "$ passthru --host {host} {}\n{}{}[exit code {}]\n",
                    args.join(" "),
                    output.stdout,
                    output.stderr,
                    output.code
                );
                insta::assert_snapshot!(name, shown);
            }
        }
    });
}

#[test]
fn cards_are_named_only_where_none_would_be_chosen() {
    for host in hosts() {
        let unnamed = passthru(&["--host", &host, "--json", "check"]).json();
        let several = unnamed["candidates"].as_array().is_some_and(|cards| !cards.is_empty());
        assert_eq!(several, NAMED.iter().any(|(known, _)| *known == host), "{host}");
    }
}

#[test]
fn every_snapshot_belongs_to_a_run() {
    let wanted: BTreeSet<String> = hosts()
        .iter()
        .flat_map(|host| runs(host))
        .map(|(name, _)| format!("{name}.snap"))
        .collect();
    let files = std::fs::read_dir(directory()).unwrap();
    let there: BTreeSet<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".snap"))
        .collect();
    assert_eq!(there, wanted);
}
