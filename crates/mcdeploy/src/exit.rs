//! Exit codes, and the errors that choose them.

use std::{error::Error, fmt, io, process::ExitCode};

use tokio_util::sync::CancellationToken;

use crate::printer::Printer;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// Done.
    Success,
    /// Failed, or unhealthy.
    Failed,
    /// Wrong usage or configuration.
    Usage,
    /// Credentials missing or refused.
    Auth,
    /// Something named does not exist.
    NotFound,
    /// Somebody else was first.
    Conflict,
    /// The rows do not tell whether a version is good.
    Inconclusive,
    /// `--timeout` passed.
    Timeout,
    /// Interrupted by Ctrl-C.
    Interrupted,
}

impl ExitStatus {
    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Auth => 4,
            Self::NotFound => 5,
            Self::Conflict => 6,
            Self::Inconclusive => 7,
            Self::Timeout => 124,
            Self::Interrupted => 130,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

/// An error that the user can act on: what failed and why, and what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    status: ExitStatus,
    message: String,
    hints: Vec<String>,
}

impl Failure {
    /// What failed, where and why.
    pub(crate) fn new(status: ExitStatus, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            hints: vec![],
        }
    }

    /// Says something before the message.
    #[must_use]
    pub(crate) fn after(mut self, told: &str) -> Self {
        self.message.insert_str(0, told);
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

/// Prints `error` to stderr and says how the process ends. A reader that went away
/// (`mcdeploy get md | head -1`) is no error.
pub(crate) fn report(error: &anyhow::Error, printer: &Printer) -> ExitStatus {
    if error.chain().any(is_broken_pipe) {
        return ExitStatus::Success;
    }
    let failure = error.downcast_ref::<Failure>();
    printer.error(chain(error.as_ref()));
    for hint in failure.iter().flat_map(|failure| &failure.hints) {
        printer.hint(hint);
    }
    failure.map_or(ExitStatus::Failed, |failure| failure.status)
}

fn is_broken_pipe(cause: &(dyn Error + 'static)) -> bool {
    cause
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// An error and its sources in one line, without saying the same twice.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Cancels on the first Ctrl-C or SIGTERM; the second ends the process at once.
pub(crate) async fn cancel_on_signals(cancel: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut interrupt) = signal(SignalKind::interrupt()) else {
        return;
    };
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    for turn in 0.. {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        cancel.cancel();
        if turn > 0 {
            end_now();
        }
    }
}

#[expect(
    clippy::exit,
    reason = "the user asked twice: nothing may delay the end"
)]
fn end_now() {
    std::process::exit(ExitStatus::Interrupted.code().into());
}
