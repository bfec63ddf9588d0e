//! Tells the operator which epoch this gateway routes by: `status.applied`, one entry
//! per gateway pod, each under the pod's own field manager. Written on change only.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use kube::{
    Client,
    api::{Patch, PatchParams},
};
use mcdeploy_api::{AppliedEpoch, SNAPSHOT_FEATURES};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{input::ObjectKey, kube_source::snapshots_in, router::Report};

/// For one write.
const WRITE: Duration = Duration::from_secs(5);
/// First and longest wait after a failed write.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Writes reports about snapshots as the gateway `pod`.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) client: Client,
    pub(crate) pod: String,
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("no answer within {} s", WRITE.as_secs())]
    Timeout,
    #[error(transparent)]
    Kube(#[from] Box<kube::Error>),
}

impl Writer {
    /// Writes what changes in `reports`, for ever.
    pub(crate) async fn run(
        self,
        mut reports: watch::Receiver<BTreeMap<ObjectKey, Report>>,
        mut not_kept: watch::Receiver<Option<String>>,
    ) -> Infallible {
        let mut written: BTreeMap<ObjectKey, AppliedEpoch> = BTreeMap::new();
        let mut pause = PAUSE.0;
        loop {
            let wanted = reports.borrow_and_update().clone();
            let why = not_kept.borrow_and_update().clone();
            written.retain(|key, _| wanted.contains_key(key));
            let mut missed = false;
            for (key, report) in wanted {
                let entry = self.entry(report, why.clone());
                if written.get(&key) == Some(&entry) {
                    continue;
                }
                match self.write(&key, std::slice::from_ref(&entry)).await {
                    Ok(()) => {
                        written.insert(key, entry);
                    }
                    Err(error) => {
                        missed = true;
                        tracing::warn!(
                            snapshot = %key,
                            error = &error as &dyn std::error::Error,
                            "status not written; trying again"
                        );
                    }
                }
            }
            if missed {
                tokio::select! {
                    () = sleep(pause) => {}
                    _ = reports.changed() => {}
                }
                pause = (pause * 2).min(PAUSE.1);
            } else {
                pause = PAUSE.0;
                // A sender that is gone has nothing more to say.
                tokio::select! {
                    Ok(()) = reports.changed() => {}
                    Ok(()) = not_kept.changed() => {}
                    else => std::future::pending::<()>().await,
                }
            }
        }
    }

    /// Takes this gateway out of the status of all snapshots, as it ends. One attempt.
    pub(crate) async fn leave(&self, keys: impl Iterator<Item = ObjectKey>) {
        for key in keys {
            if let Err(error) = self.write(&key, &[]).await {
                tracing::debug!(snapshot = %key, %error, "status not cleared");
            }
        }
    }

    fn entry(&self, report: Report, not_kept: Option<String>) -> AppliedEpoch {
        let (epoch, hash) = report.applied.unwrap_or_default();
        AppliedEpoch {
            gateway: self.pod.clone(),
            epoch,
            hash,
            features: SNAPSHOT_FEATURES
                .iter()
                .map(|&word| word.to_owned())
                .collect(),
            refused: report.refused,
            not_kept,
        }
    }

    /// Writes, where need be without what a CRD of before does not know: the API server
    /// refuses the whole of an apply that has a field outside of the schema.
    async fn write(&self, key: &ObjectKey, applied: &[AppliedEpoch]) -> Result<(), WriteError> {
        let written = self.apply(key, applied).await;
        let has_features = applied.iter().any(|entry| !entry.features.is_empty());
        match written {
            Err(WriteError::Kube(error)) if has_features && is_outside_of_schema(&error) => {
                let without = applied.iter().cloned().map(|entry| AppliedEpoch {
                    features: vec![],
                    ..entry
                });
                self.apply(key, &without.collect::<Vec<_>>()).await
            }
            other => other,
        }
    }

    async fn apply(&self, key: &ObjectKey, applied: &[AppliedEpoch]) -> Result<(), WriteError> {
        let patch = json!({
            "apiVersion": "mcdeploy.dev/v1alpha1",
            "kind": "RoutingSnapshot",
            "metadata": { "name": key.name, "namespace": key.namespace },
            "status": { "applied": applied },
        });
        let params = PatchParams::apply(&self.pod).force();
        let api = snapshots_in(self.client.clone(), &key.namespace);
        timeout(
            WRITE,
            api.patch_status(&key.name, &params, &Patch::Apply(patch)),
        )
        .await
        .map_err(|_| WriteError::Timeout)?
        .map(drop)
        .map_err(|e| WriteError::Kube(Box::new(e)))
    }
}

/// The API server's word for a field that the CRD does not have.
fn is_outside_of_schema(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.message.contains("field not declared in schema"))
}
