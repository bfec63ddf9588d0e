//! What transfer Jobs say, in place of the logs of their pods.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, stream, stream::BoxStream};
use mcdeploy_api::TransferPlan;

/// By name of the Job; none is the end.
#[derive(Default)]
pub(crate) struct Logs {
    lines: Mutex<BTreeMap<String, Vec<Option<String>>>>,
    pub(crate) is_slow: AtomicBool,
}

/// Bytes that a slow transfer says it copies.
pub(crate) const SLOW_BYTES: u64 = 4_000;

enum Said {
    Line(String),
    End,
}

impl Logs {
    fn say(&self, job: &str, line: Option<String>) {
        let mut lines = self.lines.lock().unwrap();
        lines.entry(job.to_owned()).or_default().push(line);
    }

    /// None: it is not said yet.
    fn line(&self, job: &str, index: usize) -> Option<Said> {
        let lines = self.lines.lock().unwrap();
        let said = lines.get(job)?.get(index)?.clone();
        Some(said.map_or(Said::End, Said::Line))
    }

    /// As the log of a pod: from its beginning, and then each new line. One that says
    /// nothing has no pod.
    pub(crate) fn follow(self: Arc<Self>, job: String) -> BoxStream<'static, String> {
        let begun = self.lines.lock().unwrap().contains_key(&job);
        let next = move |index: usize| {
            let (logs, job) = (Arc::clone(&self), job.clone());
            async move {
                loop {
                    match logs.line(&job, index) {
                        Some(Said::Line(line)) => return Some((line, index + 1)),
                        Some(Said::End) => return None,
                        None => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                }
            }
        };
        if begun {
            stream::unfold(0, next).boxed()
        } else {
            stream::empty().boxed()
        }
    }

    /// Says for four seconds, ten times a second, how far a transfer is.
    pub(crate) async fn while_slow(&self, job: &str, plan: &TransferPlan) {
        if !self.is_slow.load(Ordering::SeqCst) {
            return;
        }
        for tenth in 1..=40 {
            for target in &plan.targets {
                let line = format!(
                    r#"{{"level":"INFO","store":"{}","done_bytes":{},"total_bytes":{SLOW_BYTES},"bytes_per_second":1000,"eta_seconds":{},"repeats":1}}"#,
                    target.name,
                    tenth * 100,
                    4 - tenth / 10,
                );
                self.say(job, Some(line));
            }
            self.say(job, Some("not a line of progress".to_owned()));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.say(job, None);
    }
}
