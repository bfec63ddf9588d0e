//! The inventory of a fleet, as Terraform writes it: parsed strictly and checked as a
//! whole. Pure. Its schema is `docs/fleet-inventory.schema.json`.

mod schema;
mod strict;
mod wrapped;

use std::collections::BTreeSet;

use mcdeploy_api::{
    AksAccess, ArtifactStoreSpec, ClusterAccess, EksAccess, Empty, GkeAccess, ImageRegistry,
    MemberClusterSpec, ObjectName, Provider, StoreAuth, StoreLocation, check_jurisdiction,
    jurisdictions,
};
use serde::Deserialize;

/// What a fleet consists of. Header and unknown fields are the schema's to judge.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Fleet {
    /// Become `MemberCluster`s.
    pub(crate) clusters: Vec<FleetCluster>,
    /// Become `ArtifactStore`s.
    pub(crate) stores: Vec<FleetStore>,
    /// Kept where clusters name them.
    #[serde(default)]
    pub(crate) registries: Vec<FleetRegistry>,
    /// Known, and not kept in the hub yet.
    #[serde(default)]
    pub(crate) zones: Vec<FleetZone>,
}

/// A cluster.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FleetCluster {
    pub(crate) name: String,
    pub(crate) provider: Provider,
    pub(crate) region: String,
    #[serde(default)]
    pub(crate) jurisdiction: Option<String>,
    pub(crate) artifact_store_ref: String,
    /// An entry of `registries`.
    #[serde(default)]
    pub(crate) image_registry_ref: Option<String>,
    pub(crate) access: FleetAccess,
}

/// Exactly one way to reach a cluster.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum FleetAccess {
    /// A context of the kubeconfig that this program runs with: a token is minted there.
    Kubeconfig(FleetContext),
    /// Identity of AWS.
    Eks(Box<EksAccess>),
    /// Identity of Google Cloud.
    Gke(Box<GkeAccess>),
    /// Identity of Azure.
    Aks(Box<AksAccess>),
}

/// A context of a kubeconfig.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FleetContext {
    pub(crate) context: String,
}

/// A store.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FleetStore {
    pub(crate) name: String,
    pub(crate) provider: Provider,
    pub(crate) region: String,
    #[serde(default)]
    pub(crate) jurisdiction: Option<String>,
    pub(crate) location: StoreLocation,
    pub(crate) auth: FleetAuth,
}

/// Exactly one way to authorise requests to a store.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum FleetAuth {
    /// Name of a Secret in the operator's namespace.
    SecretRef(String),
    /// None.
    Anonymous(Empty),
    /// Workload identity.
    Ambient(Empty),
}

/// A registry of images.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FleetRegistry {
    pub(crate) name: String,
    pub(crate) provider: Provider,
    pub(crate) region: String,
    pub(crate) prefix: String,
    #[serde(default)]
    pub(crate) repositories: Vec<String>,
}

/// A DNS zone.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FleetZone {
    pub(crate) name: String,
    pub(crate) provider: Provider,
    pub(crate) domain: String,
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name_servers: Vec<String>,
}

impl FleetAccess {
    /// The word for it.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Kubeconfig(_) => "kubeconfig",
            Self::Eks(_) => "eks",
            Self::Gke(_) => "gke",
            Self::Aks(_) => "aks",
        }
    }

    /// The same in a `MemberCluster`; `None`: it takes a token that is yet to be minted.
    fn identity(&self) -> Option<ClusterAccess> {
        let mut access = ClusterAccess::default();
        match self.clone() {
            Self::Kubeconfig(_) => return None,
            Self::Eks(eks) => access.eks = Some(*eks),
            Self::Gke(gke) => access.gke = Some(*gke),
            Self::Aks(aks) => access.aks = Some(*aks),
        }
        Some(access)
    }

    fn provider(&self) -> Option<Provider> {
        match self {
            Self::Kubeconfig(_) => None,
            Self::Eks(_) => Some(Provider::Aws),
            Self::Gke(_) => Some(Provider::Gcp),
            Self::Aks(_) => Some(Provider::Azure),
        }
    }
}

impl Fleet {
    /// The registry that a cluster pulls from: the one that it names here, with what the
    /// hub knows of how to use it; else the one that the hub knows.
    pub(crate) fn image_registry(
        &self,
        cluster: &FleetCluster,
        known: Option<&ImageRegistry>,
    ) -> Option<ImageRegistry> {
        let Some(name) = &cluster.image_registry_ref else {
            return known.cloned();
        };
        let mut registries = self.registries.iter();
        let named = registries.find(|registry| registry.name == *name)?;
        let same = known.filter(|known| known.prefix == named.prefix).cloned();
        Some(same.unwrap_or_else(|| ImageRegistry {
            prefix: named.prefix.clone(),
            plain_http: false,
            secret_ref: None,
        }))
    }

    /// The spec of a cluster's `MemberCluster`, where that needs no token. Access that
    /// the operator can use now is kept before one that it cannot use yet.
    pub(crate) fn spec(
        &self,
        cluster: &FleetCluster,
        known: Option<&MemberClusterSpec>,
    ) -> Option<MemberClusterSpec> {
        let identity = cluster.access.identity()?;
        let usable = known.filter(|known| known.access.kubeconfig_secret_ref.is_some());
        let registry = known.and_then(|known| known.image_registry.as_ref());
        Some(MemberClusterSpec {
            provider: cluster.provider,
            region: cluster.region.clone(),
            jurisdiction: cluster.jurisdiction.clone(),
            access: usable.map_or(identity, |known| known.access.clone()),
            artifact_store_ref: ObjectName::new(&cluster.artifact_store_ref),
            image_registry: self.image_registry(cluster, registry),
            node_cache: known.and_then(|known| known.node_cache.clone()),
            ingress: known.and_then(|known| known.ingress.clone()),
        })
    }
}

impl FleetStore {
    /// The spec of its `ArtifactStore`.
    pub(crate) fn spec(&self) -> ArtifactStoreSpec {
        let auth = match self.auth.clone() {
            FleetAuth::SecretRef(name) => StoreAuth {
                secret_ref: Some(ObjectName { name }),
                ..StoreAuth::default()
            },
            FleetAuth::Anonymous(empty) => StoreAuth {
                anonymous: Some(empty),
                ..StoreAuth::default()
            },
            FleetAuth::Ambient(empty) => StoreAuth {
                ambient: Some(empty),
                ..StoreAuth::default()
            },
        };
        ArtifactStoreSpec {
            provider: self.provider,
            region: self.region.clone(),
            jurisdiction: self.jurisdiction.clone(),
            location: self.location.clone(),
            auth,
        }
    }
}

/// Parses and checks an inventory. `known_stores` are those that the hub has, when that
/// is known.
///
/// # Errors
/// Every problem found, each with the entry that it is about.
pub(crate) fn parse(text: &str, known_stores: Option<&[String]>) -> Result<Fleet, Vec<String>> {
    let wrong = |error: &dyn std::fmt::Display| vec![format!("it does not parse: {error}")];
    let document = strict::parse(text).map_err(|error| wrong(&error))?;
    let document = wrapped::unwrap(document).map_err(|why| vec![why])?;
    let mut problems = schema::problems(&document);
    if !problems.is_empty() {
        return Err(problems);
    }
    // What the schema takes, this takes: a difference is a mistake of ours.
    let fleet = serde_json::from_value(document).map_err(|error| wrong(&error))?;
    check(&fleet, known_stores, &mut problems);
    if problems.is_empty() {
        Ok(fleet)
    } else {
        Err(problems)
    }
}

fn check(fleet: &Fleet, known_stores: Option<&[String]>, problems: &mut Vec<String>) {
    let Fleet {
        clusters,
        stores,
        registries,
        zones,
    } = fleet;
    names("clusters", clusters.iter().map(|one| &*one.name), problems);
    names("stores", stores.iter().map(|one| &*one.name), problems);
    names(
        "registries",
        registries.iter().map(|one| &*one.name),
        problems,
    );
    names("zones", zones.iter().map(|one| &*one.name), problems);
    for cluster in clusters {
        check_cluster(cluster, fleet, known_stores, problems);
    }
    for store in stores {
        check_store(store, problems);
    }
    for registry in registries {
        let what = format!("registry {:?}", registry.name);
        place(&what, registry.provider, &registry.region, None, problems);
    }
}

fn check_store(store: &FleetStore, problems: &mut Vec<String>) {
    let what = format!("store {:?}", store.name);
    let law = store.jurisdiction.as_deref();
    place(&what, store.provider, &store.region, law, problems);
    let StoreLocation {
        s3,
        azure_blob,
        gcs,
    } = &store.location;
    // A server of one's own may speak each protocol; S3 is spoken by many.
    let s3 = s3
        .as_ref()
        .map(|s3| ("s3", Provider::Aws, s3.endpoint.is_some()));
    let blob = azure_blob
        .as_ref()
        .map(|_| ("azureBlob", Provider::Azure, false));
    let gcs = gcs.as_ref().map(|_| ("gcs", Provider::Gcp, false));
    if let Some((protocol, of, anywhere)) = s3.or(blob).or(gcs)
        && store.provider != of
        && store.provider != Provider::Onprem
        && !anywhere
    {
        problems.push(format!(
            "{what} is in {}, and its location is {protocol}, which is in {of}",
            store.provider
        ));
    }
}

fn check_cluster(
    cluster: &FleetCluster,
    fleet: &Fleet,
    known_stores: Option<&[String]>,
    problems: &mut Vec<String>,
) {
    let FleetCluster {
        name,
        provider,
        region,
        jurisdiction: law,
        artifact_store_ref,
        image_registry_ref,
        access,
    } = cluster;
    let what = format!("cluster {name:?}");
    place(&what, *provider, region, law.as_deref(), problems);
    if access
        .provider()
        .is_some_and(|of_access| of_access != *provider)
    {
        problems.push(format!(
            "cluster {name:?} is in {provider}, and its access is by {}",
            access.as_str()
        ));
    }
    if let Some(wanted) = image_registry_ref
        && !fleet.registries.iter().any(|one| one.name == *wanted)
    {
        problems.push(format!(
            "cluster {name:?} names the registry {wanted:?}, which is not here"
        ));
    }
    let store = fleet
        .stores
        .iter()
        .find(|store| store.name == *artifact_store_ref);
    match (store, known_stores) {
        (Some(store), _) if store.provider != *provider => problems.push(format!(
            "cluster {name:?} is in {provider}, and its store {artifact_store_ref:?} in {}: pods read from a store of their own provider",
            store.provider
        )),
        (None, Some(known)) if !known.contains(artifact_store_ref) => problems.push(format!(
            "cluster {name:?} names the store {artifact_store_ref:?}, which is neither here nor in the hub"
        )),
        (Some(_) | None, _) => {}
    }
}

/// The region, and whose law is said to hold in it. Regions on premises are one's own.
fn place(
    what: &str,
    provider: Provider,
    region: &str,
    law: Option<&str>,
    problems: &mut Vec<String>,
) {
    if provider != Provider::Onprem && jurisdictions(provider, region).is_empty() {
        problems.push(format!(
            "{what}: {provider} has no region {region:?}: regions are spelled as in terraform/modules/regions.json"
        ));
    } else if let Some(law) = law
        && let Err(why) = check_jurisdiction(provider, region, law)
    {
        problems.push(format!("{what}: {why}"));
    }
}

/// No two names are alike.
fn names<'a>(what: &str, all: impl Iterator<Item = &'a str>, problems: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for name in all {
        if !seen.insert(name) {
            problems.push(format!("{what}: two entries are named {name:?}"));
        }
    }
}

#[cfg(test)]
mod tests;
