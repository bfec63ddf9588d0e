//! Revisions: what the user gave, by hash.

use mcdeploy_api::{
    Container, ImageRegistry, ModelDeploymentSpec, ModelVersionSpec, NodeCache, Sha256Digest,
    names::revision_id,
};
use serde::{Deserialize, Serialize};

use crate::names::RevisionId;

/// The whole input of a revision, kept in the hub so that a cluster can keep it, or go
/// back to it, after the deployment's spec has moved on. It holds neither replicas nor
/// placement: those are not part of a revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionRecord {
    /// Model name.
    pub model: String,
    /// Model version.
    pub version: String,
    /// Digest of the version's manifest.
    pub manifest_digest: Sha256Digest,
    /// The model server.
    #[serde(deserialize_with = "mcdeploy_api::recorded_container")]
    pub container: Container,
}

impl RevisionRecord {
    /// What a deployment's spec asks for, with the version that it names.
    pub fn of(spec: &ModelDeploymentSpec, version: &ModelVersionSpec) -> Self {
        Self {
            model: version.model.clone(),
            version: version.version.clone(),
            manifest_digest: version.manifest_digest,
            container: spec.container.clone(),
        }
    }

    /// Id of the revision: equal input has equal ids, of every user at every time.
    pub fn id(&self) -> RevisionId {
        // Plain structs and maps sorted by string keys always serialise, and always to
        // the same bytes.
        revision_id(&serde_json::to_vec(self).unwrap_or_default()).into()
    }
}

/// Hash of all that goes into the objects of a revision in one cluster. It is written
/// on them, so that a later look tells whether they are as wanted. `store_version` is
/// [`StoreFacts::usable`](crate::StoreFacts::usable). The daemon's own version is left
/// out: an upgrade of mcdeploy restarts no model pod. Of `registry` only the name goes
/// into pods, of `cache` only the claim; its size goes into the Secret beside them.
pub fn input_hash(
    revision: &str,
    replicas: i32,
    store_version: &str,
    registry: Option<&ImageRegistry>,
    cache: Option<&NodeCache>,
) -> String {
    let mut input = format!("{revision}/{replicas}/{store_version}");
    if let Some(registry) = registry {
        input = format!("{input}/{}", registry.prefix);
    }
    if let Some(cache) = cache {
        input = format!("{input}/cache/{}/{}", cache.claim_name, cache.size_bytes);
    }
    Sha256Digest::of(input).short(16)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mcdeploy_api::{ClusterSelection, ObjectName, ResourceRequirements};

    use super::*;

    fn record() -> RevisionRecord {
        let spec = ModelDeploymentSpec {
            model_version_ref: ObjectName::new("digits-v1"),
            container: Container {
                image: "r/mcserve@sha256:00".into(),
                args: vec![],
                env: vec![],
                resources: None,
            },
            replicas: 2,
            placement: ClusterSelection::default(),
            scope: None,
        };
        let version = ModelVersionSpec {
            model: "digits".into(),
            version: "v1".into(),
            manifest_digest: Sha256Digest::of("m"),
            size_bytes: 1,
            store_ref: ObjectName::new("aws"),
        };
        RevisionRecord::of(&spec, &version)
    }

    #[test]
    fn id_is_short_and_survives_a_round_trip_of_the_record() {
        let text = serde_json::to_string(&record()).unwrap();
        let again: RevisionRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(again.id(), record().id());
        assert_eq!(record().id().len(), 10);
    }

    #[test]
    fn id_changes_with_the_container() {
        let mut other = record();
        other.container.args.push("--threads=2".into());
        assert_ne!(other.id(), record().id());
    }

    /// Records as hubs of 2026-11 wrote them, with their ids.
    const OF_2026_11: &str = include_str!("../../../tests/fixtures/2026-11-30/records.json");

    #[test]
    fn records_of_earlier_versions_are_read_and_keep_their_ids() {
        let records: BTreeMap<String, RevisionRecord> = serde_json::from_str(OF_2026_11).unwrap();
        assert!(records.len() >= 3);
        for (id, record) in records {
            assert_eq!(record.id(), id, "{record:?}");
        }
    }

    #[test]
    fn fields_of_later_versions_are_skipped() {
        let mut newer = serde_json::to_value(record()).unwrap();
        newer["container"]["env"] = serde_json::json!([{ "name": "A", "value": "b" }]);
        let known: RevisionRecord = serde_json::from_value(newer.clone()).unwrap();
        newer["ofTomorrow"] = "new".into();
        newer["container"]["ofTomorrow"] = "new".into();
        newer["container"]["env"][0]["ofTomorrow"] = "new".into();
        newer["container"]["resources"] = serde_json::json!({ "ofTomorrow": {} });
        let read: RevisionRecord = serde_json::from_value(newer).unwrap();
        let resources = Some(ResourceRequirements::default());
        let container = Container {
            resources,
            ..known.container
        };
        assert_eq!(read, RevisionRecord { container, ..known });
    }
}
