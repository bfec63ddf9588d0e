//! How far a push or a copy is: a bar for each store on a terminal, a line for each quarter
//! of the way elsewhere.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use mcdeploy_store::{Progress, Step};

use crate::{output::bytes, printer::Printer};

const REDRAWS_PER_SECOND: u8 = 5;

/// A display on stderr.
pub(crate) struct Display<'a> {
    printer: &'a Printer,
    bars: Option<MultiProgress>,
    stores: Mutex<BTreeMap<String, Shown>>,
}

/// What a store's row shows now.
struct Shown {
    bar: Option<ProgressBar>,
    step: Step,
    quarters: u64,
}

impl<'a> Display<'a> {
    /// Draws nothing yet.
    pub(crate) fn new(printer: &'a Printer) -> Self {
        let draw = || {
            let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND);
            MultiProgress::with_draw_target(target)
        };
        Self {
            printer,
            bars: printer.is_live().then(draw),
            stores: Mutex::new(BTreeMap::new()),
        }
    }

    /// Shows where the work stands.
    pub(crate) fn show(&self, progress: &Progress) {
        let word = match progress.step {
            Step::Hash => "hashing",
            Step::Copy => "copying",
            Step::Fetch => "reading",
        };
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = stores.entry(progress.store.clone());
        let shown = shown.or_insert_with(|| Shown {
            bar: self.bars.as_ref().map(|bars| bars.add(bar())),
            step: progress.step,
            quarters: 0,
        });
        if shown.step != progress.step {
            (shown.step, shown.quarters) = (progress.step, 0);
        }
        if let Some(bar) = &shown.bar {
            bar.set_length(progress.total_bytes);
            bar.set_position(progress.done_bytes);
            bar.set_message(message(word, progress));
            return;
        }
        let quarters = progress.done_bytes.saturating_mul(4);
        let quarters = quarters.checked_div(progress.total_bytes).unwrap_or(4) + 1;
        if quarters > shown.quarters {
            shown.quarters = quarters;
            let size = |count: u64| bytes(i64::try_from(count).unwrap_or(i64::MAX));
            let (done, total) = (size(progress.done_bytes), size(progress.total_bytes));
            let line = format!("{}: {done} of {total}", message(word, progress));
            self.printer.notice(line);
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

fn bar() -> ProgressBar {
    let template = "{bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}";
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn message(word: &str, progress: &Progress) -> String {
    let store = match progress.store.as_str() {
        "" => String::new(),
        store => format!(" to {store}"),
    };
    match progress.repeats {
        0 => format!("{word}{store}"),
        repeats => format!("{word}{store} ({repeats} requests again)"),
    }
}
