//! `modprobe --showconfig` on the planned modprobe.d.

use std::path::Path;
use std::process::Command;

use super::{Planned, find_or_skip, output, planned_machines};
use crate::harness::Machine;

const FILE: &str = "/etc/modprobe.d/00-passthru.conf";
const USER_FILE: &str = "etc/modprobe.d/50-user.conf";

/// The configuration of a root as modprobe has it, without the modules of this machine.
fn configuration(modprobe: &Path, root: &Path) -> Vec<String> {
    let dirs = ["etc", "run", "usr/local/lib", "usr/lib", "lib"];
    let mut command = Command::new(modprobe);
    command.arg("--showconfig").args(["-C", "/dev/null"]);
    for dir in dirs.map(|dir| root.join(dir).join("modprobe.d")).iter().filter(|dir| dir.is_dir()) {
        command.arg("-C").arg(dir);
    }
    let text = output(&mut command);
    let own = text.lines().take_while(|line| !line.starts_with("# End of configuration"));
    // kmod 30 prints no blank before `post:` (softdep_get_plain_softdep in libkmod-config.c).
    let spaced = |line: &str| line.replace(" post:", "post:").replace("post:", " post:");
    own.filter(|line| !line.is_empty()).map(spaced).collect()
}

/// What a file asks for, as modprobe repeats it: names with underscores.
fn directives(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let normal = lines.map(|line| match line.split(' ').collect::<Vec<_>>().as_slice() {
        [command, module, rest @ ..] => {
            format!("{command} {} {}", module.replace('-', "_"), rest.join(" "))
        }
        _ => panic!("{line}"),
    });
    normal.collect()
}

fn laid_out(modprobe: &Path, machine: &Machine, args: &[&str]) -> (Vec<String>, Vec<String>) {
    let before = configuration(modprobe, &machine.root());
    let planned = Planned::of(machine, args);
    planned.lay_out(&machine.root());
    let after = configuration(modprobe, &machine.root());
    planned.take_back(&machine.root());
    assert_eq!(configuration(modprobe, &machine.root()), before, "taken back");
    (before, after)
}

/// Takes each of `lines` out once, at its first place.
fn without(mut all: Vec<String>, lines: &[String]) -> Vec<String> {
    for line in lines {
        let at = all.iter().position(|other| other == line);
        all.remove(at.unwrap_or_else(|| panic!("{line:?} is not in {all:#?}")));
    }
    all
}

#[test]
fn modprobe_reads_what_is_planned_and_nothing_else_changes() {
    let Some(modprobe) = find_or_skip("planned modprobe.d", "modprobe") else { return };
    let machines = planned_machines();
    assert!(machines.len() > 5, "there are plans to test");
    for (name, machine, args) in &machines {
        for more in [&[][..], &["--ids-in", "modprobe"], &["--ignore-msrs"]] {
            let args = [args.as_slice(), more].concat();
            let planned = Planned::of(machine, &args);
            let ours = directives(planned.text(FILE).unwrap_or_default());
            let (before, after) = laid_out(&modprobe, machine, &args);
            assert_eq!(without(after.clone(), &ours), before, "{name} {args:?}");
            let first: Vec<&String> = after.iter().filter(|line| ours.contains(line)).collect();
            assert_eq!(first, ours_in_order(&ours), "{name} {args:?}: in our order");
            for line in ours.iter().filter(|line| line.starts_with("softdep")) {
                assert!(line.contains(" pre: vfio-pci"), "{name}: {line}");
                assert_eq!(counting_softdep(&after, line), line, "{name}: the first one counts");
            }
            let ids = format!("options vfio_pci ids={}", planned.words("/binding/ids").join(","));
            let in_modprobe = more.contains(&"modprobe") && planned.method() != "address";
            assert_eq!(after.contains(&ids), in_modprobe, "{name} {args:?}: {ids}");
            let msrs = "options kvm ignore_msrs=1".to_owned();
            assert_eq!(after.contains(&msrs), more.contains(&"--ignore-msrs"), "{name} {args:?}");
        }
    }
}

/// modprobe lists options before softdeps, each kind in the order of the files.
fn ours_in_order(ours: &[String]) -> Vec<&String> {
    let kind = |word: &'static str| ours.iter().filter(move |line| line.starts_with(word));
    kind("options").chain(kind("softdep")).collect()
}

/// The first softdep of a module is the one that counts (modprobe.d(5) is silent;
/// kmod_module_get_softdeps in libkmod/libkmod-module.c).
fn counting_softdep<'a>(all: &'a [String], of: &str) -> &'a String {
    let subject = of.split(' ').take(2).collect::<Vec<_>>().join(" ") + " ";
    all.iter().find(|line| line.starts_with(&subject)).expect("it is there")
}

#[test]
fn a_users_softdep_and_install_lines_keep_their_effect() {
    let Some(modprobe) = find_or_skip("planned modprobe.d beside a user's", "modprobe") else {
        return;
    };
    let machine = Machine::new("z490-arch").write(
        USER_FILE,
        "softdep amdgpu pre: i2c-dev post: acpi_call\n\
         softdep snd-hda-intel pre: vfio-pci snd_seq\n\
         install snd_hda_codec_hdmi /bin/true\n\
         options snd_hda_intel power_save=0\n\
         blacklist nouveau\n",
    );
    let (before, after) = laid_out(&modprobe, &machine, &[]);
    let ours = [
        "softdep amdgpu pre: vfio-pci i2c-dev post: acpi_call".to_owned(),
        "softdep snd_hda_intel pre: vfio-pci snd_seq".to_owned(),
    ];
    assert_eq!(without(after.clone(), &ours), before);
    assert_eq!(counting_softdep(&after, &ours[0]), &ours[0]);
    assert_eq!(counting_softdep(&after, &ours[1]), &ours[1]);
}

/// A softdep would cancel an install line (modprobe.d(5)).
#[test]
fn a_module_with_an_install_line_gets_no_softdep() {
    let Some(modprobe) = find_or_skip("planned modprobe.d beside install lines", "modprobe") else {
        return;
    };
    let machine = Machine::new("h170-mint-turing")
        .write(USER_FILE, "install nouveau /bin/false\ninstall xhci* /sbin/modprobe -i xhci_pci\n");
    let (before, after) = laid_out(&modprobe, &machine, &[]);
    let ours = ["nvidiafb", "snd_hda_intel", "i2c_nvidia_gpu"];
    let ours = ours.map(|module| format!("softdep {module} pre: vfio-pci"));
    assert_eq!(without(after, &ours), before);
}

/// All `options` lines of a module become one argument list, in which the last value of a
/// parameter wins, and our file is read first.
#[test]
fn an_option_that_a_later_file_would_undo_is_refused() {
    let later = [
        ("--ignore-msrs", "options kvm nx_huge_pages=off ignore_msrs=0\n"),
        ("--ids-in=modprobe", "options vfio-pci ids=8086:2015\n"),
    ];
    let mut machine = Machine::new("h170-mint-turing");
    for (argument, text) in later {
        machine = machine.write(USER_FILE, text);
        let refused = Planned::try_of(&machine, &[argument]).err();
        let answer = refused.unwrap_or_else(|| panic!("{argument} is planned in vain"));
        assert!(answer.contains(USER_FILE), "{answer}");
    }
}
