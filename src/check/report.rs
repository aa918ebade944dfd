//! Runs every check and sums up.

use serde::Serialize;

use super::case::Case;
use super::finding::{Finding, RemedyKind, Severity};
use super::select::Selection;
use crate::host::Observed;

/// Can this card be passed through?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All its functions are on a VFIO driver and nothing stands in the way.
    Ready,
    /// Nothing stands in the way that a change of configuration cannot solve.
    Configurable,
    /// Something does.
    Blocked,
    /// A fact that decides could not be looked at, or no card was chosen.
    Unknown,
}

/// All findings about a case, the worst first.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The answer.
    pub verdict: Verdict,
    /// Worst first; equal severities in the order of the table.
    pub findings: Vec<Finding>,
    /// Paths that had to be read for an answer and could not be.
    pub undecided: Vec<String>,
}

impl Report {
    /// True where a finding with this code is there.
    pub fn has(&self, code: &str) -> bool {
        self.findings.iter().any(|finding| finding.code == code)
    }
}

/// Runs every check.
pub fn run(case: &Case<'_>) -> Report {
    let mut findings: Vec<Finding> = Vec::new();
    for check in super::CHECKS {
        findings.extend((check.run)(case).into_iter().map(|found| found.into_finding(check.code)));
    }
    for finding in &mut findings {
        finding.allowed =
            finding.liftable && case.desired.allow.iter().any(|code| code == finding.code);
    }
    findings.sort_by_key(|finding| finding.severity);
    let undecided = undecided(case);
    let verdict = verdict(case, &findings, &undecided);
    Report { verdict, findings, undecided }
}

/// Findings that stop a plan because something is not known, not because it is in the way.
const OPEN: [&str; 2] = ["gpu-ambiguous", "config-unreadable"];

fn verdict(case: &Case<'_>, findings: &[Finding], undecided: &[String]) -> Verdict {
    let mut stopping = findings.iter().filter(|finding| finding.stops());
    let open = findings.iter().any(|finding| finding.stops() && OPEN.contains(&finding.code));
    let blocked = stopping.any(|finding| !OPEN.contains(&finding.code));
    let planned = findings
        .iter()
        .any(|f| f.severity == Severity::Blocker && f.remedy.kind == RemedyKind::Plan);
    let on_vfio = case.functions().iter().all(|function| function.on_vfio());
    if blocked {
        Verdict::Blocked
    } else if open || !matches!(case.selection, Selection::One(_)) || !undecided.is_empty() {
        Verdict::Unknown
    } else if on_vfio && !planned {
        Verdict::Ready
    } else {
        Verdict::Configurable
    }
}

/// Facts without which no answer can be given.
fn undecided(case: &Case<'_>) -> Vec<String> {
    let host = case.host;
    let mut paths = Vec::new();
    if !host.devices.is_present() {
        paths.push(format!("/{}", crate::host::pci::DEVICES));
    }
    if host.iommu.enabled().is_none() {
        paths.push(format!("/{}", crate::host::iommu::GROUPS));
    }
    if host.iommu.enabled() == Some(false) && host.firmware.iommu_table.is_unreadable() {
        paths.push("/sys/firmware/acpi/tables".to_owned());
    }
    if !host.cpu.is_present() {
        paths.push(format!("/{}", crate::host::cpu::CPUINFO));
    }
    if !host.kernel.command_line.is_present() {
        paths.push("/proc/cmdline".to_owned());
    }
    if matches!(host.kernel.vfio_pci, Observed::Unreadable(_))
        && !host.kernel.modules_dir.is_absent()
    {
        paths.push("/usr/lib/modules".to_owned());
    }
    let unreadable = host.unreadable.iter().map(|(path, _)| path.as_str());
    paths.extend(unreadable.filter(|path| decides(case, path)).map(|path| format!("/{path}")));
    paths
}

/// Single files that may hide another member of the group, another owner of an id, a region
/// that the firmware keeps, or a driver that has to wait.
fn decides(case: &Case<'_>, path: &str) -> bool {
    let host = case.host;
    if let Some(rest) =
        path.strip_prefix(crate::host::pci::DEVICES).and_then(|r| r.strip_prefix('/'))
    {
        return !rest.contains('/') || rest.ends_with("/iommu_group");
    }
    if let Some(dir) = host.kernel.modules_dir.present()
        && let Some(name) = path.strip_prefix(dir.as_str())
    {
        return name == "/modules.alias";
    }
    let groups = case.functions().into_iter().filter_map(|function| function.iommu_group);
    let mut regions =
        groups.map(|id| format!("{}/{id}/reserved_regions", crate::host::iommu::GROUPS));
    regions.any(|known| known == path)
}
