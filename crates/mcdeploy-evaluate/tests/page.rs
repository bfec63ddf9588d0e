//! The page, with data that would break a careless one.

#![cfg(test)]

use std::{fmt::Write as _, fs};

use mcdeploy_eval::{Confidence, Gate, MetricGate, MetricName, SliceGate, WhenInconclusive};
use mcdeploy_evaluate::{
    DataFile, Evaluation, Judged, Plan, Sources, answers, evaluate, junit, page, read, rows,
};

const EVIL: &str = "</table><script>alert('1')</script>";
const ALSO: &str = "a & \"b\" <ü>";

fn evaluated(bound: f64) -> (Evaluation, Vec<Judged>) {
    let dir = tempfile::tempdir().unwrap();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let (evil, also) = (quoted(EVIL), quoted(ALSO));
    let mut labels = "label,where\n".to_owned();
    let mut given = "probability\n".to_owned();
    let mut before = given.clone();
    for row in 0..120 {
        let positive = row % 2 == 1;
        let label = if positive { &evil } else { &also };
        writeln!(
            labels,
            "{label},{}",
            if row % 3 == 0 { &evil } else { "eu" }
        )
        .unwrap();
        let wrong = row % 17 == 0;
        let sure = 0.55 + f64::from(row % 40) / 100.0;
        writeln!(
            given,
            "{}",
            if positive ^ wrong { sure } else { 1.0 - sure }
        )
        .unwrap();
        writeln!(before, "{}", if positive { 0.6 } else { 0.45 }).unwrap();
    }
    let table = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        read(&path, None).unwrap()
    };
    let plan = Plan {
        labels: vec![ALSO.into(), EVIL.into()],
        slices: ["where".to_owned()].into(),
        ..Plan::default()
    };
    let rows = rows(&plan, table("y.csv", &labels), None).unwrap();
    let new = answers(&rows, table("p.csv", &given)).unwrap().answers;
    let old = answers(&rows, table("old.csv", &before)).unwrap().answers;
    let judged = vec![Judged::new("", &rows, new, Some(old)).unwrap()];
    let gate = Gate {
        metrics: vec![MetricGate {
            class: Some(EVIL.into()),
            lower_bound: Some(bound),
            ..MetricGate::new(MetricName::Recall)
        }],
        slices: vec![SliceGate {
            columns: vec!["where".into()],
            min_samples: 5,
        }],
        confidence: Confidence {
            resamples: 200,
            ..Confidence::default()
        },
        inconclusive: WhenInconclusive::Hold,
    };
    let sources = Sources {
        data: vec![DataFile {
            role: "labels",
            file: EVIL.into(),
            sha256: "00".repeat(32),
            rows: 120,
        }],
        ..Sources::default()
    };
    (
        evaluate(&gate, "a test", &rows, &judged, sources).unwrap(),
        judged,
    )
}

/// That every tag closes in order and every attribute is quoted; gives the names of tags.
fn well_formed(html: &str) -> Vec<String> {
    const VOID: [&str; 2] = ["meta", "input"];
    let mut open: Vec<String> = vec![];
    let mut all = vec![];
    let mut rest = html.strip_prefix("<!DOCTYPE html>").unwrap_or(html);
    while let Some(start) = rest.find('<') {
        let raw = open
            .last()
            .is_some_and(|tag| tag == "script" || tag == "style");
        let end = if raw {
            let close = format!("</{}>", open.last().unwrap());
            rest = &rest[rest.find(&close).expect("a script or style ends")..];
            rest.find('>').unwrap()
        } else {
            rest = &rest[start..];
            rest.find('>').expect("a tag ends")
        };
        let tag = &rest[1..end];
        assert!(!tag.contains('<'), "{tag}");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap().to_owned();
        all.push(name.clone());
        if !tag.ends_with('/') && !tag.starts_with('?') && !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    all
}

#[test]
fn the_page_is_well_formed_and_shows_what_files_say_as_text() {
    let (evaluation, judged) = evaluated(0.5);
    let html = page(&evaluation, &judged);
    let tags = well_formed(&html);
    let count = |name: &str| tags.iter().filter(|tag| *tag == name).count();
    assert_eq!((count("script"), count("h1"), count("main")), (1, 1, 1));
    // ROC, precision by recall and calibration of the positive class, for old and new.
    assert_eq!(count("svg"), 3);
    assert_eq!(html.matches("<polyline class=\"old\"").count(), 3);
    assert_eq!(count("details"), 3, "thresholds, and two slices");
    assert!(!html.contains("<script>alert"), "a label became a script");
    assert!(html.contains("&lt;/table&gt;&lt;script&gt;alert(&#39;1&#39;)"));
    assert!(html.contains("default-src 'none'"));
    for elsewhere in ["http:", "https:", "src=", "url(", "@import", "<link", "on="] {
        assert!(!html.contains(elsewhere), "{elsewhere}");
    }
    let junit = junit(&evaluation);
    well_formed(&junit);
    assert!(!junit.contains("<script>"));
}

#[test]
fn the_first_thing_on_the_page_is_the_verdict_in_a_sentence() {
    for (bound, class) in [(0.5, "pass"), (0.99, "fail"), (0.94, "inconclusive")] {
        let (evaluation, judged) = evaluated(bound);
        let html = page(&evaluation, &judged);
        let found = html.split("<p class=\"verdict ").nth(1).unwrap();
        assert!(found.starts_with(class), "{bound}: {}", &found[..200]);
        assert!(
            !html.contains("--report"),
            "the page tells to look at itself"
        );
    }
}

#[test]
fn the_same_files_give_the_same_page() {
    let pages = [0, 1].map(|_| {
        let (evaluation, judged) = evaluated(0.5);
        page(&evaluation, &judged)
    });
    assert_eq!(pages[0], pages[1]);
}
