//! An evaluation for people: the verdict in a sentence, what was asked, and what is there.

use mcdeploy_eval::{Check, Requirement};
use mcdeploy_evaluate::{Evaluation, MeasuredSlice, describe_check, describe_reason, number};

use crate::table::Table;

/// The text, without a line feed at the end.
pub(super) fn table(evaluation: &Evaluation) -> String {
    let mut parts = vec![evaluation.sentence.clone()];
    if !evaluation.checks.is_empty() {
        parts.push(checks(evaluation).render());
    }
    if !evaluation.parity.is_empty() {
        parts.push(parity(evaluation).render());
    }
    let level = number(evaluation.level * 100.0);
    for part in &evaluation.measured {
        let title = title(part);
        parts.push(format!("{title}\n{}", measured(part).render()));
    }
    parts.push(format!(
        "Each end of an interval holds with {level} % confidence; intervals of bounds are wider, for all bounds together."
    ));
    parts.join("\n\n")
}

fn checks(evaluation: &Evaluation) -> Table {
    let mut table = Table::new(["BOUND ON", "MUST BE", "VALUE", "INTERVAL", "VERDICT", "WHY"]);
    for check in &evaluation.checks {
        let decides = if check.metric.critical {
            ""
        } else {
            " (does not decide)"
        };
        let value = match check.requirement {
            Requirement::MaxDecrease => check.evidence.decrease,
            Requirement::LowerBound | Requirement::UpperBound => check.evidence.value,
        };
        let interval = check.evidence.interval;
        table.row(vec![
            describe_check(check),
            must_be(check),
            value.map(number).unwrap_or_default(),
            interval
                .map(|ends| range(ends.low, ends.high))
                .unwrap_or_default(),
            format!("{:?}{decides}", check.verdict),
            describe_reason(&check.evidence.reason, &evaluation.labels),
        ]);
    }
    table
}

fn parity(evaluation: &Evaluation) -> Table {
    let mut table = Table::new([
        "ENDPOINT",
        "BESIDE",
        "OTHER ANSWERS",
        "LARGEST DIFFERENCE",
        "VERDICT",
    ]);
    for one in &evaluation.parity {
        let largest = one.largest_difference;
        table.row(vec![
            one.endpoint.clone(),
            one.reference.clone(),
            format!("{} of {}", one.different, one.rows),
            largest
                .map(|largest| format!("{largest:.1e}"))
                .unwrap_or_default(),
            format!("{:?}", one.verdict),
        ]);
    }
    table
}

fn must_be(check: &Check) -> String {
    let bound = number(check.bound);
    match check.requirement {
        Requirement::LowerBound => format!("≥ {bound}"),
        Requirement::UpperBound => format!("≤ {bound}"),
        Requirement::MaxDecrease => format!("≤ {bound} worse"),
    }
}

fn range(low: Option<f64>, high: Option<f64>) -> String {
    match (low, high) {
        (None, None) => String::new(),
        (low, high) => {
            let end = |end: Option<f64>| end.map_or_else(|| "?".to_owned(), number);
            format!("{} to {}", end(low), end(high))
        }
    }
}

fn title(part: &MeasuredSlice) -> String {
    let slice = part
        .slice
        .iter()
        .map(|(column, value)| format!("{column}={value}"));
    let slice: Vec<String> = slice.collect();
    let what = if slice.is_empty() {
        "All rows".to_owned()
    } else {
        slice.join(", ")
    };
    let place = if part.place.is_empty() {
        String::new()
    } else {
        format!(" in {}", part.place)
    };
    format!("{what}{place} ({})", part.rows)
}

fn measured(part: &MeasuredSlice) -> Table {
    let compared = part.metrics.iter().any(|metric| metric.baseline.is_some());
    let mut headers = vec!["METRIC", "VALUE", "INTERVAL"];
    if compared {
        headers.extend(["INCUMBENT", "WORSE BY", "INTERVAL"]);
    }
    let mut table = Table::with_headers(headers.into_iter().map(str::to_owned).collect());
    for metric in &part.metrics {
        let interval = match &metric.reason {
            Some(reason) => reason.clone(),
            None => range(metric.low, metric.high),
        };
        let mut cells = vec![
            metric.title(),
            metric.value.map(number).unwrap_or_default(),
            interval,
        ];
        if compared {
            cells.push(metric.baseline.map(number).unwrap_or_default());
            cells.push(metric.decrease.map(number).unwrap_or_default());
            cells.push(range(metric.decrease_low, metric.decrease_high));
        }
        table.row(cells);
    }
    table
}
