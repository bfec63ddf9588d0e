//! `mcdeploy sandbox …`: flags, and what each command prints.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use tokio_util::sync::CancellationToken;

use crate::{
    Cloud, Fault, SandboxError, Say, api, faults, images,
    lifecycle::{self, Lock, UpRequest},
    preflight, serve,
    status::{self, Status},
    tools::{self, Tool},
};

/// Three clouds and a hub on this machine, for trying things out.
#[derive(Debug, Subcommand)]
pub enum SandboxArgs {
    /// Bring the sandbox up; run again to go on where it stopped
    Up(UpArgs),
    /// Show what runs
    Status(StatusArgs),
    /// Take the sandbox down, and leave the machine as it was
    Down,
    /// Break a cloud: by default, cut it off silently
    Outage(OutageArgs),
    /// End a cloud's outage
    Heal {
        /// Which
        cloud: Cloud,
    },
    /// Print the kubeconfig of a cloud's administrator
    Kubeconfig {
        /// Which
        cloud: Cloud,
    },
    /// Build images of mcdeployd and mcserve, and push them to every registry
    Images(ImagesArgs),
    /// Install the Debian packages and build the tools that the sandbox and tests run
    Tools,
    /// Hand out addresses to load balancers; `up` starts this
    #[command(hide = true)]
    Serve,
}

/// Flags of `up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Install mcdeploy in all four clusters, and make clusters and stores known to it
    #[arg(long)]
    install: bool,
    /// Where mcdeployd and mcserve are; by default, beside this program
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// Where the charts are; by default, `charts` here or above this program
    #[arg(long, value_name = "DIR", requires = "install")]
    charts: Option<PathBuf>,
}

/// Flags of `images`.
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Where the binaries are; by default, beside this program
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

/// Flags of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
    /// For programs and people
    Yaml,
}

/// Flags of `outage`.
#[derive(Debug, Args)]
pub struct OutageArgs {
    /// Which cloud
    cloud: Cloud,
    /// Drop every packet in and out; the inside goes on
    #[arg(long, group = "kind")]
    partition: bool,
    /// With --partition: only to and from this cloud
    #[arg(long, value_name = "CLOUD", conflicts_with_all = ["kill", "pause", "loss", "slow"])]
    from: Option<Cloud>,
    /// Kill every process, pods and store too; data is kept
    #[arg(long, group = "kind")]
    kill: bool,
    /// Stop every process, pods and store too
    #[arg(long, group = "kind")]
    pause: bool,
    /// Lose this many packets of a hundred, both ways
    #[arg(long, group = "kind", value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    loss: Option<u8>,
    /// Limit bandwidth both ways, such as 1mbit
    #[arg(long, group = "kind", value_name = "RATE", value_parser = rate)]
    slow: Option<String>,
}

/// A rate as `tc` has it, in bits a second.
fn rate(text: &str) -> Result<String, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let is_rate = number.parse::<u32>().is_ok_and(|number| number > 0)
        && ["bit", "kbit", "mbit", "gbit"].contains(&unit);
    if is_rate {
        return Ok(text.to_owned());
    }
    Err("expected a number and bit, kbit, mbit or gbit, such as 1mbit".to_owned())
}

impl OutageArgs {
    fn fault(&self) -> Fault {
        if self.kill {
            Fault::Kill
        } else if self.pause {
            Fault::Pause
        } else if let Some(percent) = self.loss {
            Fault::Loss { percent }
        } else if let Some(rate) = &self.slow {
            Fault::Slow { rate: rate.clone() }
        } else {
            Fault::Partition { from: self.from }
        }
    }
}

/// Runs a sandbox command. Progress goes to `say`, data to standard output.
///
/// `program` is the command line itself: `up` leaves `program sandbox serve` running.
///
/// # Errors
/// See [`SandboxError`]. After an error `up` may be run again to go on.
pub async fn run(
    args: SandboxArgs,
    program: PathBuf,
    say: &Say,
    cancel: &CancellationToken,
) -> Result<(), SandboxError> {
    let work = async {
        match args {
            SandboxArgs::Serve => {
                serve::serve(cancel).await;
                Ok(())
            }
            SandboxArgs::Up(up) => {
                // Before the lock too: not even its file is left on an unfit machine.
                lifecycle::check_fit().await?;
                let _lock = Lock::take(say).await?;
                let UpArgs {
                    install,
                    binaries,
                    charts,
                } = up;
                let request = UpRequest {
                    serve: (program.clone(), vec!["sandbox".into(), "serve".into()]),
                    binaries: binaries.unwrap_or_else(|| beside(&program)),
                    charts: install.then(|| charts.unwrap_or_else(|| charts_near(&program))),
                };
                lifecycle::up(&request, say).await
            }
            SandboxArgs::Down => {
                preflight::check_root()?;
                let _lock = Lock::take(say).await?;
                lifecycle::down(say).await
            }
            SandboxArgs::Outage(outage) => {
                lifecycle::check_running()?;
                let _lock = Lock::take(say).await?;
                faults::outage(outage.cloud, &outage.fault(), say).await
            }
            SandboxArgs::Heal { cloud } => {
                lifecycle::check_running()?;
                let _lock = Lock::take(say).await?;
                faults::heal(cloud, say).await
            }
            SandboxArgs::Images(ImagesArgs { binaries }) => {
                images(&binaries.unwrap_or_else(|| beside(&program)), say).await
            }
            SandboxArgs::Tools => all_tools(say).await,
            SandboxArgs::Kubeconfig { cloud } => print(&api::kubeconfig(cloud)?),
            SandboxArgs::Status(StatusArgs { output }) => {
                let status = status::look().await?;
                match output {
                    Output::Table => print(&text(&status)),
                    Output::Json => {
                        let json = serde_json::to_string_pretty(&status).unwrap_or_default();
                        print(&(json + "\n"))
                    }
                    Output::Yaml => print(&serde_saphyr::to_string(&status).unwrap_or_default()),
                }
            }
        }
    };
    cancel
        .run_until_cancelled(work)
        .await
        .unwrap_or(Err(SandboxError::Interrupted))
}

fn beside(program: &Path) -> PathBuf {
    program.parent().map(PathBuf::from).unwrap_or_default()
}

/// `charts` in this directory, else in the nearest one above the program.
fn charts_near(program: &Path) -> PathBuf {
    let here = [Path::new(".")];
    let places = here.into_iter().chain(program.ancestors());
    places
        .map(|place| place.join("charts"))
        .find(|charts| charts.join("mcdeploy/Chart.yaml").exists())
        .unwrap_or_else(|| PathBuf::from("charts"))
}

/// Builds images; pushes them if there is a sandbox to push to.
async fn images(binaries: &Path, say: &Say) -> Result<(), SandboxError> {
    let built = images::build(binaries, say).await?;
    if lifecycle::is_up()? {
        images::push(&built, &Cloud::ALL, say).await?;
    }
    print(&(images::to_json(&built) + "\n"))
}

/// All that anything here runs, so that nobody waits for a build later without knowing.
async fn all_tools(say: &Say) -> Result<(), SandboxError> {
    let packages = say.clone();
    let install = move || tools::ensure_packages(tools::SANDBOX_PACKAGES, &packages);
    let installed = tokio::task::spawn_blocking(install).await;
    installed.map_err(|_| SandboxError::Interrupted)??;
    let of_tests = [Tool::Mlflow, Tool::Sklearn, Tool::Pyarrow];
    for tool in Tool::ALL.into_iter().chain(of_tests) {
        tools::ensure(tool, say).await?;
    }
    Ok(())
}

fn print(text: &str) -> Result<(), SandboxError> {
    let written = std::io::stdout().write_all(text.as_bytes());
    written.map_err(SandboxError::file("write", "standard output"))
}

fn text(status: &Status) -> String {
    if !status.up {
        return "no sandbox is up\n".to_owned();
    }
    let head = ["CLOUD", "ADDRESS", "READY", "MEMORY", "NOTE"];
    let mut lines = vec![line(head.map(str::to_owned))];
    lines.extend(status.clouds.iter().map(|row| {
        let mut notes = Vec::new();
        notes.extend(row.fault.as_ref().map(ToString::to_string));
        if !row.missing.is_empty() {
            notes.push(format!("not running: {}", row.missing.join(", ")));
        }
        if !row.message.is_empty() {
            notes.push(row.message.clone());
        }
        line([
            row.cloud.name().to_owned(),
            row.address.clone(),
            if row.ready { "yes" } else { "no" }.to_owned(),
            format!("{} MiB", row.pss_bytes >> 20),
            notes.join("; "),
        ])
    }));
    let all = status.pss_bytes >> 20;
    lines.push(format!(
        "memory of all, shared pages counted once: {all} MiB\n"
    ));
    lines.join("\n")
}

fn line([cloud, address, ready, memory, note]: [String; 5]) -> String {
    let line = format!("{cloud:<6} {address:<12} {ready:<6} {memory:>9}  {note}");
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Program {
        #[command(subcommand)]
        sandbox: SandboxArgs,
    }

    fn outage(words: &str) -> Result<Fault, clap::Error> {
        let words = words.split_whitespace();
        let parsed = Program::try_parse_from(["mcdeploy", "outage"].into_iter().chain(words))?;
        match parsed.sandbox {
            SandboxArgs::Outage(args) => Ok(args.fault()),
            other => panic!("parsed as {other:?}"),
        }
    }

    #[test]
    fn an_outage_is_one_fault_and_a_partition_unless_said() {
        let fault = |words: &str| outage(words).expect("it parses");
        assert_eq!(fault("aws"), Fault::Partition { from: None });
        let from = Some(Cloud::Hub);
        assert_eq!(
            fault("aws --partition --from hub"),
            Fault::Partition { from }
        );
        assert_eq!(fault("gcp --from hub"), Fault::Partition { from });
        assert_eq!(fault("hub --kill"), Fault::Kill);
        assert_eq!(fault("hub --pause"), Fault::Pause);
        assert_eq!(fault("aws --loss 30"), Fault::Loss { percent: 30 });
        let rate = "1mbit".to_owned();
        assert_eq!(fault("azure --slow 1mbit"), Fault::Slow { rate });
        for wrong in [
            "",
            "mars",
            "aws --kill --pause",
            "aws --kill --from hub",
            "aws --loss 101",
            "aws --slow banana",
            "aws --slow 1mb",
            "aws --slow 0kbit",
            "aws --slow mbit",
        ] {
            assert!(outage(wrong).is_err(), "{wrong}");
        }
    }
}
