//! Which clusters a selection names, and in which order.

use std::collections::BTreeMap;

use mcdeploy_api::{ClusterSelection, ModelDeploymentSpec};

use super::MemberFacts;
use crate::names::ClusterName;

/// Clusters that should serve, in the order in which placement names them: first its
/// providers, each with its clusters sorted by name, then its clusters.
pub fn placed(
    spec: &ModelDeploymentSpec,
    members: &BTreeMap<ClusterName, MemberFacts>,
) -> Vec<ClusterName> {
    entries(&spec.placement, members)
        .into_iter()
        .flatten()
        .collect()
}

/// Waves of the present rollout: one entry of the scope is one wave, without a scope
/// one entry of the placement. A cluster is in its first wave only, and a scope never
/// adds to the placement.
pub fn waves(
    spec: &ModelDeploymentSpec,
    members: &BTreeMap<ClusterName, MemberFacts>,
) -> Vec<Vec<ClusterName>> {
    let placed = placed(spec, members);
    let scope = spec.scope.as_ref().unwrap_or(&spec.placement);
    let mut waves = entries(scope, members);
    for wave in &mut waves {
        wave.retain(|cluster| placed.contains(cluster));
    }
    waves.retain(|wave| !wave.is_empty());
    waves
}

/// One list of clusters per entry of a selection, each cluster once.
fn entries(
    selection: &ClusterSelection,
    members: &BTreeMap<ClusterName, MemberFacts>,
) -> Vec<Vec<ClusterName>> {
    let ClusterSelection {
        providers,
        clusters,
    } = selection;
    let of_providers = providers.iter().map(|provider| {
        let of_it = members.iter().filter(|(_, m)| m.provider == *provider);
        of_it.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    });
    let by_name = clusters.iter().map(|name| {
        let known = members.contains_key(name).then(|| ClusterName::from(name));
        known.into_iter().collect()
    });
    let mut taken = Vec::new();
    let mut waves = Vec::new();
    for mut wave in of_providers.chain(by_name) {
        wave.retain(|name| !taken.contains(name));
        taken.extend(wave.iter().cloned());
        waves.push(wave);
    }
    waves.retain(|wave| !wave.is_empty());
    waves
}

/// Providers and clusters of a selection that no member cluster matches.
pub(crate) fn unmatched(
    selection: &ClusterSelection,
    members: &BTreeMap<ClusterName, MemberFacts>,
) -> Vec<String> {
    let ClusterSelection {
        providers,
        clusters,
    } = selection;
    let providers = providers
        .iter()
        .filter(|p| !members.values().any(|m| m.provider == **p))
        .map(|p| format!("provider {p}"));
    let clusters = clusters
        .iter()
        .filter(|name| !members.contains_key(*name))
        .map(|name| format!("cluster {name}"));
    providers.chain(clusters).collect()
}
