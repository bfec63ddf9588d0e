//! What the caches of a cluster's nodes were told, and what they say.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use mcdeploy_api::{MemberCluster, NodeCacheReport, names};
use mcdeploy_cluster::{ClusterClient, ClusterError};
use mcdeploy_plan::{StagingFacts, staging_owner};

use super::{observe::Looked, view::What};

pub(super) async fn look(
    client: &ClusterClient,
    what: &What<'_>,
    member: &MemberCluster,
) -> Looked<StagingFacts> {
    if member.spec.node_cache.is_none() {
        return Ok(StagingFacts::default());
    }
    let system = Some(names::SYSTEM_NAMESPACE);
    let reports = format!("{}=report", names::LABEL_NODE_CACHE);
    let (secret, reports) = tokio::try_join!(
        client.get::<Secret>(system, names::STAGING_SECRET),
        reports_of(client, &reports),
    )?;
    let ours = format!(".{}.", staging_owner(what.namespace, what.deployment));
    let keys = secret.and_then(|secret| secret.data).unwrap_or_default();
    let keys = keys.into_keys().filter(|key| key.contains(&ours));
    let nodes = reports.into_iter().map(|report| {
        let versions = report.versions.into_iter();
        let versions = versions.map(|version| (version.digest, version.state));
        (report.node, versions.collect())
    });
    Ok(StagingFacts {
        keys: keys.collect(),
        nodes: nodes.collect(),
    })
}

/// A chart from before there were agents gives no right to look: then there is none, and
/// nothing waits for them.
async fn reports_of(client: &ClusterClient, selector: &str) -> Looked<Vec<NodeCacheReport>> {
    let system = Some(names::SYSTEM_NAMESPACE);
    let found = match client.list::<ConfigMap>(system, selector).await {
        Err(ClusterError::AuthRefused { code: 403, .. }) => vec![],
        found => found?,
    };
    let texts = found.into_iter().filter_map(|map| map.data);
    let texts = texts.filter_map(|mut data| data.remove(names::NODE_REPORT_KEY));
    // What another version of the agent says is not waited for.
    let reports = texts.filter_map(|text| serde_json::from_str(&text).ok());
    Ok(reports.collect())
}
