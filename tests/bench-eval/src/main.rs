//! What `cargo xtask bench eval` measures of ours. It has little to compile, as it is built in
//! the release profile; `mcdeploy-bench eval` runs it beside scikit-learn.

mod data;
mod metrics;
mod rate;

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;

/// Measures our metrics and our asking.
#[derive(Parser)]
enum Work {
    /// Write rows that are the same for all who are measured.
    Data {
        /// How many.
        #[arg(long)]
        rows: usize,
        /// Where to.
        #[arg(long)]
        file: PathBuf,
    },
    /// Compute the metrics of such rows.
    Metrics {
        /// What `data` wrote.
        #[arg(long)]
        file: PathBuf,
        /// Bootstrap draws; 0: values alone.
        #[arg(long)]
        draws: usize,
    },
    /// Ask a server of this process, which takes a while to answer.
    Rate {
        /// Requests a second.
        #[arg(long)]
        wanted: f64,
        /// How many.
        #[arg(long)]
        requests: usize,
        /// What an answer takes.
        #[arg(long)]
        answer_ms: u64,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Work::parse() {
        Work::Data { rows, file } => data::write(rows, &file).map(|()| None),
        Work::Metrics { file, draws } => metrics::measure(&file, draws).map(Some),
        Work::Rate {
            wanted,
            requests,
            answer_ms,
        } => Box::pin(rate::measure(wanted, requests, answer_ms))
            .await
            .map(Some),
    };
    let (text, code) = match &done {
        Ok(None) => return ExitCode::SUCCESS,
        Ok(Some(found)) => (found.to_string(), ExitCode::SUCCESS),
        Err(error) => (format!("error: {error:#}"), ExitCode::FAILURE),
    };
    let written = if done.is_ok() {
        writeln!(std::io::stdout(), "{text}")
    } else {
        writeln!(std::io::stderr(), "{text}")
    };
    if written.is_ok() {
        code
    } else {
        ExitCode::FAILURE
    }
}

/// The one place that reads the clock.
#[expect(
    clippy::disallowed_methods,
    reason = "measuring is what this program is for"
)]
fn now() -> Instant {
    Instant::now()
}
