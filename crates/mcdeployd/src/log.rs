//! What is logged, and what never is.

use std::io;

use anyhow::Context as _;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Libraries that write requests, headers or answers into the log from some level on, and
/// with them signatures and tokens. Each beginning of a target with the most that it may
/// say, whatever is asked for.
const BOUNDED: [(&str, Level); 10] = [
    // Failed requests at INFO, the fields of a SAS among them.
    ("typespec", Level::WARN),
    ("azure_", Level::WARN),
    ("aws_", Level::INFO),
    ("google_cloud", Level::INFO),
    ("gaxi", Level::INFO),
    ("h2", Level::INFO),
    ("hyper", Level::INFO),
    ("reqwest", Level::INFO),
    ("tonic", Level::INFO),
    ("tower_http", Level::INFO),
];

/// Logs to standard error as JSON, by a filter as `tracing` has them.
pub(crate) fn start(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).context("--log")?;
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(io::stderr)
        .with_filter(filter.and(filter_fn(shows_no_request)));
    tracing_subscriber::registry().with(lines).init();
    Ok(())
}

fn shows_no_request(what: &Metadata<'_>) -> bool {
    let mut bounds = BOUNDED.iter();
    let bound = bounds.find(|(target, _)| what.target().starts_with(target));
    bound.is_none_or(|(_, most)| what.level() <= most)
}
