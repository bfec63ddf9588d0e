//! From what the API server says to the table: epochs, hashes, upstreams.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mcdeploy_api::{Epoch, RoutingSnapshotSpec};
use tokio::time::Instant;

use crate::{
    budget::Budget,
    config::RetryConfig,
    input::{Input, ObjectKey},
    table::{LocalRevision, Region, Route, Table},
    upstream::{Upstream, UpstreamKey},
};

/// Keeps the newest accepted snapshot of each service, and across tables the upstreams with
/// their health, and what models have left of their retries.
#[derive(Debug)]
pub struct Router {
    cluster: String,
    retries: RetryConfig,
    budgets: BTreeMap<String, Arc<Budget>>,
    accepted: BTreeMap<ObjectKey, RoutingSnapshotSpec>,
    upstreams: BTreeMap<UpstreamKey, Arc<Upstream>>,
}

/// What one input came to.
#[derive(Debug)]
pub struct Applied {
    /// The new table.
    pub table: Arc<Table>,
    /// Every upstream of the table.
    pub upstreams: Vec<Arc<Upstream>>,
    /// What is routed by, per snapshot.
    pub reports: BTreeMap<ObjectKey, Report>,
    /// What a restarted gateway should start from.
    pub good: Input,
}

/// What a gateway has to say about one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Model that the snapshot is about.
    pub model: String,
    /// Epoch that is routed by; `None` when no snapshot was ever good.
    pub applied: Option<(Epoch, String)>,
    /// Why the newest snapshot was refused.
    pub refused: Option<String>,
}

impl Router {
    /// A router for a gateway in `cluster`, without routes.
    pub fn new(cluster: impl Into<String>, retries: RetryConfig) -> Self {
        Self {
            cluster: cluster.into(),
            retries,
            budgets: BTreeMap::new(),
            accepted: BTreeMap::new(),
            upstreams: BTreeMap::new(),
        }
    }

    /// Takes what the API server says now. A refused snapshot leaves the accepted one in
    /// place; one that is gone from `input` is dropped (whoever makes the input sees to
    /// it that an empty cache is not taken for a deletion).
    pub fn apply(&mut self, input: &Input) -> Applied {
        self.accepted
            .retain(|key, _| input.snapshots.contains_key(key));
        let mut reports = BTreeMap::new();
        for (key, spec) in &input.snapshots {
            let refused = self.judge(key, spec).err();
            // What came under one epoch and hash first is what the hub decided.
            let is_news = self
                .accepted
                .get(key)
                .is_none_or(|now| now.epoch != spec.epoch);
            if refused.is_none() && is_news {
                self.accepted.insert(key.clone(), spec.clone());
            }
            let accepted = self.accepted.get(key);
            let report = Report {
                model: accepted.unwrap_or(spec).model.clone(),
                applied: accepted.map(|a| (a.epoch, a.hash.clone())),
                refused,
            };
            reports.insert(key.clone(), report);
        }
        let table = self.table(input, &mut reports);
        Applied {
            table: Arc::new(table),
            upstreams: self.upstreams.values().cloned().collect(),
            reports,
            good: Input {
                snapshots: self.accepted.clone(),
                endpoints: input.endpoints.clone(),
            },
        }
    }

    fn judge(&self, key: &ObjectKey, spec: &RoutingSnapshotSpec) -> Result<(), String> {
        if spec.cluster != self.cluster {
            return Err(format!(
                "it is for cluster {:?}, this is {:?}",
                spec.cluster, self.cluster
            ));
        }
        match self.accepted.get(key) {
            Some(accepted) => spec.may_follow(accepted.epoch, &accepted.hash),
            None => Ok(()),
        }
    }

    fn table(&mut self, input: &Input, reports: &mut BTreeMap<ObjectKey, Report>) -> Table {
        let mut table = Table::default();
        let mut used = BTreeSet::new();
        for (key, spec) in &self.accepted {
            if table.models.contains_key(&spec.model) {
                // Sorted by namespace and name, so every gateway decides alike.
                if let Some(report) = reports.get_mut(key) {
                    report.refused =
                        Some(format!("another snapshot routes model {:?}", spec.model));
                }
                continue;
            }
            let mut upstream = |key: UpstreamKey| {
                used.insert(key.clone());
                let known = self.upstreams.entry(key);
                known
                    .or_insert_with_key(|key| Upstream::new(key.clone()))
                    .clone()
            };
            let budget = self.budgets.entry(spec.model.clone());
            let full = || Arc::new(Budget::new(&self.retries, Instant::now()));
            let budget = budget.or_insert_with(full).clone();
            let route = route(&key.namespace, spec, input, budget, &mut upstream);
            table.models.insert(spec.model.clone(), Arc::new(route));
        }
        self.upstreams.retain(|key, _| used.contains(key));
        self.budgets
            .retain(|model, _| table.models.contains_key(model));
        table
    }
}

fn route(
    namespace: &str,
    spec: &RoutingSnapshotSpec,
    input: &Input,
    budget: Arc<Budget>,
    upstream: &mut impl FnMut(UpstreamKey) -> Arc<Upstream>,
) -> Route {
    let mut revisions = Vec::new();
    for revision in &spec.revisions {
        let service = ObjectKey::new(namespace, &revision.service);
        let addresses = input.endpoints.get(&service).into_iter().flatten();
        let pods = addresses.map(|address| {
            upstream(UpstreamKey::Pod {
                model: spec.model.clone(),
                revision: revision.revision.clone(),
                address: *address,
            })
        });
        revisions.push(LocalRevision {
            revision: revision.revision.clone(),
            version: revision.version.clone(),
            weight: weight(revision.weight),
            pods: pods.collect(),
        });
    }
    let mut regions = Vec::new();
    for region in &spec.regions {
        // A gateway that is listed as its own neighbour would send requests to itself.
        if region.cluster == spec.cluster {
            continue;
        }
        regions.push(Region {
            upstream: upstream(UpstreamKey::Region {
                model: spec.model.clone(),
                cluster: region.cluster.clone(),
                address: region.address.clone(),
            }),
            weight: weight(region.weight),
            revisions: region.revisions.clone(),
        });
    }
    Route {
        repeatable: spec.repeatable,
        budget,
        local_weight: spec.local_weight.map(weight),
        revisions,
        regions,
    }
}

/// The schema forbids negative weights; a snapshot that came around it gives nothing.
fn weight(weight: i32) -> u64 {
    u64::try_from(weight).unwrap_or(0)
}

#[cfg(test)]
mod tests;
