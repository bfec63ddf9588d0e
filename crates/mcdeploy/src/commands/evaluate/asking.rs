//! Asks the endpoints, all at the same time, and shows how far that is.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use futures::future::try_join_all;
use indicatif::{MultiProgress, ProgressBar};
use mcdeploy_eval::Answers;
use mcdeploy_evaluate::{
    AskProgress, EndpointReport, Judged, Rows, Sources, ask, questions, rows_to_ask,
};
use tokio::time::Instant;

use super::Question;
use crate::{
    args::EvaluateArgs,
    commands::progress::{LINE, bar, bars},
    exit::{ExitStatus, Failure},
    printer::Printer,
};

const BAR: &str = "{bar:24} {msg}";

/// Answers of every endpoint to the rows that all of them answered, and these rows.
pub(super) async fn judged(
    args: &EvaluateArgs,
    question: &Question,
    rows: Rows,
    baseline: Option<Answers>,
    sources: &mut Sources,
    printer: &Printer,
) -> anyhow::Result<(Rows, Vec<Judged>)> {
    let inference = &question.inference;
    let twice = args.endpoint.iter().enumerate().find(|(index, one)| {
        args.endpoint[..*index]
            .iter()
            .any(|other| other.name == one.name)
    });
    if let Some((_, one)) = twice {
        let text = format!(
            "two endpoints are named {:?}: give each a name of its own",
            one.name
        );
        return Err(Failure::new(ExitStatus::Usage, text).into());
    }
    let seed = question.gate.confidence.seed;
    let asked_rows = rows_to_ask(&inference.budget, rows.truth.rows(), seed);
    let questions = questions(&rows, asked_rows.clone()).map_err(Failure::from)?;
    let display = Display::new(printer);
    let show = |progress: &AskProgress| display.show(progress);
    let asking = args
        .endpoint
        .iter()
        .map(|one| ask(one, inference, &rows, &questions, &show));
    let asked = try_join_all(asking).await;
    display.end();
    let asked = asked.map_err(Failure::from)?;
    let by_all = |row: &usize| asked.iter().all(|one| one.answered()[*row]);
    let keep: Vec<usize> = (0..asked_rows.len()).filter(by_all).collect();
    if keep.is_empty() {
        let text = "no row was answered by every endpoint within `spec.inference.budget`";
        return Err(Failure::new(ExitStatus::Inconclusive, text).into());
    }
    if keep.len() < rows.truth.rows() {
        let (kept, all) = (keep.len(), rows.truth.rows());
        printer.notice(format!(
            "{kept} of {all} rows were asked within the budget, and are judged"
        ));
    }
    let kept_rows: Vec<usize> = keep.iter().map(|place| asked_rows[*place]).collect();
    let few = rows.only(&kept_rows);
    let baseline = baseline.map(|answers| answers.pick(&kept_rows));
    let mut judged = vec![];
    for (one, endpoint) in asked.iter().zip(&args.endpoint) {
        let answers = one.answers(&rows, &keep);
        let name = &endpoint.name;
        judged.push(Judged::new(name, &few, answers, baseline.clone()).map_err(Failure::from)?);
        sources.endpoints.push(EndpointReport {
            name: name.clone(),
            url: endpoint.url.clone(),
            version: one.version.clone(),
            rows: one
                .answered()
                .into_iter()
                .filter(|answered| *answered)
                .count(),
            requests: one.requests,
            repeats: one.repeats,
            requests_per_second: one.rate(),
        });
    }
    Ok((few, judged))
}

/// A bar for each endpoint on a terminal; elsewhere a line for each quarter and half minute.
struct Display<'a> {
    printer: &'a Printer,
    bars: Option<MultiProgress>,
    shown: Mutex<BTreeMap<String, Shown>>,
}

struct Shown {
    bar: Option<ProgressBar>,
    quarters: usize,
    last: Instant,
}

impl<'a> Display<'a> {
    fn new(printer: &'a Printer) -> Self {
        Self {
            printer,
            bars: bars(printer),
            shown: Mutex::default(),
        }
    }

    fn show(&self, progress: &AskProgress) {
        let now = Instant::now();
        let mut all = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = all
            .entry(progress.endpoint.clone())
            .or_insert_with(|| Shown {
                bar: self.bars.as_ref().map(|bars| bars.add(bar(BAR))),
                quarters: 0,
                last: now,
            });
        if let Some(bar) = &shown.bar {
            bar.set_length(progress.total as u64);
            bar.set_position(progress.done as u64);
            bar.set_message(line(progress));
            return;
        }
        let quarters = 4 * progress.done / progress.total.max(1);
        if quarters > shown.quarters || now.duration_since(shown.last) >= LINE {
            (shown.quarters, shown.last) = (quarters, now);
            self.printer.notice(line(progress));
        }
    }

    fn end(&self) {
        if let Some(bars) = &self.bars {
            // A terminal that is gone needs no clearing.
            let _gone = bars.clear();
        }
    }
}

/// `aws: 120 of 540 rows, 20.1 rows/s, 21 s left`
fn line(progress: &AskProgress) -> String {
    let AskProgress {
        endpoint,
        done,
        total,
        repeats,
        elapsed,
    } = progress;
    let seconds = elapsed.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let (rate, left) = (*done as f64 / seconds, (total - done) as f64);
    let mut text = format!("{endpoint}: {done} of {total} rows");
    if seconds > 0.0 && *done > 0 {
        text = format!("{text}, {rate:.1} rows/s");
        if left > 0.0 {
            text = format!("{text}, {:.0} s left", (left / rate).ceil());
        }
    }
    match repeats {
        0 => text,
        1 => format!("{text}, 1 request again"),
        repeats => format!("{text}, {repeats} requests again"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_says_rows_rate_time_left_and_repeats() {
        let progress = |done, repeats| AskProgress {
            endpoint: "aws".into(),
            done,
            total: 540,
            repeats,
            elapsed: Duration::from_secs(6),
        };
        assert_eq!(
            line(&progress(120, 0)),
            "aws: 120 of 540 rows, 20.0 rows/s, 21 s left"
        );
        assert_eq!(
            line(&progress(540, 2)),
            "aws: 540 of 540 rows, 90.0 rows/s, 2 requests again"
        );
        assert_eq!(line(&progress(0, 1)), "aws: 0 of 540 rows, 1 request again");
    }
}
