//! `verify`: does every expectation of a transaction hold after the reboot.

use serde::Serialize;

use super::{Schema, Unreadable};
use crate::check::Evidence;
use crate::host::Observed;
use crate::host::booted::{BOOT_ID, Facts, VfioGroup};
use crate::verify::{OnTrial, Outcome, Reboot, Report, Stage, Verdict};

/// The whole answer.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct VerifyDocument {
    /// Name and version of this form.
    schema: Schema,
    /// Number of the transaction; `null` for what was set up without passthru.
    pub transaction: Option<u32>,
    /// `met` only where every expectation is, and it is sure that the machine was rebooted.
    pub verdict: Verdict,
    /// The kernel's id of this boot.
    pub boot_id: Option<String>,
    /// The entry that was selected for one boot, and what became of it.
    pub trial: Option<OnTrialDocument>,
    /// Never empty; in the order of the plan.
    pub expectations: Vec<Expected>,
    /// What VFIO itself says of the card's groups; empty where it was not asked, as before the
    /// reboot or for another root.
    pub vfio_groups: Vec<VfioGroupState>,
    /// What bears on all of them.
    pub remarks: Vec<String>,
    /// What could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// An entry that is started once before it becomes the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct OnTrialDocument {
    /// What the boot loader calls it.
    pub entry: String,
    /// How far it came.
    pub stage: Stage,
    /// The same in words, with what to do next.
    pub text: Option<String>,
}

impl OnTrialDocument {
    /// Builds it.
    pub fn of(trial: &OnTrial) -> Self {
        Self {
            entry: trial.trial.entry.clone(),
            stage: trial.stage,
            text: Some(format!("{} {}", trial.text(), trial.hint())),
        }
    }
}

/// A group, as VFIO_GROUP_GET_STATUS has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct VfioGroupState {
    /// Its number.
    pub group: u32,
    /// It can be given to a guest; `null` where VFIO could not be asked, and while another process
    /// has the group open.
    pub viable: Option<bool>,
    /// A process has it open, or it is in a container; `null` where VFIO could not be asked.
    pub in_use: Option<bool>,
}

/// One expectation, judged.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Expected {
    /// Stable name.
    pub id: String,
    /// One sentence.
    pub text: String,
    /// Whether it holds.
    pub verdict: Verdict,
    /// What was read; for what is unmet, also what speaks for the cause.
    pub evidence: Vec<Evidence>,
    /// Why it is not met.
    pub cause: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

impl VerifyDocument {
    /// Builds the answer.
    pub fn of(
        transaction: Option<u32>,
        report: &Report,
        facts: &Facts,
        trial: Option<&OnTrial>,
    ) -> Self {
        let remark = match report.reboot() {
            Reboot::Done | Reboot::NotYet => None,
            Reboot::Unknown(reason) => Some(format!(
                "Whether the machine was rebooted since the change is not known: {reason}."
            )),
        };
        let devices = facts.only_devices().map(|_| {
            "This kernel has no VFIO groups, only a node for each device in /dev/vfio/devices \
             (CONFIG_VFIO_GROUP is off): a guest gets the card through iommufd alone."
                .to_owned()
        });
        let each = |(path, reason): &(String, String)| Unreadable {
            path: format!("/{path}"),
            reason: reason.clone(),
        };
        let mut unreadable: Vec<Unreadable> = facts.unreadable.iter().map(each).collect();
        if facts.boot_id.is_absent() {
            unreadable.push(each(&(BOOT_ID.to_owned(), "it is not there".to_owned())));
        }
        Self {
            schema: Schema { name: "verify", version: 1 },
            transaction,
            verdict: report.verdict(),
            boot_id: facts.boot_id.present().cloned(),
            trial: trial.map(OnTrialDocument::of),
            expectations: report.outcomes().iter().map(Expected::of).collect(),
            vfio_groups: facts.vfio_groups.iter().map(VfioGroupState::of).collect(),
            remarks: remark.into_iter().chain(devices).collect(),
            unreadable,
        }
    }
}

impl VfioGroupState {
    fn of((group, said): (&u32, &Observed<VfioGroup>)) -> Self {
        let (viable, in_use) = match said {
            Observed::Present(VfioGroup::Viable) => (Some(true), Some(false)),
            Observed::Present(VfioGroup::NotViable) => (Some(false), Some(false)),
            Observed::Present(VfioGroup::ContainerSet) => (Some(true), Some(true)),
            Observed::Present(VfioGroup::Open) => (None, Some(true)),
            Observed::Absent => (Some(false), Some(false)),
            Observed::Unreadable(_) => (None, None),
        };
        Self { group: *group, viable, in_use }
    }
}

impl Expected {
    fn of(outcome: &Outcome) -> Self {
        Self {
            id: outcome.expectation.id(),
            text: outcome.expectation.text(),
            verdict: outcome.verdict,
            evidence: outcome.evidence.clone(),
            cause: outcome.cause.clone(),
            hint: outcome.hint.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;
    use crate::host::booted;
    use crate::host::rom::Probe;
    use crate::plan::Expectation;
    use crate::sys::{Sysroot, host_tree};
    use crate::verify::{Then, evaluate};

    #[test]
    fn the_document_is_the_contract() {
        let root = Sysroot::from_tree(host_tree("qemu-intel-bound").unwrap().unwrap());
        let host = Host::read(&root, Probe::No);
        let facts = booted::read(&root, &host);
        let expected = [Expectation::IommuOn, Expectation::Parameter("quiet=yes".to_owned())];
        let report = evaluate(&expected, &Then::default(), &host, &facts, None).unwrap();
        let document = VerifyDocument::of(Some(7), &report, &facts, None);
        let json = serde_json::to_value(&document).unwrap();
        assert_eq!(json["schema"], serde_json::json!({"name": "verify", "version": 1}));
        assert_eq!((&json["transaction"], &json["verdict"]), (&7.into(), &"unmet".into()));
        assert_eq!(json["boot_id"], serde_json::Value::Null);
        let hidden = json["unreadable"].as_array().unwrap().last().unwrap();
        assert_eq!(hidden["path"], "/proc/sys/kernel/random/boot_id");
        let met = serde_json::json!({
            "id": "iommu:on",
            "text": "The IOMMU is on: there are groups.",
            "verdict": "met",
            "evidence": [{"path": "/sys/kernel/iommu_groups", "found": "10 groups"}],
            "cause": null,
            "hint": null
        });
        assert_eq!(json["expectations"][0], met);
        assert_eq!(json["expectations"][1]["verdict"], "unmet");
        assert!(json["expectations"][1]["cause"].is_string());
        assert_eq!(json["remarks"].as_array().map(Vec::len), Some(1));
    }

    /// `null` is what nobody could look at.
    #[test]
    fn groups_are_as_vfio_says() {
        let hidden = || Observed::Unreadable("permission denied (root may read it)".to_owned());
        let states = [
            (1, Observed::Present(VfioGroup::Viable)),
            (2, Observed::Present(VfioGroup::NotViable)),
            (3, Observed::Present(VfioGroup::ContainerSet)),
            (4, Observed::Present(VfioGroup::Open)),
            (5, Observed::Absent),
            (6, hidden()),
        ];
        let states: Vec<VfioGroupState> =
            states.iter().map(|(n, s)| VfioGroupState::of((n, s))).collect();
        assert_eq!(
            serde_json::to_value(states).unwrap(),
            serde_json::json!([
                {"group": 1, "viable": true, "in_use": false},
                {"group": 2, "viable": false, "in_use": false},
                {"group": 3, "viable": true, "in_use": true},
                {"group": 4, "viable": null, "in_use": true},
                {"group": 5, "viable": false, "in_use": false},
                {"group": 6, "viable": null, "in_use": null},
            ])
        );
    }

    #[test]
    fn a_kernel_without_groups_is_remarked() {
        let mut tree = host_tree("qemu-intel-bound").unwrap().unwrap();
        tree.insert("dev/vfio/devices/vfio0", crate::sys::Node::Present(None));
        let root = Sysroot::from_tree(tree);
        let host = Host::read(&root, Probe::No);
        let facts = booted::read(&root, &host);
        let then = Then { elsewhere: true, ..Then::default() };
        let report = evaluate(&[Expectation::IommuOn], &then, &host, &facts, None).unwrap();
        let remarks = VerifyDocument::of(Some(7), &report, &facts, None).remarks;
        assert!(remarks.iter().any(|one| one.contains("iommufd alone")), "{remarks:?}");
    }
}
