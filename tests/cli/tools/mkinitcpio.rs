//! bash reads the planned mkinitcpio.conf and drop-ins as mkinitcpio does.

use std::path::Path;
use std::process::Command;

use super::{Planned, find_or_skip, nul_separated, output};
use crate::harness::Machine;

const WHAT: &str = "planned mkinitcpio.conf";
const MAIN: &str = "etc/mkinitcpio.conf";
const DROP_IN: &str = "/etc/mkinitcpio.conf.d/passthru.conf";
/// Drop-ins are read since version 36.
const PACKAGE: &str = "var/lib/pacman/local/mkinitcpio-39-1/desc";
const PRESET: &str = "etc/mkinitcpio.d/linux.preset";

/// From mkinitcpio 41: the files become one, whose last command must succeed, and a string is
/// split (`arrayize_config` in functions). With `-c`, which a preset's ALL_config turns into,
/// no drop-in is read.
const SOURCE: &str = r#"
shopt -s extglob
cd "$1/etc" || exit
_f_config=mkinitcpio.conf _d_config=mkinitcpio.conf.d
tmpfile=$(mktemp) && trap 'rm -f -- "$tmpfile"' EXIT
cat -- "$_f_config" > "$tmpfile" || exit
if [[ $2 = with && -d $_d_config ]]; then
    mapfile -d '' conf_files < <(LC_ALL=C.UTF-8 find "$_d_config" -maxdepth 1 -xtype f -name '*.conf' -print0 | sed -z 's/.*\///' | LC_ALL=C.UTF-8 sort -zVu)
    for conf in "${conf_files[@]}"; do
        cat -- "$_d_config/$conf" >> "$tmpfile"
    done
fi
. "$tmpfile" || exit
set -f
[[ ${MODULES@a} != *a* ]] && IFS=' ' read -r -a MODULES <<<"$MODULES"
[[ ${BINARIES@a} != *a* ]] && IFS=' ' read -r -a BINARIES <<<"$BINARIES"
[[ ${FILES@a} != *a* ]] && IFS=' ' read -r -a FILES <<<"$FILES"
[[ ${HOOKS@a} != *a* ]] && IFS=' ' read -r -a HOOKS <<<"$HOOKS"
printf '%s\0' "${MODULES[*]}" "${BINARIES[*]}" "${FILES[*]}" "${HOOKS[*]}"
"#;

/// MODULES, BINARIES, FILES and HOOKS, as mkinitcpio has them in the end.
fn sourced(bash: &Path, root: &Path, drop_ins: DropIns) -> [String; 4] {
    let which = match drop_ins {
        DropIns::Read => "with",
        DropIns::Ignored => "without",
    };
    let mut command = Command::new(bash);
    command.args(["-c", SOURCE, "mkinitcpio"]).arg(root).arg(which);
    let output = output(command.env_remove("MODULES").env("LC_ALL", "C.UTF-8"));
    let values: Vec<String> = nul_separated(&output).into_iter().map(str::to_owned).collect();
    values.try_into().expect("four values")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DropIns {
    Read,
    Ignored,
}

/// A configuration, and what it has before the plan.
struct Form {
    main: &'static str,
    others: &'static [(&'static str, &'static str)],
    modules: &'static str,
    binaries: &'static str,
    files: &'static str,
    hooks: &'static str,
}

const PLAIN: Form = Form {
    main: "MODULES=(btrfs)\nBINARIES=(btrfs)\nFILES=(/a)\nHOOKS=(base udev modconf block)\n",
    others: &[],
    modules: "btrfs",
    binaries: "btrfs",
    files: "/a",
    hooks: "base udev modconf block",
};

const FORMS: [Form; 7] = [
    PLAIN,
    // No line end at the end, and none in a drop-in before ours.
    Form {
        main: "MODULES=(btrfs)\nBINARIES=(btrfs)\nFILES=(/a)\nHOOKS=(base udev modconf block)",
        ..PLAIN
    },
    Form {
        main: "MODULES=\"btrfs\"\nBINARIES=\"btrfs\"\nFILES=\"/a\"\nHOOKS=\"base udev modconf block\"\n",
        ..PLAIN
    },
    Form {
        main: "# MODULES=(old)\nMODULES=(\n  btrfs # the root\n)\nBINARIES=(btrfs)\nFILES=(\n  /a\n)\nHOOKS=(\n  base udev\n  # before block\n  modconf\n  block )\n",
        ..PLAIN
    },
    Form {
        main: "MODULES=()\nHOOKS=(base systemd autodetect modconf kms sd-vconsole block)\n",
        modules: "",
        binaries: "",
        files: "",
        hooks: "base systemd autodetect modconf kms sd-vconsole block",
        ..PLAIN
    },
    // Without modconf nothing copies modprobe.d.
    Form {
        main: "MODULES=(a b)\nMODULES+=(c)\nHOOKS=(systemd block)\n",
        modules: "a b c",
        binaries: "",
        files: "",
        hooks: "systemd block",
        ..PLAIN
    },
    Form {
        main: "HOOKS='base udev block'\nMODULES='a  b'",
        modules: "a b",
        binaries: "",
        files: "",
        hooks: "base udev block",
        ..PLAIN
    },
];

/// More of them, for versions that read drop-ins.
const WITH_OTHERS: [Form; 4] = [
    Form {
        others: &[("hooks.conf", "HOOKS=(base systemd block)")],
        hooks: "base systemd block",
        ..PLAIN
    },
    Form {
        others: &[("hooks.conf", "HOOKS=(base systemd modconf)\n"), ("z.conf", "MODULES+=(nvme)")],
        hooks: "base systemd modconf",
        modules: "btrfs nvme",
        ..PLAIN
    },
    Form {
        main: "MODULES=\"\"\nHOOKS=(base udev modconf)\n",
        others: &[("modules.conf", "MODULES=\"a b\"\nFILES=\"/x /y\"\n")],
        modules: "a b",
        binaries: "",
        files: "/x /y",
        hooks: "base udev modconf",
    },
    Form {
        main: "",
        others: &[("all.conf", "MODULES=(a)\nHOOKS=(base udev modconf)")],
        modules: "a",
        binaries: "",
        files: "",
        hooks: "base udev modconf",
    },
];

/// The machine with this configuration instead of its own.
fn configure(machine: Machine, form: &Form) -> Machine {
    let others = "etc/mkinitcpio.conf.d";
    let machine = machine.write(&format!("{others}/any"), "").remove(others);
    let machine = machine.write(MAIN, form.main);
    form.others.iter().fold(machine, |machine, (name, text)| {
        machine.write(&format!("etc/mkinitcpio.conf.d/{name}"), text)
    })
}

/// Ours first among the modules; the hook and the file last.
fn expected(form: &Form, planned: &Planned) -> [String; 4] {
    let join = |words: &[&str]| {
        words.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(" ")
    };
    let hook = if planned.method() == "address" { "passthru" } else { "" };
    let modconf = form.hooks.split(' ').any(|hook| hook == "modconf");
    let file = if modconf { "" } else { "/etc/modprobe.d/00-passthru.conf" };
    [
        join(&["vfio_pci vfio vfio_iommu_type1", form.modules]),
        form.binaries.to_owned(),
        join(&[form.files, file]),
        join(&[form.hooks, hook]),
    ]
}

fn check(bash: &Path, form: &Form, machine: &Machine, drop_ins: DropIns) {
    let before = sourced(bash, &machine.root(), drop_ins);
    let own = [form.modules, form.binaries, form.files, form.hooks];
    assert_eq!(before, own, "{:?}: before", form.main);
    let planned = Planned::of(machine, &[]);
    planned.lay_out(&machine.root());
    let after = sourced(bash, &machine.root(), drop_ins);
    assert_eq!(after, expected(form, &planned), "{:?} {:?}", form.main, form.others);
    let own_file = planned.text(DROP_IN).is_some();
    assert_eq!(own_file, drop_ins == DropIns::Read, "a drop-in where it is read");
    planned.take_back(&machine.root());
}

/// One with the address method, one with ids.
const HOSTS: [&str; 2] = ["z490-arch", "z690-arch-iommu-off"];

#[test]
fn bash_reads_the_main_file_as_planned() {
    let Some(bash) = find_or_skip(WHAT, "bash") else { return };
    for host in HOSTS {
        let mut machine = Machine::new(host);
        for form in &FORMS {
            machine = configure(machine, form);
            check(&bash, form, &machine, DropIns::Ignored);
        }
    }
}

#[test]
fn bash_reads_the_drop_in_as_planned() {
    let Some(bash) = find_or_skip(WHAT, "bash") else { return };
    for host in HOSTS {
        let mut machine = Machine::new(host).write(PACKAGE, "");
        for form in FORMS.iter().chain(&WITH_OTHERS) {
            machine = configure(machine, form);
            check(&bash, form, &machine, DropIns::Read);
        }
    }
}

#[test]
fn bash_reads_the_main_file_where_a_preset_names_it() {
    let Some(bash) = find_or_skip(WHAT, "bash") else { return };
    let preset = "ALL_config=\"/etc/mkinitcpio.conf\"\nALL_kver=\"/boot/vmlinuz-linux\"\nPRESETS=('default')\ndefault_image=\"/boot/initramfs-linux.img\"\n";
    let mut machine = Machine::new("z490-arch").write(PACKAGE, "").write(PRESET, preset);
    for form in &FORMS {
        let ignored = "etc/mkinitcpio.conf.d/ignored.conf";
        machine = configure(machine, form).write(ignored, "HOOKS=(never)\n");
        check(&bash, form, &machine, DropIns::Ignored);
    }
}

/// What is read after our drop-in can take its words back.
#[test]
fn a_later_drop_in_that_would_undo_ours_is_refused() {
    let mut machine = Machine::new("z490-arch").write(PACKAGE, "");
    for text in ["MODULES=(nvme)\n", "HOOKS=(base udev modconf)\n"] {
        machine = configure(machine, &PLAIN).write("etc/mkinitcpio.conf.d/user.conf", text);
        let refused = Planned::try_of(&machine, &[]).err();
        let answer = refused.unwrap_or_else(|| panic!("{text:?} is planned in vain"));
        assert!(answer.contains("/etc/mkinitcpio.conf.d/user.conf"), "{answer}");
    }
}
