//! What the caches of a cluster's nodes are told.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use mcdeploy_api::{FetchPlan, StagingEntry, names};
use mcdeploy_cluster::Force;
use mcdeploy_manifests::cache_plan;
use mcdeploy_plan::{Stage, StageFetch, StageVersion, staging_owner};

use crate::{ExecError, Executor};

impl Executor<'_> {
    /// All deployments write to one Secret, each as a manager of its own: what it does not
    /// say any more goes, and what others say stays.
    pub(crate) async fn stage(&self, stage: &Stage) -> Result<(), ExecError> {
        let Stage { cluster, versions } = stage;
        let client = self.client(cluster)?;
        let mut data = BTreeMap::new();
        for StageVersion { key, digest, fetch } in versions {
            let fetch = fetch.as_ref();
            let fetch = fetch.map(|fetch| self.staged_plan(fetch));
            let entry = StagingEntry {
                digest: *digest,
                fetch: fetch.transpose()?,
            };
            // Plain data always serialises.
            let bytes = serde_json::to_vec(&entry).unwrap_or_default();
            data.insert(key.clone(), ByteString(bytes));
        }
        let labels = [(names::LABEL_MANAGED_BY, names::MANAGED_BY)];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(names::STAGING_SECRET.to_owned()),
                namespace: Some(names::SYSTEM_NAMESPACE.to_owned()),
                labels: Some(labels.into()),
                ..ObjectMeta::default()
            },
            data: Some(data),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        };
        let owner = staging_owner(self.namespace, self.deployment);
        let manager = format!("{}-{owner}", names::FIELD_MANAGER_OPERATOR);
        client.apply(&secret, &manager, Force::Yes).await?;
        Ok(())
    }

    fn staged_plan(&self, fetch: &StageFetch) -> Result<FetchPlan, ExecError> {
        let StageFetch {
            revision,
            record,
            store,
            cache,
        } = fetch;
        let store = self.store(store)?.for_readers();
        let mut plan = self.revision_input(revision, record, store).fetch;
        plan.node_cache = Some(cache_plan(cache));
        Ok(plan)
    }
}
