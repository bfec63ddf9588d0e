//! One server: what it says of the model, and one answer.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde_json::Value;

use super::{Endpoint, metadata::Model};
use crate::{error::EvaluateError, inference::Inference};

/// Longest answer that is read, in bytes.
const MOST_BYTES: usize = 64 << 20;
/// Characters of an answer that are shown.
const SHOWN: usize = 200;

/// A model behind a URL.
#[derive(Debug)]
pub(super) struct Server {
    http: Client,
    name: String,
    model: Url,
    infer: Url,
}

/// A request without an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    /// Why.
    pub(super) what: String,
    /// Whether the same request may have an answer later.
    pub(super) again: bool,
    /// The server wants to be left alone so long.
    pub(super) after: Option<Duration>,
}

impl Server {
    pub(super) fn new(endpoint: &Endpoint, inference: &Inference) -> Result<Self, EvaluateError> {
        let name = endpoint.name.clone();
        let wrong = |problem: String| EvaluateError::Endpoint {
            endpoint: name.clone(),
            problem,
        };
        let model = model_url(&endpoint.url, inference).map_err(wrong)?;
        let infer =
            Url::parse(&format!("{model}/infer")).map_err(|error| wrong(error.to_string()))?;
        let timeout =
            Duration::try_from_secs_f64(inference.timeout_seconds).unwrap_or(Duration::MAX);
        let http = Client::builder()
            .timeout(timeout)
            .redirect(redirect::Policy::none())
            .user_agent("mcdeploy-evaluate")
            .build()
            .map_err(|error| wrong(format!("no client could be made: {error}")))?;
        Ok(Self {
            http,
            name,
            model,
            infer,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A mistake of the server, or of who wrote what it is asked for.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> EvaluateError {
        EvaluateError::Endpoint {
            endpoint: self.name.clone(),
            problem: problem.into(),
        }
    }

    /// The end of asking, because of a request that had no answer.
    pub(super) fn refused(&self, failure: &Failure, row: usize, repeats: u32) -> EvaluateError {
        let what = &failure.what;
        let row = row + 1;
        if failure.again {
            return EvaluateError::Unanswered {
                endpoint: self.name.clone(),
                problem: format!("row {row} had no answer after {repeats} repetitions: {what}"),
            };
        }
        self.wrong(format!("{what} to row {row}"))
    }

    /// What the server says of the model.
    pub(super) async fn metadata(&self) -> Result<Model, EvaluateError> {
        let answer = self.read(self.http.get(self.model.clone())).await;
        let answer = answer.map_err(|failure| {
            let what = format!("{}, asked for {}", failure.what, self.model.path());
            if failure.again {
                EvaluateError::Unanswered {
                    endpoint: self.name.clone(),
                    problem: what,
                }
            } else {
                self.wrong(what)
            }
        })?;
        let said: Result<Model, _> = serde_json::from_value(answer);
        said.map_err(|error| {
            self.wrong(format!(
                "expected metadata of a model by protocol v2, found {error}"
            ))
        })
    }

    /// One answer.
    pub(super) async fn infer(&self, body: Vec<u8>) -> Result<Value, Failure> {
        let request = self.http.post(self.infer.clone());
        let request = request
            .header("content-type", "application/json")
            .body(body);
        self.read(request).await
    }

    async fn read(&self, request: reqwest::RequestBuilder) -> Result<Value, Failure> {
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let after = retry_after(&response);
        let bytes = body(response).await?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| Failure {
                what: format!("answered what is no JSON ({error})"),
                again: false,
                after: None,
            });
        }
        let again = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT;
        let said = said(&bytes);
        Err(Failure {
            what: format!("answered {}{said}", status.as_u16()),
            again,
            after,
        })
    }
}

/// A client's error without its URL, which may hold a secret.
fn unreachable(error: reqwest::Error) -> Failure {
    let timeout = error.is_timeout();
    let error = error.without_url();
    let mut cause = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(deeper) = source {
        cause = deeper.to_string();
        source = deeper.source();
    }
    let what = if timeout {
        "no answer in time".to_owned()
    } else {
        format!("no answer ({cause})")
    };
    Failure {
        what,
        again: true,
        after: None,
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get("retry-after")?.to_str().ok()?;
    let seconds: u64 = seconds.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(60)))
}

async fn body(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![];
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Err(Failure {
                what: format!("answered more than {MOST_BYTES} bytes"),
                again: false,
                after: None,
            });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What the server says of its refusal.
fn said(bytes: &[u8]) -> String {
    let value: Option<Value> = serde_json::from_slice(bytes).ok();
    let error = value
        .as_ref()
        .and_then(|value| value.get("error")?.as_str());
    match error {
        None => String::new(),
        Some(error) => {
            let line: String = error
                .chars()
                .filter(|c| !c.is_control())
                .take(SHOWN)
                .collect();
            format!(" ({line})")
        }
    }
}

/// `…/v2/models/M[/versions/V]`, from a URL of the model or of the server.
fn model_url(text: &str, inference: &Inference) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("its URL is wrong: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "its URL begins with {:?}, expected http or https",
            url.scheme()
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("its URL holds a password: expected one without".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("its URL has a query: expected one that ends with the path".to_owned());
    }
    let path = url
        .path()
        .trim_end_matches('/')
        .trim_end_matches("/infer")
        .to_owned();
    let path = if path.contains("/v2/models/") {
        path
    } else {
        let Some(model) = &inference.model else {
            return Err("its URL names no model: expected one such as http://HOST/v2/models/NAME, or `spec.inference.model`".to_owned());
        };
        let version = inference.version.as_ref();
        let version = version
            .map(|version| format!("/versions/{version}"))
            .unwrap_or_default();
        format!("{path}/v2/models/{model}{version}")
    };
    let mut model = url;
    model.set_path(&path);
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_servers_and_of_models_lead_to_the_model() {
        let named = Inference {
            model: Some("digits".into()),
            version: Some("v3".into()),
            ..Inference::default()
        };
        let cases = [
            (
                "http://a:1/",
                &named,
                Ok("http://a:1/v2/models/digits/versions/v3"),
            ),
            (
                "http://a/v2/models/x/infer",
                &named,
                Ok("http://a/v2/models/x"),
            ),
            (
                "https://a/b",
                &named,
                Ok("https://a/b/v2/models/digits/versions/v3"),
            ),
            ("http://a", &Inference::default(), Err("names no model")),
            ("a:1", &named, Err("expected http or https")),
            ("http://u:secret@a", &named, Err("password")),
            ("http://a?key=secret", &named, Err("query")),
            ("nothing", &named, Err("wrong")),
        ];
        for (text, inference, expected) in cases {
            match (model_url(text, inference), expected) {
                (Ok(url), Ok(expected)) => assert_eq!(url.as_str(), expected),
                (Err(error), Err(expected)) => {
                    assert!(error.contains(expected), "{error}");
                    assert!(!error.contains("secret"), "{error}");
                }
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
