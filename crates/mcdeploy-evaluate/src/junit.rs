//! A report that test runners of CI show: a case per bound. What is not clear is an error
//! there, and never a pass.

use std::fmt::Write as _;

use mcdeploy_eval::{Check, Requirement, Verdict};

use crate::{evaluation::Evaluation, sentence};

/// The report as XML.
pub fn junit(evaluation: &Evaluation) -> String {
    let checks = &evaluation.checks;
    let count = |wanted: Verdict| {
        let critical = checks.iter().filter(|check| check.metric.critical);
        critical.filter(|check| check.verdict == wanted).count()
    };
    let skipped = checks
        .iter()
        .filter(|check| !check.metric.critical && check.verdict != Verdict::Pass)
        .count();
    // Nothing to judge by is one case that is not clear: an empty suite would look good.
    let none = checks.is_empty();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let _never = writeln!(
        text,
        "  <testsuite name=\"mcdeploy evaluate\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{skipped}\">",
        checks.len() + usize::from(none),
        count(Verdict::Fail),
        count(Verdict::Inconclusive) + usize::from(none),
    );
    if none {
        case(
            &mut text,
            "verdict",
            &element("error", "Inconclusive", &evaluation.sentence),
        );
    }
    for check in checks {
        case(&mut text, &title(check), &result(check, &evaluation.labels));
    }
    let _never = writeln!(
        text,
        "    <system-out>{}</system-out>",
        escape(&evaluation.sentence)
    );
    text.push_str("  </testsuite>\n</testsuites>");
    text
}

fn case(text: &mut String, name: &str, result: &str) {
    let name = escape(name);
    let _never = writeln!(
        text,
        "    <testcase classname=\"mcdeploy.evaluate\" name=\"{name}\">{result}</testcase>"
    );
}

fn title(check: &Check) -> String {
    let sign = match check.requirement {
        Requirement::LowerBound => "at least",
        Requirement::UpperBound => "at most",
        Requirement::MaxDecrease => "not worse than the incumbent by more than",
    };
    format!("{} {sign} {}", sentence::describe_check(check), check.bound)
}

fn result(check: &Check, labels: &[String]) -> String {
    let value = check
        .evidence
        .value
        .map_or("none".to_owned(), sentence::number);
    let interval =
        sentence::interval(check).map_or(String::new(), |interval| format!(", {interval}"));
    let message = format!(
        "value {value}{interval}: {}",
        sentence::describe_reason(&check.evidence.reason, labels)
    );
    match (check.verdict, check.metric.critical) {
        (Verdict::Pass, _) => format!("<system-out>{}</system-out>", escape(&message)),
        (Verdict::Fail, true) => element("failure", "Fail", &message),
        (Verdict::Inconclusive, true) => element("error", "Inconclusive", &message),
        (Verdict::Fail | Verdict::Inconclusive, false) => {
            format!(
                "<skipped message=\"{}\"/>",
                escape(&format!("does not decide; {message}"))
            )
        }
    }
}

fn element(name: &str, kind: &str, message: &str) -> String {
    format!("<{name} type=\"{kind}\" message=\"{}\"/>", escape(message))
}

/// Text for XML and HTML. Characters that XML has no way to write are left out.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(' '),
            letter if letter.is_control() => {}
            letter => safe.push(letter),
        }
    }
    safe
}
