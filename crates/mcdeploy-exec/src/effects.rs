//! Effects in member clusters.

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        batch::v1::Job,
        core::v1::{Secret, Service},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use mcdeploy_api::{
    FetchPlan, RoutingSnapshot, RoutingSnapshotSpec, StoreAccess, TransferPlan, names,
};
use mcdeploy_cluster::{ClusterClient, ClusterError, Delete, Force};
use mcdeploy_manifests::{
    RevisionInput, TransferInput, render_revision, render_transfer, transfer_name,
};
use mcdeploy_plan::{ApplyRevision, RevisionRecord, StartTransfer};

use crate::{ANNOTATION_INPUT_HASH, ExecError, Executor, KnownStore, images::pull_from};

const MANAGER: &str = names::FIELD_MANAGER_OPERATOR;
/// Transfers run where tenants cannot read the credentials of their stores.
const SYSTEM: Option<&str> = Some(names::SYSTEM_NAMESPACE);

impl Executor<'_> {
    pub(crate) async fn apply_revision(&self, apply: &ApplyRevision) -> Result<(), ExecError> {
        let ApplyRevision {
            cluster,
            revision,
            record,
            replicas,
            store,
            registry,
            cache,
            hash,
        } = apply;
        let client = self.client(cluster)?;
        let store = self.store(store)?;
        let mut input = self.revision_input(revision, record, store.for_readers());
        input.replicas = *replicas;
        input.cache.clone_from(cache);
        pull_from(&mut input, registry.as_ref());
        // An upgrade of mcdeploy restarts no model pod.
        let mut objects = match self.revision_store.get(revision) {
            Some(template) => template.objects(&input),
            None => render_revision(&input),
        };
        for metadata in [
            &mut objects.service.metadata,
            &mut objects.fetch_secret.metadata,
            &mut objects.deployment.metadata,
        ] {
            annotate(metadata, hash);
        }
        client.ensure_namespace(self.namespace).await?;
        let force = Force::Yes;
        client.apply(&objects.service, MANAGER, force).await?;
        client.apply(&objects.fetch_secret, MANAGER, force).await?;
        client.apply(&objects.deployment, MANAGER, force).await?;
        Ok(())
    }

    /// Input of a revision for a store, with one pod.
    pub(crate) fn revision_input(
        &self,
        revision: &str,
        record: &RevisionRecord,
        store: StoreAccess,
    ) -> RevisionInput {
        RevisionInput {
            namespace: self.namespace.to_owned(),
            deployment: self.deployment.to_owned(),
            revision: revision.to_owned(),
            model: record.model.clone(),
            version: record.version.clone(),
            container: record.container.clone(),
            replicas: 1,
            fetch: FetchPlan {
                model: record.model.clone(),
                version: record.version.clone(),
                manifest_digest: record.manifest_digest,
                store,
                node_cache: None,
            },
            size_bytes: self.size_of(record),
            cache: None,
            daemon_image: self.daemon_image.to_owned(),
        }
    }

    fn size_of(&self, record: &RevisionRecord) -> Option<u64> {
        let version = self.version;
        let version = version.filter(|v| v.manifest_digest == record.manifest_digest);
        version.and_then(|version| u64::try_from(version.size_bytes).ok())
    }

    /// The Deployment goes last: while it is there, a later look finds the rest.
    pub(crate) async fn delete_revision(
        &self,
        cluster: &str,
        revision: &str,
    ) -> Result<(), ExecError> {
        let client = self.client(cluster)?;
        let name = names::revision_object_name(self.deployment, revision);
        let namespace = Some(self.namespace);
        let any = Delete::default;
        client.delete::<Secret>(namespace, &name, any()).await?;
        client.delete::<Service>(namespace, &name, any()).await?;
        client.delete::<Deployment>(namespace, &name, any()).await?;
        Ok(())
    }

    pub(crate) async fn start_transfer(&self, start: &StartTransfer) -> Result<(), ExecError> {
        let StartTransfer {
            cluster,
            source,
            targets,
            record,
        } = start;
        let client = self.client(cluster)?;
        let accesses = targets
            .iter()
            .map(|name| Ok(self.store(name)?.access.clone()));
        let input = TransferInput {
            namespace: names::SYSTEM_NAMESPACE.to_owned(),
            name: transfer_name(&record.model, &record.version, targets),
            plan: TransferPlan {
                model: record.model.clone(),
                version: record.version.clone(),
                manifest_digest: record.manifest_digest,
                source: self.store(source)?.access.clone(),
                targets: accesses.collect::<Result<_, ExecError>>()?,
            },
            daemon_image: self.daemon_image.to_owned(),
        };
        let objects = render_transfer(&input);
        start_job(client, objects.secret, &objects.job).await
    }

    /// The Job goes last: while it is there, a later look finds the rest.
    pub(crate) async fn delete_transfer(&self, cluster: &str, name: &str) -> Result<(), ExecError> {
        let client = self.client(cluster)?;
        let any = Delete::default;
        client.delete::<Secret>(SYSTEM, name, any()).await?;
        client.delete::<Job>(SYSTEM, name, any()).await?;
        Ok(())
    }

    /// The API server itself refuses an epoch that does not rise.
    pub(crate) async fn publish(
        &self,
        cluster: &str,
        spec: &RoutingSnapshotSpec,
    ) -> Result<(), ExecError> {
        let client = self.client(cluster)?;
        let mut snapshot = RoutingSnapshot::new(self.deployment, spec.clone());
        snapshot.metadata.namespace = Some(self.namespace.to_owned());
        let labels = [
            (names::LABEL_DEPLOYMENT, self.deployment),
            (names::LABEL_MODEL, &spec.model),
            (names::LABEL_MANAGED_BY, names::MANAGED_BY),
        ];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        snapshot.metadata.labels = Some(labels.into());
        client.ensure_namespace(self.namespace).await?;
        client.apply(&snapshot, MANAGER, Force::Yes).await?;
        Ok(())
    }

    /// Gateways route by it no more from then on.
    pub(crate) async fn delete_snapshot(&self, cluster: &str) -> Result<(), ExecError> {
        let client = self.client(cluster)?;
        let (namespace, name) = (Some(self.namespace), self.deployment);
        let any = Delete::default();
        client
            .delete::<RoutingSnapshot>(namespace, name, any)
            .await?;
        Ok(())
    }

    pub(crate) fn client(&self, cluster: &str) -> Result<&ClusterClient, ExecError> {
        let client = self.members.get(cluster);
        client.ok_or_else(|| ExecError::FindCluster {
            cluster: cluster.to_owned(),
        })
    }

    pub(crate) fn store(&self, name: &str) -> Result<&KnownStore, ExecError> {
        let store = self.stores.get(name);
        store.ok_or_else(|| ExecError::FindStore {
            store: name.to_owned(),
        })
    }
}

/// Makes the Job with its Secret. One that is there already goes on.
pub(crate) async fn start_job(
    client: &ClusterClient,
    mut secret: Secret,
    job: &Job,
) -> Result<(), ExecError> {
    client.apply(&secret, MANAGER, Force::Yes).await?;
    let job = match client.create(job, MANAGER).await {
        Ok(job) => job,
        Err(ClusterError::Conflict {
            already_exists: true,
            ..
        }) => return Ok(()),
        Err(error) => {
            let error = ExecError::from(error);
            if error.was_answered() {
                // Nothing reads the credentials, and the next try applies them again.
                let name = secret.metadata.name.as_deref().unwrap_or_default();
                client
                    .delete::<Secret>(SYSTEM, name, Delete::default())
                    .await?;
            }
            return Err(error);
        }
    };
    // Should no operator live to delete it, the credentials go with the Job.
    secret.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "batch/v1".to_owned(),
        kind: "Job".to_owned(),
        name: job.metadata.name.unwrap_or_default(),
        uid: job.metadata.uid.unwrap_or_default(),
        ..OwnerReference::default()
    }]);
    client.apply(&secret, MANAGER, Force::Yes).await?;
    Ok(())
}

fn annotate(metadata: &mut ObjectMeta, hash: &str) {
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(ANNOTATION_INPUT_HASH.to_owned(), hash.to_owned());
}
