//! Where a rollout's progress goes: a tree that is drawn again on a terminal, at most
//! five times a second; one line per change elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    printer::Printer,
    rollout_verdict::Row,
    tree::{self, Header},
};

const REDRAWS_PER_SECOND: u8 = 5;

/// A display of progress on stderr.
pub(crate) struct Live<'a> {
    printer: &'a Printer,
    bar: Option<ProgressBar>,
    last: Vec<Row>,
    note: String,
}

impl<'a> Live<'a> {
    /// Draws nothing yet.
    pub(crate) fn new(printer: &'a Printer) -> Self {
        let bar = printer.is_live().then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND);
            let bar = ProgressBar::with_draw_target(None, target);
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            printer,
            bar,
            last: vec![],
            note: String::new(),
        }
    }

    /// Shows the rows as they are now.
    pub(crate) fn show(&mut self, header: &Header<'_>, rows: &[Row]) {
        if let Some(bar) = &self.bar {
            let mut lines = tree::render(header, rows, self.printer.colors());
            if !self.note.is_empty() {
                lines.push(self.note.clone());
            }
            let width = usize::from(console::Term::stderr().size().1);
            let cut = |line: String| console::truncate_str(&line, width, "…").into_owned();
            // A line that wraps is drawn over at the next redraw, but not wiped.
            let lines: Vec<_> = lines.into_iter().map(cut).collect();
            bar.set_message(lines.join("\n"));
            bar.tick();
        } else if rows.iter().any(|row| row.wave.is_some()) {
            // Before the operator took it up, the rows are about what was before.
            for row in rows {
                let before = self.last.iter().find(|old| old.cluster == row.cluster);
                let same = before.is_some_and(|old| tree::change_key(old) == tree::change_key(row));
                if !same {
                    self.printer.notice(tree::plain(row, header));
                }
            }
        }
        self.last = rows.to_vec();
    }

    /// Says something beside the rows, such as that the hub does not answer. Empty:
    /// nothing to say any more.
    pub(crate) fn note(&mut self, note: &str) {
        if self.note != note {
            note.clone_into(&mut self.note);
            if self.bar.is_none() && !note.is_empty() {
                self.printer.notice(note);
            }
        }
    }

    /// Takes the display away, leaving the last rows on the screen.
    pub(crate) fn end(self, header: &Header<'_>) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            for line in tree::render(header, &self.last, self.printer.colors()) {
                self.printer.notice(line);
            }
        }
    }
}
