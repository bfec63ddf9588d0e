//! A rollout request against what the hub knows: pure. Everything that is wrong with it
//! is found here, before anything is applied.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use mcdeploy_api::{
    API_VERSION, BackendRef, ClusterSelection, ClusterWeight, Container, MemberCluster,
    ModelDeployment, ModelVersion, ObjectName, Provider, Sha256Digest, TrafficPolicy,
    TrafficPolicySpec,
    names::{ANNOTATION_REQUESTED_BY, FIELD_MANAGER_CLI, model_version_name},
};
use serde_json::{Value, json};

use crate::{
    exit::{ExitStatus, Failure},
    names::did_you_mean,
    project::WrittenWeight,
};

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Model, and name of its deployment.
    pub(crate) model: String,
    /// Version.
    pub(crate) version: String,
    /// Namespace of the hub.
    pub(crate) namespace: String,
    /// `--clouds` or `--clusters`, in the order written; empty: the whole placement.
    pub(crate) selection: ClusterSelection,
    /// Whether an image is named. Without one the deployment keeps its container.
    pub(crate) has_image: bool,
    /// Pods per cluster, when said.
    pub(crate) replicas: Option<i32>,
    /// Whether unanswered requests may be sent again elsewhere.
    pub(crate) repeatable: bool,
    /// Weights by member cluster; empty: every region serves its own.
    pub(crate) weights: BTreeMap<String, WrittenWeight>,
}

/// What the hub knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// Every member cluster, sorted by name.
    pub(crate) members: Vec<MemberCluster>,
    /// Every model version of the namespace, sorted by name.
    pub(crate) versions: Vec<ModelVersion>,
    /// The deployment, if it exists.
    pub(crate) deployment: Option<ModelDeployment>,
    /// Traffic policies of the namespace.
    pub(crate) policies: Vec<TrafficPolicy>,
}

/// A request that can be applied.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    request: Request,
    /// Digest of the version's manifest.
    pub(crate) manifest_digest: Sha256Digest,
    /// Bytes of the version, in bytes.
    pub(crate) size_bytes: i64,
    /// Waves, in order: names of member clusters.
    pub(crate) waves: Vec<Vec<String>>,
    /// Placed clusters that this rollout leaves as they are, sorted.
    pub(crate) untouched: Vec<String>,
    /// Whether the deployment is made by this rollout.
    pub(crate) creates: bool,
    placement: ClusterSelection,
    scope: Option<ClusterSelection>,
    container: Option<Container>,
    resource_version: Option<String>,
    policy: Option<(String, TrafficPolicySpec)>,
}

/// A request that cannot be applied.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    /// The version has no object.
    #[error("model {model:?} has no version {meant} in namespace {namespace:?}: {known}")]
    UnknownVersion {
        model: String,
        meant: String,
        namespace: String,
        known: String,
        version: String,
    },
    /// No member cluster of that cloud.
    #[error("no member cluster is in cloud \"{cloud}\": {known}")]
    NoClusterOfCloud { cloud: Provider, known: String },
    /// No member cluster of that name.
    #[error("there is no member cluster {meant}: {known}")]
    UnknownCluster { meant: String, known: String },
    /// A new deployment needs a placement.
    #[error("model {model:?} is not deployed yet, so --clouds or --clusters must say where")]
    NoPlacement { model: String, known: String },
    /// A new deployment needs a container.
    #[error("model {model:?} is not deployed yet, so an image must be named")]
    NoImage { model: String },
    /// `--clouds` or `--clusters` names something outside the placement.
    #[error(
        "{what} is not in the placement of {model:?}, which is {placement}; a rollout never changes the placement"
    )]
    OutsidePlacement {
        what: String,
        model: String,
        placement: String,
        command: String,
    },
    /// `weights` names something that is no member cluster.
    #[error("{place}: weights: there is no member cluster {meant}: {known}")]
    UnknownWeight {
        place: String,
        meant: String,
        known: String,
    },
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let text = error.to_string();
        let nothing = "nothing was applied";
        match error {
            RequestError::UnknownVersion { version, .. } => Self::new(ExitStatus::NotFound, text)
                .hint(format!(
                    "{nothing}; push it first with `mcdeploy push {version}`"
                )),
            RequestError::NoClusterOfCloud { .. } | RequestError::UnknownCluster { .. } => {
                Self::new(ExitStatus::NotFound, text).hint(format!(
                    "{nothing}; `mcdeploy clusters ls` lists what there is"
                ))
            }
            RequestError::NoPlacement { known, .. } => {
                Self::new(ExitStatus::Usage, text).hint(format!("{nothing}; {known}"))
            }
            RequestError::NoImage { .. } => Self::new(ExitStatus::Usage, text).hint(format!(
                "{nothing}; write `image:` into mcdeploy.yaml, or --image"
            )),
            RequestError::OutsidePlacement { command, .. } => Self::new(ExitStatus::Usage, text)
                .hint(format!(
                    "{nothing}; to place the model there as well, first: {command}"
                )),
            RequestError::UnknownWeight { .. } => Self::new(ExitStatus::Usage, text).hint(nothing),
        }
    }
}

/// Checks a request against the world.
///
/// # Errors
/// The first thing that is wrong with it.
pub(crate) fn resolve(request: Request, world: &World) -> Result<Resolved, RequestError> {
    let version = find_version(&request, world)?;
    let selection = &request.selection;
    check_clusters_exist(selection, world)?;
    check_weights(&request, world)?;
    let existing = world.deployment.as_ref();
    let (placement, scope) = match existing {
        Some(deployment) => {
            let placement = deployment.spec.placement.clone();
            check_within_placement(&request, &placement, world)?;
            let scope = (!is_empty(selection)).then(|| selection.clone());
            (placement, scope)
        }
        None if is_empty(selection) => {
            return Err(RequestError::NoPlacement {
                model: request.model,
                known: known_clusters(world),
            });
        }
        None if !request.has_image => {
            return Err(RequestError::NoImage {
                model: request.model,
            });
        }
        None => (selection.clone(), Some(selection.clone())),
    };
    let placed = matching(&placement, &world.members);
    let waves = waves_of(scope.as_ref().unwrap_or(&placement), &placed);
    let touched: BTreeSet<&String> = waves.iter().flatten().collect();
    let untouched = placed.keys().filter(|name| !touched.contains(name));
    Ok(Resolved {
        manifest_digest: version.spec.manifest_digest,
        size_bytes: version.spec.size_bytes,
        untouched: untouched.cloned().collect(),
        waves,
        creates: existing.is_none(),
        placement,
        scope,
        container: existing.map(|deployment| deployment.spec.container.clone()),
        resource_version: existing.and_then(ResourceExt::resource_version),
        policy: wanted_policy(&request, &world.policies),
        request,
    })
}

fn is_empty(selection: &ClusterSelection) -> bool {
    selection.providers.is_empty() && selection.clusters.is_empty()
}

fn find_version<'a>(request: &Request, world: &'a World) -> Result<&'a ModelVersion, RequestError> {
    let of_model = || {
        let all = world.versions.iter();
        all.filter(|version| version.spec.model == request.model)
    };
    let wanted = of_model().find(|version| version.spec.version == request.version);
    wanted.ok_or_else(|| {
        let known: Vec<&str> = of_model().map(|v| v.spec.version.as_str()).collect();
        RequestError::UnknownVersion {
            model: request.model.clone(),
            // Versions look alike: a list helps more than a guess.
            meant: format!("{:?}", request.version),
            namespace: request.namespace.clone(),
            known: match known.as_slice() {
                [] => "none was pushed yet".to_owned(),
                known => format!("there are {}", known.join(", ")),
            },
            version: request.version.clone(),
        }
    })
}

fn known_clusters(world: &World) -> String {
    let shown =
        |member: &MemberCluster| format!("{} ({})", member.name_any(), member.spec.provider);
    match world.members.as_slice() {
        [] => "there are no member clusters yet; add one with `mcdeploy clusters add`".to_owned(),
        members => {
            let names: Vec<String> = members.iter().map(shown).collect();
            format!("there are {}", names.join(", "))
        }
    }
}

fn check_clusters_exist(selection: &ClusterSelection, world: &World) -> Result<(), RequestError> {
    for &cloud in &selection.providers {
        if !world
            .members
            .iter()
            .any(|member| member.spec.provider == cloud)
        {
            let known = known_clusters(world);
            return Err(RequestError::NoClusterOfCloud { cloud, known });
        }
    }
    match selection
        .clusters
        .iter()
        .find(|name| !is_member(name, world))
    {
        Some(name) => Err(RequestError::UnknownCluster {
            meant: meant_cluster(name, world),
            known: known_clusters(world),
        }),
        None => Ok(()),
    }
}

fn check_weights(request: &Request, world: &World) -> Result<(), RequestError> {
    let mut weights = request.weights.iter();
    match weights.find(|(name, _)| !is_member(name, world)) {
        Some((name, written)) => Err(RequestError::UnknownWeight {
            place: written.place.clone(),
            meant: meant_cluster(name, world),
            known: known_clusters(world),
        }),
        None => Ok(()),
    }
}

fn is_member(name: &str, world: &World) -> bool {
    world.members.iter().any(|member| member.name_any() == name)
}

fn meant_cluster(name: &str, world: &World) -> String {
    let names: Vec<String> = world.members.iter().map(ResourceExt::name_any).collect();
    did_you_mean(name, names.iter().map(String::as_str))
}

/// Members that a selection takes, with their providers, by name.
fn matching(selection: &ClusterSelection, members: &[MemberCluster]) -> BTreeMap<String, Provider> {
    let taken = members.iter().filter(|member| {
        selection.providers.contains(&member.spec.provider)
            || selection.clusters.contains(&member.name_any())
    });
    taken
        .map(|member| (member.name_any(), member.spec.provider))
        .collect()
}

/// One wave per entry of the scope: first the providers as written, then the names.
fn waves_of(scope: &ClusterSelection, placed: &BTreeMap<String, Provider>) -> Vec<Vec<String>> {
    let mut taken = BTreeSet::new();
    let mut waves = vec![];
    let by_provider = scope.providers.iter().map(|cloud| {
        let clusters = placed
            .iter()
            .filter(move |(_, provider)| *provider == cloud);
        clusters.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    });
    let by_name = scope.clusters.iter().map(|name| {
        let placed = placed.contains_key(name);
        placed.then(|| name.clone()).into_iter().collect::<Vec<_>>()
    });
    for mut wave in by_provider.chain(by_name) {
        wave.retain(|name| taken.insert(name.clone()));
        if !wave.is_empty() {
            waves.push(wave);
        }
    }
    waves
}

fn check_within_placement(
    request: &Request,
    placement: &ClusterSelection,
    world: &World,
) -> Result<(), RequestError> {
    let placed = matching(placement, &world.members);
    let clouds = request.selection.providers.iter();
    let outside_cloud = clouds
        .copied()
        .find(|cloud| !placed.values().any(|p| p == cloud));
    let names = request.selection.clusters.iter();
    let outside_name = names.into_iter().find(|name| !placed.contains_key(*name));
    let mut wanted = placement.clone();
    let what = match (outside_cloud, outside_name) {
        (Some(cloud), _) => {
            wanted.providers.push(cloud);
            format!("cloud \"{cloud}\"")
        }
        (None, Some(name)) => {
            wanted.clusters.push(name.clone());
            format!("member cluster {name:?}")
        }
        (None, None) => return Ok(()),
    };
    let patch = json!({"spec": {"placement": wanted}});
    Err(RequestError::OutsidePlacement {
        what,
        model: request.model.clone(),
        placement: describe(placement),
        command: format!(
            "kubectl patch modeldeployment {} -n {} --type=merge -p '{patch}'",
            request.model, request.namespace
        ),
    })
}

/// A selection for people: `aws, gcp` or `clusters aws-1, aws-2`.
pub(crate) fn describe(selection: &ClusterSelection) -> String {
    let clouds = selection
        .providers
        .iter()
        .map(|cloud| cloud.as_str().to_owned());
    let clusters = selection
        .clusters
        .iter()
        .map(|name| format!("cluster {name}"));
    clouds.chain(clusters).collect::<Vec<_>>().join(", ")
}

/// The traffic policy to apply. The operator makes the default one, so there is none
/// to apply unless something else is asked for, or was asked for by this program before.
fn wanted_policy(
    request: &Request,
    policies: &[TrafficPolicy],
) -> Option<(String, TrafficPolicySpec)> {
    let mut of_model = policies
        .iter()
        .filter(|policy| policy.spec.deployment_ref.name == request.model);
    let existing = of_model.next();
    let name = existing.map_or_else(|| request.model.clone(), ResourceExt::name_any);
    let is_ours = existing.is_some_and(|policy| {
        let managers = policy.metadata.managed_fields.iter().flatten();
        managers
            .into_iter()
            .any(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER_CLI))
    });
    let is_default = request.repeatable && request.weights.is_empty();
    if is_default && !is_ours {
        return None;
    }
    let weights = request
        .weights
        .iter()
        .map(|(cluster, written)| ClusterWeight {
            cluster: cluster.clone(),
            weight: written.weight,
        });
    let spec = TrafficPolicySpec {
        deployment_ref: BackendRef {
            name: request.model.clone(),
        },
        weights: weights.collect(),
        repeatable: request.repeatable,
    };
    Some((name, spec))
}

impl Resolved {
    /// The deployment to apply. Without `container` it keeps the one that it has. What
    /// is not said here and not owned by this program stays as it is.
    pub(crate) fn deployment(&self, container: Option<&Container>, requested_by: &str) -> Value {
        let request = &self.request;
        let version = model_version_name(&request.model, &request.version);
        let mut spec = json!({
            "modelVersionRef": ObjectName::new(version),
            "container": container.or(self.container.as_ref()),
            "placement": self.placement,
        });
        if let Some(scope) = &self.scope {
            spec["scope"] = json!(scope);
        }
        if let Some(replicas) = request.replicas {
            spec["replicas"] = json!(replicas);
        }
        let mut metadata = json!({
            "name": request.model,
            "namespace": request.namespace,
            "annotations": {ANNOTATION_REQUESTED_BY: requested_by},
        });
        if let Some(version) = &self.resource_version {
            metadata["resourceVersion"] = json!(version);
        }
        json!({
            "apiVersion": API_VERSION,
            "kind": "ModelDeployment",
            "metadata": metadata,
            "spec": spec,
        })
    }

    /// Name and object of the traffic policy to apply, if one is to be.
    pub(crate) fn traffic_policy(&self) -> Option<(&str, Value)> {
        let (name, spec) = self.policy.as_ref()?;
        let object = json!({
            "apiVersion": API_VERSION,
            "kind": "TrafficPolicy",
            "metadata": {"name": name, "namespace": self.request.namespace},
            "spec": spec,
        });
        Some((name, object))
    }
}

#[cfg(test)]
mod tests;
