//! The only place that writes to stdout and stderr.

use std::{
    fmt::Display,
    io::{self, Write},
};

use owo_colors::OwoColorize;

use crate::{
    args::{ColorChoice, GlobalArgs},
    environment::Environment,
};

/// Where text goes, and whether it is coloured.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub(crate) struct Printer {
    quiet: bool,
    stderr_colors: bool,
    stdout_terminal: bool,
    stderr_terminal: bool,
}

impl Printer {
    /// `--color` > `NO_COLOR` > `CLICOLOR_FORCE` > whether it is a terminal.
    pub(crate) fn new(global: &GlobalArgs, environment: &Environment) -> Self {
        let colors = |terminal: bool| match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => !environment.no_color && (environment.force_color || terminal),
        };
        Self {
            quiet: global.quiet,
            stderr_colors: colors(environment.stderr_is_terminal),
            stdout_terminal: environment.stdout_is_terminal,
            stderr_terminal: environment.stderr_is_terminal,
        }
    }

    /// Whether stderr gets colours.
    pub(crate) fn colors(&self) -> bool {
        self.stderr_colors
    }

    /// Whether a live display may be drawn on stderr.
    pub(crate) fn is_live(&self) -> bool {
        self.stderr_terminal && !self.quiet
    }

    /// Whether a live display may be drawn on stdout.
    pub(crate) fn is_stdout_live(&self) -> bool {
        self.stdout_terminal
    }

    /// Writes data: one text, ended by a line feed.
    #[expect(
        clippy::unused_self,
        reason = "whoever prints has been given a printer"
    )]
    pub(crate) fn data(&self, text: impl Display) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}")?;
        stdout.flush()
    }

    /// Writes a notice to stderr, unless `--quiet`.
    pub(crate) fn notice(&self, text: impl Display) {
        if !self.quiet {
            stderr_line(&text.to_string());
        }
    }

    /// Writes a warning to stderr.
    pub(crate) fn warning(&self, text: impl Display) {
        self.labelled("warning:", |label| label.yellow().bold().to_string(), &text);
    }

    /// Writes an error to stderr.
    pub(crate) fn error(&self, text: impl Display) {
        self.labelled("error:", |label| label.red().bold().to_string(), &text);
    }

    /// Writes what to do next to stderr.
    pub(crate) fn hint(&self, text: impl Display) {
        self.labelled("hint:", |label| label.cyan().bold().to_string(), &text);
    }

    fn labelled(&self, label: &str, paint: impl Fn(&str) -> String, text: &dyn Display) {
        let label = if self.stderr_colors {
            paint(label)
        } else {
            label.to_owned()
        };
        stderr_line(&format!("{label} {text}"));
    }
}

/// There is nobody to tell when stderr is gone.
fn stderr_line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
