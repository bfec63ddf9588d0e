//! The member's API server as the source of routes: `RoutingSnapshot`s and the
//! `EndpointSlice`s behind them.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject},
};
use mcdeploy_api::{RoutingSnapshot, RoutingSnapshotSpec};
use tokio::sync::watch;

use crate::{
    input::{Input, ObjectKey},
    state::State,
    watch::{News, Patience, Verdict, Watched, follow},
};

/// Slices of Services that mcdeploy made: the controller copies a Service's labels.
const SLICES: &str = "app.kubernetes.io/managed-by=mcdeploy,kubernetes.io/service-name";
const LABEL_SERVICE: &str = "kubernetes.io/service-name";

/// The kind `RoutingSnapshot`, read without its schema: one object that this version of
/// the gateway does not understand must not hide the others.
pub(crate) fn snapshots(client: Client) -> Api<DynamicObject> {
    Api::all_with(client, &resource())
}

/// The same in one namespace.
pub(crate) fn snapshots_in(client: Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client, namespace, &resource())
}

fn resource() -> ApiResource {
    ApiResource::erase::<RoutingSnapshot>(&())
}

/// What was seen so far; `None` before the first list.
#[derive(Debug)]
struct Seen {
    start: Input,
    snapshots: Option<BTreeMap<ObjectKey, RoutingSnapshotSpec>>,
    slices: Option<BTreeMap<ObjectKey, Slice>>,
}

#[derive(Debug)]
struct Slice {
    service: ObjectKey,
    ready: BTreeSet<SocketAddr>,
}

/// Sends each change to `inputs`. `start` is what the gateway routes by meanwhile.
pub(crate) async fn run(
    client: Client,
    start: Input,
    inputs: Arc<watch::Sender<Option<Input>>>,
    state: Arc<State>,
) -> Infallible {
    let seen = Mutex::new(Seen {
        start,
        snapshots: None,
        slices: None,
    });
    let failed = || {
        state.metrics.watch_failures.inc();
    };
    let publish = |seen: &Seen| {
        if let Some(input) = seen.input() {
            inputs.send_if_modified(|old| {
                let changed = old.as_ref() != Some(&input);
                *old = Some(input);
                changed
            });
        }
    };
    let on_snapshot = |news| {
        let mut seen = lock(&seen);
        let verdict = seen.on_snapshot(news);
        publish(&seen);
        verdict
    };
    let on_slice = |news| {
        let mut seen = lock(&seen);
        let verdict = seen.on_slice(news);
        publish(&seen);
        verdict
    };
    let patience = Patience::default();
    let snapshots = Watched {
        api: snapshots(client.clone()),
        labels: None,
        patience,
    };
    let slices = Watched::<EndpointSlice> {
        api: Api::all(client),
        labels: Some(SLICES),
        patience,
    };
    let (never, _) = tokio::join!(
        follow(snapshots, on_snapshot, failed),
        follow(slices, on_slice, failed),
    );
    never
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    // Each change under this lock is one insertion or replacement: valid in any state.
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    fn input(&self) -> Option<Input> {
        let (snapshots, slices) = (self.snapshots.as_ref()?, self.slices.as_ref()?);
        let mut endpoints: BTreeMap<ObjectKey, BTreeSet<SocketAddr>> = BTreeMap::new();
        for slice in slices.values() {
            let ready = endpoints.entry(slice.service.clone()).or_default();
            ready.extend(&slice.ready);
        }
        Some(Input {
            snapshots: snapshots.clone(),
            endpoints,
        })
    }

    fn on_snapshot(&mut self, news: News<DynamicObject>) -> Verdict {
        let start = &self.start.snapshots;
        let known = self.snapshots.get_or_insert_with(|| start.clone());
        match news {
            News::Listed(objects) if objects.is_empty() && !known.is_empty() => {
                tracing::warn!(
                    kept = known.len(),
                    "the API server lists no snapshots; routing by those last seen"
                );
                return Verdict::Doubted;
            }
            News::Listed(objects) => {
                let old = std::mem::take(known);
                for object in objects {
                    let key = key(&object);
                    if let Some(spec) = parse(&object).or_else(|| old.get(&key).cloned()) {
                        known.insert(key, spec);
                    }
                }
            }
            News::Changed(object) => {
                if let Some(spec) = parse(&object) {
                    known.insert(key(&object), spec);
                }
            }
            News::Deleted(object) => {
                known.remove(&key(&object));
            }
        }
        Verdict::Taken
    }

    fn on_slice(&mut self, news: News<EndpointSlice>) -> Verdict {
        match news {
            News::Listed(slices) => {
                let had_some = match &self.slices {
                    Some(known) => !known.is_empty(),
                    None => !self.start.endpoints.is_empty(),
                };
                if slices.is_empty() && had_some {
                    tracing::warn!("the API server lists no endpoints; routing to those last seen");
                    let start = &self.start.endpoints;
                    self.slices.get_or_insert_with(|| as_slices(start));
                    return Verdict::Doubted;
                }
                let slices = slices.iter().filter_map(|s| Some((s_key(s), slice(s)?)));
                self.slices = Some(slices.collect());
            }
            News::Changed(object) => {
                if let Some(slice) = slice(&object) {
                    let known = self.slices.get_or_insert_default();
                    known.insert(s_key(&object), slice);
                }
            }
            News::Deleted(object) => {
                self.slices.get_or_insert_default().remove(&s_key(&object));
            }
        }
        Verdict::Taken
    }
}

fn as_slices(endpoints: &BTreeMap<ObjectKey, BTreeSet<SocketAddr>>) -> BTreeMap<ObjectKey, Slice> {
    endpoints
        .iter()
        .map(|(service, ready)| {
            let slice = Slice {
                service: service.clone(),
                ready: ready.clone(),
            };
            (service.clone(), slice)
        })
        .collect()
}

fn key(object: &DynamicObject) -> ObjectKey {
    ObjectKey::new(object.namespace().unwrap_or_default(), object.name_any())
}

fn s_key(slice: &EndpointSlice) -> ObjectKey {
    ObjectKey::new(slice.namespace().unwrap_or_default(), slice.name_any())
}

fn parse(object: &DynamicObject) -> Option<RoutingSnapshotSpec> {
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    match serde_json::from_value(spec) {
        Ok(spec) => Some(spec),
        Err(error) => {
            tracing::error!(
                snapshot = %key(object),
                %error,
                "snapshot not understood; routing by the one before"
            );
            None
        }
    }
}

/// Addresses of the pods that are ready and not ending.
fn slice(slice: &EndpointSlice) -> Option<Slice> {
    let service = slice.labels().get(LABEL_SERVICE)?;
    let mut ready = BTreeSet::new();
    // A model server's Service has one port.
    let port = slice.ports.iter().flatten().find_map(|p| p.port);
    let port = port.and_then(|p| u16::try_from(p).ok());
    for endpoint in slice.endpoints.iter().flatten() {
        let conditions = endpoint.conditions.as_ref();
        let is_ready = conditions.and_then(|c| c.ready).unwrap_or(true);
        let is_ending = conditions.and_then(|c| c.terminating).unwrap_or(false);
        if !is_ready || is_ending {
            continue;
        }
        let addresses = endpoint.addresses.iter().filter_map(|a| a.parse().ok());
        ready.extend(addresses.filter_map(|ip| Some(SocketAddr::new(ip, port?))));
    }
    Some(Slice {
        service: ObjectKey::new(slice.namespace().unwrap_or_default(), service),
        ready,
    })
}

#[cfg(test)]
mod tests;
