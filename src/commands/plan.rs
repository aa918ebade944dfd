//! `plan`: what would change.

use std::path::PathBuf;

use clap::ValueEnum;

use super::check::{could_look, judge, show};
use super::wish::Asked;
use super::{Answer, Global};
use crate::check::{Desired, IdsIn, Rollout};
use crate::document::{CheckDocument, PlanDocument};
use crate::error::Error;
use crate::host::Host;
use crate::host::rom::Probe;
use crate::plan::Refusal;
use crate::sys::create_new;
use crate::ui::Ui;

/// What is asked for; the same for `plan` and `apply`.
#[derive(Debug, clap::Args)]
pub struct Wish {
    /// Address (07:00.0), id (1002:73ff) or part of the name; left out, the card that
    /// /etc/passthru.toml names, or the one that makes sense
    gpu: Option<String>,
    /// Where the ids go, if the card is bound by id: on the command line unless
    /// /etc/passthru.toml says otherwise
    #[arg(long, value_name = "PLACE")]
    ids_in: Option<Place>,
    /// Have KVM ignore accesses to unknown model-specific registers (options kvm ignore_msrs=1)
    #[arg(long)]
    ignore_msrs: bool,
    /// Go on in spite of this blocker; may be repeated
    #[arg(long, value_name = "CODE")]
    allow: Vec<String>,
    /// Put it into the normal boot entries at once. Otherwise it is tried first, where the boot
    /// loader can start an entry once: in an entry of its own, which `passthru promote` makes
    /// the default
    #[arg(long)]
    no_trial: bool,
}

/// Show exactly what would change: why, the diff of every file, the commands, what will hold
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    wish: Wish,
    /// Write the complete plan, as JSON, to a new file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Where ids are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Place {
    /// vfio-pci.ids= on the kernel command line
    CommandLine,
    /// options vfio-pci ids= in modprobe.d
    Modprobe,
}

impl Wish {
    /// As the planner takes it.
    ///
    /// # Errors
    /// The wish that is written down on the machine is not understood, or the card moved.
    pub fn desired(&self, host: &Host) -> Result<Desired, Error> {
        Asked {
            gpu: self.gpu.clone(),
            ids_in: self.ids_in.map(|place| match place {
                Place::CommandLine => IdsIn::CommandLine,
                Place::Modprobe => IdsIn::Modprobe,
            }),
            ignore_msrs: self.ignore_msrs,
            allow: self.allow.clone(),
            rollout: if self.no_trial { Rollout::Standing } else { Rollout::Trial },
        }
        .on(host)
    }
}

/// Shows the plan; says no, with the findings, where there is none.
///
/// # Errors
/// The root cannot be opened, or the question names what does not exist.
pub fn run(args: &Args, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let root = global.open_root()?;
    let host = Host::read(&root, Probe::No);
    could_look(&host)?;
    let desired = args.wish.desired(&host)?;
    let (case, report) = judge(&host, &desired, ui)?;
    match crate::plan::plan(&case, &report) {
        Ok(plan) => {
            let document = PlanDocument::of(&case, &report, plan);
            if let Some(path) = &args.out {
                write_out(path, &document)?;
                ui.status(&format!("The plan is in {}.", path.display()));
            }
            if global.json {
                ui.json(&document)?;
            } else {
                ui.answer(&crate::ui::plan::render(&document, ui.page()))?;
            }
            Ok(Answer::Yes)
        }
        Err(refusal) => {
            show(&CheckDocument::of(&case, report, refused(&refusal)), global, ui)?;
            ui.status("There is no plan: see above for what to do first.");
            Ok(Answer::No)
        }
    }
}

/// What the user has to do by hand first.
pub fn refused(refusal: &Refusal) -> Vec<String> {
    match refusal {
        Refusal::ByHand(steps) => steps.clone(),
        Refusal::Findings => Vec::new(),
        Refusal::CannotEdit(reason) => {
            vec![format!("Make this change yourself, then plan again: {reason}")]
        }
    }
}

fn write_out(path: &std::path::Path, document: &PlanDocument) -> Result<(), Error> {
    let fail = |error: &(dyn std::error::Error + 'static)| {
        Error::because(format!("cannot write the plan to {}", path.display()), error)
            .hint("Name a file that does not exist yet, in a directory that you may write.")
    };
    let text = serde_json::to_string_pretty(document).map_err(|error| fail(&error))?;
    create_new(path, (text + "\n").as_bytes()).map_err(|error| fail(&error))
}
