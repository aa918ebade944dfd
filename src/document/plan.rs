//! `plan`: exactly what would change.

use serde::Serialize;

use super::Schema;
use crate::check::{Case, IdsIn, Report, Rollout};
use crate::host::pci::PciAddress;
use crate::plan::{
    Binding, ChangeKind, Command, Expectation, FileState, Method, ParameterChange, Plan, Stage,
    Trial, other_default,
};

/// The whole answer, complete enough to be carried out later.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct PlanDocument {
    /// Name and version of this form.
    schema: Schema,
    /// What was asked for: whoever plans again for this gets this plan, on the same machine.
    pub wish: Wish,
    /// Address of the card's display function.
    pub gpu: PciAddress,
    /// Its name.
    pub name: String,
    /// All functions that go together, the display function first.
    pub functions: Vec<PciAddress>,
    /// How the card is selected at boot.
    pub binding: Binding,
    /// Words that change on the kernel command line.
    pub kernel_parameters: ParameterChange,
    /// The entry that has these words until `promote`; `null` where the normal entries get them.
    pub trial: Option<Trial>,
    /// Files, in path order.
    pub changes: Vec<Change>,
    /// Programs to run after the files, in order.
    pub commands: Vec<Command>,
    /// What must hold after the reboot.
    pub expectations: Vec<Expectation>,
    /// It takes effect with the next boot.
    pub reboot: bool,
    /// How the machine, or what is asked for, differs from /etc/passthru.toml.
    pub drift: Option<String>,
    /// What was asked for and is done in another way, with the reason.
    pub remarks: Vec<String>,
    /// Titles of the findings that the plan answers, or that the user lifted.
    pub why: Vec<Why>,
}

/// The question that a plan answers.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Wish {
    /// The card, by the whole address of its display function, however it was named.
    pub gpu: PciAddress,
    /// Where ids go.
    pub ids_in: IdsIn,
    /// Have KVM ignore accesses to unknown model-specific registers.
    pub ignore_msrs: bool,
    /// Codes of blockers that the user lifts, sorted.
    pub allow: Vec<String>,
    /// Try it first, where the boot loader can start an entry once.
    pub trial: bool,
}

/// A change to one file.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Change {
    /// Absolute path.
    pub path: String,
    /// What happens to the file.
    pub kind: ChangeKind,
    /// Unified diff.
    pub diff: String,
    /// Codes of the findings that it answers.
    pub because: Vec<&'static str>,
    /// The file as it is.
    pub before: FileState,
    /// The file as it will be.
    pub after: FileState,
    /// Before the commands or after them.
    pub stage: Stage,
}

/// A finding behind the plan.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Why {
    /// Its code.
    pub code: &'static str,
    /// The same for every host.
    pub title: &'static str,
    /// What it is on this host.
    pub detail: String,
}

fn wish(case: &Case<'_>, gpu: PciAddress) -> Wish {
    let desired = case.desired;
    let mut allow = desired.allow.clone();
    allow.sort();
    allow.dedup();
    Wish {
        gpu,
        ids_in: desired.ids_in,
        ignore_msrs: desired.ignore_msrs,
        allow,
        trial: desired.rollout == Rollout::Trial,
    }
}

/// What the reader of a plan would otherwise wonder about.
fn remarks(case: &Case<'_>, plan: &Plan, report: &Report) -> Vec<String> {
    let method = plan.binding.method;
    let mut remarks = Vec::new();
    if let Some(reason) = plan.no_trial.as_ref().filter(|_| !plan.is_empty()) {
        remarks.push(format!(
            "This cannot be tried in one boot first: {reason}. An entry that starts the machine as it was stays in the \
             boot menu instead."
        ));
    }
    if plan.trial.is_some() && case.host.os.own_program.is_none() {
        remarks.push(
            "passthru is not in /usr/local/bin or another directory where only root installs programs, so no unit \
             looks at the boot on trial by itself: run `sudo passthru verify --after-boot` in it."
                .to_owned(),
        );
    }
    let grub = plan.trial.as_ref().filter(|trial| trial.once.block().is_some());
    if let Some(default) = grub.and_then(|_| other_default(case.host)) {
        remarks.push(format!(
            "The entry on trial starts the newest kernel; GRUB_DEFAULT is {default}, which may start another one."
        ));
    }
    if case.desired.ids_in == IdsIn::Modprobe && method == Method::Address {
        remarks.push(
            "No list of ids, in modprobe.d or elsewhere, can name this card without another device: it is selected \
             by address on the kernel command line instead."
                .to_owned(),
        );
    }
    if report.has("iommu-off-kernel") || report.has("iommu-off-argument") {
        remarks.push(
            "The IOMMU is off now, so nobody can tell yet which devices share the card's group. Check again after \
             the reboot, before a guest gets the card."
                .to_owned(),
        );
    }
    remarks
}

impl PlanDocument {
    /// Builds the answer.
    pub fn of(case: &Case<'_>, report: &Report, plan: Plan) -> Self {
        let plan_is_empty = plan.is_empty();
        let remarks = remarks(case, &plan, report);
        // The last one: it makes the next boot start what all others prepare.
        let select = plan.trial.as_ref().filter(|_| !plan_is_empty).map(Trial::select);
        let commands = plan.commands.into_iter().chain(select).collect();
        let changes = plan.changes.into_iter().map(|change| Change {
            kind: change.kind(),
            diff: change.diff(),
            path: change.path,
            because: change.because,
            before: change.before,
            after: change.after,
            stage: change.stage,
        });
        let changes: Vec<Change> = changes.collect();
        let answered = |code: &str| changes.iter().any(|change| change.because.contains(&code));
        let why = report.findings.iter().filter(|f| f.allowed || answered(f.code)).map(|finding| {
            Why { code: finding.code, title: finding.title, detail: finding.detail.clone() }
        });
        Self {
            schema: Schema { name: "plan", version: 1 },
            wish: wish(case, plan.gpu),
            gpu: plan.gpu,
            name: case.display().map(|display| case.host.named(display)).unwrap_or_default(),
            functions: plan.functions,
            drift: (!plan_is_empty).then(|| crate::plan::drift(case)).flatten(),
            remarks,
            trial: plan.trial,
            binding: plan.binding,
            kernel_parameters: plan.kernel_parameters,
            why: why.collect(),
            changes,
            commands,
            expectations: plan.expectations,
            reboot: plan.reboot,
        }
    }
}
