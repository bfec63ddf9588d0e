//! Watches: they say that it is time to look, never what to do.
//!
//! Only metadata is watched and nothing is cached, so that the operator's memory does
//! not grow with the size of objects.

use std::{collections::BTreeMap, pin::pin, sync::Arc};

use futures::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        batch::v1::Job,
        core::v1::{Secret, Service},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Resource,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use mcdeploy_api::{
    ArtifactStore, MemberCluster, ModelDeployment, ModelVersion, RoutingSnapshot, TrafficPolicy,
    names,
};
use mcdeploy_cluster::{ApiObject, ClusterClient};
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// Watches the hub until cancelled.
pub(crate) async fn hub(ctx: &Arc<Context>, cancel: &CancellationToken) {
    let client = ctx.hub.kube();
    let config = ClusterClient::watch_config;
    let queues = &ctx.queues;
    let secrets =
        Api::<PartialObjectMeta<Secret>>::namespaced(client.clone(), &ctx.settings.namespace);
    let members = watch(all::<MemberCluster>(client), config(), |meta| {
        queues.members.add(name(meta));
        ctx.wake_deployments();
    });
    let stores = watch(all::<ArtifactStore>(client), config(), |meta| {
        queues.stores.add(name(meta));
        ctx.wake_deployments();
    });
    let versions = watch(all_namespaces::<ModelVersion>(client), config(), |meta| {
        queues.versions.add(key(meta));
        ctx.wake_deployments_in(&key(meta).0);
    });
    let deployments = watch(
        all_namespaces::<ModelDeployment>(client),
        config(),
        |meta| {
            ctx.know_deployment(key(meta));
            queues.deployments.add(key(meta));
        },
    );
    let policies = watch(all_namespaces::<TrafficPolicy>(client), config(), |meta| {
        ctx.wake_deployments_in(&key(meta).0);
    });
    let secrets = watch(secrets, config(), |_| {
        ctx.wake_members();
        ctx.wake_stores();
    });
    let all =
        Box::pin(async { tokio::join!(members, stores, versions, deployments, policies, secrets) });
    cancel.run_until_cancelled(all).await;
}

/// Watches one member cluster until cancelled.
pub(crate) async fn member(
    ctx: Arc<Context>,
    cluster: String,
    client: ClusterClient,
    cancel: CancellationToken,
) {
    let kube = client.kube();
    let ours = format!("{}={}", names::LABEL_MANAGED_BY, names::MANAGED_BY);
    let config = || ClusterClient::watch_config().labels(&ours);
    let system = names::SYSTEM_NAMESPACE;
    let deployments = deployments(&ctx, kube, config);
    let snapshots = watch(all_namespaces::<RoutingSnapshot>(kube), config(), |meta| {
        ctx.wake_deployment_of(meta);
    });
    let jobs = watch(
        Api::<PartialObjectMeta<Job>>::namespaced(kube.clone(), system),
        config(),
        |_| {
            ctx.wake_deployments();
        },
    );
    let services = Api::<PartialObjectMeta<Service>>::namespaced(kube.clone(), system);
    let gateway = watch(services, ClusterClient::watch_config(), |meta| {
        if name(meta) == names::GATEWAY_SERVICE {
            ctx.queues.members.add(cluster.clone());
        }
    });
    cancel
        .run_until_cancelled(join_all([
            futures::FutureExt::boxed(deployments),
            futures::FutureExt::boxed(snapshots),
            futures::FutureExt::boxed(jobs),
            futures::FutureExt::boxed(gateway),
        ]))
        .await;
}

/// Watches Deployments in the namespaces that deployments of the hub are in, and in no
/// other: the hub may not look there.
async fn deployments(ctx: &Context, kube: &kube::Client, config: impl Fn() -> watcher::Config) {
    let mut namespaces = ctx.namespaces.subscribe();
    let mut running = FuturesUnordered::new();
    let mut stops: BTreeMap<String, CancellationToken> = BTreeMap::new();
    loop {
        let wanted = namespaces.borrow_and_update().clone();
        stops.retain(|namespace, stop| {
            let stays = wanted.contains(namespace);
            if !stays {
                stop.cancel();
            }
            stays
        });
        for namespace in wanted {
            if stops.contains_key(&namespace) {
                continue;
            }
            let api = Api::<PartialObjectMeta<Deployment>>::namespaced(kube.clone(), &namespace);
            let watching = watch(api, config(), |meta| ctx.wake_deployment_of(meta));
            let stop = CancellationToken::new();
            stops.insert(namespace, stop.clone());
            running.push(async move { stop.run_until_cancelled(watching).await });
        }
        tokio::select! {
            changed = namespaces.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            Some(_) = running.next(), if !running.is_empty() => {}
        }
    }
}

/// Calls `changed` for every object that is there, appears, changes or goes. Never ends:
/// a watch that fails is begun anew, later each time.
async fn watch<K: ApiObject>(
    api: Api<PartialObjectMeta<K>>,
    config: watcher::Config,
    changed: impl Fn(&ObjectMeta),
) {
    let mut events = pin!(watcher(api, config).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::Delete(object) | Event::InitApply(object)) => {
                changed(object.meta());
            }
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) => {
                let kind = K::kind(&());
                tracing::debug!(%kind, error = %error, "a watch is begun anew");
            }
        }
    }
}

fn all<K: Resource<DynamicType = (), Scope = ClusterResourceScope>>(
    client: &kube::Client,
) -> Api<PartialObjectMeta<K>> {
    Api::all(client.clone())
}

fn all_namespaces<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(
    client: &kube::Client,
) -> Api<PartialObjectMeta<K>> {
    Api::all(client.clone())
}

fn name(meta: &ObjectMeta) -> String {
    meta.name.clone().unwrap_or_default()
}

fn key(meta: &ObjectMeta) -> (String, String) {
    (meta.namespace.clone().unwrap_or_default(), name(meta))
}

impl Context {
    /// Everything that depends on something that changed is looked at again.
    pub(crate) fn wake_deployments(&self) {
        for key in self.known_deployments() {
            self.queues.deployments.add(key);
        }
    }

    pub(crate) fn wake_deployments_in(&self, namespace: &str) {
        for key in self.known_deployments() {
            if key.0 == namespace {
                self.queues.deployments.add(key);
            }
        }
    }

    fn wake_deployment_of(&self, meta: &ObjectMeta) {
        let labels = meta.labels.as_ref();
        let Some(name) = labels.and_then(|labels| labels.get(names::LABEL_DEPLOYMENT)) else {
            return;
        };
        let key = (meta.namespace.clone().unwrap_or_default(), name.clone());
        if self.known_deployments().contains(&key) {
            self.queues.deployments.add(key);
        }
    }

    fn wake_members(&self) {
        for name in self.members.names() {
            self.queues.members.add(name);
        }
    }

    fn wake_stores(&self) {
        for name in self.stores.names() {
            self.queues.stores.add(name);
        }
    }
}
