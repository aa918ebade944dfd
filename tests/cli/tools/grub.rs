//! The shell sources the planned /etc/default/grub as grub-mkconfig does, and GRUB's own parser
//! reads the words.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Planned, find, find_or_skip, nul_separated, output, planned_machines, skipped};
use crate::harness::Machine;

const WHAT: &str = "planned /etc/default/grub";

/// Words of GRUB_CMDLINE_LINUX and GRUB_CMDLINE_LINUX_DEFAULT.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Values {
    every_entry: Vec<String>,
    normal_entries: Vec<String>,
}

/// Debian's grub-mkconfig reads the drop-ins too. A line of another variable may run programs
/// that are only on the recorded machine.
const SOURCE: &str = r#"
exec 2>/dev/null
. "$1/etc/default/grub"
for x in "$1"/etc/default/grub.d/*.cfg; do
    if test -e "$x"; then . "$x"; fi
done
printf '%s\0' "$GRUB_CMDLINE_LINUX" "$GRUB_CMDLINE_LINUX_DEFAULT"
"#;

fn sourced(shell: &Path, root: &Path) -> Values {
    let text = output(Command::new(shell).args(["-c", SOURCE, "grub"]).arg(root));
    let words = |value: &str| value.split_whitespace().map(str::to_owned).collect();
    match nul_separated(&text).as_slice() {
        [every, normal] => Values { every_entry: words(every), normal_entries: words(normal) },
        other => panic!("{other:?}"),
    }
}

/// What the plan makes of the values: words go from both, and come to the normal entries.
fn expected(before: Values, planned: &Planned) -> Values {
    let removed = planned.words("/kernel_parameters/remove");
    let kept = |words: Vec<String>| -> Vec<String> {
        words.into_iter().filter(|word| !removed.contains(&word.as_str())).collect()
    };
    let added = planned.words("/kernel_parameters/add");
    let mut normal_entries = kept(before.normal_entries);
    normal_entries.extend(added.into_iter().map(str::to_owned));
    Values { every_entry: kept(before.every_entry), normal_entries }
}

fn check(shell: &Path, name: &str, machine: &Machine, args: &[&str]) {
    let before = sourced(shell, &machine.root());
    let planned = Planned::of(machine, args);
    planned.lay_out(&machine.root());
    let after = sourced(shell, &machine.root());
    planned.take_back(&machine.root());
    assert_eq!(after, expected(before.clone(), &planned), "{name}, {shell:?}");
    assert_eq!(sourced(shell, &machine.root()), before, "{name}: taken back");
    for word in planned.words("/kernel_parameters/add") {
        let all = after.every_entry.iter().chain(&after.normal_entries);
        assert_eq!(all.filter(|other| *other == word).count(), 1, "{name}: {word} once");
    }
    grub_parses(&after);
}

/// The words stand unquoted in grub.cfg.
fn grub_parses(values: &Values) {
    let Some(program) = find("grub-script-check") else { return };
    let words = [values.every_entry.as_slice(), &values.normal_entries].concat().join(" ");
    let script = format!("menuentry 'x' {{\n\tlinux /vmlinuz root=/dev/sda1 ro {words}\n}}\n");
    let mut child = Command::new(program).stdin(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("written");
    assert!(child.wait().expect("it ends").success(), "{script}");
}

fn shells() -> Vec<std::path::PathBuf> {
    if find("grub-script-check").is_none() {
        skipped("planned kernel parameters in grub.cfg", "grub-script-check is not installed");
    }
    find_or_skip(WHAT, "bash").into_iter().chain(find("dash")).collect()
}

#[test]
fn shells_see_the_old_words_and_each_planned_one_once() {
    let shells = shells();
    let mut tested = 0;
    for (name, machine, args) in planned_machines() {
        let grub = Planned::of(&machine, &args);
        let edits = |change: &&serde_json::Value| {
            change["path"].as_str().is_some_and(|path| path.starts_with("/etc/default/grub"))
        };
        if !grub.changes().iter().any(|change| edits(&change)) {
            continue;
        }
        tested += 1;
        shells.iter().for_each(|shell| check(shell, &name, &machine, &args));
    }
    assert!(tested > 4, "{tested} machines with GRUB");
}

#[test]
fn shells_see_them_in_every_form_of_the_file() {
    let forms = [
        "",
        "GRUB_TIMEOUT=5",
        "GRUB_CMDLINE_LINUX_DEFAULT=''\n",
        "GRUB_CMDLINE_LINUX_DEFAULT=quiet\n",
        "GRUB_CMDLINE_LINUX_DEFAULT='quiet splash' # comment\n",
        "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"",
        "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet \\\n  splash\"\nGRUB_CMDLINE_LINUX=\"a=b\"\n",
        "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT splash\"\n",
        "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet intel_iommu=off\"\nGRUB_CMDLINE_LINUX=\"iommu=off x\"\n",
        "# GRUB_CMDLINE_LINUX_DEFAULT=\"old\"\nexport GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n",
    ];
    let shells = shells();
    let mut machine = Machine::new("z690-arch-iommu-off");
    for form in forms {
        machine = machine.write("etc/default/grub", form);
        shells.iter().for_each(|shell| check(shell, form, &machine, &[]));
    }
}

/// grub-mkconfig starts it with whatever /bin/sh is.
#[test]
fn shells_read_the_script_for_stock_entries() {
    let machine = Machine::new("z690-arch-iommu-off")
        .write("etc/grub.d/10_linux", "")
        .mode("etc/grub.d/10_linux", 0o755)
        .write("etc/default/grub", "GRUB_DISABLE_RECOVERY=true\n");
    let planned = Planned::of(&machine, &[]);
    planned.lay_out(&machine.root());
    for shell in shells() {
        output(Command::new(&shell).arg("-n").arg(machine.root().join("etc/grub.d/42_passthru")));
        // Run by hand, without what grub-mkconfig exports, it says nothing.
        let mut alone = Command::new(&shell);
        alone.arg(machine.root().join("etc/grub.d/42_passthru"));
        assert_eq!(output(&mut alone), "", "{shell:?}");
    }
}
