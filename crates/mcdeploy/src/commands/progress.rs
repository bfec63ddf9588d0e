//! How far a push or a copy is: a bar for each store on a terminal; elsewhere a line for each
//! quarter of the way and each half minute, or with `-o json` a JSON line a second.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use mcdeploy_plan::transfer::{NanoUsd, Share};
use mcdeploy_store::{Progress, Speed, Speedometer, Step};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    output::{ReportFormat, bytes},
    printer::Printer,
};

const REDRAWS_PER_SECOND: u8 = 5;
/// Longest time between two lines of text.
pub(crate) const LINE: Duration = Duration::from_secs(30);
/// Shortest time between two lines of JSON.
const JSON_LINE: Duration = Duration::from_secs(1);

const BAR: &str = "{bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}";

/// A display on stderr.
pub(crate) struct Display<'a> {
    printer: &'a Printer,
    bars: Option<MultiProgress>,
    is_json: bool,
    prices: BTreeMap<String, Share>,
    stores: Mutex<BTreeMap<String, Shown>>,
}

/// What a store's row shows now.
struct Shown {
    bar: Option<ProgressBar>,
    step: Step,
    speed: Speedometer,
    quarters: u64,
    last: Instant,
}

impl<'a> Display<'a> {
    /// Draws nothing yet. JSON lines where the report is JSON too.
    pub(crate) fn new(printer: &'a Printer, report: ReportFormat) -> Self {
        Self {
            printer,
            bars: bars(printer),
            is_json: report == ReportFormat::Json,
            prices: BTreeMap::new(),
            stores: Mutex::new(BTreeMap::new()),
        }
    }

    /// Shows also what the bytes cost until now, of stores that have a price.
    pub(crate) fn priced(mut self, prices: BTreeMap<String, Share>) -> Self {
        self.prices = prices;
        self
    }

    /// Shows where the work stands.
    pub(crate) fn show(&self, progress: &Progress) {
        let now = Instant::now();
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = stores.entry(progress.store.clone());
        let shown = shown.or_insert_with(|| Shown {
            bar: self.bars.as_ref().map(|bars| bars.add(bar(BAR))),
            step: progress.step,
            speed: Speedometer::default(),
            quarters: 0,
            last: now,
        });
        if shown.step != progress.step {
            (shown.step, shown.quarters) = (progress.step, 0);
            shown.speed = Speedometer::default();
        }
        let (done, total) = (progress.done_bytes, progress.total_bytes);
        let speed = shown.speed.note(done, total, now);
        let price = self.prices.get(&progress.store);
        let usd = price.map(|share| share.so_far(done));
        if let Some(bar) = &shown.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(message(progress, usd));
            return;
        }
        let quarters = done.saturating_mul(4).checked_div(total).unwrap_or(4) + 1;
        let is_next = quarters > shown.quarters;
        let since = now.duration_since(shown.last);
        let is_due = if self.is_json {
            since >= JSON_LINE || (is_next && done >= total)
        } else {
            since >= LINE || is_next
        };
        if is_due {
            (shown.quarters, shown.last) = (quarters, now);
            self.printer.notice(if self.is_json {
                json_line(progress, speed, usd).to_string()
            } else {
                line(progress, speed, usd)
            });
        }
    }

    /// Takes the bars away.
    pub(crate) fn end(&self) {
        if let Some(bars) = &self.bars {
            // A terminal that is gone needs no clearing.
            let _gone = bars.clear();
        }
    }
}

/// Where bars are drawn; none where nobody would see them.
pub(crate) fn bars(printer: &Printer) -> Option<MultiProgress> {
    let draw = || {
        let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND);
        MultiProgress::with_draw_target(target)
    };
    printer.is_live().then(draw)
}

/// A bar that looks as the template says.
pub(crate) fn bar(template: &str) -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// What is done, to which store, and what it took.
fn message(progress: &Progress, usd: Option<NanoUsd>) -> String {
    let word = match progress.step {
        Step::Hash => "hashing",
        Step::Copy => "copying",
        Step::Fetch => "reading",
    };
    let store = match progress.store.as_str() {
        "" => String::new(),
        store => format!(" to {store}"),
    };
    let usd = usd.map_or_else(String::new, |usd| format!(", {usd}"));
    match progress.repeats {
        0 => format!("{word}{store}{usd}"),
        repeats => format!("{word}{store} ({repeats} requests again){usd}"),
    }
}

fn line(progress: &Progress, speed: Speed, usd: Option<NanoUsd>) -> String {
    let size = |count: u64| bytes(i64::try_from(count).unwrap_or(i64::MAX));
    let (done, total) = (size(progress.done_bytes), size(progress.total_bytes));
    let rate = (speed.bytes_per_second > 0).then(|| format!("{}/s", size(speed.bytes_per_second)));
    let left = speed.eta_seconds.filter(|left| *left > 0);
    let left = left.map(|left| format!("{left} s left"));
    let parts = [
        Some(format!("{}: {done} of {total}", message(progress, None))),
        rate,
        left,
        usd.map(|usd| usd.to_string()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn json_line(progress: &Progress, speed: Speed, usd: Option<NanoUsd>) -> Value {
    json!({
        "apiVersion": "cli.mcdeploy.dev/v1alpha1",
        "kind": "Progress",
        "step": progress.step.as_str(),
        "store": progress.store,
        "copiedBytes": progress.done_bytes,
        "totalBytes": progress.total_bytes,
        "bytesPerSecond": speed.bytes_per_second,
        "etaSeconds": speed.eta_seconds,
        "repeats": progress.repeats,
        "usd": usd.map(NanoUsd::to_decimal),
    })
}

#[cfg(test)]
mod tests {
    use mcdeploy_store::ObjectKey;

    use super::*;

    fn progress(done_bytes: u64, repeats: u64) -> Progress {
        Progress {
            step: Step::Copy,
            store: "gcp".to_owned(),
            file: ObjectKey::new("model.onnx").unwrap(),
            done_bytes,
            total_bytes: 4_000_000,
            repeats,
        }
    }

    const SPEED: Speed = Speed {
        bytes_per_second: 1_000_000,
        eta_seconds: Some(3),
    };

    #[test]
    fn a_line_says_bytes_rate_time_left_repeats_and_dollars() {
        let usd = Some(NanoUsd(120_000_000));
        assert_eq!(
            line(&progress(1_000_000, 2), SPEED, usd),
            "copying to gcp (2 requests again): 1.0 MB of 4.0 MB, 1.0 MB/s, 3 s left, $0.1200"
        );
        // Nothing is claimed that is not known.
        assert_eq!(
            line(&progress(0, 0), Speed::default(), None),
            "copying to gcp: 0 B of 4.0 MB"
        );
    }

    #[test]
    fn a_json_line_has_the_same_numbers() {
        let shown = json_line(&progress(1_000_000, 2), SPEED, Some(NanoUsd(120_000_000)));
        let expected = json!({
            "apiVersion": "cli.mcdeploy.dev/v1alpha1", "kind": "Progress", "step": "copy",
            "store": "gcp", "copiedBytes": 1_000_000, "totalBytes": 4_000_000,
            "bytesPerSecond": 1_000_000, "etaSeconds": 3, "repeats": 2, "usd": "0.12",
        });
        assert_eq!(shown, expected);
        let shown = json_line(&progress(0, 0), Speed::default(), None);
        assert_eq!(
            (&shown["etaSeconds"], &shown["usd"]),
            (&Value::Null, &Value::Null)
        );
    }
}
