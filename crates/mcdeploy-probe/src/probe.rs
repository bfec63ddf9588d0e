//! One revision, seen through one gateway.

use std::{error::Error, time::Duration};

use mcdeploy_api::names;
use reqwest::{RequestBuilder, Response, header::HeaderMap, redirect};
use serde::de::DeserializeOwned;

use crate::{
    ProbeFailure, ProbeSample, ProbeStep,
    clock::Stopwatch,
    tensor::{InferResponse, Metadata, zeros},
};

/// Longest answer that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 4 << 20;
/// Value of [`names::HEADER_HOP`] in every probe. It makes the gateway answer from its
/// own region or not at all: an answer that crossed says nothing about this region.
pub const PROBE_HOP: &str = "mcdeploy-probe";
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// Characters of an answer that are kept for people.
const SHOWN: usize = 200;

/// Looks at gateways. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Probe {
    http: reqwest::Client,
}

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeTarget {
    /// `host:port` of the gateway, plain HTTP.
    pub address: String,
    /// Member cluster that must have served. Empty: any.
    pub cluster: String,
    /// Model name.
    pub model: String,
    /// Model version of the revision.
    pub version: String,
    /// Revision id.
    pub revision: String,
}

impl Probe {
    /// A probe that keeps no connection open and follows no redirect or proxy.
    ///
    /// # Errors
    /// A TLS library that cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT)
            .user_agent("mcdeploy-probe")
            .build()?;
        Ok(Self { http })
    }

    /// Looks whether a revision serves: its versioned path is ready, its metadata can be
    /// read, and one inference on zeros is answered, all by the expected cluster and
    /// revision and within `timeout` together. Cancel-safe.
    pub async fn serving(&self, target: &ProbeTarget, timeout: Duration) -> ProbeSample {
        let since = Stopwatch::start();
        let mut look = Look {
            probe: self,
            target,
            step: ProbeStep::Ready,
            cluster: None,
            revision: None,
        };
        let result = match tokio::time::timeout(timeout, look.all()).await {
            Ok(result) => result,
            Err(_) => Err(ProbeFailure::TimedOut {
                step: look.step,
                address: target.address.clone(),
                timeout,
            }),
        };
        ProbeSample {
            latency: since.elapsed(),
            cluster: look.cluster,
            revision: look.revision,
            result,
        }
    }
}

struct Look<'a> {
    probe: &'a Probe,
    target: &'a ProbeTarget,
    step: ProbeStep,
    cluster: Option<String>,
    revision: Option<String>,
}

impl Look<'_> {
    async fn all(&mut self) -> Result<(), ProbeFailure> {
        let ProbeTarget {
            address,
            cluster: _,
            model,
            version: _,
            revision,
        } = self.target;
        let base = format!("http://{address}/v2/models/{model}/versions/{revision}");
        let http = self.probe.http.clone();
        self.step = ProbeStep::Ready;
        self.body(http.get(format!("{base}/ready"))).await?;
        self.step = ProbeStep::Metadata;
        let metadata: Metadata = self.json(http.get(&base)).await?;
        let request = zeros(&metadata).map_err(|detail| self.malformed(detail))?;
        self.step = ProbeStep::Infer;
        let infer = http.post(format!("{base}/infer")).json(&request);
        let answer: InferResponse = self.json(infer).await?;
        if answer.outputs.is_empty() {
            return Err(self.malformed("no outputs".to_owned()));
        }
        match answer.outputs.iter().find(|output| output.data.is_empty()) {
            Some(empty) => Err(self.malformed(format!("output {:?} is empty", empty.name))),
            None => Ok(()),
        }
    }

    async fn json<T: DeserializeOwned>(&mut self, call: RequestBuilder) -> Result<T, ProbeFailure> {
        let body = self.body(call).await?;
        serde_json::from_slice(&body).map_err(|error| self.malformed(error.to_string()))
    }

    /// The body of an answer with status 200 from the right place.
    async fn body(&mut self, call: RequestBuilder) -> Result<Vec<u8>, ProbeFailure> {
        let call = call.header(names::HEADER_HOP, PROBE_HOP);
        let mut response = call.send().await.map_err(|error| self.transport(error))?;
        self.cluster = header(response.headers(), names::HEADER_CLUSTER);
        self.revision = header(response.headers(), names::HEADER_REVISION);
        let body = self.bounded(&mut response).await?;
        if response.status().as_u16() != 200 {
            return Err(ProbeFailure::Status {
                step: self.step,
                address: self.target.address.clone(),
                code: response.status().as_u16(),
                message: shown(&body),
            });
        }
        self.check_place()?;
        Ok(body)
    }

    async fn bounded(&self, response: &mut Response) -> Result<Vec<u8>, ProbeFailure> {
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.transport(error))?
        {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(self.malformed(format!("longer than {MAX_ANSWER_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn check_place(&self) -> Result<(), ProbeFailure> {
        let target = self.target;
        let elsewhere = |is_cluster, expected: &str, actual: Option<&String>| {
            Err(ProbeFailure::Elsewhere {
                step: self.step,
                is_cluster,
                expected: expected.to_owned(),
                actual: actual.cloned().unwrap_or_default(),
            })
        };
        let expected = format!("{}.{}", target.version, target.revision);
        if self.revision.as_ref() != Some(&expected) {
            return elsewhere(false, &expected, self.revision.as_ref());
        }
        if !target.cluster.is_empty() && self.cluster.as_ref() != Some(&target.cluster) {
            return elsewhere(true, &target.cluster, self.cluster.as_ref());
        }
        Ok(())
    }

    fn malformed(&self, detail: String) -> ProbeFailure {
        ProbeFailure::Malformed {
            step: self.step,
            address: self.target.address.clone(),
            detail,
        }
    }

    fn transport(&self, error: reqwest::Error) -> ProbeFailure {
        let address = self.target.address.clone();
        let is_connect = error.is_connect();
        let is_builder = error.is_builder();
        let detail = innermost(&error.without_url());
        if is_connect || is_builder {
            return ProbeFailure::Connect { address, detail };
        }
        ProbeFailure::Broken {
            step: self.step,
            address,
            detail,
        }
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.chars().take(SHOWN).collect())
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN)]);
    text.trim().chars().take(SHOWN).collect()
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current.to_string()
}
