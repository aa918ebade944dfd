//! What the program says about a machine, against what a person who knows the subject says.
//!
//! `tests/truth/groups` and `tests/truth/drivers` hold what lspci and the kernel said on
//! machines that were booted under an emulator.

mod truth;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::harness::{Machine, Output, passthru, project};
use truth::{
    BLOCKERS, Group, Iommu, LOST_WITH_THE_GROUP, Method, State, Truth, WARNINGS, Words, codes_for,
};

/// What the program says about a machine.
struct Said {
    inspect: Value,
    /// `check` without a name, and with the name of the card.
    unnamed: Output,
    check: Output,
    plan: Output,
    /// `plan` with the only card given away on purpose.
    lifted: Output,
}

impl Said {
    fn by(run: &dyn Fn(&[&str]) -> Output, card: Option<&str>) -> Self {
        let ask = |args: &[&str]| {
            let mut all = vec!["--json"];
            all.extend(args.iter().chain(&card));
            run(&all)
        };
        Self {
            inspect: run(&["--json", "inspect"]).json(),
            unnamed: run(&["--json", "check"]),
            check: ask(&["check"]),
            plan: ask(&["plan"]),
            lifted: ask(&["plan", "--allow", "only-gpu"]),
        }
    }

    /// The gpu of `inspect` with this function.
    fn card(&self, function: &str) -> Option<&Value> {
        let cards = self.inspect["gpus"].as_array()?;
        cards.iter().find(|gpu| addresses(&gpu["functions"]).contains(function))
    }

    fn codes(&self, keep: impl Fn(&Value) -> bool) -> BTreeSet<String> {
        let check = self.check.json();
        let findings = check["findings"].as_array().expect("findings").iter();
        findings.filter(|one| keep(one)).map(|one| text(&one["code"])).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

/// The addresses of a list of devices.
fn addresses(devices: &Value) -> BTreeSet<String> {
    devices.as_array().into_iter().flatten().map(|device| text(&device["address"])).collect()
}

type Agreement = Result<(), String>;

fn same<T: std::fmt::Debug + PartialEq>(said: T, truth: T) -> Agreement {
    if said == truth { Ok(()) } else { Err(format!("said {said:?}, but it is {truth:?}")) }
}

/// One question with the way to compare the answers.
type Aspect = (&'static str, fn(&Truth, &Said) -> Agreement);

const ASPECTS: [Aspect; 16] = [
    ("gpus", gpus),
    ("chosen", chosen),
    ("roles", roles),
    ("functions", functions),
    ("iommu", iommu),
    ("groups", groups),
    ("members", members),
    ("ids", ids),
    ("method", method),
    ("grabs", grabs),
    ("parameters", parameters),
    ("loader", loader),
    ("images", images),
    ("blockers", blockers),
    ("warnings", warnings),
    ("verdict", verdict),
];

fn gpus(truth: &Truth, said: &Said) -> Agreement {
    same(addresses(&said.inspect["gpus"]), truth.gpus.iter().cloned().collect())
}

/// Without a name: the one card, or the list of those that are equal.
fn chosen(truth: &Truth, said: &Said) -> Agreement {
    let unnamed = said.unnamed.json();
    if truth.guest_candidates.is_empty() {
        same(unnamed["gpu"].as_str(), truth.card())?;
        same(unnamed, said.check.json())
    } else {
        same(unnamed["gpu"].as_str(), None)?;
        same(said.unnamed.code, 1)?;
        same(texts(&unnamed["candidates"]), truth.guest_candidates.clone())
    }
}

fn roles(truth: &Truth, said: &Said) -> Agreement {
    let management = texts(&said.inspect["management_displays"]);
    for card in truth.gpus.iter().chain(&truth.host_gpu) {
        let role = match said.card(card) {
            Some(gpu) => text(&gpu["role"]),
            None if management.contains(card) => "host".to_owned(),
            None => return Err(format!("no card at {card}")),
        };
        // An only card shows the host's picture, whatever is to become of it.
        let stays = Some(card) == truth.host_gpu.as_ref() || truth.state == State::SingleGpu;
        let bound = truth.state == State::Configured;
        let want = if stays { "host" } else { ["candidate", "assigned"][usize::from(bound)] };
        same(role.as_str(), want).map_err(|error| format!("{card}: {error}"))?;
    }
    Ok(())
}

fn functions(truth: &Truth, said: &Said) -> Agreement {
    let Some(card) = &truth.guest_gpu else { return Ok(()) };
    same(texts(&said.check.json()["functions"]), truth.guest_functions.clone())?;
    let gpu = said.card(card).ok_or_else(|| format!("no card at {card}"))?;
    same(addresses(&gpu["functions"]), truth.guest_functions.iter().cloned().collect())
}

fn iommu(truth: &Truth, said: &Said) -> Agreement {
    let iommu = &said.inspect["iommu"];
    let answer = match (iommu["enabled"].as_bool(), iommu["firmware_table"].is_string()) {
        (Some(true), _) => Iommu::On,
        (Some(false), true) => Iommu::OffInKernel,
        (Some(false), false) => Iommu::OffInFirmware,
        (None, _) => return Err("not looked at".to_owned()),
    };
    same(answer, truth.iommu)
}

/// Members of a function's group that are no function of its card: bridges, and all others.
fn mates(said: &Said, function: &str) -> Option<(Vec<Value>, Vec<Value>)> {
    let own = addresses(&said.card(function)?["functions"]);
    let groups = said.inspect["iommu"]["groups"].as_array()?;
    let group = groups.iter().find(|group| addresses(&group["devices"]).contains(function))?;
    let devices = group["devices"].as_array()?.iter();
    let foreign = devices.filter(|device| !own.contains(&text(&device["address"]))).cloned();
    let is_bridge = |device: &Value| ["0604", "0600"].contains(&text(&device["class"]).as_str());
    Some(foreign.partition(is_bridge))
}

fn groups(truth: &Truth, said: &Said) -> Agreement {
    let command_line = text(&said.inspect["kernel"]["command_line"]);
    for (function, wanted) in &truth.groups {
        let by_override = command_line.contains("pcie_acs_override=");
        let answer = match mates(said, function) {
            None if truth.iommu == Iommu::OffInKernel => Group::UnknownUntilIommuOn,
            None => Group::None,
            Some((_, others)) if others.iter().any(|one| text(&one["class"]).starts_with("03")) => {
                Group::SharedWithGpu
            }
            Some((_, others)) if !others.is_empty() => Group::Dirty,
            Some(_) if by_override => Group::CleanByOverride,
            Some((bridges, _)) if bridges.is_empty() => Group::Clean,
            Some(_) => Group::CleanWithBridges,
        };
        same(answer, *wanted).map_err(|error| format!("{function}: {error}"))?;
    }
    Ok(())
}

fn members(truth: &Truth, said: &Said) -> Agreement {
    for (function, wanted) in &truth.dirty_members {
        let (_, others) = mates(said, function).ok_or("no group")?;
        same(addresses(&Value::Array(others)), wanted.clone())?;
        let named = evidence_of(said, "group-shared");
        same(named, wanted.clone())?;
    }
    Ok(())
}

/// Addresses at the end of the paths, or before the last part, of a finding's evidence.
fn evidence_of(said: &Said, code: &str) -> BTreeSet<String> {
    let check = said.check.json();
    let found = check["findings"].as_array().expect("findings").iter();
    let evidence = found
        .filter(|one| one["code"] == code)
        .flat_map(|one| one["evidence"].as_array().expect("evidence").clone());
    let address = |part: &&str| part.len() >= 12 && part.matches(':').count() == 2;
    evidence
        .filter_map(|one| text(&one["path"]).split('/').rfind(address).map(str::to_owned))
        .collect()
}

/// The first two parts of every id: the long forms begin with them.
fn ids(truth: &Truth, said: &Said) -> Agreement {
    if truth.guest_gpu.is_none() {
        return Ok(());
    }
    let short = |id: String| id.chars().take(9).collect();
    let said: Vec<String> =
        texts(&said.check.json()["binding"]["ids"]).into_iter().map(short).collect();
    same(said, truth.ids.clone())
}

fn method(truth: &Truth, said: &Said) -> Agreement {
    let answer = text(&said.check.json()["binding"]["method"]);
    match truth.method {
        None => Ok(()),
        Some(Method::ById) => same(answer.as_str(), "id"),
        Some(Method::ByAddress) => same(answer.as_str(), "address"),
        Some(Method::AtVmStart) => same(said.plan.code, 1),
    }
}

fn grabs(truth: &Truth, said: &Said) -> Agreement {
    let wanted: BTreeSet<String> =
        truth.by_id_grabs_host.iter().chain(&truth.by_id_grabs_other).cloned().collect();
    let bound = truth.bound();
    same(evidence_of(said, "id-shared").difference(&bound).cloned().collect(), wanted)?;
    let of_the_host =
        |address: &&String| said.card(address).is_none_or(|gpu| gpu["role"] == "host");
    same(truth.by_id_grabs_host.iter().all(|one| of_the_host(&one)), true)?;
    same(truth.by_id_grabs_other.iter().any(|one| of_the_host(&one)), false)
}

fn parameters(truth: &Truth, said: &Said) -> Agreement {
    let active = text(&said.inspect["kernel"]["command_line"]);
    let active: BTreeSet<&str> = active.split_whitespace().collect();
    let plan = said.lifted.json();
    let (added, removed) =
        (texts(&plan["kernel_parameters"]["add"]), texts(&plan["kernel_parameters"]["remove"]));
    for word in &truth.parameters_present {
        if !active.contains(word.as_str()) {
            return Err(format!("{word} is not on the command line"));
        }
        if removed.contains(word) {
            return Err(format!("{word} is taken away"));
        }
    }
    if truth.guest_gpu.is_none() {
        return Ok(());
    }
    for word in &truth.parameters_missing {
        if !added.contains(word) {
            return Err(format!("{word} is not added"));
        }
    }
    let selects =
        |word: &str| word.starts_with("vfio-pci.ids=") || word.starts_with("passthru.bind=");
    let known = truth.parameters_missing.iter().chain(&truth.parameters_optional);
    let known: BTreeSet<&String> = known.collect();
    match added.iter().find(|word| !known.contains(word) && !selects(word)) {
        Some(word) => Err(format!("{word} is added for nothing")),
        None => Ok(()),
    }
}

/// The contract has no word for "there is none".
fn or_unknown(kind: &str) -> &str {
    if kind == "none" { "unknown" } else { kind }
}

fn loader(truth: &Truth, said: &Said) -> Agreement {
    same(text(&said.inspect["bootloader"]["kind"]).as_str(), or_unknown(&truth.bootloader))
}

fn images(truth: &Truth, said: &Said) -> Agreement {
    same(text(&said.inspect["initramfs"]["kind"]).as_str(), or_unknown(&truth.initramfs))
}

fn all_raised(table: Words, words: &[String], raised: &BTreeSet<String>) -> Agreement {
    for (word, codes) in words.iter().zip(codes_for(table, words)) {
        if !codes.iter().any(|code| raised.contains(*code)) {
            return Err(format!("{word}: none of {codes:?} is raised"));
        }
    }
    Ok(())
}

fn blockers(truth: &Truth, said: &Said) -> Agreement {
    let raised = said.codes(|finding| finding["severity"] == "blocker");
    all_raised(BLOCKERS, &truth.blockers, &raised)?;
    let mut known: BTreeSet<&str> =
        codes_for(BLOCKERS, &truth.blockers).into_iter().flatten().copied().collect();
    if truth.state == State::SingleGpu {
        known.insert("only-gpu");
    }
    if truth.card().is_some_and(|card| truth.groups.get(card) == Some(&Group::Dirty)) {
        known.extend(LOST_WITH_THE_GROUP);
    }
    let extra: Vec<&String> = raised.iter().filter(|code| !known.contains(code.as_str())).collect();
    if extra.is_empty() { Ok(()) } else { Err(format!("{extra:?} block for nothing")) }
}

fn warnings(truth: &Truth, said: &Said) -> Agreement {
    all_raised(WARNINGS, &truth.warnings, &said.codes(|_| true))
}

fn verdict(truth: &Truth, said: &Said) -> Agreement {
    let (word, code) = match truth.state {
        State::NeedsConfig => ("configurable", 0),
        State::Configured => ("ready", 0),
        State::SingleGpu | State::Blocked | State::NotAHost => ("blocked", 1),
    };
    let check = said.check.json();
    same((text(&check["verdict"]).as_str(), said.check.code), (word, code))?;
    let plan = said.plan.json();
    match truth.state {
        // Where passthru does not edit, it says what to do by hand.
        State::NeedsConfig if said.plan.code == 0 => {
            same(plan["changes"].as_array().is_some_and(|changes| !changes.is_empty()), true)
        }
        State::NeedsConfig => same(texts(&plan["by_hand"]).is_empty(), false),
        State::Configured => same(
            (said.plan.code, plan["changes"].as_array().map(Vec::len), plan["reboot"].as_bool()),
            (0, Some(0), Some(false)),
        ),
        State::SingleGpu => {
            same(plan, check)?;
            let lifted = said.lifted.json();
            let steps = texts(&lifted["by_hand"]).len();
            let changes = lifted["changes"].as_array().map_or(0, Vec::len);
            same(steps + changes > 0, true)
        }
        State::Blocked | State::NotAHost => {
            same((plan, said.plan.code), (check, 1))?;
            same(said.lifted.code, 1)
        }
    }
}

/// Names of the files with this ending in a directory of truths, without it.
fn names_in(dir: &str, ending: &str) -> Vec<String> {
    let files = std::fs::read_dir(project().join(dir)).unwrap();
    let names = files.filter_map(|file| {
        let name = file.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(ending).map(str::to_owned)
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// One line for each host, one column for each aspect; `NO` where they differ.
fn compare(ask: impl Fn(&str, Option<&str>) -> Said) {
    let hosts = names_in("tests/truth", ".toml");
    assert_eq!(hosts.len(), 12);
    let mut table = format!("{:24}", "");
    for (name, _) in ASPECTS {
        let _ = write!(table, " {name:>10}");
    }
    let mut differences = String::new();
    for host in &hosts {
        let truth = Truth::of(host);
        let said = ask(host, truth.card());
        let _ = write!(table, "\n{host:24}");
        for (name, compare) in ASPECTS {
            let answer = compare(&truth, &said);
            let _ = write!(table, " {:>10}", if answer.is_ok() { "yes" } else { "NO" });
            if let Err(difference) = answer {
                let _ = writeln!(differences, "{host}, {name}: {difference}");
            }
        }
    }
    #[expect(clippy::print_stdout, reason = "shown with --nocapture")]
    {
        println!("{table}");
    }
    assert!(differences.is_empty(), "{table}\n\n{differences}");
}

#[test]
fn agrees_with_an_expert_about_recorded_hosts() {
    compare(|host, card| Said::by(&|args| passthru(&[&["--host", host], args].concat()), card));
}

#[test]
fn agrees_with_an_expert_about_the_same_hosts_as_files() {
    compare(|host, card| {
        let machine = Machine::new(host);
        Said::by(&|args| machine.run(args), card)
    });
}

#[test]
fn words_of_the_expert_map_to_codes_that_exist() {
    for code in BLOCKERS.iter().chain(WARNINGS).flat_map(|(_, codes)| *codes) {
        assert_eq!(passthru(&["explain", code]).code, 0, "{code}");
    }
}

/// `0: 0000:00:00.0 0000:00:01.0` for each group, as the kernel had them.
#[test]
fn groups_are_those_of_the_kernel() {
    let names = names_in("tests/truth/groups", ".txt");
    assert_eq!(names.len(), 13);
    for name in names {
        let path = project().join(format!("tests/truth/groups/{name}.txt"));
        let truth = std::fs::read_to_string(path).unwrap();
        let document = passthru(&["--host", &name, "--json", "inspect"]).json();
        let mut said = String::new();
        for group in document["iommu"]["groups"].as_array().unwrap() {
            let members: Vec<String> = addresses(&group["devices"]).into_iter().collect();
            let _ = writeln!(said, "{}: {}", group["id"], members.join(" "));
        }
        assert_eq!(said, truth, "{name}");
        assert_eq!(document["iommu"]["enabled"], !truth.is_empty(), "{name}");
    }
}

/// `0000:00:00.0 DRIVER` for each function, `-` where lspci showed no driver in use.
#[test]
fn drivers_are_those_that_lspci_shows() {
    let names = names_in("tests/truth/drivers", ".txt");
    assert_eq!(names.len(), 13);
    for name in names {
        let path = project().join(format!("tests/truth/drivers/{name}.txt"));
        let truth = std::fs::read_to_string(path).unwrap();
        let document = passthru(&["--host", &name, "--json", "inspect"]).json();
        let mut said = String::new();
        for device in document["devices"].as_array().unwrap() {
            let driver = device["driver"].as_str().unwrap_or("-");
            let _ = writeln!(said, "{} {driver}", text(&device["address"]));
        }
        assert_eq!(said, truth, "{name}");
    }
}

/// The published guide names the host's card as the one to isolate. With vfio-pci first in the
/// initramfs, that list takes the host's display away.
#[test]
fn a_list_that_names_the_hosts_card_is_refused_not_built_upon() {
    for path in ["etc/modprobe.d/vfio.conf", "boot/loader/entries/arch.conf"] {
        for ids in ["1002:73df,1002:ab28", "1002:73ff,1002:ab28,1002:73df"] {
            let machine = Machine::new("z490-arch");
            let machine = match path.starts_with("etc") {
                true => machine.write(path, format!("options vfio-pci ids={ids}\n")),
                false => machine.replace(path, "iommu=pt", &format!("iommu=pt vfio-pci.ids={ids}")),
            };
            let plan = machine.run(&["--json", "plan"]);
            assert_eq!(
                (plan.code, text(&plan.json()["verdict"]).as_str()),
                (1, "blocked"),
                "{path}"
            );
            let raised = machine.findings(&[]);
            let wanted = ("ids-name-host-device".to_owned(), "blocker".to_owned());
            assert!(raised.contains(&wanted), "{path} {ids}: {raised:?}");
        }
    }
}

/// The guide's own list is right about the card and takes the sound of both.
#[test]
fn a_list_of_shared_ids_gives_way_on_the_command_line_and_blocks_in_modprobe() {
    let ids = "1002:73ff,1002:ab28";
    let replaced = Machine::new("z490-arch").replace(
        "boot/loader/entries/arch.conf",
        "iommu=pt",
        &format!("iommu=pt vfio-pci.ids={ids}"),
    );
    let plan = replaced.run(&["--json", "plan"]);
    assert_eq!(plan.code, 0, "{}", plan.stdout);
    let removed = texts(&plan.json()["kernel_parameters"]["remove"]);
    assert_eq!(removed, [format!("vfio-pci.ids={ids}")]);
    let blocked = Machine::new("z490-arch")
        .write("etc/modprobe.d/vfio.conf", format!("options vfio-pci ids={ids}\n"));
    assert_eq!(blocked.run(&["plan"]).code, 1);
}

/// One of two USB controllers may be meant for the guest; the last one cannot.
#[test]
fn a_list_that_names_the_last_usb_controller_is_refused() {
    for (ids, code) in [("8086:a12f", 0), ("8086:a12f,1b21:1242", 1)] {
        let machine = Machine::new("h170-mint-turing").replace(
            "etc/default/grub",
            "iommu=pt",
            &format!("iommu=pt vfio-pci.ids={ids}"),
        );
        assert_eq!(machine.run(&["plan"]).code, code, "{ids}");
        assert!(machine.findings(&[]).iter().any(|(found, _)| found == "ids-name-host-device"));
    }
}
