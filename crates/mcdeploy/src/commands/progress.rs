//! How far a push or a copy is: a bar on a terminal, one line per step elsewhere.

use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mcdeploy_store::{Progress, Step};

use crate::{output::bytes, printer::Printer};

/// A display on stderr.
pub(crate) struct Display<'a> {
    printer: &'a Printer,
    bar: Option<ProgressBar>,
    last_step: Mutex<Option<Step>>,
}

impl<'a> Display<'a> {
    /// Draws nothing yet.
    pub(crate) fn new(printer: &'a Printer) -> Self {
        let bar = printer.is_live().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
            let template = "{msg:>8} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Self {
            printer,
            bar,
            last_step: Mutex::new(None),
        }
    }

    /// Shows where the work stands.
    pub(crate) fn show(&self, progress: &Progress) {
        let word = match progress.step {
            Step::Hash => "hashing",
            Step::Copy => "copying",
            Step::Fetch => "reading",
        };
        if let Some(bar) = &self.bar {
            bar.set_length(progress.total_bytes);
            bar.set_position(progress.done_bytes);
            bar.set_message(word);
            return;
        }
        let Ok(mut last) = self.last_step.lock() else {
            return;
        };
        if *last != Some(progress.step) {
            *last = Some(progress.step);
            let total = i64::try_from(progress.total_bytes).unwrap_or(i64::MAX);
            self.printer.notice(format!("{word} {}", bytes(total)));
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
