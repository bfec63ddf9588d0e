//! The inventory of a fleet, as Terraform writes it: parsed strictly and checked as a
//! whole. Pure. Its schema is `docs/fleet-inventory.schema.json`.

use std::collections::BTreeSet;

use mcdeploy_api::{
    API_VERSION, AksAccess, ArtifactStoreSpec, ClusterAccess, EksAccess, Empty, GkeAccess,
    MemberClusterSpec, ObjectName, Provider, StoreAuth, StoreLocation, check_jurisdiction,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// What a fleet consists of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fleet {
    /// Become `MemberCluster`s.
    pub(crate) clusters: Vec<FleetCluster>,
    /// Become `ArtifactStore`s.
    pub(crate) stores: Vec<FleetStore>,
    /// Known, and not kept in the hub yet.
    pub(crate) registries: Vec<FleetRegistry>,
    /// Known, and not kept in the hub yet.
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

impl FleetCluster {
    /// The spec of its `MemberCluster`, where that needs no token. Access that the
    /// operator can use now is kept before one that it cannot use yet.
    pub(crate) fn spec(&self, known: Option<&MemberClusterSpec>) -> Option<MemberClusterSpec> {
        let identity = self.access.identity()?;
        let usable = known.filter(|known| known.access.kubeconfig_secret_ref.is_some());
        Some(MemberClusterSpec {
            provider: self.provider,
            region: self.region.clone(),
            jurisdiction: self.jurisdiction.clone(),
            access: usable.map_or(identity, |known| known.access.clone()),
            artifact_store_ref: ObjectName::new(&self.artifact_store_ref),
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
    let value: Value =
        serde_json::from_str(text).map_err(|error| vec![format!("it is no JSON: {error}")])?;
    let Value::Object(mut fields) = value else {
        return Err(vec!["it is no JSON object".to_owned()]);
    };
    let mut problems = vec![];
    header(&mut fields, "apiVersion", API_VERSION, &mut problems);
    header(&mut fields, "kind", "FleetInventory", &mut problems);
    let fleet = Fleet {
        clusters: list(&mut fields, "clusters", true, &mut problems),
        stores: list(&mut fields, "stores", true, &mut problems),
        registries: list(&mut fields, "registries", false, &mut problems),
        zones: list(&mut fields, "zones", false, &mut problems),
    };
    for unknown in fields.keys() {
        problems.push(format!(
            "unknown field {unknown:?}: expected apiVersion, kind, clusters, stores, registries, zones"
        ));
    }
    if problems.is_empty() {
        check(&fleet, known_stores, &mut problems);
    }
    if problems.is_empty() {
        Ok(fleet)
    } else {
        Err(problems)
    }
}

fn header(fields: &mut Map<String, Value>, name: &str, wanted: &str, problems: &mut Vec<String>) {
    match fields.remove(name) {
        Some(Value::String(found)) if found == wanted => {}
        Some(found) => problems.push(format!("{name} is {found}: expected {wanted:?}")),
        None => problems.push(format!("{name} is missing: expected {wanted:?}")),
    }
}

/// Parses entry by entry, so that one wrong entry hides no other.
fn list<T: DeserializeOwned>(
    fields: &mut Map<String, Value>,
    name: &str,
    required: bool,
    problems: &mut Vec<String>,
) -> Vec<T> {
    let entries = match fields.remove(name) {
        Some(Value::Array(entries)) => entries,
        Some(_) => {
            problems.push(format!("{name} is no list"));
            return vec![];
        }
        None if required => {
            problems.push(format!("{name} is missing"));
            return vec![];
        }
        None => return vec![],
    };
    let mut parsed = vec![];
    for (index, entry) in entries.into_iter().enumerate() {
        let label = match entry.get("name").and_then(Value::as_str) {
            Some(entry_name) => format!("{name}[{index}] ({entry_name})"),
            None => format!("{name}[{index}]"),
        };
        match serde_json::from_value(entry) {
            Ok(entry) => parsed.push(entry),
            Err(error) => problems.push(format!("{label}: {error}")),
        }
    }
    parsed
}

fn check(fleet: &Fleet, known_stores: Option<&[String]>, problems: &mut Vec<String>) {
    let clusters = fleet.clusters.iter().map(|cluster| cluster.name.as_str());
    names("clusters", clusters, problems);
    let stores = fleet.stores.iter().map(|store| store.name.as_str());
    names("stores", stores, problems);
    for cluster in &fleet.clusters {
        check_cluster(cluster, fleet, known_stores, problems);
    }
    for store in &fleet.stores {
        let what = format!("store {:?}", store.name);
        let law = store.jurisdiction.as_deref();
        jurisdiction(&what, store.provider, &store.region, law, problems);
        let StoreLocation {
            s3,
            azure_blob,
            gcs,
        } = &store.location;
        let kinds = [s3.is_some(), azure_blob.is_some(), gcs.is_some()];
        if kinds.iter().filter(|&&set| set).count() != 1 {
            problems.push(format!(
                "{what}: set exactly one of s3, azureBlob, gcs in its location"
            ));
        }
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
        access,
    } = cluster;
    let what = format!("cluster {name:?}");
    jurisdiction(&what, *provider, region, law.as_deref(), problems);
    if access
        .provider()
        .is_some_and(|of_access| of_access != *provider)
    {
        problems.push(format!(
            "cluster {name:?} is in {provider}, and its access is by {}",
            access.as_str()
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

/// Whose law is said to hold, against where the region is.
fn jurisdiction(
    what: &str,
    provider: Provider,
    region: &str,
    law: Option<&str>,
    problems: &mut Vec<String>,
) {
    if let Some(law) = law
        && let Err(why) = check_jurisdiction(provider, region, law)
    {
        problems.push(format!("{what}: {why}"));
    }
}

/// Names of objects in the hub: well formed, no two alike.
fn names<'a>(what: &str, all: impl Iterator<Item = &'a str>, problems: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for name in all {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = name.len() <= 40
            && name.starts_with(plain)
            && name.ends_with(plain)
            && name.chars().all(|c| plain(c) || c == '-');
        if !fits {
            problems.push(format!(
                "{what}: {name:?} is no name: expected 1 to 40 of a-z, 0-9 and \"-\""
            ));
        }
        if !seen.insert(name) {
            problems.push(format!("{what}: two entries are named {name:?}"));
        }
    }
}

#[cfg(test)]
mod tests;
