//! Command line and environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Serves ONNX models over Open Inference Protocol v2 (REST).
///
/// Reads every `<model>/<version>/*.onnx` under the models directory at start.
#[derive(Clone, Debug, Parser)]
#[command(version, about)]
pub struct Args {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Directory that holds `<model>/<version>/*.onnx`.
    #[arg(long, env = "MCSERVE_MODELS_DIR", default_value = "/mnt/models")]
    pub models_dir: PathBuf,
    /// Address and port to listen on.
    #[arg(long, env = "MCSERVE_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Largest request body, in bytes. A larger one is answered 413.
    #[arg(long, env = "MCSERVE_MAX_BODY", default_value_t = 8 * 1024 * 1024)]
    pub max_body: usize,
    /// Inferences that run at the same time. 0: one for each CPU.
    #[arg(long, env = "MCSERVE_WORKERS", default_value_t = 0)]
    pub workers: usize,
    /// Inference requests that may wait for a worker. One more is answered 503 with
    /// `Retry-After`.
    #[arg(long, env = "MCSERVE_QUEUE", default_value_t = 64)]
    pub queue: usize,
    /// How long a request body may take to arrive, such as `10s`. Longer is answered 408.
    #[arg(long, env = "MCSERVE_BODY_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub body_timeout: Duration,
    /// After SIGTERM: how long to go on accepting, not ready, so that those who route
    /// here can look away first.
    #[arg(long, env = "MCSERVE_LINGER", default_value = "2s", value_parser = duration)]
    pub linger: Duration,
    /// After that: how long requests in flight may take to end.
    #[arg(long, env = "MCSERVE_DRAIN", default_value = "20s", value_parser = duration)]
    pub drain: Duration,
    /// File that gets the reason when the server cannot serve, if it is there. Kubernetes makes
    /// it, and shows what is in it with the pod.
    #[arg(
        long,
        env = "MCSERVE_TERMINATION_LOG",
        value_name = "FILE",
        default_value = "/dev/termination-log"
    )]
    pub termination_log: PathBuf,
    /// Log filter, such as `info` or `mcserve=debug`.
    #[arg(long, env = "MCSERVE_LOG", default_value = "info", value_parser = log_filter)]
    pub log: String,
}

/// What the program does instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Say whether each version in a directory can be served, and why not.
    ///
    /// Loads them as the server does. Ends 0 when all can be served, 1 when one cannot, 2 when
    /// there is nothing to look at.
    Check {
        /// Directory that holds `<model>/<version>/*.onnx`, or one version.
        dir: PathBuf,
    },
}

impl Args {
    /// Inferences that run at the same time, at least one.
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            wanted => wanted,
        }
    }
}

/// Takes what tracing takes, so that a mistake is told before anything starts.
fn log_filter(text: &str) -> Result<String, String> {
    let parsed = EnvFilter::try_new(text).map_err(|error| error.to_string());
    parsed.map(|_| text.to_owned())
}

/// Parses `250ms`, `10s`, `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let expected = || format!("expected a number with ms, s or m, such as 10s; got {text:?}");
    let number: u64 = digits.parse().map_err(|_| expected())?;
    let millis = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        _ => return Err(expected()),
    };
    millis.map(Duration::from_millis).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        for bad in ["", "10", "s", "-1s", "1h", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
