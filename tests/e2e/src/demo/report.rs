//! The demo as numbers.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::Context;
use serde::Serialize;

use super::{Check, OutageReport};
use crate::load::Counts;

/// Everything that was measured.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// In the order in which they ended.
    pub steps: Vec<Step>,
    /// The steady load, from its start to its end.
    pub load: Counts,
    /// The steady load while a rollout ran, by step.
    pub under_rollout: BTreeMap<String, Counts>,
    /// From aws's first answer by v3 to gcp's, which is the later wave.
    pub wave_lead_seconds: Option<f64>,
    /// In order.
    pub outages: Vec<OutageReport>,
    /// What the client with all addresses saw, from before its outage to after it.
    pub all_addresses: Option<Counts>,
    /// Highest resident set size of the operator, in bytes.
    pub operator_peak_rss_bytes: u64,
    /// Proportional set size of the whole sandbox 30 s after `up --install`, in bytes.
    pub sandbox_pss_bytes: u64,
    /// The median of five runs of `mcdeploy --help`.
    pub help_seconds: f64,
    /// What must be reached, and whether it was.
    pub checks: Vec<Check>,
    /// What ended the demo early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One step and how long it took.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Such as `rollout v3`.
    pub name: String,
    /// How long.
    pub seconds: f64,
}

impl Step {
    pub(super) fn new(name: &str, took: Duration) -> Self {
        Self {
            name: name.to_owned(),
            seconds: took.as_secs_f64(),
        }
    }
}

impl Report {
    /// Seconds of a step, if it ended.
    pub fn seconds(&self, name: &str) -> Option<f64> {
        let step = self.steps.iter().find(|step| step.name == name);
        step.map(|step| step.seconds)
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self).context("print the report")?;
        std::fs::write(path, text + "\n").with_context(|| format!("write {}", path.display()))
    }
}
