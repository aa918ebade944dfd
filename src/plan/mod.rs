//! From a host and a wish to complete data: every file before and after, every command, and
//! what must hold after the reboot. Pure: the same input gives the same plan.

mod allowed;
pub mod artefacts;
mod binding;
mod bootloader;
mod change;
mod edits;
mod expectation;
mod initramfs;
mod intent;
mod kernel_parameters;
mod modprobe;
mod outputs;
mod regeneration;
mod trial;

pub use allowed::{may_change, may_make};
pub use binding::{Binding, Method};
pub use bootloader::other_default;
pub use change::{ChangeKind, Command, FileChange, FileState, Stage};
pub use expectation::{
    Expectation, before as expectations_before, of_setup as expectations_of_setup,
};
pub use initramfs::IMAGE_SOURCES;
pub use intent::drift;
pub use kernel_parameters::ParameterChange;
pub use trial::Trial;

use crate::check::{Case, Report, bootloader_by_hand};
use crate::host::Host;
use crate::host::intent::INTENT;
use crate::host::pci::PciAddress;
use edits::{CannotEdit, Edits};
pub use regeneration::PROGRAMS;
use regeneration::Stale;
use trial::Decision;

/// Everything that would change, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Display function of the card.
    pub gpu: PciAddress,
    /// All functions that go together.
    pub functions: Vec<PciAddress>,
    /// How the card is selected.
    pub binding: Binding,
    /// Words that change on the kernel command line.
    pub kernel_parameters: ParameterChange,
    /// The entry that has them for now.
    pub trial: Option<Trial>,
    /// Why they are not tried first, where that was wanted: the part of a sentence.
    pub no_trial: Option<String>,
    /// Files, in path order.
    pub changes: Vec<FileChange>,
    /// Programs to run after the files, in order.
    pub commands: Vec<Command>,
    /// What must hold after the reboot.
    pub expectations: Vec<Expectation>,
    /// It takes effect with the next boot.
    pub reboot: bool,
}

impl Plan {
    /// The words that change in the normal entries.
    pub fn standing_parameters(&self) -> ParameterChange {
        match self.trial {
            Some(_) => ParameterChange::default(),
            None => self.kernel_parameters.clone(),
        }
    }

    /// The machine is already as wanted.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.commands.is_empty()
    }
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Findings stand in the way, or no single card was chosen.
    Findings,
    /// These steps are for the user: passthru does not edit this boot loader or image tool.
    ByHand(Vec<String>),
    /// A file that has to change cannot be edited.
    CannotEdit(String),
}

/// Programs that make images and boot menu anew after these files, absolute paths, and these
/// kernel parameters changed.
pub fn regeneration<'a>(
    host: &Host,
    paths: impl Iterator<Item = &'a str> + Clone,
    parameters: &ParameterChange,
) -> Vec<Command> {
    regeneration::commands(host, Stale::after(paths, parameters))
}

/// Makes the plan for the card of a case.
///
/// # Errors
/// What stands in the way; then nothing of a plan is handed out.
pub fn plan(case: &Case<'_>, report: &Report) -> Result<Plan, Refusal> {
    let gpu = case.gpu().ok_or(Refusal::Findings)?;
    let binding = Binding::choose(case).ok_or(Refusal::Findings)?;
    if report.findings.iter().any(|finding| finding.stops()) || !report.undecided.is_empty() {
        return Err(Refusal::Findings);
    }
    let parameters = ParameterChange::of(case, &binding);
    let mut plan = Plan {
        gpu: gpu.address,
        functions: binding.addresses.clone(),
        expectations: expectation::all(case, &binding),
        kernel_parameters: parameters,
        trial: None,
        no_trial: None,
        changes: Vec::new(),
        commands: Vec::new(),
        reboot: false,
        binding,
    };
    if is_as_wanted(case, &plan) {
        plan.kernel_parameters = ParameterChange::default();
        return Ok(plan);
    }
    let by_hand = by_hand(case, &plan);
    if !by_hand.is_empty() {
        return Err(Refusal::ByHand(by_hand));
    }
    fill(case, report, &mut plan).map_err(|error| Refusal::CannotEdit(error.to_string()))?;
    Ok(plan)
}

/// The card is on vfio-pci, selected by what is configured, with the parameters in place that it
/// needs (`iommu=pt` is a choice of speed), and no files of ours are there to keep up.
fn is_as_wanted(case: &Case<'_>, plan: &Plan) -> bool {
    let functions = case.functions();
    let ids = crate::host::selected::configured_ids(case.host, &case.configured);
    let selected = ids.is_some_and(|list| functions.iter().all(|function| list.takes(function)));
    let mut own = crate::host::OWNED.iter().filter(|path| **path != INTENT);
    let untouched = !own.any(|path| case.host.files.has(path));
    let on_vfio = functions.iter().all(|function| function.on_vfio());
    on_vfio
        && selected
        && untouched
        && plan.kernel_parameters.remove.is_empty()
        && plan.kernel_parameters.add.iter().all(|word| word == "iommu=pt")
        && !case.desired.ignore_msrs
}

/// Steps that this program does not take on this host.
fn by_hand(case: &Case<'_>, plan: &Plan) -> Vec<String> {
    if let Some(image) = initramfs::by_hand(case.host, &plan.binding) {
        // Without a hook in the image nothing would read the word that selects by address.
        if plan.binding.method == Method::Address {
            return vec![image];
        }
        return loader_by_hand(case, &plan.kernel_parameters).into_iter().chain([image]).collect();
    }
    let mut steps = loader_by_hand(case, &plan.kernel_parameters);
    if !steps.is_empty() {
        // What a loader's files say is not known for all of them; the running kernel tells then.
        let when = if case.configured.is_known() { "then" } else { "then reboot and" };
        steps.push(format!(
            "{when} run `passthru plan` again: it plans the other files once these words are there"
        ));
    }
    steps
}

fn loader_by_hand(case: &Case<'_>, change: &ParameterChange) -> Vec<String> {
    let Some(add) = bootloader_by_hand(case.host, &change.add) else { return Vec::new() };
    let remove = format!("take out {} in the same place", change.remove.join(" "));
    let add = (!change.add.is_empty()).then_some(add);
    let remove = (!change.remove.is_empty()).then_some(remove);
    add.into_iter().chain(remove).collect()
}

fn fill(case: &Case<'_>, report: &Report, plan: &mut Plan) -> Result<(), CannotEdit> {
    let mut edits = Edits::new(case.host);
    modprobe::plan(case, &plan.binding, &mut edits)?;
    initramfs::plan(case, &plan.binding, &mut edits)?;
    let parameters = &plan.kernel_parameters;
    match trial::decide(case, &plan.binding, parameters) {
        Decision::Try(once) => match bootloader::trial(case, parameters, once, &mut edits) {
            Ok(entry) => plan.trial = Some(Trial { once, entry }),
            Err(error) => plan.no_trial = Some(error.to_string()),
        },
        Decision::Cannot(reason) => plan.no_trial = Some(reason),
        Decision::Standing => {}
    }
    match plan.trial {
        Some(_) => trial::unit(case.host, &mut edits)?,
        None => bootloader::plan(case, parameters, &mut edits)?,
    }
    intent::plan(case, &mut edits)?;
    edits.remove_leftovers()?;
    plan.changes = edits.into_changes(|code| report.has(code))?;
    let is_intent = |change: &FileChange| change.path.trim_start_matches('/') == INTENT;
    let nothing_else = plan.changes.iter().all(is_intent);
    // What nobody asked to have written down is no reason for a plan.
    if nothing_else && plan.changes.iter().all(|change| change.kind() == ChangeKind::Create) {
        plan.changes.clear();
    }
    if !nothing_else {
        let paths = plan.changes.iter().map(|change| change.path.as_str());
        plan.commands = regeneration(case.host, paths, &plan.standing_parameters());
    }
    plan.reboot = !nothing_else || is_pending(case, plan);
    Ok(())
}

/// Configured already, and not in effect yet.
fn is_pending(case: &Case<'_>, plan: &Plan) -> bool {
    let parameters = plan.expectations.iter().any(|expected| match expected {
        Expectation::Parameter(word) => !case.active.contains_word(word),
        _ => false,
    });
    parameters || case.functions().iter().any(|function| !function.on_vfio())
}
