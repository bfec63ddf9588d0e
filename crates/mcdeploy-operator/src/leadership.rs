//! Runs for leader, and leads.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use mcdeploy_api::ErrorClass;
use mcdeploy_cluster::{
    ClusterClient, Fence,
    lease::{LeaderElection, LeaseName},
};
use mcdeploy_probe::Probe;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    admin, artifact_store_controller,
    classified::Classified,
    context::{Context, Queues, Settings},
    copies::Copies,
    member_cluster_controller,
    members::Members,
    metrics::Metrics,
    model_deployment_controller, model_version_controller,
    queue::Queue,
    registries::Registries,
    stores::Stores,
    watches,
};

/// Name of the Lease.
const LEASE: &str = "mcdeploy-operator";
/// Longest time for one look.
const LOOK: Duration = Duration::from_mins(1);
/// Workers per kind.
const WORKERS: usize = 4;

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The port for health and metrics.
    #[error("serve health and metrics")]
    ServeAdmin(#[source] io::Error),
    /// The prober.
    #[error("make the prober")]
    MakeProbe(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Runs for leader and leads whenever it is one, until cancelled.
///
/// # Errors
/// A port that is taken, or a TLS library that cannot be set up.
pub async fn run(
    settings: Settings,
    hub: ClusterClient,
    cancel: CancellationToken,
) -> Result<(), RunError> {
    let (metrics, registry) = Metrics::new();
    let name = LeaseName {
        namespace: settings.namespace.clone(),
        name: LEASE.to_owned(),
    };
    let election = LeaderElection::new(&hub, name, &settings.identity, settings.lease);
    let mut handle = election.handle();
    // The lease is given back only when this process writes nothing any more.
    let stop_election = CancellationToken::new();
    let election = tokio::spawn(election.run(stop_election.clone()));
    let admin_cancel = cancel.child_token();
    let admin = settings
        .admin
        .map(|address| tokio::spawn(admin::serve(address, registry, admin_cancel)));
    let lead_on = async {
        while let Some(term) = handle.leading().await {
            metrics.leading.set(1);
            let ask = handle.clone();
            let fence: Fence = Arc::new(move |_| ask.term() == Some(term));
            let stop = cancel.child_token();
            let leading = lead_with(&settings, &hub, term, fence, &metrics, stop.clone());
            let mut leading = Box::pin(leading);
            tokio::select! {
                done = &mut leading => done?,
                () = handle.lost(term) => {
                    tracing::warn!(term, "no longer leading");
                    stop.cancel();
                    leading.await?;
                }
            }
            metrics.leading.set(0);
            if cancel.is_cancelled() {
                break;
            }
        }
        Ok(())
    };
    let serve = async {
        match admin {
            Some(task) => match task.await {
                Ok(served) => served.map_err(RunError::ServeAdmin),
                Err(_) => Ok(()),
            },
            None => std::future::pending().await,
        }
    };
    let result = tokio::select! {
        result = lead_on => result,
        result = serve => result,
        () = cancel.cancelled() => Ok(()),
    };
    stop_election.cancel();
    // Gives the lease back: bounded by the deadlines of two calls.
    let _ = election.await;
    result
}

/// Leads in `term`, writing only while `fence` says so, until cancelled. For tests, which
/// hold no election.
///
/// # Errors
/// A TLS library that cannot be set up.
pub async fn lead(
    settings: Settings,
    hub: ClusterClient,
    term: i64,
    fence: Fence,
    cancel: CancellationToken,
) -> Result<(), RunError> {
    let (metrics, _) = Metrics::new();
    Box::pin(lead_with(&settings, &hub, term, fence, &metrics, cancel)).await
}

async fn lead_with(
    settings: &Settings,
    hub: &ClusterClient,
    term: i64,
    fence: Fence,
    metrics: &Metrics,
    cancel: CancellationToken,
) -> Result<(), RunError> {
    tracing::info!(term, identity = settings.identity, "leading");
    let probe = Probe::new().map_err(|error| RunError::MakeProbe(error.into()))?;
    let ctx = Arc::new(Context {
        settings: settings.clone(),
        term,
        hub: hub.with_fence(Arc::clone(&fence)),
        fence,
        members: Members::default(),
        stores: Stores::new(Arc::clone(&settings.open_store)),
        registries: Registries::default(),
        copies: Copies::new(),
        probe,
        memories: std::sync::Mutex::new(HashMap::new()),
        namespaces: tokio::sync::watch::Sender::default(),
        metrics: metrics.clone(),
        queues: Queues::default(),
        cancel: cancel.clone(),
    });
    let queues = &ctx.queues;
    let ctx = &ctx;
    tokio::join!(
        watches::hub(ctx, &cancel),
        drive(ctx, "MemberCluster", &queues.members, async |name| {
            member_cluster_controller::reconcile(ctx, &name).await
        }),
        drive(ctx, "ArtifactStore", &queues.stores, async |name| {
            artifact_store_controller::reconcile(ctx, &name).await
        }),
        drive(ctx, "ModelVersion", &queues.versions, async |key| {
            model_version_controller::reconcile(ctx, &key).await
        }),
        drive(ctx, "ModelDeployment", &queues.deployments, async |key| {
            model_deployment_controller::reconcile(ctx, &key).await
        }),
    );
    Ok(())
}

/// Runs one controller: bounds each look, counts it, logs its error once, and comes back
/// later after each failure.
async fn drive<K, E>(
    ctx: &Arc<Context>,
    kind: &'static str,
    queue: &Queue<K>,
    reconcile: impl AsyncFn(K) -> Result<Option<Duration>, E>,
) where
    K: Ord + Clone + std::fmt::Debug,
    E: Classified,
{
    let failures = std::cell::RefCell::new(HashMap::<String, u32>::new());
    let work = async |key: K| {
        let label = format!("{key:?}");
        let since = Instant::now();
        let span = tracing::info_span!("reconcile", kind, key = label);
        let done = tokio::time::timeout(LOOK, reconcile(key))
            .instrument(span)
            .await;
        let (result, again) = match done {
            Ok(Ok(again)) => {
                failures.borrow_mut().remove(&label);
                ("ok", again)
            }
            Ok(Err(error)) => {
                let class = error.class();
                let delay = backoff(&mut failures.borrow_mut(), &label, class);
                tracing::warn!(kind, key = label, class = class.label(), error = %error,
                    retry_ms = delay.as_millis(), "a look failed");
                (class.label(), Some(delay))
            }
            Err(_) => {
                tracing::warn!(kind, key = label, "a look took too long");
                ("timeout", Some(Duration::from_secs(1)))
            }
        };
        ctx.metrics.reconciled(kind, result, since.elapsed());
        again
    };
    queue.run(WORKERS, &ctx.cancel, work).await;
}

/// Twice as long after each failure, up to half a minute; after a lost race at once.
fn backoff(failures: &mut HashMap<String, u32>, key: &str, class: ErrorClass) -> Duration {
    match class {
        ErrorClass::Precondition => Duration::from_millis(200),
        ErrorClass::Transient
        | ErrorClass::Throttled
        | ErrorClass::Permanent
        | ErrorClass::NotFound
        | ErrorClass::Cancelled
        | ErrorClass::Unknown => {
            let count = failures.entry(key.to_owned()).or_default();
            *count = (*count + 1).min(6);
            Duration::from_millis(500 << *count).min(Duration::from_secs(30))
        }
    }
}
