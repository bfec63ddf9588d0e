//! The sandbox's load balancer: it only hands out addresses. The node answers for
//! them, and the cluster's own kube-proxy carries the traffic.

use std::{collections::BTreeSet, net::Ipv4Addr, time::Duration};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, WatchParams},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{Cloud, SandboxError, api, world::World};

const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);
/// Watches end by themselves after this many seconds: a partition leaves them hanging.
const WATCH_SECONDS: u32 = 15;

/// Serves every cloud until cancelled.
pub(crate) async fn serve(cancel: &CancellationToken) {
    let clouds = Cloud::ALL.map(|cloud| serve_cloud(cloud, cancel));
    futures::future::join_all(clouds).await;
}

async fn serve_cloud(cloud: Cloud, cancel: &CancellationToken) {
    let work = async {
        loop {
            if let Err(error) = serve_once(cloud).await {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(cluster.name = cloud.name(), error, "will try again");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    };
    let _ = cancel.run_until_cancelled(work).await;
}

/// Brings addresses up to date, then waits for a change.
async fn serve_once(cloud: Cloud) -> Result<(), SandboxError> {
    let refused = |what: &str| {
        let what = what.to_owned();
        move |source| SandboxError::Api {
            cloud,
            what,
            source: Box::new(source),
        }
    };
    let client = api::client(cloud).await?;
    let services = Api::<Service>::all(client.clone());
    loop {
        let list = services.list(&ListParams::default()).await;
        let list = list.map_err(refused("list services"))?;
        let version = list.metadata.resource_version.unwrap_or_default();
        let wanted = assign(&client, cloud, &list.items).await?;
        sync_addresses(cloud, &wanted).await?;
        let watch = WatchParams::default().timeout(WATCH_SECONDS);
        let changes = services.watch(&watch, &version).await;
        let changes = changes.map_err(refused("watch services"))?;
        let mut changes = std::pin::pin!(changes);
        if let Some(Err(error)) = changes.next().await {
            return Err(refused("watch services")(error));
        }
    }
}

/// Gives each load balancer without an address a free one; returns all in use.
async fn assign(
    client: &Client,
    cloud: Cloud,
    services: &[Service],
) -> Result<BTreeSet<Ipv4Addr>, SandboxError> {
    let pool: BTreeSet<_> = cloud.load_balancer_addresses().collect();
    let balancers: Vec<_> = services.iter().filter(|found| is_balancer(found)).collect();
    let mut used: BTreeSet<Ipv4Addr> = balancers
        .iter()
        .filter_map(|found| address_of(found))
        .collect();
    for service in balancers {
        if address_of(service).is_some_and(|address| pool.contains(&address)) {
            continue;
        }
        let name = service.name_any();
        let namespace = service.namespace().unwrap_or_default();
        let Some(address) = pool.iter().find(|address| !used.contains(address)) else {
            tracing::warn!(
                cluster.name = cloud.name(),
                "no address is left for service {namespace}/{name}"
            );
            continue;
        };
        let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
        let services = Api::<Service>::namespaced(client.clone(), &namespace);
        let patched = services
            .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
            .await;
        patched.map_err(|source| SandboxError::Api {
            cloud,
            what: format!("give service {namespace}/{name} the address {address}"),
            source: Box::new(source),
        })?;
        used.insert(*address);
    }
    Ok(used.intersection(&pool).copied().collect())
}

fn is_balancer(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.is_some_and(|spec| spec.type_.as_deref() == Some("LoadBalancer"))
}

fn address_of(service: &Service) -> Option<Ipv4Addr> {
    let balancer = service.status.as_ref()?.load_balancer.as_ref()?;
    let ingress = balancer.ingress.as_ref()?.first()?;
    ingress.ip.as_deref()?.parse().ok()
}

/// Makes the node answer for exactly these addresses of its pool.
async fn sync_addresses(cloud: Cloud, wanted: &BTreeSet<Ipv4Addr>) -> Result<(), SandboxError> {
    let world = World::find(cloud)?.ok_or(SandboxError::NotRunning)?;
    let listed = world
        .run(&["ip", "-4", "-oneline", "address", "show", "dev", "lo"])
        .await?;
    let present: BTreeSet<Ipv4Addr> = listed
        .split_whitespace()
        .filter_map(|word| word.strip_suffix("/32")?.parse().ok())
        .collect();
    for address in wanted.difference(&present) {
        let address = format!("{address}/32");
        world
            .run(&["ip", "address", "add", &address, "dev", "lo"])
            .await?;
    }
    let pool = cloud.load_balancer_addresses();
    for address in pool.filter(|one| present.contains(one) && !wanted.contains(one)) {
        let address = format!("{address}/32");
        world
            .run(&["ip", "address", "delete", &address, "dev", "lo"])
            .await?;
    }
    Ok(())
}
