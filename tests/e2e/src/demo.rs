//! The demo: a story on the screen, the same as numbers in a report, and the checks of
//! what must be reached.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::task::JoinHandle;

use crate::{
    clock,
    digits::{Digits, MODEL},
    load::{Client, Counts, Load, Options, Record, Serving, Target},
    memory::{OperatorWatch, sandbox_pss},
    sandbox::{CLOUDS, Said, Sandbox, expect},
};

mod checks;
mod outage;
mod report;
mod story;

pub use checks::Check;
pub use outage::{OutageReport, Way};
pub use report::{Report, Step};
pub use story::Story;

/// Brings up three clouds and a hub on this machine, rolls a model out, loses a cloud,
/// and tells what its users saw. Exit code 1 when something that must be reached was not.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "cargo xtask demo", version)]
pub struct Args {
    /// Leave the sandbox running at the end
    #[arg(long)]
    pub keep: bool,
    /// Write the report (JSON) to this file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Use the sandbox that runs already, and leave it running
    #[arg(long)]
    pub reuse: bool,
    /// Check also that the checks can fail: a second outage with the gateways' retries and
    /// checks switched off
    #[arg(long)]
    pub check: bool,
}

/// Where the sandbox keeps its state while it runs.
const STATE: &str = "/var/lib/mcdeploy-sandbox/record.json";
/// Requests a second to each gateway.
const RATE: u32 = 50;

/// Runs the demo. Says whether everything checked held.
///
/// # Errors
/// A step failed. The sandbox is taken down all the same, unless it is to be kept.
pub async fn run(args: &Args) -> anyhow::Result<bool> {
    let story = Story;
    if !args.reuse && Path::new(STATE).exists() {
        bail!(
            "a sandbox runs already: use it with --reuse, or end it with `mcdeploy sandbox down`"
        );
    }
    let mut demo = Demo {
        sandbox: Sandbox::new()?,
        story,
        report: Report::default(),
        digits: Arc::new(Digits::read()?),
        serving: Serving::default(),
        pss: None,
    };
    let watch = OperatorWatch::start();
    let outcome = tokio::select! {
        outcome = demo.tell(args) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    demo.report.operator_peak_rss_bytes = watch.stop().await;
    if let Some(pss) = demo.pss.take() {
        demo.report.sandbox_pss_bytes = pss.await.unwrap_or(0);
    }
    if let Err(error) = &outcome {
        demo.report.error = Some(format!("{error:#}"));
    }
    let ended = demo.end(args).await;
    demo.report.checks = checks::all(&demo.report, args.check);
    demo.story.checks(&demo.report.checks);
    if let Some(path) = &args.report {
        demo.report.write(path)?;
        demo.story
            .say(&format!("The report is in {}.", path.display()));
    }
    outcome?;
    ended?;
    Ok(!demo.report.checks.iter().any(Check::has_failed))
}

/// From the first answer of the first wave's cloud by v3 to that of the second's.
fn wave_lead(records: &[Record]) -> Option<f64> {
    let first = |cloud: &str| {
        let answers = records.iter().filter(|r| r.answered_by(cloud, Some("v3")));
        answers.map(|record| record.end_ms).min()
    };
    let (aws, gcp) = (first("aws")?, first("gcp")?);
    let lead = Duration::from_millis(gcp.abs_diff(aws)).as_secs_f64();
    Some(if gcp < aws { -lead } else { lead })
}

struct Demo {
    sandbox: Sandbox,
    story: Story,
    report: Report,
    digits: Arc<Digits>,
    serving: Serving,
    /// Measures the sandbox's memory 30 s after it is up.
    pss: Option<JoinHandle<u64>>,
}

impl Demo {
    async fn tell(&mut self, args: &Args) -> anyhow::Result<()> {
        if !args.reuse {
            self.show(
                "up",
                "Three clouds and a hub",
                &["sandbox", "up", "--install"],
            )
            .await?;
        }
        self.sandbox.connect().await?;
        self.pss = Some(tokio::spawn(async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            tokio::task::spawn_blocking(sandbox_pss).await.unwrap_or(0)
        }));
        self.measure_help().await?;
        for version in ["v1", "v2", "v3"] {
            let title = format!("Push {version} to one store");
            self.show(&format!("push {version}"), &title, &["push", version])
                .await?;
        }
        self.allow(&CLOUDS, &["v2"]);
        let words = ["rollout", "--model", "v2", "--clouds", "aws,gcp,azure"];
        self.show("rollout v2", "v2 to three clouds", &words)
            .await?;

        let gateways = self.sandbox.gateways().await?;
        let load = self.start_load(&gateways);
        self.story.say(&format!(
            "Load from outside: {RATE} requests a second to each gateway: {}.",
            gateways
                .iter()
                .map(|(name, address)| format!("{name} {address}"))
                .collect::<Vec<_>>()
                .join(", ")
        ));
        tokio::time::sleep(Duration::from_secs(3)).await;
        self.rollout_v3(&load).await?;
        for way in [Way::Weighted, Way::PodsDown, Way::AllAddresses] {
            self.outage(way, &load, &gateways).await?;
        }
        if args.check {
            self.control_run(&load, &gateways).await?;
        }
        self.finish_fleet(&load).await?;
        self.report.load = Counts::of(&load.stop().await);
        Ok(())
    }

    /// The rollout that the demo is about, under load.
    async fn rollout_v3(&mut self, load: &Load) -> anyhow::Result<()> {
        self.allow(&["aws", "gcp"], &["v2", "v3"]);
        let words = ["rollout", "--model", "v3", "--clouds", "aws,gcp"];
        let from = load.now_ms();
        self.show("rollout v3", "v3 to AWS and GCP, under load", &words)
            .await?;
        self.allow(&["aws", "gcp"], &["v3"]);
        self.after_rollout("rollout v3", load, from).await;
        self.report.wave_lead_seconds = wave_lead(&load.between(from, load.now_ms()));
        // Azure is out of the rollout's scope: it goes on with v2, which status calls
        // MixedRevisions. Nothing is wrong with that.
        let said = self.sandbox.run(&["status"]).await?.ok()?;
        self.story.say(&said.stdout);
        let mixed = said.stdout.contains("MixedRevisions=True");
        expect(mixed && said.stdout.contains("azure serves v2"), || {
            said.text()
        })
    }

    /// Brings the cloud that was out of scope to v3 too, under load.
    async fn finish_fleet(&mut self, load: &Load) -> anyhow::Result<()> {
        self.allow(&["azure"], &["v2", "v3"]);
        let from = load.now_ms();
        let words = ["rollout", "--model", "v3"];
        self.show(
            "rollout v3 to the rest",
            "v3 to the whole fleet, under load",
            &words,
        )
        .await?;
        self.allow(&CLOUDS, &["v3"]);
        self.after_rollout("rollout v3 to the rest", load, from)
            .await;
        Ok(())
    }

    /// Waits until requests of the rollout have ended, and keeps their sums.
    async fn after_rollout(&mut self, name: &str, load: &Load, from: u64) {
        let until = load.now_ms();
        tokio::time::sleep(outage::CLIENT_TIMEOUT).await;
        let counts = Counts::of(&load.between(from, until));
        self.story.counts("Users saw", &counts);
        self.report.under_rollout.insert(name.to_owned(), counts);
    }

    fn start_load(&self, gateways: &[(String, std::net::SocketAddr)]) -> Load {
        let targets = gateways
            .iter()
            .map(|gateway| Target {
                name: gateway.0.clone(),
                gateways: vec![gateway.clone()],
                client: Client::Single,
            })
            .collect();
        self.load_to(targets)
    }

    fn load_to(&self, targets: Vec<Target>) -> Load {
        let options = Options {
            model: MODEL.to_owned(),
            rate: RATE,
            timeout: outage::CLIENT_TIMEOUT,
        };
        Load::start(
            targets,
            Arc::clone(&self.digits),
            options,
            self.serving.clone(),
        )
    }

    fn allow(&self, clusters: &[&str], versions: &[&str]) {
        for cluster in clusters {
            self.serving.set(cluster, versions);
        }
    }

    /// Runs a command on the screen as one step of the story.
    async fn show(&mut self, name: &str, title: &str, words: &[&str]) -> anyhow::Result<Said> {
        self.story
            .step(title, &format!("mcdeploy {}", words.join(" ")));
        let said = self.sandbox.show(words).await?;
        self.report.steps.push(Step::new(name, said.took));
        self.story.took(said.took);
        said.ok()
    }

    /// The median of five: the first may read from the disk.
    async fn measure_help(&mut self) -> anyhow::Result<()> {
        let mut took = [Duration::ZERO; 5];
        for took in &mut took {
            let start = clock::now();
            let mut command = self.sandbox.command(&["--help"]);
            command.stdout(std::process::Stdio::null());
            let status = command.status().await.context("mcdeploy --help")?;
            expect(status.success(), || "mcdeploy --help failed".to_owned())?;
            *took = start.elapsed();
        }
        took.sort_unstable();
        self.report.help_seconds = took[took.len() / 2].as_secs_f64();
        Ok(())
    }

    async fn end(&mut self, args: &Args) -> anyhow::Result<()> {
        if args.keep || args.reuse {
            self.story
                .say("The sandbox goes on: `mcdeploy sandbox status`, `mcdeploy sandbox down`.");
            return Ok(());
        }
        self.show("down", "Everything goes", &["sandbox", "down"])
            .await
            .map(drop)
    }
}
