//! `EvaluationTemplate`, as users write it, parsed strictly. Its schema is
//! `docs/evaluation-template.schema.json`.

use std::{
    fmt,
    path::{Component, Path},
};

use mcdeploy_eval::{Confidence, Gate, MetricGate, SliceGate, WhenInconclusive};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Visitor};

use crate::{
    error::EvaluateError,
    inference::{self, Inference, Parity},
    table::Format,
};

/// What a version must reach, and on which data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvaluationTemplate {
    /// Version of this format.
    pub api_version: ApiVersion,
    /// What this is.
    pub kind: Kind,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// The rest.
    pub spec: Spec,
}

/// Version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The first.
    #[serde(rename = "mcdeploy.dev/v1alpha1")]
    V1Alpha1,
}

/// Kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// The only one in such a file.
    EvaluationTemplate,
}

/// Its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Its name.
    pub name: String,
}

/// What a version must reach, and on which data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// What the model is asked for.
    pub task: TaskKind,
    /// Rows whose truth is known.
    pub dataset: Dataset,
    /// How endpoints are asked.
    #[serde(default)]
    pub inference: Inference,
    /// How alike several endpoints have to answer.
    #[serde(default)]
    pub parity: Parity,
    /// Metrics and their bounds, at least one.
    pub metrics: Vec<MetricGate>,
    /// Parts of the rows that must reach the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SliceGate>,
    /// How sure to be.
    #[serde(default)]
    pub confidence: Confidence,
    /// What to do when the rows do not tell.
    #[serde(default)]
    pub inconclusive: WhenInconclusive,
}

impl Spec {
    /// The part that judging needs.
    pub fn gate(&self) -> Gate {
        Gate {
            metrics: self.metrics.clone(),
            slices: self.slices.clone(),
            confidence: self.confidence,
            inconclusive: self.inconclusive,
        }
    }
}

/// What the model is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaskKind {
    /// One of two classes; the second label is the positive one.
    Binary,
    /// One of more than two classes.
    Multiclass,
    /// Any number of labels.
    Multilabel,
    /// A number.
    Regression,
}

impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Rows whose truth is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dataset {
    /// Files, relative to the template or within `artifact`, one below the other. At least one.
    pub files: Vec<String>,
    /// What the files are in: a version in a store. Without it they are beside the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<DatasetArtifact>,
    /// How they are written; by default as their names end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Names of columns.
    #[serde(default)]
    pub columns: Columns,
    /// Classes or labels, in the order of probabilities; by default those that occur, sorted.
    /// Of two classes the second is the positive one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
}

/// A version in a store that holds rows as others hold weights: pushed by `mcdeploy push`, and
/// by its digest the same for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatasetArtifact {
    /// Its name, that of a model in the store.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Of its manifest, as `mcdeploy push` says it.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
    /// Where it is: an `ArtifactStore` of the hub, or a URL (`s3://`, `az://`, `gs://`, `file://`).
    pub store: String,
}

impl fmt::Display for DatasetArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.version)
    }
}

/// Names of columns, in files of labels and in files of answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Columns {
    /// Joins labels and answers; by default `id` where both have it, else they go row by row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What is so; `label` by default. Several labels of a row are separated by `|`, or are a
    /// list in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What was answered; `prediction` by default. Without it the likeliest class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction: Option<String>,
    /// How much a row counts; by default all count the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// Probabilities: a column per label with `{label}` for it, by default
    /// `probability_{label}`; or one column, of the positive class, or a list in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<String>,
    /// Scores that are no probabilities, likewise; by default `score_{label}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<String>,
    /// What endpoints are asked about, in the model's order; by default every other column.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Instead of features: a whole request by protocol v2 in every row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl Columns {
    pub(crate) fn label(&self) -> &str {
        self.label.as_deref().unwrap_or("label")
    }

    pub(crate) fn prediction(&self) -> &str {
        self.prediction.as_deref().unwrap_or("prediction")
    }
}

/// A class or label, written as text, number or truth value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label(pub String);

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyScalar;

        impl Visitor<'_> for AnyScalar {
            type Value = Label;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a label: text, a whole number, true or false")
            }

            fn visit_str<E>(self, text: &str) -> Result<Label, E> {
                Ok(Label(text.to_owned()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Label, E> {
                Ok(Label(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Label, E> {
                Ok(Label(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Label, E> {
                Ok(Label(value.to_string()))
            }
        }

        deserializer.deserialize_any(AnyScalar)
    }
}

impl JsonSchema for Label {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Label".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A class or label, written as text, number or truth value.",
            "type": ["string", "integer", "boolean"],
        })
    }
}

/// The schema, as it is committed.
///
/// # Errors
/// Never, unless the schema is no JSON.
pub fn schema() -> Result<String, serde_json::Error> {
    let schema = schemars::schema_for!(EvaluationTemplate);
    // Through a value, so that fields come in one order.
    let mut text = serde_json::to_string_pretty(&serde_json::to_value(schema)?)?;
    text.push('\n');
    Ok(text)
}

/// Parses and checks the text of the file `name`.
///
/// # Errors
/// [`EvaluateError::Template`] with the line, or with the field that contradicts another.
pub fn parse_template(name: &str, text: &str) -> Result<EvaluationTemplate, EvaluateError> {
    let template: EvaluationTemplate = serde_saphyr::from_str(text).map_err(|error| {
        let place = match error.location() {
            Some(at) => format!("{name}:{}:{}", at.line(), at.column()),
            None => name.to_owned(),
        };
        EvaluateError::Template {
            place,
            problem: one_line(&error),
        }
    })?;
    match contradiction(&template.spec) {
        None => Ok(template),
        Some(problem) => Err(EvaluateError::Template {
            place: name.to_owned(),
            problem,
        }),
    }
}

/// The parser's sentence, without the lines of the file around it and without the place.
fn one_line(error: &serde_saphyr::Error) -> String {
    let text = error.render_with_options(serde_saphyr::render_options! {
        formatter: &serde_saphyr::UserMessageFormatter,
        snippets: serde_saphyr::SnippetMode::Off,
    });
    let first = text.lines().next().unwrap_or_default().trim();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let end = first.rfind(" at line ").unwrap_or(first.len());
    first[..end].to_owned()
}

fn contradiction(spec: &Spec) -> Option<String> {
    let Dataset {
        files,
        artifact,
        format: _,
        columns,
        labels,
    } = &spec.dataset;
    if files.is_empty() {
        return Some("`spec.dataset.files` is empty: name at least one".to_owned());
    }
    if let Some(problem) = artifact.as_ref().and_then(|one| of_artifact(one, files)) {
        return Some(problem);
    }
    let names: Vec<&str> = labels.iter().map(|label| label.0.as_str()).collect();
    let twice = (1..names.len()).find(|index| names[..*index].contains(&names[*index]));
    if let Some(index) = twice {
        let name = names[index];
        return Some(format!(
            "`spec.dataset.labels[{index}]`: {name:?} stands twice"
        ));
    }
    let wanted = match (spec.task, names.len()) {
        (_, 0) | (TaskKind::Binary, 2) => None,
        (TaskKind::Binary, _) => Some("exactly two"),
        (TaskKind::Multiclass, 0..=2) => Some("three or more"),
        (TaskKind::Multilabel, 1) => Some("two or more"),
        (TaskKind::Regression, _) => Some("none"),
        (TaskKind::Multiclass | TaskKind::Multilabel, _) => None,
    };
    if let Some(wanted) = wanted {
        let (task, found) = (spec.task, names.len());
        return Some(format!(
            "`spec.dataset.labels` has {found} entries and `spec.task` is {task}, which has {wanted}"
        ));
    }
    contradicting_columns(spec.task, columns)
        .or_else(|| of_other_task(spec))
        .or_else(|| inference::contradiction(&spec.inference))
        .or_else(|| out_of_range(spec.parity))
}

fn of_artifact(artifact: &DatasetArtifact, files: &[String]) -> Option<String> {
    let digest = artifact.digest.strip_prefix("sha256:").unwrap_or_default();
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digest.len() != 64 || !digest.bytes().all(digit) {
        let found = &artifact.digest;
        return Some(format!(
            "`spec.dataset.artifact.digest` is {found:?}, expected sha256: and 64 of 0-9 and a-f"
        ));
    }
    let inside = |file: &str| {
        let mut parts = Path::new(file).components();
        parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    };
    let outside = files.iter().position(|file| !inside(file))?;
    let file = &files[outside];
    Some(format!(
        "`spec.dataset.files[{outside}]` is {file:?}, expected a file within the artifact"
    ))
}

fn contradicting_columns(task: TaskKind, columns: &Columns) -> Option<String> {
    if columns.probability.is_some() && columns.score.is_some() {
        return Some(
            "`spec.dataset.columns` has both `probability` and `score`: give the one that answers have"
                .to_owned(),
        );
    }
    let scores = [
        ("probability", &columns.probability),
        ("score", &columns.score),
    ];
    if task == TaskKind::Regression
        && let Some((field, _)) = scores.iter().find(|(_, name)| name.is_some())
    {
        return Some(format!(
            "`spec.dataset.columns.{field}` is given and `spec.task` is Regression, which has none"
        ));
    }
    if columns.request.is_some() && !columns.features.is_empty() {
        return Some(
            "`spec.dataset.columns` has both `features` and `request`: a request has its features"
                .to_owned(),
        );
    }
    if columns.weight.as_deref() == Some(columns.label()) {
        return Some(
            "`spec.dataset.columns.weight` is the column of the label: it must be another"
                .to_owned(),
        );
    }
    None
}

fn out_of_range(parity: Parity) -> Option<String> {
    let Parity {
        min_agreement,
        tolerance,
    } = parity;
    if !(0.0..=1.0).contains(&min_agreement) {
        return Some(format!(
            "`spec.parity.minAgreement` is {min_agreement}, expected 0 to 1"
        ));
    }
    (!(tolerance >= 0.0 && tolerance.is_finite()))
        .then(|| format!("`spec.parity.tolerance` is {tolerance}, expected a number of 0 or more"))
}

/// What the judge would say only when all rows are there.
fn of_other_task(spec: &Spec) -> Option<String> {
    let regression = spec.task == TaskKind::Regression;
    let names = spec.metrics.iter().enumerate();
    let mut wrong = names.filter(|(_, metric)| regression != is_of_numbers(metric));
    wrong.next().map(|(index, metric)| {
        let name = metric.name.to_string();
        let task = spec.task;
        format!("`spec.metrics[{index}].name` is {name} and `spec.task` is {task}, which has no such metric")
    })
}

fn is_of_numbers(metric: &MetricGate) -> bool {
    use mcdeploy_eval::MetricName::{Mae, Mape, R2, Rmse};
    matches!(metric.name, Mae | Rmse | R2 | Mape)
}
