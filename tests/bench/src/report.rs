//! The rows, and the file that they go to.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

/// One goal, measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// Number of the goal.
    pub(crate) goal: &'static str,
    /// What is measured, with its unit.
    pub(crate) what: &'static str,
    /// Ours.
    pub(crate) ours: f64,
    /// That of the best other tool; none when there is nothing to compare with.
    pub(crate) baseline: Option<f64>,
    /// Ours by the baseline.
    pub(crate) ratio: Option<f64>,
    /// When it passes.
    pub(crate) mark: &'static str,
    /// Whether it does.
    pub(crate) pass: bool,
    /// Everything else that was seen.
    pub(crate) detail: Value,
}

impl Row {
    /// A row whose ratio is ours by the baseline.
    pub(crate) fn new(
        (goal, what, mark): (&'static str, &'static str, &'static str),
        ours: f64,
        baseline: Option<f64>,
        pass: bool,
        detail: Value,
    ) -> Self {
        let ratio = baseline.filter(|b| *b != 0.0).map(|b| round(ours / b));
        Self {
            goal,
            what,
            ours: round(ours),
            baseline: baseline.map(round),
            ratio,
            mark,
            pass,
            detail,
        }
    }
}

/// Four digits are more than a machine with neighbours measures.
pub(crate) fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// The middle of some numbers; of two, their mean.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (0, 0) => f64::NAN,
        (half, 0) => f64::midpoint(values[half - 1], values[half]),
        (half, _) => values[half],
    }
}

/// Writes the report, of a kind.
pub(crate) fn write(
    kind: &str,
    path: &Path,
    rows: &[Row],
    absent: &[(&'static str, String)],
    run: &Value,
) -> anyhow::Result<()> {
    let absent: Vec<_> = absent
        .iter()
        .map(|(goal, why)| json!({"goal": goal, "why": why}))
        .collect();
    let report = json!({
        "apiVersion": "bench.mcdeploy.dev/v1alpha1",
        "kind": kind,
        "run": run,
        "rows": rows,
        "absent": absent,
    });
    std::fs::write(path, serde_json::to_string_pretty(&report)? + "\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_numbers_is_found() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0]) - 2.5).abs() < f64::EPSILON);
    }

    #[test]
    fn a_row_without_a_baseline_has_no_ratio() {
        let row = Row::new(("R0", "x", "y"), 1.0, None, true, Value::Null);
        assert_eq!(row.ratio, None);
        let row = Row::new(("R0", "x", "y"), 1.0, Some(4.0), true, Value::Null);
        assert_eq!(row.ratio, Some(0.25));
    }
}
