//! What the doctor has found, and what is to be done about it.

use serde::Serialize;

use crate::ending::Ending;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Good to know.
    Note,
    /// Slower than it should be, or not far from worse.
    Warning,
    /// Old values may be served, or nothing is cached.
    Critical,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Never changes, for scripts.
    pub(crate) id: &'static str,
    pub(crate) severity: Severity,
    pub(crate) title: String,
    pub(crate) what_it_means: String,
    pub(crate) what_to_do: String,
}

impl Finding {
    pub(crate) fn new(
        id: &'static str,
        severity: Severity,
        title: impl Into<String>,
        what_it_means: impl Into<String>,
        what_to_do: impl Into<String>,
    ) -> Self {
        let (title, what_it_means, what_to_do) = (title.into(), what_it_means.into(), what_to_do.into());
        Self { id, severity, title, what_it_means, what_to_do }
    }
}

/// The exit code is that of the worst finding.
pub(crate) fn ending(findings: &[Finding]) -> Ending {
    match findings.iter().map(|finding| finding.severity).max() {
        None | Some(Severity::Note) => Ending::Done,
        Some(Severity::Warning) => Ending::Warned,
        Some(Severity::Critical) => Ending::Critical,
    }
}
