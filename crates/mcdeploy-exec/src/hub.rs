//! Effects in the hub: records, and the decision about traffic.

use k8s_openapi::{
    api::apps::v1::ControllerRevision, apimachinery::pkg::apis::meta::v1::ObjectMeta,
    apimachinery::pkg::runtime::RawExtension,
};
use kube::core::PartialObjectMetaExt as _;
use mcdeploy_api::{
    ArtifactStoreSpec, BackendRef, ModelDeployment, ModelRollout, ModelRolloutSpec, Provider,
    SecretValues, StoreAccess, StoreAuth, StoreLocation, TrafficPolicy, TrafficPolicySpec, names,
};
use mcdeploy_cluster::{ApiObject, ClusterError, Delete, Force};
use mcdeploy_manifests::RevisionTemplate;
use mcdeploy_plan::{DecideTraffic, RevisionRecord};

use crate::{ExecError, Executor, Recorded};

const MANAGER: &str = names::FIELD_MANAGER_OPERATOR;

impl Executor<'_> {
    /// The finalizer alone is applied; with its uid, so that a deployment that went
    /// meanwhile is not made again.
    pub(crate) async fn hold_deployment(&self) -> Result<(), ExecError> {
        let metadata = ObjectMeta {
            name: Some(self.deployment.to_owned()),
            namespace: Some(self.namespace.to_owned()),
            uid: Some(self.owner.uid.clone()),
            finalizers: Some(vec![names::FINALIZER_CLUSTERS.to_owned()]),
            ..ObjectMeta::default()
        };
        let object = metadata.into_request_partial::<ModelDeployment>();
        self.hub.apply(&object, MANAGER, Force::Yes).await?;
        Ok(())
    }

    /// The finalizer goes, by whatever hand it was put there.
    pub(crate) async fn release_deployment(&self) -> Result<(), ExecError> {
        let (namespace, name) = (Some(self.namespace), self.deployment);
        let found = self.hub.get::<ModelDeployment>(namespace, name).await?;
        let Some(mut object) = found.filter(|o| o.metadata.uid.as_ref() == Some(&self.owner.uid))
        else {
            return Ok(());
        };
        let finalizers = object.metadata.finalizers.get_or_insert_default();
        finalizers.retain(|finalizer| finalizer != names::FINALIZER_CLUSTERS);
        self.hub.replace(&object, MANAGER).await?;
        Ok(())
    }

    /// What it is rendered to now is kept with it.
    pub(crate) async fn record_revision(
        &self,
        revision: &str,
        record: &RevisionRecord,
    ) -> Result<(), ExecError> {
        let name = names::revision_object_name(self.deployment, revision);
        let mut metadata = self.owned(&name);
        let labels = metadata.labels.get_or_insert_default();
        labels.insert(names::LABEL_REVISION.to_owned(), revision.to_owned());
        let input = self.revision_input(revision, record, no_store());
        let template = RevisionTemplate::render(&input);
        let recorded = Recorded {
            record: record.clone(),
            rendered: Some(template),
        };
        let object = ControllerRevision {
            metadata,
            // Plain data always serialises.
            data: RawExtension(serde_json::to_value(&recorded).unwrap_or_default()),
            revision: Some(1),
        };
        match self.hub.create(&object, MANAGER).await {
            Ok(_) => {
                self.revision_store.put(revision, recorded.rendered);
                Ok(())
            }
            // An earlier try made it, perhaps of another version of this program.
            Err(error) if error.is_already_exists() => self.read_recorded(revision, &name).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn read_recorded(&self, revision: &str, name: &str) -> Result<(), ExecError> {
        let namespace = Some(self.namespace);
        let found = self.hub.get::<ControllerRevision>(namespace, name).await?;
        let data = found.map(|found| found.data.0).unwrap_or_default();
        let read = serde_json::from_value::<Recorded>(data);
        let read = read.map_err(|source| ExecError::ReadRecord {
            revision: revision.to_owned(),
            source,
        })?;
        self.revision_store.put(revision, read.rendered);
        Ok(())
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

/// In place of a store where none matters.
fn no_store() -> StoreAccess {
    StoreAccess {
        name: String::new(),
        spec: ArtifactStoreSpec {
            provider: Provider::Onprem,
            region: String::new(),
            jurisdiction: None,
            location: StoreLocation::default(),
            auth: StoreAuth::default(),
        },
        secret: SecretValues::default(),
    }
}
