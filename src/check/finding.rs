//! Findings: true statements about a host, with evidence and a remedy.

use serde::Serialize;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing can be planned before it is solved, unless the plan solves it.
    Blocker,
    /// Works, or may work, with a price.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// The word that output shows.
    pub fn word(self) -> &'static str {
        match self {
            Self::Blocker => "blocker",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Where something was read, and what was read there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Evidence {
    /// Absolute path on the host.
    pub path: String,
    /// What stood there.
    pub found: String,
}

impl Evidence {
    /// One reading.
    pub fn new(path: impl Into<String>, found: impl Into<String>) -> Self {
        let path = path.into();
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        Self { path, found: found.into() }
    }
}

/// Who can do something about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RemedyKind {
    /// `passthru plan` does it.
    Plan,
    /// The user: firmware menu, hardware, another tool.
    Manual,
    /// Nobody; the machine is made so, or nothing needs doing.
    None,
}

/// What to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Remedy {
    /// Who does it.
    pub kind: RemedyKind,
    /// One or two sentences.
    pub text: String,
}

/// What a check function found; the table adds the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    severity: Severity,
    detail: String,
    evidence: Vec<Evidence>,
    remedy: Remedy,
    liftable: bool,
}

impl Found {
    fn new(severity: Severity, detail: impl Into<String>, evidence: Evidence) -> Self {
        let remedy = Remedy { kind: RemedyKind::None, text: String::new() };
        Self { severity, detail: detail.into(), evidence: vec![evidence], remedy, liftable: false }
    }

    /// Something that stands in the way.
    pub fn blocker(detail: impl Into<String>, evidence: Evidence) -> Self {
        Self::new(Severity::Blocker, detail, evidence)
    }

    /// Something with a price.
    pub fn warning(detail: impl Into<String>, evidence: Evidence) -> Self {
        Self::new(Severity::Warning, detail, evidence)
    }

    /// Something good to know.
    pub fn note(detail: impl Into<String>, evidence: Evidence) -> Self {
        Self::new(Severity::Note, detail, evidence)
    }

    /// Adds a reading.
    pub fn and(mut self, evidence: Evidence) -> Self {
        self.evidence.push(evidence);
        self
    }

    /// Adds readings.
    pub fn and_all(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    /// The plan does something about it.
    pub fn planned(mut self, text: impl Into<String>) -> Self {
        self.remedy = Remedy { kind: RemedyKind::Plan, text: text.into() };
        self
    }

    /// The user can do something about it.
    pub fn manual(mut self, text: impl Into<String>) -> Self {
        self.remedy = Remedy { kind: RemedyKind::Manual, text: text.into() };
        self
    }

    /// The user may go on in spite of it with `--allow CODE`.
    pub fn liftable(mut self) -> Self {
        self.liftable = true;
        self
    }

    /// Attaches the code and the title of its page.
    pub fn into_finding(self, code: &'static str) -> Finding {
        Finding {
            code,
            severity: self.severity,
            title: super::pages::title(code),
            detail: self.detail,
            evidence: self.evidence,
            remedy: self.remedy,
            liftable: self.liftable,
            allowed: false,
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "docs", derive(schemars::JsonSchema))]
pub struct Finding {
    /// Stable word; `passthru explain CODE` has a page for it.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The same for every host.
    pub title: &'static str,
    /// What it is on this host.
    pub detail: String,
    /// Never empty.
    pub evidence: Vec<Evidence>,
    /// What to do.
    pub remedy: Remedy,
    /// `--allow CODE` lifts it.
    #[serde(skip)]
    pub liftable: bool,
    /// The user lifted it.
    pub allowed: bool,
}

impl Finding {
    /// It stops a plan: a blocker that the plan does not solve and the user did not lift.
    pub fn stops(&self) -> bool {
        self.severity == Severity::Blocker && self.remedy.kind != RemedyKind::Plan && !self.allowed
    }
}
