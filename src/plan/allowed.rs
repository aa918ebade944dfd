//! The closed set of files that a plan may ever change.

use crate::host::boot::ESP_DIRS;
use crate::host::{OWNED, TMPFILES};

/// Files of others that a plan edits.
const EDITED: [&str; 3] = ["etc/default/grub", "etc/mkinitcpio.conf", "etc/kernel/cmdline"];

/// True for an absolute path that some transaction may create, edit or remove. What stands in a record
/// or in a reviewed plan is asked too, so nothing in it is taken on trust.
pub fn may_change(path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else { return false };
    if OWNED.contains(&path) || EDITED.contains(&path) || path == TMPFILES {
        return true;
    }
    let Some((dir, name)) = path.rsplit_once('/') else { return false };
    let drop_in = dir == "etc/default/grub.d" && is_named(name, ".cfg");
    let entries = ESP_DIRS.iter().any(|esp| dir.strip_prefix(esp) == Some("/loader/entries"));
    drop_in || (entries && is_named(name, ".conf"))
}

/// True for a directory, absolute, that holds such a file, or leads to it.
pub fn may_make(dir: &str) -> bool {
    let Some(inside) = dir.strip_prefix('/') else { return false };
    let entries = ESP_DIRS.iter().any(|esp| format!("{esp}/loader/entries") == inside);
    let below = |path: &&&str| path.strip_prefix(inside).is_some_and(|rest| rest.starts_with('/'));
    !inside.is_empty()
        && (entries
            || inside == "etc/default/grub.d"
            || OWNED.iter().chain(&EDITED).chain([&TMPFILES]).any(|path| below(&path)))
}

/// A name that is not hidden; neither GRUB nor systemd-boot reads hidden files.
fn is_named(name: &str, suffix: &str) -> bool {
    let stem = name.strip_suffix(suffix).unwrap_or_default();
    !stem.is_empty() && !stem.starts_with('.') && !name.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::may_change;
    use crate::check::{CHECKS, Case, Desired};
    use crate::host::{Host, rom::Probe};
    use crate::plan::plan;
    use crate::sys::{HOSTS, Sysroot, host_tree};

    #[test]
    fn the_set_is_closed() {
        for path in [
            "/etc/passthru.toml",
            "/etc/default/grub",
            "/etc/default/grub.d/50-x.cfg",
            "/boot/loader/entries/arch.conf",
            "/efi/loader/entries/~a b+3.conf",
            "/boot/efi/loader/entries/x.conf",
            "/usr/lib/dracut/modules.d/91passthru/passthru.sh",
            "/etc/tmpfiles.d/passthru-looking-glass.conf",
        ] {
            assert!(may_change(path), "{path}");
        }
        for path in [
            "",
            "/",
            "etc/default/grub",
            "//etc/default/grub",
            "/etc/default/./grub",
            "/etc/default/grub/",
            "/etc/default/grub.d/../grub",
            "/etc/default/grub.d/.cfg",
            "/etc/default/grub.d/.x.cfg",
            "/etc/default/grub.d/..cfg",
            "/etc/default/grub.d/x/y.cfg",
            "/etc/default/grub.d/x.cfg\n",
            "/etc/default/grub.d/x\0.cfg",
            "/boot/loader/entries/../../../etc/x.conf",
            "/boot/loader/entries/x.CONF",
            "/boot/loader/loader.conf",
            "/boot/grub/grub.cfg",
            "/mnt/boot/loader/entries/x.conf",
            "/etc/passwd",
            "/etc/modprobe.d/vfio.conf",
        ] {
            assert!(!may_change(path), "{path}");
        }
    }

    #[test]
    fn every_plan_for_every_recorded_host_stays_in_it() {
        let allow: Vec<String> = CHECKS.iter().map(|check| check.code.to_owned()).collect();
        let mut planned = 0;
        for (name, _) in HOSTS {
            let tree = host_tree(name).expect("it is recorded").expect("it is a tree");
            let host = Host::read(&Sysroot::from_tree(tree), Probe::No);
            for gpu in &host.gpus.cards {
                let gpu = Some(gpu.address.to_string());
                let desired = Desired { gpu, allow: allow.clone(), ..Desired::default() };
                let case = Case::new(&host, &desired);
                let Ok(plan) = plan(&case, &crate::check::run(&case)) else { continue };
                planned += plan.changes.len();
                for change in plan.changes {
                    assert!(may_change(&change.path), "{name}: {}", change.path);
                }
            }
        }
        assert!(planned > 50, "{planned} changes");
    }
}
