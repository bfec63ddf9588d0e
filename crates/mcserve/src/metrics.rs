//! Metrics, in Prometheus' text format.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// All metrics of the server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    seconds: Histogram,
    rows: Counter,
    occupied: Gauge,
    ready: Gauge,
}

/// Labels of `mcserve_requests_total`. Model and version are those of the server's own
/// list, or empty: a client cannot make new series.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    model: String,
    version: String,
    code: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let bounds = [
            0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
        ];
        let mut metrics = Self {
            registry: Registry::with_prefix("mcserve"),
            requests: Family::default(),
            seconds: Histogram::new(bounds),
            rows: Counter::default(),
            occupied: Gauge::default(),
            ready: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(
            "requests",
            "Inference requests by outcome",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "From the first byte to the answer",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register("rows", "Rows inferred", metrics.rows.clone());
        registry.register(
            "requests_in_flight",
            "Inference requests that wait or run",
            metrics.occupied.clone(),
        );
        registry.register(
            "ready",
            "1 when models are loaded and no stop was asked for",
            metrics.ready.clone(),
        );
        metrics
    }
}

impl Metrics {
    /// Counts one inference request. `code` is `Ok` or the word of the error.
    pub fn request(&self, model: &str, version: &str, code: &'static str, took: Duration) {
        let labels = Labels {
            model: model.to_owned(),
            version: version.to_owned(),
            code,
        };
        self.requests.get_or_create(&labels).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// Counts rows of one answer.
    pub fn rows(&self, rows: usize) {
        self.rows.inc_by(rows as u64);
    }

    /// The text, with the two gauges as they are now.
    ///
    /// # Errors
    /// Never in practice: writing to a string does not fail.
    pub fn render(&self, occupied: usize, ready: bool) -> Result<String, std::fmt::Error> {
        self.occupied
            .set(i64::try_from(occupied).unwrap_or(i64::MAX));
        self.ready.set(i64::from(ready));
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
