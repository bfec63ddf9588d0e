//! Metrics, by the names that users see.

use std::{fmt, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Every metric of the operator.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    reconciles: Family<Reconciled, Counter>,
    seconds: Family<Kind, Histogram, fn() -> Histogram>,
    effects: Family<Effect, Counter>,
    pub(crate) leading: Gauge,
    pub(crate) members_seen: Gauge,
    pub(crate) members: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reconciled {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Effect {
    action: &'static str,
    result: &'static str,
}

fn histogram() -> Histogram {
    Histogram::new([0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0])
}

impl Metrics {
    /// Metrics, and the registry that shows them.
    pub(crate) fn new() -> (Self, Registry) {
        let metrics = Self {
            reconciles: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            effects: Family::default(),
            leading: Gauge::default(),
            members_seen: Gauge::default(),
            members: Gauge::default(),
        };
        let mut registry = Registry::with_prefix("mcdeploy_operator");
        let r = &mut registry;
        r.register(
            "reconciles",
            "Looks, by kind and result",
            metrics.reconciles.clone(),
        );
        r.register(
            "reconcile_seconds",
            "Seconds per look",
            metrics.seconds.clone(),
        );
        r.register(
            "effects",
            "Effects of plans, by result",
            metrics.effects.clone(),
        );
        r.register(
            "leading",
            "1 while this process leads",
            metrics.leading.clone(),
        );
        r.register("members", "Member clusters", metrics.members.clone());
        let help = "Member clusters that can be seen";
        r.register("members_seen", help, metrics.members_seen.clone());
        (metrics, registry)
    }

    /// Counts one look. `result` is `ok` or an error's class.
    pub(crate) fn reconciled(&self, kind: &'static str, result: &'static str, took: Duration) {
        let labels = Reconciled { kind, result };
        self.reconciles.get_or_create(&labels).inc();
        let seconds = self.seconds.get_or_create(&Kind { kind });
        seconds.observe(took.as_secs_f64());
    }

    /// Counts one effect. `result` is `ok` or an error's class.
    pub(crate) fn effect(&self, action: &'static str, result: &'static str) {
        self.effects.get_or_create(&Effect { action, result }).inc();
    }
}

/// The registry as Prometheus reads it.
pub(crate) fn text(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}
