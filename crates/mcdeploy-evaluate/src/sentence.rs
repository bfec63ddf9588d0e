//! Verdicts in words for somebody who does not know the field.

use mcdeploy_eval::{Check, MetricName, Reason, Requirement, Undefined, Verdict};

use crate::parity::ParityReport;

/// A number as people read it: four digits after the point, fewer for large ones.
pub fn number(value: f64) -> String {
    if value.abs() >= 1000.0 {
        return format!("{value:.0}");
    }
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

/// The verdict in one sentence.
pub(crate) fn verdict(
    verdict: Verdict,
    checks: &[Check],
    parity: &[ParityReport],
    rows: usize,
) -> String {
    let apart = parity.iter().find(|one| one.verdict == Verdict::Fail);
    if let Some(apart) = apart {
        return different(apart);
    }
    let critical = |wanted: Verdict| {
        let checks = checks.iter().filter(|check| check.metric.critical);
        checks.filter(move |check| check.verdict == wanted)
    };
    let on = format!("on {}", counted(rows, "row"));
    match verdict {
        Verdict::Pass => {
            let count = critical(Verdict::Pass).count();
            let bounds = match count {
                1 => "the bound is".to_owned(),
                2 => "both bounds are".to_owned(),
                count => format!("all {count} bounds are"),
            };
            format!("Good enough: {bounds} met {on}.")
        }
        Verdict::Fail => {
            let failed = critical(Verdict::Fail).next();
            let what = failed.map_or_else(String::new, shortfall);
            let more = match critical(Verdict::Fail).count() {
                0 | 1 => String::new(),
                2 => "; 1 more bound is missed".to_owned(),
                count => format!("; {} more bounds are missed", count - 1),
            };
            format!("Not good enough: {what} {on}{more}.")
        }
        Verdict::Inconclusive if checks.is_empty() => {
            format!("No verdict: nothing has a bound to reach, so these are values {on} only.")
        }
        Verdict::Inconclusive => match critical(Verdict::Inconclusive).next() {
            Some(check) => format!("Not clear yet {on}: {}.", doubt(check)),
            None => format!(
                "No verdict: no bound that was given decides, so these are values {on} only."
            ),
        },
    }
}

/// `3 rows`, `1 row`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

fn different(parity: &ParityReport) -> String {
    let ParityReport {
        reference,
        endpoint,
        rows,
        different,
        ..
    } = parity;
    let begin = format!("Not good enough: {endpoint} does not answer as {reference} does");
    if *different > 0 {
        let rows = counted(*rows, "row");
        return format!("{begin}, {different} of {rows} got another answer.");
    }
    let largest = parity.largest_difference.unwrap_or_default();
    let tolerance = parity.tolerance;
    format!("{begin}, probabilities differ by up to {largest:.1e} and may by {tolerance:.1e}.")
}

fn shortfall(check: &Check) -> String {
    let bound = number(check.bound);
    let name = describe_metric(check);
    let value = check.evidence.value.map(number).unwrap_or_default();
    match check.requirement {
        Requirement::LowerBound => format!("{name} is {value} and must be at least {bound}"),
        Requirement::UpperBound => format!("{name} is {value} and must be at most {bound}"),
        Requirement::MaxDecrease => {
            let decrease = check.evidence.decrease.map(number).unwrap_or_default();
            format!(
                "{name} is {decrease} worse than the incumbent's and may be {bound} worse at most"
            )
        }
    }
}

fn doubt(check: &Check) -> String {
    match &check.evidence.reason {
        Reason::Straddles => {
            let interval = interval(check).unwrap_or_default();
            let (name, bound) = (describe_metric(check), number(check.bound));
            match check.requirement {
                Requirement::LowerBound => {
                    format!("{name} is somewhere {interval} and must be at least {bound}")
                }
                Requirement::UpperBound => {
                    format!("{name} is somewhere {interval} and must be at most {bound}")
                }
                Requirement::MaxDecrease => {
                    format!(
                        "{name} is somewhere {interval} worse than the incumbent's and may be {bound} worse at most"
                    )
                }
            }
        }
        reason => format!("{} has no verdict, {reason}", describe_metric(check)),
    }
}

/// `between 0.91 and 0.95`, of what has the bound.
pub(crate) fn interval(check: &Check) -> Option<String> {
    let interval = check.evidence.interval?;
    Some(match (interval.low, interval.high) {
        (Some(low), Some(high)) => format!("between {} and {}", number(low), number(high)),
        (Some(low), None) => format!("above {}", number(low)),
        (None, Some(high)) => format!("below {}", number(high)),
        (None, None) => return None,
    })
}

/// What a check is about, such as `the share of right answers (accuracy)`.
fn describe_metric(check: &Check) -> String {
    use MetricName::{Accuracy, F1, LogLoss, Precision, Recall, RocAuc, Sensitivity, Specificity};
    let metric = &check.metric;
    let name = metric.name.to_string();
    let class = metric.class.as_deref();
    let mut text = match (metric.name, class) {
        (Accuracy, _) => "the share of right answers (accuracy)".to_owned(),
        (Precision, Some(class)) => {
            format!("the share of answers {class:?} that are right (precision)")
        }
        (Recall | Sensitivity, Some(class)) => {
            format!("the share of {class:?} that is found ({name})")
        }
        (Specificity, Some(class)) => {
            format!("the share of what is not {class:?} that is left alone (specificity)")
        }
        (Precision, None) => "the share of what was answered that is so (precision)".to_owned(),
        (Recall | Sensitivity, None) => format!("the share that is found ({name})"),
        (F1, _) => "the balance of found and rightly found (f1)".to_owned(),
        (RocAuc, _) => "how well likelier is told from less likely (rocAuc)".to_owned(),
        (LogLoss, _) => "the loss by wrong certainty (logLoss)".to_owned(),
        _ => name,
    };
    if let (Some(class), F1 | RocAuc | LogLoss) = (class, metric.name) {
        text = format!("{text} of {class:?}");
    }
    for (column, value) in &check.slice {
        text = format!("{text}, where {column} is {value:?},");
    }
    match &check.place {
        Some(place) => format!("{text} in {place}"),
        None => text.trim_end_matches(',').to_owned(),
    }
}

/// Which metric is meant: its name, the class that it is of, and how classes became one value.
pub(crate) fn metric_title(name: &str, class: Option<&str>, average: Option<&str>) -> String {
    let class = class.map(|class| format!(" of {class:?}"));
    let average = average.map(|average| format!(" ({average})"));
    let parts = [Some(name.to_owned()), class, average];
    parts.into_iter().flatten().collect()
}

/// What a check asks for, in one line for people: `recall of "spam" ≥ 0.9`.
pub fn describe_check(check: &Check) -> String {
    let metric = &check.metric;
    let average = metric.average.map(|average| format!("{average:?}"));
    let name = metric.name.to_string();
    let mut text = metric_title(&name, metric.class.as_deref(), average.as_deref());
    for (column, value) in &check.slice {
        text = format!("{text}, {column}={value}");
    }
    match &check.place {
        Some(place) => format!("{text}, {place}"),
        None => text,
    }
}

/// Why a verdict is what it is, with classes by their names.
pub fn describe_reason(reason: &Reason, labels: &[String]) -> String {
    let text = reason.to_string();
    let (Reason::Undefined(undefined) | Reason::BaselineUndefined(undefined)) = reason else {
        return text;
    };
    let (Undefined::ClassAbsent { class }
    | Undefined::ClassNeverPredicted { class }
    | Undefined::OnlyClass { class }) = undefined
    else {
        return text;
    };
    let named = labels
        .get(*class)
        .zip(text.strip_suffix(&class.to_string()));
    named.map_or(text.clone(), |(label, begin)| format!("{begin}{label:?}"))
}

/// What to do next, the most useful first.
pub(crate) fn next(verdict: Verdict, checks: &[Check], compared: bool) -> Vec<String> {
    let mut next = vec![];
    if checks.is_empty() {
        next.push("say what must be reached, such as --min accuracy=0.9, or write a template and give it with -f".to_owned());
        return next;
    }
    let open = checks
        .iter()
        .filter(|check| check.verdict == Verdict::Inconclusive);
    for check in open {
        next.extend(remedy(check));
    }
    next.dedup();
    next.truncate(3);
    if verdict == Verdict::Fail {
        let place = if compared {
            "and what changed against the incumbent"
        } else {
            "and which classes are mixed up"
        };
        next.push(format!("{LOOK}: where it goes wrong, {place}"));
    }
    next
}

const LOOK: &str = "look at the report (--report r.html)";

/// Whether the page itself is what to look at.
pub(crate) fn is_to_look_at_the_page(next: &str) -> bool {
    next.starts_with(LOOK)
}

/// That the scores of two classes rank them the wrong way round, and what it mostly comes from.
/// `labels` are the negative and the positive one.
pub(crate) fn turned(place: &str, area: f64, labels: &[String]) -> Option<String> {
    let [negative, positive] = labels else {
        return None;
    };
    let place = match place {
        "" => String::new(),
        place => format!(" in {place}"),
    };
    let area = number(area);
    Some(format!(
        "rocAuc of {positive:?}{place} is {area}, below 0.5: the scores rank the other way round. \
         A single column `probability` or `score` is taken to be of the second label, {positive:?}; if it \
         is of {negative:?}, set `labels: [{positive}, {negative}]` in a template's `dataset`, or \
         give both columns, `probability_{negative}` and `probability_{positive}`"
    ))
}

fn remedy(check: &Check) -> Option<String> {
    let name = describe_check(check);
    match &check.evidence.reason {
        Reason::Straddles => {
            let rows = rows_needed(check)?;
            Some(format!(
                "{name}: about {rows} rows in all would tell, if the value stays as it is"
            ))
        }
        Reason::TooFewRows { needed } => Some(format!(
            "{name}: collect {needed} rows or more of this slice (it has {}), or lower `minSamples`",
            check.evidence.rows
        )),
        Reason::NoBaseline => Some(format!(
            "{name}: give the incumbent's answers with --baseline"
        )),
        Reason::TooFewResamples { needed } => Some(format!(
            "{name}: set `confidence.resamples` to {needed} or more"
        )),
        Reason::ColumnMissing { column } => {
            Some(format!("{name}: the labels need a column {column:?}"))
        }
        Reason::Undefined(_) | Reason::BaselineUndefined(_) => {
            Some(format!("{name}: add rows of every class"))
        }
        Reason::Clears | Reason::Misses => None,
    }
}

/// An interval shrinks with the root of the rows.
fn rows_needed(check: &Check) -> Option<usize> {
    let interval = check.evidence.interval?;
    let (value, towards) = match check.requirement {
        Requirement::MaxDecrease => (check.evidence.decrease?, interval.high?),
        Requirement::LowerBound => (check.evidence.value?, interval.low?),
        Requirement::UpperBound => (check.evidence.value?, interval.high?),
    };
    let bad_end = (value - towards).abs();
    let other_end = match check.requirement {
        Requirement::LowerBound => interval.high?,
        Requirement::UpperBound | Requirement::MaxDecrease => interval.low?,
    };
    let good_side = match check.requirement {
        Requirement::LowerBound => value >= check.bound,
        Requirement::UpperBound | Requirement::MaxDecrease => value <= check.bound,
    };
    let half = if good_side {
        bad_end
    } else {
        (value - other_end).abs()
    };
    let distance = (value - check.bound).abs();
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let rows = check.evidence.rows as f64 * (half / distance).powi(2);
    if !(rows.is_finite() && rows < 1e9) {
        return None;
    }
    // Two digits: more would pretend.
    let digits = 10_f64.powf(rows.log10().floor() - 1.0).max(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and a billion"
    )]
    let rows = ((rows / digits).ceil() * digits) as usize;
    Some(rows.max(check.evidence.rows + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_without_rows_is_told_by_its_name() {
        let labels = ["ham".to_owned(), "spam".to_owned()];
        let told = |undefined| describe_reason(&Reason::Undefined(undefined), &labels);
        let absent = told(Undefined::ClassAbsent { class: 1 });
        assert_eq!(absent, "no value: no row is of class \"spam\"");
        let never = told(Undefined::ClassNeverPredicted { class: 0 });
        assert_eq!(never, "no value: no answer is class \"ham\"");
        assert_eq!(told(Undefined::NoData), "no value: no row has any weight");
        assert_eq!(
            describe_reason(&Reason::Clears, &labels),
            "the interval clears the bound"
        );
    }

    #[test]
    fn scores_that_rank_the_other_way_are_told_with_both_labels() {
        let labels = ["stay".to_owned(), "churn".to_owned()];
        let told = turned("aws", 0.125, &labels).unwrap();
        let begin = "rocAuc of \"churn\" in aws is 0.125, below 0.5: the scores rank the other way round. A single column `probability` or `score` is taken to be of the second label, \"churn\"; if it is of \"stay\", set `labels: [churn, stay]`";
        assert!(told.starts_with(begin), "{told}");
        assert_eq!(turned("", 0.1, &labels[..1]), None);
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.955_555, 1.0, 0.0, -0.000_01, 123_456.7, 0.5].map(number);
        assert_eq!(shown, ["0.9556", "1", "0", "0", "123457", "0.5"]);
    }
}
