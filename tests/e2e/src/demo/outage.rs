//! AWS goes dark, three ways, and once with the gateways' defences switched off.

use std::{net::SocketAddr, time::Duration};

use serde::Serialize;

use super::{Demo, Step};
use crate::{
    digits::MODEL,
    load::{Client, Counts, Load, Record, Target, Verdict},
    sandbox::{CLOUDS, eventually, expect, faults},
};

/// How long a client waits for an answer.
pub(super) const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long before the fault is looked at, in milliseconds.
const BEFORE_MS: u64 = 3000;
/// From then on after the fault nothing may fail.
pub(super) const GRACE: Duration = Duration::from_secs(2);
/// How long the cloud stays dark.
pub(super) const DARK: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_mins(1);
/// The cloud that is lost.
const LOST: &str = "aws";

/// What makes one outage differ from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Way {
    /// Weights 1:1:1, so that surviving gateways do send to the lost cloud.
    Weighted,
    /// gcp has a gateway and no pods: it lives on others.
    PodsDown,
    /// A client that has every address and tries the next after 1 s.
    AllAddresses,
    /// Weights 1:1:1, gateways without retries and checks: this one must fail.
    Control,
}

/// One outage, as users saw it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutageReport {
    /// Which way.
    pub way: Way,
    /// How long the command that made the outage ran. Times count from its end.
    pub command_seconds: f64,
    /// Requests of the 3 s before the fault that went to another cloud's gateway and were
    /// answered by the one that is then lost. 0 would make the outage no test.
    pub relied_on_lost: usize,
    /// Requests to surviving gateways (or of the client with all addresses) in the first
    /// 2 s.
    pub first_two_seconds: Counts,
    /// The same from then until the end of the outage.
    pub after: Counts,
    /// From the fault to the start of the last request that failed. 0: none did.
    pub recovery_seconds: f64,
    /// From the heal until the lost cloud's own gateway answered from its own pods.
    pub back_seconds: f64,
}

impl Demo {
    /// One outage of AWS: prepares, makes it, heals it, undoes the preparation.
    pub(super) async fn outage(
        &mut self,
        way: Way,
        load: &Load,
        gateways: &[(String, SocketAddr)],
    ) -> anyhow::Result<()> {
        self.prepare(way).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let everyone = (way == Way::AllAddresses).then(|| {
            self.load_to(vec![Target {
                name: "all addresses".to_owned(),
                gateways: gateways.to_vec(),
                client: Client::Failover(Duration::from_secs(1)),
            }])
        });
        let watched = everyone.as_ref().unwrap_or(load);
        if everyone.is_some() {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let words = ["sandbox", "outage", LOST];
        let said = self
            .show(&format!("outage {way:?}"), way.title(), &words)
            .await?;
        let fault = watched.now_ms();
        tokio::time::sleep(DARK).await;
        let until = watched.now_ms();
        let words = ["sandbox", "heal", LOST];
        self.show(&format!("heal {way:?}"), "AWS comes back", &words)
            .await?;
        let back = self.wait_until_back(gateways, way).await?;
        // Requests of the outage may still wait for their time-out.
        tokio::time::sleep(CLIENT_TIMEOUT.saturating_sub(back)).await;
        let mut records = watched.between(fault.saturating_sub(BEFORE_MS), until);
        records.retain(|record| record.target != LOST);
        let report = OutageReport::new(way, said.took, back, fault, &records);
        self.story.outage(&report);
        self.report.outages.push(report);
        if let Some(everyone) = everyone {
            let all = Counts::of(&everyone.stop().await);
            self.story
                .counts("The client with all addresses, from before to after", &all);
            self.report.all_addresses = Some(all);
        }
        self.undo(way).await
    }

    /// The outage that must hurt: otherwise the checks prove nothing.
    pub(super) async fn control_run(
        &mut self,
        load: &Load,
        gateways: &[(String, SocketAddr)],
    ) -> anyhow::Result<()> {
        let mut before = vec![];
        for cloud in CLOUDS {
            let change = |args: &mut Vec<String>| {
                args.extend(["--no-retries", "--no-checks"].map(str::to_owned));
            };
            before.push(faults::set_gateway_args(&self.sandbox, cloud, change).await?);
        }
        let outcome = self.outage(Way::Control, load, gateways).await;
        for (cloud, args) in CLOUDS.into_iter().zip(before) {
            faults::set_gateway_args(&self.sandbox, cloud, |now| *now = args).await?;
        }
        outcome
    }

    async fn prepare(&mut self, way: Way) -> anyhow::Result<()> {
        match way {
            Way::Weighted | Way::Control => {
                let even = CLOUDS.map(|cloud| (cloud, 1));
                faults::set_weights(&self.sandbox, MODEL, &even).await
            }
            Way::PodsDown => faults::hold_pods_down(&self.sandbox, "gcp", MODEL).await,
            Way::AllAddresses => Ok(()),
        }
    }

    async fn undo(&mut self, way: Way) -> anyhow::Result<()> {
        match way {
            Way::Weighted | Way::Control => faults::set_weights(&self.sandbox, MODEL, &[]).await,
            Way::PodsDown => {
                faults::let_pods_up(&self.sandbox, "gcp").await?;
                faults::wait_for_pods(&self.sandbox, "gcp", MODEL).await
            }
            Way::AllAddresses => Ok(()),
        }
    }

    /// Until the lost cloud answers again by itself, and the hub sees it.
    async fn wait_until_back(
        &mut self,
        gateways: &[(String, SocketAddr)],
        way: Way,
    ) -> anyhow::Result<Duration> {
        let start = crate::clock::now();
        let probe = self.start_load(
            &gateways
                .iter()
                .filter(|(name, _)| name == LOST)
                .cloned()
                .collect::<Vec<_>>(),
        );
        eventually("AWS answers again", PATIENCE, || async {
            let now = probe.now_ms();
            let recent = probe.between(now.saturating_sub(1000), now);
            let own = recent
                .iter()
                .filter(|record| record.verdict == Verdict::Right && !record.crossed());
            expect(own.count() >= 10, || "few answers".to_owned())
        })
        .await?;
        let took = start.elapsed();
        drop(probe.stop().await);
        faults::wait_reachable(&self.sandbox, LOST).await?;
        self.report
            .steps
            .push(Step::new(&format!("back {way:?}"), took));
        Ok(took)
    }
}

impl Way {
    fn title(self) -> &'static str {
        match self {
            Self::Weighted => "AWS goes dark, while all gateways send it a third",
            Self::PodsDown => "AWS goes dark, while GCP has no pods and lives on others",
            Self::AllAddresses => "AWS goes dark, for a client that has all addresses",
            Self::Control => "AWS goes dark, with the gateways' retries and checks off",
        }
    }
}

impl OutageReport {
    fn new(way: Way, command: Duration, back: Duration, fault: u64, records: &[Record]) -> Self {
        let (before, records): (Vec<&Record>, Vec<&Record>) =
            records.iter().partition(|record| record.start_ms < fault);
        let relied = before
            .iter()
            .filter(|record| record.answered_by(LOST, None) && record.crossed());
        let relied_on_lost = relied.count();
        let (first, after): (Vec<&Record>, Vec<&Record>) =
            records.iter().copied().partition(|record| {
                u128::from(record.start_ms) < u128::from(fault) + GRACE.as_millis()
            });
        let last_failure = records
            .iter()
            .filter(|record| record.verdict == Verdict::Failed)
            .map(|record| record.start_ms - fault)
            .max();
        Self {
            way,
            command_seconds: command.as_secs_f64(),
            relied_on_lost,
            first_two_seconds: Counts::of(first),
            after: Counts::of(after),
            recovery_seconds: Duration::from_millis(last_failure.unwrap_or(0)).as_secs_f64(),
            back_seconds: back.as_secs_f64(),
        }
    }
}
