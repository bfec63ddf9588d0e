//! The sections with curves and thresholds.

use std::fmt::Write as _;

use super::{
    chart::{Chart, Line},
    curves::{self, ClassScores, Threshold},
    optional,
};
use crate::{evaluation::Judged, junit::escape, sentence::number};

/// Title, what is across, what is up, name, whether it has a diagonal, and the curve.
type Kind = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    bool,
    fn(&ClassScores) -> Option<Both>,
);

/// Of the version and of the incumbent.
type Both = (Line, Option<Line>);

pub(super) fn curves(judged: &[Judged]) -> String {
    let Some(first) = judged.first() else {
        return String::new();
    };
    let classes = curves::of(first);
    if classes.is_empty() {
        return String::new();
    }
    let mut html = "<p class=\"key\">Solid: this version. Dashed: the incumbent, where it was given. Dotted: guessing, or perfect calibration.</p>\n".to_owned();
    let kinds: [Kind; 3] = [
        (
            "ROC: found against false alarms",
            "false alarms",
            "found",
            "ROC curve",
            true,
            ClassScores::roc,
        ),
        (
            "Precision by recall",
            "recall",
            "precision",
            "Curve of precision by recall",
            false,
            ClassScores::precision_recall,
        ),
        (
            "Calibration: is a probability of 0.8 right in 8 of 10 cases?",
            "probability",
            "share that is so",
            "Calibration curve",
            true,
            ClassScores::calibration,
        ),
    ];
    for (title, across, up, what, diagonal, curve) in kinds {
        let mut figures = String::new();
        for scores in &classes {
            let Some((new, old)) = curve(scores) else {
                continue;
            };
            let chart = Chart {
                title: format!("{what} of {:?}", scores.class),
                across,
                up,
                new,
                old,
                diagonal,
            };
            let _never = writeln!(
                figures,
                "<figure>{}<figcaption>{}</figcaption></figure>",
                chart.svg(),
                escape(&scores.class)
            );
        }
        if !figures.is_empty() {
            let _never = write!(
                html,
                "<h3>{title}</h3>\n<div class=\"charts\">\n{figures}</div>\n"
            );
        }
    }
    html
}

pub(super) fn thresholds(judged: &[Judged]) -> String {
    let classes = judged.first().map(curves::of).unwrap_or_default();
    let classes = classes.into_iter().filter(|scores| scores.probability);
    let mut html = String::new();
    for (index, scores) in classes.enumerate() {
        let class = escape(&scores.class);
        let open = if index == 0 { " open" } else { "" };
        let _never = write!(
            html,
            "<details class=\"explorer\"{open}><summary>Answer “{class}” from which probability on?</summary>\n\
             <div class=\"slider\" hidden><label>Threshold <input type=\"range\" min=\"0\" max=\"18\" value=\"9\"></label><p><output></output></p></div>\n\
             <div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Thresholds of {class}\"><table><thead><tr><th scope=\"col\">Threshold</th><th scope=\"col\">Precision</th><th scope=\"col\">Recall</th><th scope=\"col\">Found</th><th scope=\"col\">Missed</th><th scope=\"col\">False alarms</th></tr></thead><tbody>\n"
        );
        for threshold in scores.thresholds() {
            html.push_str(&row(&threshold));
        }
        html.push_str("</tbody></table></div></details>\n");
    }
    html
}

fn row(threshold: &Threshold) -> String {
    let Threshold {
        at,
        precision,
        recall,
        found,
        missed,
        false_alarms,
    } = threshold;
    let at = number(*at);
    let counts = [found, missed, false_alarms].map(|count| number(*count));
    let [found, missed, alarms] = &counts;
    let told = format!("From {at} on: {found} found, {missed} missed, {alarms} false alarms.");
    format!(
        "<tr data-told=\"{told}\"><th scope=\"row\">{at}</th><td>{}</td><td>{}</td><td>{found}</td><td>{missed}</td><td>{alarms}</td></tr>\n",
        optional(*precision),
        optional(*recall)
    )
}
