//! The report as one page of HTML that needs nothing else: no script, style, picture or font
//! from elsewhere, which its content policy forbids too.

mod chart;
mod curves;
mod drawn;

use std::fmt::Write as _;

use mcdeploy_eval::{Check, Requirement, Verdict};

use crate::{
    evaluation::{Evaluation, Judged, Matrix, Measured, MeasuredSlice},
    junit::escape,
    sentence::{describe_check, describe_reason, is_to_look_at_the_page, number},
};

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/explore.js");
/// Larger matrices are no longer read, only scrolled.
const MOST_CLASSES: usize = 40;

/// The page. `judged` is what the evaluation is of.
pub fn page(evaluation: &Evaluation, judged: &[Judged]) -> String {
    let sections = [
        ("bounds", "What had to be reached", bounds(evaluation)),
        ("numbers", "Numbers", numbers(evaluation)),
        (
            "mixed-up",
            "What is mixed up with what",
            matrices(evaluation),
        ),
        ("curves", "Curves", drawn::curves(judged)),
        (
            "thresholds",
            "What another threshold would do",
            drawn::thresholds(judged),
        ),
        ("slices", "Parts of the rows", slices(evaluation)),
        ("parity", "The same answers everywhere", parity(evaluation)),
        ("data", "What this rests on", data(evaluation)),
    ];
    let there = || sections.iter().filter(|(.., text)| !text.is_empty());
    let mut page = head(evaluation);
    page.push_str("<nav aria-label=\"Sections\"><ul>");
    for (id, title, _) in there() {
        let _never = write!(page, "<li><a href=\"#{id}\">{title}</a></li>");
    }
    page.push_str("</ul></nav>\n");
    for (id, title, text) in there() {
        let _never = write!(
            page,
            "<section aria-labelledby=\"{id}\"><h2 id=\"{id}\">{title}</h2>\n{text}</section>\n"
        );
    }
    let _never = write!(
        page,
        "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    );
    page
}

fn head(evaluation: &Evaluation) -> String {
    let (class, sign) = signs(evaluation.verdict);
    let sentence = escape(&evaluation.sentence);
    let mut head = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <title>{:?}: is this version good enough?</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>Is this version good enough?</h1>\n<p class=\"verdict {class}\"><span aria-hidden=\"true\">{sign} </span>{sentence}</p>\n",
        evaluation.verdict
    );
    // Who reads this looks at the page already.
    let next = evaluation.next.iter();
    let next: Vec<&String> = next.filter(|one| !is_to_look_at_the_page(one)).collect();
    if !next.is_empty() {
        head.push_str("<p>What to do next:</p>\n<ul>\n");
        for next in next {
            let _never = writeln!(head, "<li>{}</li>", escape(next));
        }
        head.push_str("</ul>\n");
    }
    head
}

/// A class of the style, and a sign for those who see no colours.
fn signs(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Pass => ("pass", "✓"),
        Verdict::Fail => ("fail", "✗"),
        Verdict::Inconclusive => ("inconclusive", "?"),
    }
}

/// A table that scrolls by itself on narrow screens; `rows` are cells of HTML.
fn table(label: &str, headers: &[&str], rows: &[Vec<String>]) -> String {
    let label = escape(label);
    let mut html = format!(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\"><table><thead><tr>"
    );
    for header in headers {
        let _never = write!(html, "<th scope=\"col\">{header}</th>");
    }
    html.push_str("</tr></thead><tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let _never = match index {
                0 => write!(html, "<th scope=\"row\">{cell}</th>"),
                _ => write!(html, "<td>{cell}</td>"),
            };
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    html
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), number)
}

fn range(low: Option<f64>, high: Option<f64>) -> String {
    match (low, high) {
        (None, None) => "–".to_owned(),
        (low, high) => format!("{} to {}", optional(low), optional(high)),
    }
}

fn bounds(evaluation: &Evaluation) -> String {
    if evaluation.checks.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = {
        let labels = &evaluation.labels;
        evaluation
            .checks
            .iter()
            .map(|check| bound(check, labels))
            .collect()
    };
    let headers = ["Of what", "Must be", "Is", "Probably", "Verdict", "Why"];
    format!(
        "<p class=\"soft\">A value passes when the bad end of the range where it probably is reaches the bound, and fails when the good end misses it. All bounds together are wrong with a probability of at most {} %.</p>\n{}",
        number((1.0 - evaluation.level) * 100.0),
        table("Bounds", &headers, &rows)
    )
}

fn bound(check: &Check, labels: &[String]) -> Vec<String> {
    let (class, sign) = signs(check.verdict);
    let limit = number(check.bound);
    let (must, value) = match check.requirement {
        Requirement::LowerBound => (format!("at least {limit}"), check.evidence.value),
        Requirement::UpperBound => (format!("at most {limit}"), check.evidence.value),
        Requirement::MaxDecrease => (
            format!("at most {limit} worse than the incumbent"),
            check.evidence.decrease,
        ),
    };
    let interval = check.evidence.interval;
    let aside = if check.metric.critical {
        ""
    } else {
        " (does not decide)"
    };
    vec![
        escape(&describe_check(check)),
        must,
        optional(value),
        interval.map_or_else(|| "–".to_owned(), |ends| range(ends.low, ends.high)),
        format!(
            "<strong class=\"{class}\">{sign} {:?}</strong>{aside}",
            check.verdict
        ),
        escape(&describe_reason(&check.evidence.reason, labels)),
    ]
}

fn numbers(evaluation: &Evaluation) -> String {
    let whole = evaluation
        .measured
        .iter()
        .filter(|part| part.slice.is_empty());
    let level = number(evaluation.level * 100.0);
    let mut html = format!(
        "<p class=\"soft\">Each range is for itself: the true value is above its low end with {level} % confidence, and below its high end with as much.</p>\n"
    );
    for part in whole {
        if !part.place.is_empty() {
            let _never = writeln!(html, "<h3>{}</h3>", escape(&part.place));
        }
        html.push_str(&measured(part));
    }
    html
}

fn measured(part: &MeasuredSlice) -> String {
    let compared = part.metrics.iter().any(|metric| metric.baseline.is_some());
    let mut headers = vec!["Metric", "Value", "Probably"];
    if compared {
        headers.extend(["Incumbent", "Worse by", "Probably"]);
    }
    let row = |metric: &Measured| {
        let interval = match &metric.reason {
            Some(reason) => escape(reason),
            None => range(metric.low, metric.high),
        };
        let mut cells = vec![escape(&metric.title()), optional(metric.value), interval];
        if compared {
            cells.push(optional(metric.baseline));
            cells.push(optional(metric.decrease));
            cells.push(range(metric.decrease_low, metric.decrease_high));
        }
        cells
    };
    let rows: Vec<Vec<String>> = part.metrics.iter().map(row).collect();
    // Tables are told apart by their names where they are only heard.
    let mut label = "Values of metrics".to_owned();
    for (column, value) in &part.slice {
        let _never = write!(label, ", {column}={value}");
    }
    if !part.place.is_empty() {
        let _never = write!(label, " in {}", part.place);
    }
    table(&label, &headers, &rows)
}

fn matrices(evaluation: &Evaluation) -> String {
    let labels = &evaluation.labels;
    if evaluation.confusion.is_empty() || labels.len() > MOST_CLASSES {
        return String::new();
    }
    let mut html = "<p class=\"soft\">A row is what is so, a column what was answered. Right answers are on the diagonal.</p>\n<div class=\"row\">\n".to_owned();
    for Matrix {
        place,
        candidate,
        baseline,
    } in &evaluation.confusion
    {
        let of = if place.is_empty() {
            "This version".to_owned()
        } else {
            format!("This version in {place}")
        };
        html.push_str(&matrix(&of, labels, candidate));
        html.extend(
            baseline
                .iter()
                .map(|baseline| matrix("The incumbent", labels, baseline)),
        );
    }
    html.push_str("</div>\n");
    html
}

fn matrix(caption: &str, labels: &[String], cells: &[Vec<f64>]) -> String {
    let caption = escape(caption);
    let mut html = format!(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Matrix: {caption}\"><table class=\"matrix\"><caption>{caption}</caption><thead><tr><td></td>"
    );
    for label in labels {
        let _never = write!(html, "<th scope=\"col\">{}</th>", escape(label));
    }
    html.push_str("</tr></thead><tbody>\n");
    for (of, row) in cells.iter().enumerate() {
        let all: f64 = row.iter().sum();
        let _never = write!(html, "<tr><th scope=\"row\">{}</th>", escape(&labels[of]));
        for (as_, cell) in row.iter().enumerate() {
            let class = if of == as_ { "right" } else { "wrong" };
            let share = if all > 0.0 { cell / all } else { 0.0 };
            let _never = write!(
                html,
                "<td class=\"{class}\" style=\"--share:{share:.2}\">{}</td>",
                number(*cell)
            );
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    html
}

fn slices(evaluation: &Evaluation) -> String {
    let parts = evaluation
        .measured
        .iter()
        .filter(|part| !part.slice.is_empty());
    let mut html = String::new();
    for part in parts {
        let slice = part
            .slice
            .iter()
            .map(|(column, value)| format!("{column}={value}"));
        let slice: Vec<String> = slice.collect();
        let place = if part.place.is_empty() {
            String::new()
        } else {
            format!(" in {}", part.place)
        };
        let _never = write!(
            html,
            "<details><summary>{}{} ({} rows)</summary>\n{}</details>\n",
            escape(&slice.join(", ")),
            escape(&place),
            part.rows,
            measured(part)
        );
    }
    html
}

fn parity(evaluation: &Evaluation) -> String {
    if evaluation.parity.is_empty() {
        return String::new();
    }
    let rows = evaluation.parity.iter().map(|one| {
        let (class, sign) = signs(one.verdict);
        vec![
            escape(&format!("{} beside {}", one.endpoint, one.reference)),
            format!("{} of {}", one.different, one.rows),
            number(one.agreement),
            number(one.min_agreement),
            one.largest_difference
                .map_or_else(|| "–".to_owned(), |d| format!("{d:.2e}")),
            format!("{:.0e}", one.tolerance),
            format!(
                "<strong class=\"{class}\">{sign} {:?}</strong>",
                one.verdict
            ),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let headers = [
        "Endpoint",
        "Other answers",
        "Agreement",
        "At least",
        "Largest difference",
        "At most",
        "Verdict",
    ];
    table("Parity", &headers, &rows)
}

/// What may be long and without a place to break at: paths and URLs.
fn long(text: &str) -> String {
    format!("<span class=\"long\">{}</span>", escape(text))
}

fn data(evaluation: &Evaluation) -> String {
    let files = evaluation.data.iter().map(|file| {
        vec![
            file.role.to_owned(),
            long(&file.file),
            file.rows.to_string(),
            format!("<code>{}</code>", file.sha256),
        ]
    });
    let files: Vec<Vec<String>> = files.collect();
    let mut html = table("Files", &["Role", "File", "Rows", "SHA-256"], &files);
    let asked = evaluation.endpoints.iter().map(|one| {
        vec![
            escape(&one.name),
            long(&one.url),
            long(&one.version),
            one.rows.to_string(),
            one.requests.to_string(),
            one.repeats.to_string(),
            optional(one.requests_per_second),
        ]
    });
    let asked: Vec<Vec<String>> = asked.collect();
    if !asked.is_empty() {
        let headers = [
            "Endpoint",
            "URL",
            "Version",
            "Rows answered",
            "Requests",
            "Of those repeated",
            "Requests a second",
        ];
        html.push_str(&table("Endpoints", &headers, &asked));
    }
    let _never = writeln!(
        html,
        "<p class=\"soft\">{} rows of the task {}; {} draws from the seed {}: the same files give the same page.</p>",
        evaluation.rows, evaluation.task, evaluation.resamples, evaluation.seed
    );
    html
}
