//! Metrics, by the names that users see.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mcdeploy_plan::{Lag, SLO_SECONDS};
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
    copied_bytes: Family<Store, Counter>,
    copy_repeats: Family<Store, Counter>,
    lag: Family<Store, Histogram, fn() -> Histogram>,
    arrived: Family<Store, Counter>,
    in_time: Family<Store, Counter>,
    waiting: Family<Store, Gauge>,
    stores: Arc<Mutex<BTreeSet<String>>>,
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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Store {
    store: String,
}

/// Stores that have a label of their own; all others share one.
const MOST_STORES: usize = 64;
const OTHER_STORES: &str = "other";

/// From a second to four hours; 900 s is what the objective is about.
fn lags() -> Histogram {
    Histogram::new([
        1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 14_400.0,
    ])
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
            copied_bytes: Family::default(),
            copy_repeats: Family::default(),
            lag: Family::new_with_constructor(lags),
            arrived: Family::default(),
            in_time: Family::default(),
            waiting: Family::default(),
            stores: Arc::default(),
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
        metrics.register_copies(r);
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

    fn register_copies(&self, r: &mut Registry) {
        let help = "Bytes that stores took, as running transfers say";
        r.register("copied_bytes", help, self.copied_bytes.clone());
        let help = "Requests that running transfers say they made again";
        r.register("copy_repeats", help, self.copy_repeats.clone());
        let help = "Seconds from a copy being wanted to its being verified";
        r.register("replication_lag_seconds", help, self.lag.clone());
        let help = "Copies that were wanted and are verified";
        r.register("replications", help, self.arrived.clone());
        let help = "Those of them that took at most 15 minutes (objective: 99.99 %)";
        r.register("replications_in_time", help, self.in_time.clone());
        let help = "Seconds for which the oldest copy is wanted that a store lacks";
        r.register("replication_waiting_seconds", help, self.waiting.clone());
    }

    /// The label of a store: its name, as long as there are few.
    fn store(&self, name: &str) -> Store {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let is_own = stores.contains(name) || stores.len() < MOST_STORES;
        if is_own {
            stores.insert(name.to_owned());
        }
        Store {
            store: if is_own { name } else { OTHER_STORES }.to_owned(),
        }
    }

    /// Counts what a transfer says.
    pub(crate) fn copied(&self, store: &str, bytes: u64, repeats: u64) {
        let label = self.store(store);
        self.copied_bytes.get_or_create(&label).inc_by(bytes);
        self.copy_repeats.get_or_create(&label).inc_by(repeats);
    }

    /// Counts a copy that arrived.
    pub(crate) fn replicated(&self, lag: &Lag) {
        let label = self.store(&lag.store);
        self.arrived.get_or_create(&label).inc();
        // From the first copy on, so that a rate over it is 0 and not absent.
        let in_time = self.in_time.get_or_create(&label);
        in_time.inc_by(u64::from(lag.seconds <= SLO_SECONDS));
        drop(in_time);
        let seconds = Duration::from_secs(lag.seconds).as_secs_f64();
        self.lag.get_or_create(&label).observe(seconds);
    }

    /// Says for how long stores lack what is wanted; of all others, that they lack nothing.
    pub(crate) fn waiting(&self, oldest: &BTreeMap<&str, u64>) {
        let mut seconds: BTreeMap<String, u64> = BTreeMap::new();
        for (name, age) in oldest {
            let age_now = seconds.entry(self.store(name).store).or_default();
            *age_now = (*age_now).max(*age);
        }
        let known: Vec<_> = {
            let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
            stores.iter().cloned().collect()
        };
        for store in known.into_iter().chain([OTHER_STORES.to_owned()]) {
            let age = seconds.get(&store).copied().unwrap_or(0);
            let label = Store { store };
            if age == 0 && label.store == OTHER_STORES {
                continue;
            }
            let gauge = self.waiting.get_or_create(&label);
            gauge.set(i64::try_from(age).unwrap_or(i64::MAX));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lag(store: &str, seconds: u64) -> Lag {
        Lag {
            store: store.into(),
            seconds,
        }
    }

    #[test]
    fn what_the_objective_needs_is_counted_by_store() {
        let (metrics, registry) = Metrics::new();
        metrics.copied("gcp", 100, 2);
        metrics.copied("gcp", 50, 0);
        metrics.replicated(&lag("gcp", 900));
        metrics.replicated(&lag("gcp", 901));
        metrics.waiting(&BTreeMap::from([("azure", 7)]));
        let shown = text(&registry).unwrap();
        for line in [
            "mcdeploy_operator_copied_bytes_total{store=\"gcp\"} 150",
            "mcdeploy_operator_copy_repeats_total{store=\"gcp\"} 2",
            "mcdeploy_operator_replications_total{store=\"gcp\"} 2",
            "mcdeploy_operator_replications_in_time_total{store=\"gcp\"} 1",
            "mcdeploy_operator_replication_lag_seconds_bucket{le=\"900.0\",store=\"gcp\"} 1",
            "mcdeploy_operator_replication_waiting_seconds{store=\"azure\"} 7",
            "mcdeploy_operator_replication_waiting_seconds{store=\"gcp\"} 0",
        ] {
            assert!(shown.contains(line), "{line} is not in:\n{shown}");
        }
        metrics.waiting(&BTreeMap::new());
        let line = "mcdeploy_operator_replication_waiting_seconds{store=\"azure\"} 0";
        assert!(text(&registry).unwrap().contains(line));
    }

    #[test]
    fn stores_without_end_share_one_label() {
        let (metrics, registry) = Metrics::new();
        for n in 0..1_000 {
            metrics.copied(&format!("store-{n}"), 1, 0);
            metrics.replicated(&lag(&format!("store-{n}"), 1));
        }
        let shown = text(&registry).unwrap();
        let series = shown
            .matches("mcdeploy_operator_copied_bytes_total{")
            .count();
        assert_eq!(series, MOST_STORES + 1);
        assert!(shown.contains("mcdeploy_operator_copied_bytes_total{store=\"other\"} 936"));
    }
}
