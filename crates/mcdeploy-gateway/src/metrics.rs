//! Prometheus metrics. Labels are models and clusters that a snapshot names, and words
//! of this crate: a client cannot make new series.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Labels of an answered request.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    /// Model; empty for one that no snapshot names.
    pub(crate) model: String,
    /// Cluster whose upstream answered; empty when the gateway did.
    pub(crate) cluster: String,
    /// First digit of the status.
    pub(crate) class: u16,
    /// Why the gateway answered by itself; empty when an upstream did.
    pub(crate) reason: &'static str,
}

/// Labels of a failed try.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct TryLabels {
    /// Model.
    pub(crate) model: String,
    /// Cluster that was tried.
    pub(crate) cluster: String,
    /// What happened.
    pub(crate) failure: &'static str,
}

/// Labels of an ejection.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct EjectionLabels {
    /// Model.
    pub(crate) model: String,
    /// Cluster of the upstream.
    pub(crate) cluster: String,
    /// `checks` or `requests`.
    pub(crate) cause: &'static str,
}

/// Labels of things that go by model and cluster.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct ClusterLabels {
    /// Model.
    pub(crate) model: String,
    /// Cluster whose upstream answered.
    pub(crate) cluster: String,
}

/// Label of things that go by model.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct ModelLabels {
    /// Model.
    pub(crate) model: String,
}

/// Everything that a gateway counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// Requests that were answered, or given up.
    pub(crate) requests: Family<RequestLabels, Counter>,
    /// Seconds from a request's head to its answer's head.
    pub(crate) seconds: Family<ModelLabels, Histogram>,
    /// Tries that got no good answer.
    pub(crate) failed_tries: Family<TryLabels, Counter>,
    /// Tries after the first.
    pub(crate) retries: Family<ModelLabels, Counter>,
    /// Retries that the budget refused.
    pub(crate) budget_empty: Family<ModelLabels, Counter>,
    /// Ejections of upstreams.
    pub(crate) ejections: Family<EjectionLabels, Counter>,
    /// Upstreams that are out now, by model.
    pub(crate) ejected: Family<ModelLabels, Gauge>,
    /// 1 while so few pods of a model are healthy that ejected ones are asked, too.
    pub(crate) panic: Family<ModelLabels, Gauge>,
    /// Term of the epoch that is routed by.
    pub(crate) epoch_term: Family<ModelLabels, Gauge>,
    /// Sequence number of the epoch that is routed by.
    pub(crate) epoch_seq: Family<ModelLabels, Gauge>,
    /// Snapshots that were refused.
    pub(crate) refused: Family<ModelLabels, Counter>,
    /// Answers that broke, or paused for too long, after the client had their head.
    pub(crate) broken_answers: Family<ClusterLabels, Counter>,
    /// Connections from clients.
    pub(crate) connections: Gauge,
    /// Clients that went away before their answer.
    pub(crate) client_gone: Counter,
    /// Watches that failed or went silent.
    pub(crate) watch_failures: Counter,
    /// 1 while the copy on disk is older than what is routed by.
    pub(crate) copy_stale: Gauge,
    /// Writes of that copy that failed.
    pub(crate) copy_failures: Counter,
    /// New certificates that cannot be used.
    pub(crate) certificate_failures: Counter,
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("mcdeploy_gateway"),
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| {
                Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0])
            }),
            failed_tries: Family::default(),
            retries: Family::default(),
            budget_empty: Family::default(),
            ejections: Family::default(),
            ejected: Family::default(),
            panic: Family::default(),
            epoch_term: Family::default(),
            epoch_seq: Family::default(),
            refused: Family::default(),
            broken_answers: Family::default(),
            connections: Gauge::default(),
            client_gone: Counter::default(),
            watch_failures: Counter::default(),
            copy_stale: Gauge::default(),
            copy_failures: Counter::default(),
            certificate_failures: Counter::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        let m = &self.requests;
        r.register("requests", "Requests answered", m.clone());
        let m = &self.seconds;
        r.register("request_seconds", "Time to the answer's head", m.clone());
        let m = &self.failed_tries;
        r.register("failed_tries", "Tries without a good answer", m.clone());
        r.register("retries", "Tries after the first", self.retries.clone());
        let m = &self.budget_empty;
        r.register("retries_refused", "Retries over the budget", m.clone());
        let m = &self.ejections;
        r.register("ejections", "Upstreams taken out", m.clone());
        r.register("ejected", "Upstreams that are out", self.ejected.clone());
        let m = &self.panic;
        r.register("panic", "1: ejected upstreams are asked, too", m.clone());
        let m = &self.epoch_term;
        r.register("epoch_term", "Term of the applied epoch", m.clone());
        let m = &self.epoch_seq;
        r.register("epoch_seq", "Number of the applied epoch", m.clone());
        let m = &self.refused;
        r.register("snapshots_refused", "Snapshots refused", m.clone());
        let m = &self.broken_answers;
        r.register("broken_answers", "Answers cut after their head", m.clone());
        let m = &self.connections;
        r.register("connections", "Connections from clients", m.clone());
        let m = &self.client_gone;
        r.register("client_gone", "Clients gone before the answer", m.clone());
        let m = &self.watch_failures;
        r.register("watch_failures", "Watches failed or silent", m.clone());
        let m = &self.copy_stale;
        r.register("copy_stale", "1: the copy on disk is old", m.clone());
        let m = &self.copy_failures;
        r.register("copy_failures", "Writes of the copy that failed", m.clone());
        let m = &self.certificate_failures;
        r.register(
            "certificate_failures",
            "New certificates refused",
            m.clone(),
        );
    }

    /// Forgets the gauges of a model that is routed no more.
    pub(crate) fn forget(&self, model: &str) {
        let labels = ModelLabels {
            model: model.to_owned(),
        };
        self.ejected.remove(&labels);
        self.panic.remove(&labels);
        self.epoch_term.remove(&labels);
        self.epoch_seq.remove(&labels);
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
