//! Effects in the hub: records, and the decision about traffic.

use k8s_openapi::{
    api::apps::v1::ControllerRevision, apimachinery::pkg::apis::meta::v1::ObjectMeta,
    apimachinery::pkg::runtime::RawExtension,
};
use mcdeploy_api::{
    BackendRef, ModelRollout, ModelRolloutSpec, TrafficPolicy, TrafficPolicySpec, names,
};
use mcdeploy_cluster::{ApiObject, ClusterError, Delete};
use mcdeploy_plan::{DecideTraffic, RevisionRecord};

use crate::{ExecError, Executor};

const MANAGER: &str = names::FIELD_MANAGER_OPERATOR;

impl Executor<'_> {
    pub(crate) async fn record_revision(
        &self,
        revision: &str,
        record: &RevisionRecord,
    ) -> Result<(), ExecError> {
        let name = names::revision_object_name(self.deployment, revision);
        let mut metadata = self.owned(&name);
        let labels = metadata.labels.get_or_insert_default();
        labels.insert(names::LABEL_REVISION.to_owned(), revision.to_owned());
        let object = ControllerRevision {
            metadata,
            // Plain data always serialises.
            data: RawExtension(serde_json::to_value(record).unwrap_or_default()),
            revision: Some(1),
        };
        self.create(&object).await
    }

    pub(crate) async fn create_rollout(
        &self,
        name: &str,
        spec: &ModelRolloutSpec,
    ) -> Result<(), ExecError> {
        let mut object = ModelRollout::new(name, spec.clone());
        object.metadata = self.owned(name);
        self.create(&object).await
    }

    pub(crate) async fn create_policy(&self, name: &str) -> Result<(), ExecError> {
        let spec = TrafficPolicySpec {
            deployment_ref: BackendRef {
                name: self.deployment.to_owned(),
            },
            weights: vec![],
            repeatable: true,
        };
        let mut object = TrafficPolicy::new(name, spec);
        object.metadata = self.owned(name);
        self.create(&object).await
    }

    pub(crate) async fn delete_rollout(&self, name: &str) -> Result<(), ExecError> {
        let namespace = Some(self.namespace);
        let hub = self.hub;
        hub.delete::<ModelRollout>(namespace, name, Delete::default())
            .await?;
        Ok(())
    }

    pub(crate) async fn delete_record(&self, revision: &str) -> Result<(), ExecError> {
        let name = names::revision_object_name(self.deployment, revision);
        let namespace = Some(self.namespace);
        let hub = self.hub;
        hub.delete::<ControllerRevision>(namespace, &name, Delete::default())
            .await?;
        Ok(())
    }

    pub(crate) async fn decide_traffic(&self, decide: &DecideTraffic) -> Result<(), ExecError> {
        let DecideTraffic {
            policy,
            resource_version,
            status,
        } = decide;
        let namespace = Some(self.namespace);
        let version = Some(resource_version.as_str());
        let hub = self.hub;
        hub.patch_status::<TrafficPolicy>(namespace, policy, status, MANAGER, version)
            .await?;
        Ok(())
    }

    /// What is there already was made by an earlier try, and never changes.
    async fn create<K: ApiObject>(&self, object: &K) -> Result<(), ExecError> {
        match self.hub.create(object, MANAGER).await {
            Ok(_)
            | Err(ClusterError::Conflict {
                already_exists: true,
                ..
            }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn owned(&self, name: &str) -> ObjectMeta {
        let labels = [
            (names::LABEL_DEPLOYMENT, self.deployment),
            (names::LABEL_MANAGED_BY, names::MANAGED_BY),
        ];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.namespace.to_owned()),
            labels: Some(labels.into()),
            owner_references: Some(vec![self.owner.clone()]),
            ..ObjectMeta::default()
        }
    }
}
