//! `mcdeployd gateway`: the data plane of one region.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow, ensure};
use mcdeploy_gateway::{
    Config, Gateway, Options, Source, Tls,
    config::{AccessLog, HealthConfig, Limits, RetryConfig, Timings},
    kube_client,
};
use tokio_util::sync::CancellationToken;

use crate::listen::on_this_machine;

/// Route inference requests to this region first, then to another.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the member cluster that this gateway serves in.
    #[arg(long, env = "MCDEPLOY_CLUSTER")]
    cluster: String,
    /// Name of this pod; goes into the status of snapshots.
    #[arg(long, env = "POD_NAME", default_value = "gateway")]
    pod_name: String,
    /// Address for clients and other gateways. `[::]` takes IPv4 too, and only that on a
    /// machine without IPv6.
    #[arg(long, default_value = "[::]:8080")]
    listen: SocketAddr,
    /// Directory of tls.crt and tls.key, both PEM, for clients over TLS: a mounted Secret of type
    /// kubernetes.io/tls. Changes are taken while connections go on.
    #[arg(long)]
    tls_dir: Option<PathBuf>,
    /// Address for clients over TLS. Other gateways come to that of --listen.
    #[arg(long, default_value = "[::]:8443", requires = "tls_dir")]
    tls_listen: SocketAddr,
    /// Address of /healthz, /livez and /metrics.
    #[arg(long, default_value = "[::]:9090")]
    admin: SocketAddr,
    /// Directory of the copy of the last good snapshots.
    #[arg(long, default_value = "/var/lib/mcdeploy")]
    state_dir: PathBuf,
    /// Time-out of a connection to an upstream.
    #[arg(long, default_value = "300ms", value_parser = duration)]
    connect_timeout: Duration,
    /// Time-out of a request over all its tries, up to the head of the answer.
    #[arg(long, default_value = "30s", value_parser = duration)]
    request_timeout: Duration,
    /// Time from one check of an upstream to the next.
    #[arg(long, default_value = "500ms", value_parser = duration)]
    check_interval: Duration,
    /// Time-out of one check.
    #[arg(long, default_value = "400ms", value_parser = duration)]
    check_timeout: Duration,
    /// Failures in a row that eject an upstream.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    fall: u32,
    /// Good checks in a row that bring it back.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rise: u32,
    /// Tries in other regions. Where an upstream broke with a request, one more may try it,
    /// and after that none.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=10))]
    remote_tries: u32,
    /// Retries of a model, in percent of its requests. One a second is always allowed, and 100
    /// at once where traffic is thin.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=100))]
    retry_budget: u32,
    /// After SIGTERM, new connections are still taken for this long.
    #[arg(long, default_value = "5s", value_parser = duration)]
    drain_delay: Duration,
    /// After that, requests under way have this long to end.
    #[arg(long, default_value = "15s", value_parser = duration)]
    drain_timeout: Duration,
    /// Connections to clients without a request are closed after this. Longer than the
    /// balancer in front keeps them.
    #[arg(long, default_value = "620s", value_parser = duration)]
    client_idle_timeout: Duration,
    /// Time-out of the head of a request, from its first byte on.
    #[arg(long, default_value = "10s", value_parser = duration)]
    head_timeout: Duration,
    /// Time-out of the body of a request.
    #[arg(long, default_value = "30s", value_parser = duration)]
    body_timeout: Duration,
    /// Time-out between two parts of an answer that comes part by part, and for writing a part to
    /// the client.
    #[arg(long, default_value = "60s", value_parser = duration)]
    stream_idle_timeout: Duration,
    /// Which requests have a line in the log (target `access`): `failed` are those that were
    /// answered with 5xx, or whose answer broke.
    #[arg(long, value_enum, default_value_t = Which::Failed)]
    access_log: Which,
    /// Connections from clients. Beyond, one that waits for a request is closed for each that
    /// comes.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_connections: u32,
    /// MiB of the body of one request, which is kept so that it can be sent again.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    max_body_mib: u32,
    /// MiB of all kept bodies together. No client and no model gets more than its share of the
    /// upper half.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    max_bodies_mib: u32,
    /// For tests: try each request once.
    #[arg(long, hide = true)]
    no_retries: bool,
    /// For tests: check and eject nothing.
    #[arg(long, hide = true)]
    no_checks: bool,
}

/// Which requests have a line in the log.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Which {
    None,
    Failed,
    All,
}

impl From<Which> for AccessLog {
    fn from(which: Which) -> Self {
        match which {
            Which::None => Self::None,
            Which::Failed => Self::Failed,
            Which::All => Self::All,
        }
    }
}

/// Serves until `cancel`, then drains.
pub(crate) async fn run(args: Box<Args>, cancel: CancellationToken) -> anyhow::Result<()> {
    ensure!(
        args.check_timeout <= args.check_interval,
        "--check-timeout must not be longer than --check-interval"
    );
    ensure!(
        args.max_body_mib <= args.max_bodies_mib,
        "--max-body-mib must not be more than --max-bodies-mib: no body of that size would \
         ever fit"
    );
    let client = kube_client().await?;
    let source = Source::Kube {
        client,
        pod: args.pod_name.clone(),
    };
    let gateway = Gateway::bind(args.options())
        .await
        .context("start the gateway")?;
    gateway.run(source, cancel).await;
    Ok(())
}

impl Args {
    fn options(self) -> Options {
        let mut config = Config::new(self.cluster);
        config.timings = Timings {
            connect: self.connect_timeout,
            request: self.request_timeout,
            head: self.head_timeout,
            body: self.body_timeout,
            stream_idle: self.stream_idle_timeout,
            client_keepalive: self.client_idle_timeout,
            drain_delay: self.drain_delay,
            drain: self.drain_timeout,
            ..config.timings
        };
        config.health = HealthConfig {
            enabled: !self.no_checks,
            interval: self.check_interval,
            timeout: self.check_timeout,
            fall: self.fall,
            rise: self.rise,
            ..config.health
        };
        config.retries = RetryConfig {
            enabled: !self.no_retries,
            remote_tries: self.remote_tries,
            budget_percent: self.retry_budget,
            ..config.retries
        };
        config.access_log = self.access_log.into();
        config.limits = Limits {
            body_bytes: mib(self.max_body_mib),
            buffered_bytes: mib(self.max_bodies_mib),
            connections: usize::try_from(self.max_connections).unwrap_or(usize::MAX),
            ..config.limits
        };
        Options {
            config,
            listen: on_this_machine(self.listen),
            tls: self.tls_dir.map(|dir| Tls {
                listen: on_this_machine(self.tls_listen),
                dir,
            }),
            admin: on_this_machine(self.admin),
            state_dir: Some(self.state_dir),
        }
    }
}

fn mib(number: u32) -> usize {
    usize::try_from(number).map_or(usize::MAX, |number| number << 20)
}

/// A number with its unit, `ms` or `s`; at most an hour.
fn duration(text: &str) -> anyhow::Result<Duration> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = text.strip_suffix(unit).unwrap_or(text).parse::<u64>();
    let duration = match (number, unit) {
        (Ok(n), "ms") => Duration::from_millis(n),
        (Ok(n), "s") => Duration::from_secs(n),
        _ => return Err(anyhow!("expected a number and ms or s, like 300ms")),
    };
    let sane = Duration::from_millis(1)..=Duration::from_hours(1);
    ensure!(sane.contains(&duration), "expected 1ms to 3600s");
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn without_flags_a_gateway_does_what_the_documentation_says() {
        let words = ["gateway", "--cluster", "aws"];
        let Program { args } = clap::Parser::try_parse_from(words).unwrap();
        let config = args.options().config;
        let ms = Duration::from_millis;
        assert_eq!(config.timings.connect, ms(300));
        assert_eq!(config.timings.client_keepalive, ms(620_000));
        assert_eq!(
            (config.health.interval, config.health.timeout),
            (ms(500), ms(400))
        );
        assert_eq!((config.health.fall, config.health.rise), (2, 3));
        let retries = config.retries;
        assert_eq!((retries.remote_tries, retries.budget_percent), (2, 20));
        assert!(retries.enabled && config.health.enabled);
        assert_eq!(config.limits.body_bytes, 8 * 1024 * 1024);
        // The flags' defaults and the library's are written down twice.
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::new("aws")));
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("300ms").unwrap(), Duration::from_millis(300));
        assert_eq!(duration("2s").unwrap(), Duration::from_secs(2));
        for text in ["", "300", "ms", "0s", "1m", "-1s", "99999s", "1.5s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
