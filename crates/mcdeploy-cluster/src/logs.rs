//! What a Job's pod says, line by line while it runs.

use std::time::Duration;

use futures::{AsyncBufReadExt as _, Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use mcdeploy_api::names;

use crate::{ClusterClient, ClusterError};

/// Lines that are read again when a log is followed: enough for the last word on each of a
/// few targets.
const TAIL_LINES: i64 = 20;
/// Bytes after which a log is followed anew: no line can be longer.
const MOST_BYTES: i64 = 8 * 1024 * 1024;
/// How long the first answer may take.
const OPEN: Duration = Duration::from_secs(5);

impl ClusterClient {
    /// The last lines of the log of a Job in mcdeploy's own namespace, and then each new
    /// one, until its container ends or the connection does. None: no pod of it runs, or its
    /// log cannot be had.
    ///
    /// # Errors
    /// Of listing the Job's pods.
    pub async fn follow_job(
        &self,
        job: &str,
        container: &str,
    ) -> Result<Option<impl Stream<Item = String> + Send + use<>>, ClusterError> {
        let namespace = names::SYSTEM_NAMESPACE;
        let selector = format!("batch.kubernetes.io/job-name={job}");
        let pods: Vec<Pod> = self.list(Some(namespace), &selector).await?;
        let Some(pod) = pods.iter().find(|pod| is_running(pod)) else {
            return Ok(None);
        };
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let api = Api::<Pod>::namespaced(self.kube().clone(), namespace);
        let what = LogParams {
            container: Some(container.to_owned()),
            follow: true,
            tail_lines: Some(TAIL_LINES),
            limit_bytes: Some(MOST_BYTES),
            ..LogParams::default()
        };
        let log = match tokio::time::timeout(OPEN, api.log_stream(name, &what)).await {
            Ok(Ok(log)) => log,
            Ok(Err(error)) => {
                tracing::debug!(job, error = %error, "no log of a transfer");
                return Ok(None);
            }
            Err(_) => return Ok(None),
        };
        Ok(Some(log.lines().filter_map(async |line| line.ok())))
    }
}

fn is_running(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    status.is_some_and(|status| status.phase.as_deref() == Some("Running"))
}
