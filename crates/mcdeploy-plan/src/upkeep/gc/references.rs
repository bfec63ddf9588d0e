//! What the hub's objects refer to. What could not be read may refer to anything.

use std::collections::BTreeMap;

use mcdeploy_api::{ModelDeploymentStatus, Sha256Digest, names::model_version_name};

use super::Keep;
use crate::revision::RevisionRecord;

/// A part of the hub that was read, or why it was not.
pub type Looked<T> = Result<T, String>;

/// Everything in the hub that refers to versions, of all namespaces.
#[derive(Clone, Debug)]
pub struct HubRefs {
    /// Every `ModelDeployment`.
    pub deployments: Looked<Vec<DeploymentRefs>>,
    /// Every revision that is recorded.
    pub records: Looked<Vec<RecordRefs>>,
    /// Every `ModelRollout`.
    pub rollouts: Looked<Vec<RolloutRefs>>,
    /// Every `ModelVersion`.
    pub versions: Looked<Vec<KnownVersion>>,
}

/// What a `ModelDeployment` refers to.
#[derive(Clone, Debug)]
pub struct DeploymentRefs {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Name of the `ModelVersion` that it asks for.
    pub model_version: String,
    /// What its clusters have.
    pub status: ModelDeploymentStatus,
}

/// A recorded revision.
#[derive(Clone, Debug)]
pub struct RecordRefs {
    /// Namespace.
    pub namespace: String,
    /// The deployment that it is of.
    pub deployment: String,
    /// Revision id.
    pub revision: String,
    /// Its input; the error when it cannot be read.
    pub record: Looked<RevisionRecord>,
}

/// A `ModelRollout`.
#[derive(Clone, Debug)]
pub struct RolloutRefs {
    /// Namespace.
    pub namespace: String,
    /// The deployment that changes.
    pub deployment: String,
    /// Revision id that it leads to.
    pub to_revision: String,
    /// Version that it leads to.
    pub to_version: String,
}

/// A `ModelVersion`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownVersion {
    /// `namespace/name`.
    pub name: String,
    /// Model name.
    pub model: String,
    /// Version.
    pub version: String,
    /// Digest of its manifest.
    pub digest: Sha256Digest,
    /// Name of the store that it was pushed to.
    pub origin: String,
}

/// What refers to versions, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// What was read. The first that is to a version says why that one stays.
    pub known: Vec<Reference>,
    /// What was not read: it may refer to any version.
    pub unknown: Vec<String>,
    /// Versions that have a `ModelVersion`: one copy of each stays.
    pub versions: Vec<KnownVersion>,
}

/// One reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// What it is to.
    pub to: Referred,
    /// Why that stays.
    pub why: Keep,
}

/// What a reference is to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Referred {
    /// These bytes, and whatever has this name.
    Bytes {
        /// Model name.
        model: String,
        /// Version.
        version: String,
        /// Digest of the manifest.
        digest: Sha256Digest,
    },
    /// The version whose `ModelVersion` has this name.
    Object(String),
    /// This version of a model that is not known.
    Version(String),
}

impl Referred {
    /// Whether this copy may be meant. In doubt it is.
    pub(super) fn is_to(&self, model: &str, version: &str, digest: Option<Sha256Digest>) -> bool {
        match self {
            Self::Bytes {
                model: its_model,
                version: its_version,
                digest: its,
            } => {
                digest == Some(*its) || (its_model, its_version) == (&model.into(), &version.into())
            }
            Self::Object(name) => *name == model_version_name(model, version),
            Self::Version(name) => name == version,
        }
    }
}

/// Records by namespace, deployment and revision.
type Records<'a> = BTreeMap<(&'a str, &'a str, &'a str), &'a RevisionRecord>;

/// What refers to versions.
#[must_use]
pub fn references(hub: &HubRefs) -> References {
    let mut found = References::default();
    let HubRefs {
        deployments,
        records,
        rollouts,
        versions,
    } = hub;
    let mut recorded = Records::new();
    for record in read(records, &mut found.unknown) {
        match &record.record {
            Ok(input) => {
                let key = (
                    record.namespace.as_str(),
                    record.deployment.as_str(),
                    record.revision.as_str(),
                );
                recorded.insert(key, input);
            }
            Err(why) => found.unknown.push(format!(
                "revision {} of ModelDeployment {}/{} cannot be read: {why}",
                record.revision, record.namespace, record.deployment
            )),
        }
    }
    // What serves comes first: that is the better reason.
    for deployment in read(deployments, &mut found.unknown) {
        of_deployment(deployment, &recorded, &mut found);
    }
    for ((namespace, deployment, revision), record) in &recorded {
        found.known.push(Reference {
            to: bytes(record),
            why: returns(namespace, deployment, revision),
        });
    }
    for rollout in read(rollouts, &mut found.unknown) {
        let (namespace, deployment) = (rollout.namespace.as_str(), rollout.deployment.as_str());
        let revision = rollout.to_revision.as_str();
        // One that is recorded is there already.
        if !recorded.contains_key(&(namespace, deployment, revision)) {
            found.known.push(Reference {
                to: Referred::Version(rollout.to_version.clone()),
                why: returns(namespace, deployment, revision),
            });
        }
    }
    let versions = read(versions, &mut found.unknown);
    found.versions = versions.to_vec();
    found
}

fn read<'a, T>(looked: &'a Looked<Vec<T>>, unknown: &mut Vec<String>) -> &'a [T] {
    match looked {
        Ok(items) => items,
        Err(why) => {
            unknown.push(why.clone());
            &[]
        }
    }
}

fn of_deployment(deployment: &DeploymentRefs, recorded: &Records<'_>, found: &mut References) {
    let DeploymentRefs {
        namespace,
        name,
        model_version,
        status,
    } = deployment;
    let in_use = |revision: Option<&str>| Keep::InUse {
        deployment: format!("{namespace}/{name}"),
        revision: revision.map(str::to_owned),
    };
    let mut revisions = vec![];
    for row in &status.clusters {
        // A row that shows a revision says its version too, unless it is old.
        revisions.extend(
            row.revision
                .as_deref()
                .map(|id| (id, row.version.as_deref())),
        );
        revisions.extend(row.next_revision.as_deref().map(|id| (id, None)));
    }
    for (revision, version) in revisions {
        let record = recorded.get(&(namespace.as_str(), name.as_str(), revision));
        let to = match (record, version) {
            (Some(record), _) => bytes(record),
            (None, Some(version)) => Referred::Version(version.to_owned()),
            // The spec below says what it is.
            (None, None) if status.target_revision.as_deref() == Some(revision) => continue,
            (None, None) => {
                found.unknown.push(format!(
                    "revision {revision} of ModelDeployment {namespace}/{name} is not recorded"
                ));
                continue;
            }
        };
        let why = in_use(Some(revision));
        found.known.push(Reference { to, why });
    }
    found.known.push(Reference {
        to: Referred::Object(model_version.clone()),
        why: in_use(None),
    });
}

fn bytes(record: &RevisionRecord) -> Referred {
    Referred::Bytes {
        model: record.model.clone(),
        version: record.version.clone(),
        digest: record.manifest_digest,
    }
}

fn returns(namespace: &str, deployment: &str, revision: &str) -> Keep {
    Keep::RollbackTarget {
        deployment: format!("{namespace}/{deployment}"),
        revision: revision.to_owned(),
    }
}
