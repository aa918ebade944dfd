//! Entries that kernel-install makes: an entry of ours stays as the machine was, and is never
//! taken for the one that starts it.

use serde_json::Value;

use super::{after, plan, words, words_of_changes};
use crate::harness::Machine;

pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub const RELEASE: &str = "6.7.9-arch1-1";
const OPTIONS: &str =
    "root=PARTUUID=00000000-0000-0000-0000-000000000002 rw quiet splash intel_iommu=on";

fn entry_of(release: &str, options: &str) -> String {
    format!(
        "title Arch Linux\nversion {release}\nmachine-id {TOKEN}\nsort-key arch\n\
         options {options}\nlinux /{TOKEN}/{release}/linux\ninitrd /{TOKEN}/{release}/initrd\n"
    )
}

fn path_of(release: &str) -> String {
    format!("boot/loader/entries/{TOKEN}-{release}.conf")
}

fn fallback_path() -> String {
    format!("/boot/loader/entries/{TOKEN}-{RELEASE}-fallback.conf")
}

pub fn machine() -> Machine {
    Machine::new("z490-arch")
        .remove("boot/loader/entries/arch.conf")
        .write("boot/loader/loader.conf", format!("default {TOKEN}-*\ntimeout 3\n"))
        .write(&path_of(RELEASE), entry_of(RELEASE, OPTIONS))
        .write("etc/kernel/cmdline", format!("{OPTIONS}\n"))
        .write("usr/bin/kernel-install", "")
        .write("proc/cmdline", format!("initrd=\\x {OPTIONS}\n"))
}

pub fn with_debians_hook(machine: Machine) -> Machine {
    machine
        .remove("usr/bin/mkinitcpio")
        .write("usr/sbin/update-initramfs", "")
        .write("etc/initramfs-tools/initramfs.conf", "MODULES=most\n")
        .write("etc/initramfs/post-update.d/systemd-boot", "")
}

/// Makes the changes, and what kernel-install would make of /etc/kernel/cmdline.
fn carried_out(machine: Machine, plan: &Value) -> Machine {
    let machine = machine.lay(plan);
    let options = machine.text("etc/kernel/cmdline");
    machine.write(&path_of(RELEASE), entry_of(RELEASE, options.trim()))
}

fn commands(plan: &Value) -> Vec<String> {
    let count = plan["commands"].as_array().expect("commands").len();
    (0..count).map(|at| words(&plan["commands"][at], "argv").join(" ")).collect()
}

#[test]
fn an_entry_as_before_is_made_beside_them() {
    let first = plan(&machine(), &[]);
    let copy = after(&first, &fallback_path());
    let lines: Vec<&str> = copy.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "# Written by passthru. Take it back with: passthru undo",
            "title Arch Linux (as before passthru)",
            &format!("version {RELEASE}"),
        ]
    );
    assert!(lines.contains(&format!("options {OPTIONS}").as_str()), "{copy}");
    assert!(!copy.contains("sort-key"), "it would be the default: {copy}");
    assert!(after(&first, "/etc/kernel/cmdline").contains("passthru.bind="));
    assert!(!words_of_changes(&first).contains(&format!("/{}", path_of(RELEASE)).as_str()));
    let install = format!("kernel-install add {RELEASE} /usr/lib/modules/{RELEASE}/vmlinuz");
    assert_eq!(commands(&first), ["mkinitcpio -P", &install]);
}

#[test]
fn the_next_plan_is_empty_whether_the_entry_was_written_anew_or_not() {
    let first = plan(&machine(), &[]);
    for machine in [machine().lay(&first), carried_out(machine(), &first)] {
        let second = plan(&machine, &[]);
        assert_eq!(words_of_changes(&second), Vec::<&str>::new());
        assert_eq!(commands(&second), Vec::<String>::new());
    }
}

/// The machine was started by the entry as before: that one is not what has to be changed.
#[test]
fn the_entry_as_before_is_never_taken_for_the_current_one() {
    let first = plan(&machine(), &[]);
    let booted = |id: &str| {
        let name: Vec<u8> = id.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        let variable = [&[6, 0, 0, 0][..], &name].concat();
        carried_out(machine(), &first).write(
            "sys/firmware/efi/efivars/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
            variable,
        )
    };
    for machine in [
        carried_out(machine(), &first),
        booted(&format!("{TOKEN}-{RELEASE}-fallback.conf")),
        booted(&format!("{TOKEN}-{RELEASE}.conf")),
    ] {
        let second = plan(&machine, &[]);
        assert_eq!(words_of_changes(&second), Vec::<&str>::new());
    }
}

#[test]
fn a_lost_entry_as_before_is_made_again_without_our_words() {
    let first = plan(&machine(), &[]);
    let machine = carried_out(machine(), &first).remove(&fallback_path()[1..]);
    let second = plan(&machine, &[]);
    assert_eq!(words_of_changes(&second), [fallback_path()]);
    let copy = after(&second, &fallback_path());
    assert!(copy.contains(OPTIONS) && !copy.contains("passthru.bind"), "{copy}");
    assert_eq!(commands(&second), Vec::<String>::new());
}

#[test]
fn a_fallback_that_selects_the_card_does_not_count() {
    let other = format!("boot/loader/entries/{TOKEN}-{RELEASE}-rescue.conf");
    let with = |options: &str| {
        let machine = machine().write(&other, entry_of(RELEASE, options));
        words_of_changes(&plan(&machine, &[])).contains(&fallback_path().as_str())
    };
    assert!(!with(OPTIONS));
    assert!(with(&format!("{OPTIONS} vfio-pci.ids=1002:73ff")));
}

/// kernel-install removes its own entry with a kernel, not ours.
#[test]
fn an_entry_for_a_kernel_that_is_gone_is_replaced() {
    let first = plan(&machine(), &[]);
    let old = "6.6.1-arch1-1";
    let stale = after(&first, &fallback_path()).replace(RELEASE, old);
    let path = format!("boot/loader/entries/{TOKEN}-{old}-fallback.conf");
    let machine = carried_out(machine(), &first).remove(&fallback_path()[1..]).write(&path, stale);
    let second = plan(&machine, &[]);
    assert_eq!(words_of_changes(&second), [format!("/{path}"), fallback_path()]);
    assert_eq!(second["changes"][0]["kind"], "remove");
}

/// Debian refreshes entries when an image was built: so an image is built for them.
#[test]
fn entries_that_come_with_the_image_need_its_command() {
    let machine = with_debians_hook(machine());
    let first = plan(&machine, &[]);
    let build = "update-initramfs -u -k all";
    assert_eq!(commands(&first), [build]);
    let machine = carried_out(machine, &first).write("etc/kernel/cmdline", OPTIONS);
    let machine = machine.write(&path_of(RELEASE), entry_of(RELEASE, OPTIONS));
    let second = plan(&machine, &[]);
    assert_eq!(words_of_changes(&second), ["/etc/kernel/cmdline"]);
    assert_eq!(commands(&second), [build]);
}
