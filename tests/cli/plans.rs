//! What plans decide, and that a machine on which a plan was carried out needs none.

mod entries;
mod grub;
mod intent;
mod kernel_install;
mod outputs;
mod trial;

use serde_json::Value;

use crate::harness::{Machine, passthru};

/// Hosts that get a plan, with the arguments it takes.
const PLANNED: [(&str, &[&str]); 11] = [
    ("z490-arch", &[]),
    ("z690-arch-iommu-off", &[]),
    ("h170-mint-turing", &[]),
    ("xps15-arch-optimus", &[]),
    ("z270-centos7-twins", &["02:00.0"]),
    ("m5-proxmox-apu", &["--allow", "only-gpu"]),
    ("b450-debian-dirty-group", &["08:00.0"]),
    ("z490-arch", &["--ignore-msrs"]),
    ("h170-mint-turing", &["--ids-in", "modprobe"]),
    ("z690-arch-iommu-off", &["--ids-in", "modprobe", "--ignore-msrs"]),
    ("h170-mint-turing", &["00:02.0"]),
];

/// The plan that puts everything into the normal entries at once.
fn plan(machine: &Machine, args: &[&str]) -> Value {
    planned(machine, &[&["--no-trial"], args].concat())
}

/// The plan as it is without more arguments.
fn planned(machine: &Machine, args: &[&str]) -> Value {
    let mut all = vec!["--json", "plan"];
    all.extend(args);
    let output = machine.run(&all);
    assert_eq!(output.code, 0, "{args:?}: {}{}", output.stdout, output.stderr);
    output.json()
}

fn words<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    value[key]
        .as_array()
        .expect("a list")
        .iter()
        .map(|word| word.as_str().expect("a word"))
        .collect()
}

/// Text of a file after the plan.
fn after<'a>(plan: &'a Value, path: &str) -> &'a str {
    let change =
        plan["changes"].as_array().expect("changes").iter().find(|change| change["path"] == path);
    change.unwrap_or_else(|| panic!("no change of {path}"))["after"]["text"]
        .as_str()
        .expect("a text")
}

#[test]
fn a_plan_carried_out_leaves_nothing_to_plan() {
    for (host, args) in PLANNED {
        let machine = Machine::new(host);
        let first = plan(&machine, args);
        assert!(!words_of_changes(&first).is_empty(), "{host} {args:?}");
        let machine = machine.lay(&first);
        let second = plan(&machine, args);
        assert_eq!(words_of_changes(&second), Vec::<&str>::new(), "{host} {args:?}");
        assert_eq!(second["commands"], Value::Array(vec![]), "{host} {args:?}");
        assert_eq!(second["kernel_parameters"]["add"], Value::Array(vec![]), "{host} {args:?}");
        assert_eq!(
            second["reboot"], true,
            "{host} {args:?}: the running kernel does not have it yet"
        );
    }
}

fn words_of_changes(plan: &Value) -> Vec<&str> {
    plan["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|c| c["path"].as_str().expect("a path"))
        .collect()
}

#[test]
fn the_same_wish_gives_the_same_bytes() {
    for (host, args) in PLANNED {
        let machine = Machine::new(host);
        assert_eq!(plan(&machine, args), plan(&machine, args), "{host}");
    }
}

#[test]
fn every_change_says_what_it_answers() {
    for (host, args) in PLANNED {
        let plan = plan(&Machine::new(host), args);
        for change in plan["changes"].as_array().expect("changes") {
            assert!(!words(change, "because").is_empty(), "{host}: {}", change["path"]);
        }
        assert!(!plan["expectations"].as_array().expect("expectations").is_empty(), "{host}");
    }
}

#[test]
fn the_guides_machine_keeps_the_host_cards_sound() {
    let machine = Machine::new("z490-arch");
    let plan = plan(&machine, &[]);
    assert_eq!(plan["binding"]["method"], "address");
    assert_eq!(
        words(&plan["kernel_parameters"], "add"),
        ["passthru.bind=1002:73ff:1462:5022@0000:07:00.0,1002:ab28:1002:ab28@0000:07:00.1"]
    );
    let all = plan.to_string();
    assert!(!all.contains("vfio-pci.ids"), "ids would take 0000:03:00.1 as well");
    let kept: Vec<&str> = plan["expectations"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|e| e["id"].as_str())
        .collect();
    assert!(kept.contains(&"driver:0000:03:00.1=snd_hda_intel"), "{kept:?}");
    let untouched = after(&plan, "/boot/loader/entries/arch-fallback.conf");
    assert!(!untouched.contains("passthru.bind"), "{untouched}");
}

#[test]
fn ids_in_modprobe_never_name_the_host_cards_sound() {
    let plan = plan(&Machine::new("z490-arch"), &["--ids-in", "modprobe"]);
    assert_eq!(plan["binding"]["method"], "address");
    assert!(words(&plan, "remarks")[0].contains("selected by address"), "{}", plan["remarks"]);
    assert!(!plan.to_string().contains("options vfio-pci"));
}

#[test]
fn an_id_shared_with_another_makers_card_is_told_apart_by_subsystem() {
    let machine = Machine::new("z270-centos7-twins");
    let device = "sys/devices/pci0000:00/0000:00:01.1/0000:02:00";
    let machine = [".0", ".1"].iter().fold(machine, |machine, function| {
        machine.replace(
            &format!("{device}{function}/uevent"),
            "PCI_SUBSYS_ID=3842:6163",
            "PCI_SUBSYS_ID=1043:85AC",
        )
    });
    let plan = plan(&machine, &["01:00.0"]);
    assert_eq!(plan["binding"]["method"], "subsystem-id");
    assert_eq!(
        words(&plan["kernel_parameters"], "add"),
        ["vfio-pci.ids=10de:1c03:3842:6163,10de:10f1:3842:6163"]
    );
}

#[test]
fn ids_that_are_selected_already_stay_selected() {
    let machine = Machine::new("h170-mint-turing").replace(
        "etc/default/grub",
        "quiet splash",
        "quiet splash vfio-pci.ids=1b21:1242",
    );
    let plan = plan(&machine, &[]);
    assert_eq!(words(&plan["kernel_parameters"], "remove"), ["vfio-pci.ids=1b21:1242"]);
    assert_eq!(
        words(&plan["kernel_parameters"], "add"),
        ["vfio-pci.ids=1b21:1242,10de:2184,10de:1aeb,10de:1aec,10de:1aed"]
    );
    let grub = after(&plan, "/etc/default/grub");
    assert!(
        grub.contains(
            "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet splash intel_iommu=on iommu=pt \
         vfio-pci.ids=1b21:1242,10de:2184,10de:1aeb,10de:1aec,10de:1aed\""
        ),
        "{grub}"
    );
}

#[test]
fn an_argument_that_switches_the_iommu_off_is_removed_where_it_is_set() {
    let machine = Machine::new("z690-arch-iommu-off")
        .replace("etc/default/grub", "loglevel=3 quiet", "loglevel=3 intel_iommu=off quiet")
        .replace("proc/cmdline", "loglevel=3 quiet", "loglevel=3 intel_iommu=off quiet");
    let plan = plan(&machine, &[]);
    assert_eq!(words(&plan["kernel_parameters"], "remove"), ["intel_iommu=off"]);
    let grub = after(&plan, "/etc/default/grub");
    assert!(
        grub.contains(
            "GRUB_CMDLINE_LINUX_DEFAULT=\"loglevel=3 quiet intel_iommu=on iommu=pt vfio-pci.ids="
        ),
        "{grub}"
    );
}

#[test]
fn amd_hosts_never_get_amd_iommu_on() {
    for (host, args) in [
        ("m5-proxmox-apu", &["--allow", "only-gpu"][..]),
        ("b450-debian-dirty-group", &["08:00.0"]),
    ] {
        let plan = plan(&Machine::new(host), args);
        assert_eq!(words(&plan["kernel_parameters"], "add")[0], "iommu=pt", "{host}");
        assert!(!plan.to_string().contains("amd_iommu"), "{host}");
    }
}

#[test]
fn the_kvm_option_stands_on_a_kvm_line() {
    let plan = plan(&Machine::new("h170-mint-turing"), &["--ignore-msrs"]);
    let lines: Vec<&str> = after(&plan, "/etc/modprobe.d/00-passthru.conf").lines().collect();
    assert!(lines.contains(&"options kvm ignore_msrs=1"), "{lines:?}");
}

#[test]
fn a_hand_made_set_up_that_works_is_left_alone() {
    let output = Machine::new("server-8xa100-ubuntu").run(&["plan", "10:00.0"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert!(
        output.stdout.contains("Nothing to change: 0000:10:00.0 is configured as wanted."),
        "{}",
        output.stdout
    );
}

#[test]
fn drop_ins_are_written_where_mkinitcpio_reads_them() {
    let machine = Machine::new("z490-arch")
        .write("var/lib/pacman/local/mkinitcpio-39.2-2/desc", "%NAME%\nmkinitcpio\n");
    let with = plan(&machine, &[]);
    assert_eq!(
        after(&with, "/etc/mkinitcpio.conf.d/passthru.conf"),
        "\n# Written by passthru. Take it back with: passthru undo\n\
         MODULES=(vfio_pci vfio vfio_iommu_type1 \"${MODULES[@]}\")\n\
         HOOKS+=(passthru)\n"
    );
    assert!(!words_of_changes(&with).contains(&"/etc/mkinitcpio.conf"));
    let named = machine.replace(
        "etc/mkinitcpio.d/linux.preset",
        "PRESETS=",
        "ALL_config=\"/etc/mkinitcpio.conf\"\nPRESETS=",
    );
    let without = plan(&named, &[]);
    assert!(
        words_of_changes(&without).contains(&"/etc/mkinitcpio.conf"),
        "the preset names a file, so drop-ins are not read"
    );
}

#[test]
fn files_of_others_are_never_replaced() {
    let machine = Machine::new("z490-arch")
        .write("etc/modprobe.d/00-passthru.conf", "options snd_hda_intel power_save=1\n");
    let output = machine.run(&["plan"]);
    assert_eq!(output.code, 1);
    assert!(
        output.stdout.contains("/etc/modprobe.d/00-passthru.conf: it was not written by passthru"),
        "{}",
        output.stdout
    );
}

#[test]
fn loaders_that_are_not_edited_get_exact_steps() {
    for (host, args, step) in [
        (
            "x570-popos-kernelstub",
            &[][..],
            "sudo kernelstub --add-options \"iommu=pt vfio-pci.ids=10de:1b81,10de:10f0\"",
        ),
        (
            "b560-nobara-single-gpu",
            &["--allow", "only-gpu"],
            "sudo grubby --update-kernel=ALL --args=\"vfio-pci.ids=10de:2482,10de:228b\"",
        ),
    ] {
        let mut all = vec!["--host", host, "--json", "plan"];
        all.extend(args);
        let output = passthru(&all);
        assert_eq!(output.code, 1, "{host}");
        let document = output.json();
        assert_eq!(document["schema"]["name"], "check");
        let again =
            "then run `passthru plan` again: it plans the other files once these words are there";
        assert_eq!(words(&document, "by_hand"), [step, again]);
        assert_eq!(document["verdict"], "configurable", "{host}");
    }
}

#[test]
fn a_construct_that_is_not_understood_is_quoted() {
    let machine = Machine::new("h170-mint-turing").replace(
        "etc/default/grub",
        "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet splash",
        "GRUB_CMDLINE_LINUX_DEFAULT=\"$(cat /etc/words) quiet splash",
    );
    let output = machine.run(&["plan"]);
    assert_eq!(output.code, 1);
    for part in ["/etc/default/grub", "line 4", "$(cat /etc/words)"] {
        assert!(output.stdout.contains(part), "{part}: {}", output.stdout);
    }
}

#[test]
fn the_entry_is_found_between_apply_and_reboot_without_efi_variables() {
    let machine = Machine::new("z490-arch").remove("sys/firmware/efi/efivars");
    let first = plan(&machine, &[]);
    assert!(words_of_changes(&first).contains(&"/boot/loader/entries/arch.conf"));
    let machine = machine.lay(&first);
    assert_eq!(words_of_changes(&plan(&machine, &[])), Vec::<&str>::new());
}

#[test]
fn entries_on_one_partition_and_loader_conf_on_another_are_one_loader() {
    let machine = Machine::new("z490-arch")
        .remove("boot/loader/loader.conf")
        .write("efi/loader/loader.conf", "default arch-f*\n");
    let changes = plan(&machine, &[]);
    let paths = words_of_changes(&changes);
    assert!(paths.contains(&"/boot/loader/entries/arch.conf"), "{paths:?}");
    // `arch-fallback` would match the pattern and become the default.
    assert!(!paths.contains(&"/boot/loader/entries/arch-fallback.conf"), "{paths:?}");
}
