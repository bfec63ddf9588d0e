//! How long-running work tells what it does.

use std::{fmt, io::Write as _, sync::Arc};

/// Takes one line of progress at a time.
#[derive(Clone)]
pub struct Say(Arc<dyn Fn(&str) + Send + Sync>);

impl Say {
    /// Hands every line to `sink`.
    pub fn to(sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Writes every line to standard error.
    pub fn stderr() -> Self {
        Self::to(|line| {
            // Progress that nobody can read is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{line}");
        })
    }

    /// Drops every line.
    pub fn nothing() -> Self {
        Self::to(|_| ())
    }

    /// Tells one line.
    pub fn line(&self, line: impl AsRef<str>) {
        (self.0)(line.as_ref());
    }
}

impl fmt::Debug for Say {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Say")
    }
}
