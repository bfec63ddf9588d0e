//! Waits for the end of a rollout by watching its objects.

use std::{pin::pin, time::Duration};

use futures::{Stream, StreamExt};
use jiff::SignedDuration;
use kube::Api;
use mcdeploy_api::{ModelDeployment, ModelRollout};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{Asked, Report};
use crate::{
    exit::{ExitStatus, Failure},
    hub::{self, Seen},
    live::Live,
    printer::Printer,
    rollout_verdict::{self, Row, Verdict, View},
    tree::Header,
};

/// How long every cluster must stand still before a fault counts as the end.
const BLOCKED_SETTLES: Duration = Duration::from_secs(5);
/// The same when nothing but contact is missing.
const UNKNOWN_SETTLES: Duration = Duration::from_secs(20);
/// Writes within this time are shown as one change.
const MOMENT: Duration = Duration::from_millis(150);
/// The display is drawn anew at least this often.
const TICK: Duration = Duration::from_secs(1);

/// How the wait ended.
pub(super) struct End {
    pub(super) report: Report,
    pub(super) failure: Option<Failure>,
}

#[derive(Default)]
struct Observed {
    deployment: Option<ModelDeployment>,
    deployment_seen: bool,
    rollout: Option<ModelRollout>,
}

/// Shows progress until there is nothing more to wait for.
pub(super) async fn follow(
    asked: &Asked<'_>,
    timeout: SignedDuration,
    printer: &Printer,
    cancel: &CancellationToken,
) -> anyhow::Result<End> {
    let begin = Instant::now();
    let deadline = begin + timeout.unsigned_abs();
    let rollouts: Api<ModelRollout> = asked.hub.namespaced(&asked.request.namespace);
    let mut deployments = pin!(hub::watch(&asked.deployments(), &asked.request.model));
    let mut rollouts = pin!(hub::watch(&rollouts, &asked.rollout_name()));
    let mut observed = Observed::default();
    let mut live = Live::new(printer);
    let mut stuck_since: Option<(Verdict, Instant)> = None;
    loop {
        let view = observed.view(asked);
        let rows = rollout_verdict::rows(view);
        let title = title(asked, begin);
        let header = Header {
            title: &title,
            version: &asked.request.version,
            size_bytes: Some(asked.resolved.size_bytes),
        };
        live.show(&header, &rows);
        let verdict = if observed.deployment_seen {
            rollout_verdict::verdict(view)
        } else {
            Verdict::Waiting
        };
        let now = Instant::now();
        stuck_since = match stuck_since {
            Some((before, since)) if before == verdict => Some((before, since)),
            _ => Some((verdict.clone(), now)),
        };
        let settles = settle_time(&verdict);
        let since = stuck_since.as_ref().map_or(now, |(_, since)| *since);
        let ended = settles.is_some_and(|time| now >= since + time);
        if ended || now >= deadline || cancel.is_cancelled() {
            live.end(&header);
            return Ok(end(
                asked,
                &verdict,
                ended,
                cancel.is_cancelled(),
                timeout,
                rows,
            ));
        }
        let wake = settles.map_or(now + TICK, |time| (since + time).min(now + TICK));
        let next = async {
            tokio::select! {
                seen = deployments.next() => observed.take_deployment(seen, &mut live),
                seen = rollouts.next() => observed.take_rollout(seen, &mut live),
                () = cancel.cancelled() => {}
                () = sleep_until(wake) => {}
            }
        };
        // Past the deadline the loop's own check ends the wait.
        let _ = timeout_at(deadline, next).await;
        observed
            .settle(&mut deployments, &mut rollouts, &mut live)
            .await;
    }
}

impl Observed {
    fn view(&self, asked: &Asked<'_>) -> View<'_> {
        View {
            generation: asked.generation,
            deployment: self.deployment.as_ref(),
            rollout: self.rollout.as_ref(),
        }
    }

    /// Takes what comes in the next moment too: a step and its row are two writes, and
    /// one change to whoever looks on.
    async fn settle(
        &mut self,
        deployments: &mut (impl Stream<Item = Seen<ModelDeployment>> + Unpin),
        rollouts: &mut (impl Stream<Item = Seen<ModelRollout>> + Unpin),
        live: &mut Live<'_>,
    ) {
        let until = Instant::now() + MOMENT;
        let all = async {
            loop {
                tokio::select! {
                    seen = deployments.next() => self.take_deployment(seen, live),
                    seen = rollouts.next() => self.take_rollout(seen, live),
                }
            }
        };
        // Ends by the time-out always: the loop has no other end.
        let _: Result<(), _> = timeout_at(until, all).await;
    }

    fn take_deployment(&mut self, seen: Option<Seen<ModelDeployment>>, live: &mut Live<'_>) {
        match seen {
            Some(Seen::Now(deployment)) => {
                self.deployment = deployment.map(|boxed| *boxed);
                self.deployment_seen = true;
                live.note("");
            }
            Some(Seen::Lost(why)) => live.note(&lost(&why)),
            None => {}
        }
    }

    fn take_rollout(&mut self, seen: Option<Seen<ModelRollout>>, live: &mut Live<'_>) {
        match seen {
            Some(Seen::Now(rollout)) => self.rollout = rollout.map(|boxed| *boxed),
            Some(Seen::Lost(why)) => live.note(&lost(&why)),
            None => {}
        }
    }
}

fn lost(why: &str) -> String {
    format!("the hub does not answer ({why}); trying again, gateways go on serving")
}

fn title(asked: &Asked<'_>, begin: Instant) -> String {
    format!(
        "{} {} in namespace {}, rollout {}, {} s",
        asked.request.model,
        asked.request.version,
        asked.request.namespace,
        asked.rollout_name(),
        begin.elapsed().as_secs()
    )
}

/// How long a verdict must hold before it ends the wait; `None`: it never does.
fn settle_time(verdict: &Verdict) -> Option<Duration> {
    match verdict {
        Verdict::Waiting => None,
        Verdict::Complete | Verdict::Superseded { .. } | Verdict::Deleted => Some(Duration::ZERO),
        Verdict::Refused { .. } => Some(BLOCKED_SETTLES),
        Verdict::Stuck { unknown, .. } if unknown.is_empty() => Some(BLOCKED_SETTLES),
        Verdict::Stuck { .. } => Some(UNKNOWN_SETTLES),
    }
}

fn end(
    asked: &Asked<'_>,
    verdict: &Verdict,
    ended: bool,
    interrupted: bool,
    timeout: SignedDuration,
    rows: Vec<Row>,
) -> End {
    let version = format!("{} {}", asked.request.model, asked.request.version);
    let back = format!("come back with: {}", asked.come_back());
    let (outcome, status, message, hint) = match verdict {
        Verdict::Complete => {
            let message = format!(
                "{version} serves in {}",
                names(&asked.resolved.waves.concat())
            );
            return End {
                report: asked.report("Complete", &message, rows),
                failure: None,
            };
        }
        Verdict::Superseded { by } => (
            "Superseded",
            ExitStatus::Conflict,
            format!("rollout {} gave way to {by}", asked.rollout_name()),
            back,
        ),
        Verdict::Deleted => (
            "Deleted",
            ExitStatus::NotFound,
            format!(
                "model deployment {} was deleted while it was rolled out",
                asked.request.model
            ),
            back,
        ),
        Verdict::Refused { message } if ended => (
            "Refused",
            ExitStatus::Failed,
            format!("the operator refuses {version}: {message}"),
            back,
        ),
        Verdict::Stuck { blocked, unknown } if ended => (
            "Incomplete",
            ExitStatus::Failed,
            incomplete(&version, blocked, unknown, &rows),
            format!("the hub goes on as soon as the fault is mended; {back}"),
        ),
        Verdict::Waiting | Verdict::Refused { .. } | Verdict::Stuck { .. } if interrupted => (
            "Detached",
            ExitStatus::Interrupted,
            format!("detached; the rollout of {version} goes on in the hub"),
            back,
        ),
        Verdict::Waiting | Verdict::Refused { .. } | Verdict::Stuck { .. } => (
            "TimedOut",
            ExitStatus::Timeout,
            format!(
                "{version} is not complete after {timeout:#}: {}",
                open_rows(&rows)
            ),
            format!("the rollout goes on in the hub; {back}"),
        ),
    };
    End {
        report: asked.report(outcome, &message, rows),
        failure: Some(Failure::new(status, message).hint(hint)),
    }
}

fn incomplete(version: &str, blocked: &[String], unknown: &[String], rows: &[Row]) -> String {
    let reason = |name: &String| {
        let row = rows.iter().find(|row| row.cluster == *name);
        row.map_or_else(|| name.clone(), why)
    };
    let all: Vec<String> = blocked.iter().chain(unknown).map(reason).collect();
    format!("{version} is not complete: {}", all.join("; "))
}

fn open_rows(rows: &[Row]) -> String {
    let open = rows.iter().filter(|row| {
        row.wave.is_some() && row.state != Some(mcdeploy_api::RolloutStepState::Done)
    });
    let all: Vec<String> = open.map(why).collect();
    if all.is_empty() {
        "the operator has not taken it up; does it run in the hub?".to_owned()
    } else {
        all.join("; ")
    }
}

fn why(row: &Row) -> String {
    if row.message.is_empty() {
        format!("{}: {}", row.cluster, row.reason)
    } else {
        format!("{}: {} ({})", row.cluster, row.reason, row.message)
    }
}

fn names(clusters: &[String]) -> String {
    clusters.join(", ")
}
