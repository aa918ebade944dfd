//! The answer as a whole, and each kind of expectation met, unmet, or not known.

use super::lab::{Lab, after, before, expected, holds, list};
use crate::verify::{Reboot, Report, Then, Verdict, evaluate};

#[test]
fn nothing_expected_is_no_success() {
    let (host, facts) = after().read();
    assert_eq!(evaluate(&[], &Then::default(), &host, &facts, None), None);
    assert_eq!(Report::new(Vec::new(), Reboot::Done), None);
}

#[test]
fn all_holds_after_the_reboot() {
    let report = after().judge(&expected());
    let wrong: Vec<_> =
        report.outcomes().iter().filter(|outcome| outcome.verdict != Verdict::Met).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((report.verdict(), report.reboot()), (Verdict::Met, &Reboot::Done));
    assert_eq!(report.outcomes().len(), expected().len());
}

/// What a real kernel showed of machines whose card is on vfio-pci.
#[test]
fn recorded_machines_hold_what_their_plan_expects() {
    use crate::check::{Case, Desired};
    for name in ["qemu-intel-bound", "qemu-sdboot-intel-bound"] {
        let lab =
            Lab::new(name).put("proc/sys/kernel/random/boot_id", "boot-2\n").present("dev/vfio/8");
        let (host, facts) = lab.read();
        let desired = Desired { gpu: Some("01:00.0".to_owned()), ..Desired::default() };
        let case = Case::new(&host, &desired);
        let plan = crate::plan::plan(&case, &crate::check::run(&case));
        let expected = match plan {
            Ok(plan) => plan.expectations,
            // A guest of a hypervisor gets no plan; the same facts by their names.
            Err(_) => list(&[
                "parameter:intel_iommu=on",
                "parameter:iommu=pt",
                "iommu:on",
                "identity:0000:01:00.0=1234:1111:1af4:1100",
                "identity:0000:01:00.1=8086:2668:1af4:1100",
                "vfio:0000:01:00.0",
                "vfio:0000:01:00.1",
                "group:8",
                "vfio:nothing-else",
            ]),
        };
        assert!(expected.len() >= 6, "{name}: {expected:?}");
        let then = Then { boot_id: Some("boot-1".to_owned()), ..lab.then() };
        let report = evaluate(&expected, &then, &host, &facts, None).unwrap();
        assert_eq!(report.verdict(), Verdict::Met, "{name}: {:#?}", report.outcomes());
    }
}

#[test]
fn everything_waits_for_the_reboot() {
    for lab in [before(), after().put("proc/sys/kernel/random/boot_id", "boot-1\n")] {
        let report = lab.judge(&expected());
        assert_eq!(report.verdict(), Verdict::Pending);
        for outcome in report.outcomes() {
            assert_eq!(outcome.verdict, Verdict::Pending, "{outcome:?}");
            let cause = outcome.cause.as_deref();
            assert_eq!(
                cause,
                Some("The machine is not rebooted yet: this is still the boot of the change.")
            );
        }
    }
}

#[test]
fn an_unknown_boot_is_said_and_looked_at() {
    let unread = after().unreadable("proc/sys/kernel/random/boot_id");
    let report = unread.judge(&expected());
    // The command line is another one, so the kernel is.
    assert_eq!((report.verdict(), report.reboot()), (Verdict::Met, &Reboot::Done));

    let then = Then { boot_id: None, command_line: None, ..before().then() };
    let report = after().knowing(then).judge(&expected());
    let reason = "no boot id was recorded when the change was made";
    assert_eq!(report.reboot(), &Reboot::Unknown(reason.to_owned()));
    assert!(report.outcomes().iter().all(|outcome| outcome.verdict == Verdict::Met));
    assert_eq!(report.verdict(), Verdict::Unknown, "nobody knows whether this is a new boot");

    // Changed from another system: whatever runs it now was started since.
    let then = Then { boot_id: None, command_line: None, elsewhere: true, ..before().then() };
    let report = after().knowing(then).judge(&expected());
    assert_eq!((report.verdict(), report.reboot()), (Verdict::Met, &Reboot::Done));

    let unread = before().unreadable("proc/sys/kernel/random/boot_id");
    let report = unread.judge(&expected());
    let reason = "the id of this boot could not be read";
    assert_eq!(report.reboot(), &Reboot::Unknown(reason.to_owned()));
    assert_eq!(report.verdict(), Verdict::Unmet);
}

#[test]
fn the_worst_counts() {
    use Verdict::{Met, Pending, Unknown, Unmet};
    let of = |verdicts: &[Verdict], reboot| {
        let mut outcomes = after().judge(&list(&["iommu:on", "iommu:on", "iommu:on"])).outcomes;
        outcomes.truncate(verdicts.len());
        for (outcome, verdict) in outcomes.iter_mut().zip(verdicts) {
            outcome.verdict = *verdict;
        }
        Report::new(outcomes, reboot).map(|report| report.verdict())
    };
    for (verdicts, whole) in [
        (&[Met, Met][..], Met),
        (&[Met, Unknown], Unknown),
        (&[Unknown, Unmet], Unmet),
        (&[Pending, Unmet], Unmet),
        (&[Pending, Unknown], Unknown),
        (&[Met, Pending], Pending),
    ] {
        assert_eq!(of(verdicts, Reboot::Done), Some(whole), "{verdicts:?}");
    }
    assert_eq!(of(&[Met], Reboot::Unknown(String::new())), Some(Unknown));
    assert_eq!(of(&[Unmet], Reboot::Unknown(String::new())), Some(Unmet));
    assert_eq!(of(&[], Reboot::Done), None);
}

/// Nothing that could not be read is met or unmet.
#[test]
fn what_could_not_be_read_is_unknown() {
    let denied =
        |path: &str| format!("/{path} could not be read: permission denied (root may read it).");
    let dev = "sys/devices/pci0000:00/0000:00:1b.4/0000:05:00.0/0000:06:00.0/0000:07:00.0";
    let bus = "sys/bus/pci/devices/0000:07:00.0";
    let hidden = || after().without(&format!("{dev}/")).unreadable(dev);
    let no_uevent = || {
        after()
            .unreadable(&format!("{dev}/uevent"))
            .put(&format!("{dev}/vendor"), "0x1002\n")
            .put(&format!("{dev}/device"), "0x73ff\n")
            .put(&format!("{dev}/class"), "0x030000\n")
    };
    for (lab, id, path) in [
        (after().unreadable("proc/cmdline"), "parameter:iommu=pt", "proc/cmdline"),
        (after().unreadable("proc/cmdline"), "no-parameter:iommu=pt", "proc/cmdline"),
        (
            after().without("sys/kernel/iommu_groups").unreadable("sys/kernel/iommu_groups"),
            "iommu:on",
            "sys/kernel/iommu_groups",
        ),
        (hidden(), "identity:0000:07:00.0=1002:73ff:1462:5022", bus),
        (hidden(), "vfio:0000:07:00.0", bus),
        (hidden(), "not-vfio:0000:07:00.0", bus),
        (hidden(), "driver:0000:07:00.0=amdgpu", bus),
        (hidden(), "vfio:nothing-else", bus),
        (
            no_uevent().unreadable(&format!("{dev}/subsystem_vendor")),
            "identity:0000:07:00.0=1002:73ff:1462:5022",
            "sys/bus/pci/devices/0000:07:00.0/subsystem_vendor",
        ),
        (
            no_uevent().unreadable(&format!("{dev}/driver")),
            "vfio:0000:07:00.0",
            "sys/bus/pci/devices/0000:07:00.0/driver",
        ),
        (
            no_uevent().unreadable(&format!("{dev}/driver")),
            "not-vfio:0000:07:00.0",
            "sys/bus/pci/devices/0000:07:00.0/driver",
        ),
        (after().without("dev/vfio/").unreadable("dev/vfio"), "group:18", "dev/vfio"),
    ] {
        let all = [expected(), list(&[id])].concat();
        holds(&lab, &all, id, Verdict::Unknown, &denied(path));
    }
}

#[test]
fn without_sysfs_nothing_is_known_of_devices() {
    let bare = Lab::new("z490-arch").without("sys/");
    let cause = "/sys/bus/pci/devices could not be read: it is not there.";
    for id in ["iommu:on", "vfio:nothing-else"] {
        holds(&bare, &list(&[id]), id, Verdict::Unknown, cause);
    }
    for id in ["vfio:0000:07:00.0", "not-vfio:0000:07:00.0", "driver:0000:07:00.0=amdgpu"] {
        let outcome = bare.outcome(&list(&[id]), id);
        assert_eq!(outcome.verdict, Verdict::Unknown, "{id}");
    }
}

/// On every recorded machine: what an undo expects holds where nothing was changed, and what a
/// plan expects fails there with a cause, evidence and a next step.
#[test]
fn every_recorded_machine_is_judged() {
    use crate::check::{Case, Desired};
    let mut unmet = 0;
    for (name, _) in crate::sys::HOSTS {
        let lab = Lab::new(name).put("proc/sys/kernel/random/boot_id", "boot-2\n");
        let (host, facts) = lab.read();
        let then = Then { boot_id: Some("boot-1".to_owned()), ..lab.then() };
        for gpu in &host.gpus.cards {
            let desired = Desired { gpu: Some(gpu.address.to_string()), ..Desired::default() };
            let case = Case::new(&host, &desired);
            let expected = crate::plan::expectations_before(&case);
            let report = evaluate(&expected, &then, &host, &facts, None).unwrap();
            let wrong: Vec<_> =
                report.outcomes().iter().filter(|one| one.verdict != Verdict::Met).collect();
            assert!(wrong.is_empty(), "{name} {}: {wrong:#?}", gpu.address);
            let Ok(plan) = crate::plan::plan(&case, &crate::check::run(&case)) else { continue };
            let report = evaluate(&plan.expectations, &then, &host, &facts, None).unwrap();
            for one in report.outcomes().iter().filter(|one| one.verdict == Verdict::Unmet) {
                unmet += 1;
                assert!(!one.evidence.is_empty(), "{name}: {one:#?}");
                assert!(one.cause.is_some() && one.hint.is_some(), "{name}: {one:#?}");
            }
        }
    }
    assert!(unmet > 20, "{unmet}");
}
