//! How endpoints are asked, and how alike they have to answer: part of a template.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to ask an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Inference {
    /// Which protocol.
    pub protocol: Protocol,
    /// Name of the model, where a URL does not name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its version, likewise; by default the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Name of the input; by default the model's only one. A model with several inputs gets
    /// the columns of their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Names of outputs.
    pub output: Output,
    /// Requests a second to each endpoint, whatever answers take. Above 0, 20 by default.
    pub requests_per_second: f64,
    /// Rows in a request, 1 by default.
    pub batch: usize,
    /// Longest wait for an answer, in seconds; 10 by default.
    pub timeout_seconds: f64,
    /// How often a request that failed is sent again, 3 by default.
    pub retries: u32,
    /// What asking may take.
    pub budget: Budget,
}

impl Default for Inference {
    fn default() -> Self {
        Self {
            protocol: Protocol::OpenInferenceV2,
            model: None,
            version: None,
            input: None,
            output: Output::default(),
            requests_per_second: 20.0,
            batch: 1,
            timeout_seconds: 10.0,
            retries: 3,
            budget: Budget::default(),
        }
    }
}

/// A protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// Open Inference Protocol v2, JSON over HTTP.
    #[default]
    OpenInferenceV2,
}

/// Names of outputs; by default they are told from types and shapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Output {
    /// The class or number that is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction: Option<String>,
    /// Probabilities, in the order of labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<String>,
    /// Scores that are no probabilities, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<String>,
}

/// What asking an endpoint may take. What has no answer then is not judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// Rows at most, drawn by the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,
    /// Seconds at most, from the first request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Dollars at most, by `usdPerThousandRequests`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
    /// What a thousand requests cost, repeated ones too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_per_thousand_requests: Option<f64>,
}

impl Budget {
    pub(crate) fn time(&self) -> Option<Duration> {
        self.seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    /// Requests that the money is enough for.
    pub(crate) fn most_requests(&self) -> Option<usize> {
        let (usd, price) = self.usd.zip(self.usd_per_thousand_requests)?;
        // A little more than the quotient, which may be a hair below a whole number.
        let requests = (usd / price * 1000.0 + 1e-9).floor();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float that is too large becomes the largest count"
        )]
        Some(requests as usize)
    }
}

/// How alike endpoints have to answer. They serve the same version.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Parity {
    /// Share of rows with the same answer at least, 1 by default.
    pub min_agreement: f64,
    /// Probabilities, scores and numbers may differ by so much at most, 0.0001 by default.
    pub tolerance: f64,
}

impl Default for Parity {
    fn default() -> Self {
        Self {
            min_agreement: 1.0,
            tolerance: 1e-4,
        }
    }
}

/// The field that contradicts another or itself, with what is wrong.
pub(crate) fn contradiction(inference: &Inference) -> Option<String> {
    let Inference {
        protocol: Protocol::OpenInferenceV2,
        model,
        version,
        input: _,
        output,
        requests_per_second,
        batch,
        timeout_seconds,
        retries: _,
        budget,
    } = inference;
    let above = |value: f64| value > 0.0 && value.is_finite();
    let numbers = [
        ("requestsPerSecond", Some(*requests_per_second)),
        ("timeoutSeconds", Some(*timeout_seconds)),
        ("budget.seconds", budget.seconds),
        ("budget.usd", budget.usd),
        (
            "budget.usdPerThousandRequests",
            budget.usd_per_thousand_requests,
        ),
    ];
    let wrong = numbers
        .into_iter()
        .find(|(_, value)| value.is_some_and(|value| !above(value)));
    if let Some((field, value)) = wrong {
        let found = value.unwrap_or_default();
        return Some(format!(
            "`spec.inference.{field}` is {found}, expected a number above 0"
        ));
    }
    if *batch == 0 || budget.rows == Some(0) {
        let field = if *batch == 0 { "batch" } else { "budget.rows" };
        return Some(format!(
            "`spec.inference.{field}` is 0, expected at least 1"
        ));
    }
    if budget.usd.is_some() != budget.usd_per_thousand_requests.is_some() {
        return Some(
            "`spec.inference.budget` has one of `usd` and `usdPerThousandRequests`: it takes both"
                .to_owned(),
        );
    }
    if version.is_some() && model.is_none() {
        return Some("`spec.inference.version` is given without `model`: it takes both".to_owned());
    }
    if output.probability.is_some() && output.score.is_some() {
        return Some(
            "`spec.inference.output` has both `probability` and `score`: give the one that the model has"
                .to_owned(),
        );
    }
    None
}
