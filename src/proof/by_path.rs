//! The same by paths and JSON, for the tests that run real generators and boot loaders.

use std::path::Path;

use crate::check::{Case, Desired, IdsIn, run};
use crate::host::Host;
use crate::host::rom::Probe;
use crate::plan::artefacts::Artefacts;
use crate::plan::plan;
use crate::sys::Sysroot;

/// Which way a plan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It was carried out.
    There,
    /// It was taken back.
    Back,
}

/// What must hold once the plan for this root is carried out; arguments as `plan` takes them.
///
/// # Errors
/// There is no plan.
pub fn wanted(root: &Path, args: &[&str]) -> Result<String, String> {
    let root = Sysroot::open(root).map_err(|error| error.to_string())?;
    let host = Host::read(&root, Probe::No);
    let in_modprobe = args.windows(2).any(|pair| pair == ["--ids-in", "modprobe"]);
    let desired = Desired {
        gpu: args.first().filter(|word| !word.starts_with("--")).map(|word| (*word).to_owned()),
        ids_in: if in_modprobe { IdsIn::Modprobe } else { IdsIn::CommandLine },
        ..Desired::default()
    };
    let case = Case::new(&host, &desired);
    let plan = plan(&case, &run(&case)).map_err(|refusal| format!("{refusal:?}"))?;
    serde_json::to_string(&Artefacts::of(&host, &plan)).map_err(|error| error.to_string())
}

/// What is there now, as a [`crate::plan::artefacts::ReadBack`].
///
/// # Errors
/// The root cannot be opened, or `wanted` is not what [`wanted`] gave.
pub fn read_back(root: &Path, wanted: &str, way: Way) -> Result<String, String> {
    let root = Sysroot::open(root).map_err(|error| error.to_string())?;
    let wanted: Artefacts = serde_json::from_str(wanted).map_err(|error| error.to_string())?;
    let wanted = if way == Way::Back { wanted.reversed() } else { wanted };
    let host = Host::read(&root, Probe::No);
    let seen = super::read_back(&root, &host, &wanted);
    serde_json::to_string(&seen).map_err(|error| error.to_string())
}
