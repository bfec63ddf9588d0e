//! Arguments of `evaluate`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use mcdeploy_eval::MetricName;
use mcdeploy_evaluate::{Endpoint, TaskKind, metric_name};

use super::HubArgs;
use crate::names::{did_you_mean, is_name};

/// `evaluate`
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  mcdeploy evaluate --labels y.csv --predictions p.csv
  mcdeploy evaluate --labels y.csv --predictions p.csv --min accuracy=0.9 --min recall=0.8
  mcdeploy evaluate -f eval.yaml --predictions p.jsonl --baseline old.jsonl --report r.html
  mcdeploy evaluate -f eval.yaml --predictions p.csv -o junit > report.xml
  mcdeploy evaluate -f eval.yaml --endpoint aws=http://a.example/v2/models/digits \\
      --endpoint gcp=http://g.example/v2/models/digits

Labels have a column `label`, answers a column `prediction`, or `probability_LABEL` for each
label, or both. They are joined by the column `id` where both have it, else row by row. A
value passes when the bad end of its interval reaches the bound, fails when the good end
misses it, and is inconclusive else. What to write in a template: docs/evaluate.md.

Exit codes:
    0  every bound is met
    1  a bound is missed
    2  wrong usage, or a file that is not as it has to be
    5  the dataset is not in its store
    7  inconclusive: the rows do not tell, or nothing has a bound"
)]
pub(crate) struct EvaluateArgs {
    #[command(subcommand)]
    pub(crate) command: Option<EvaluateCommand>,
    /// An EvaluationTemplate: what must be reached, on which data
    #[arg(
        short,
        long = "file",
        value_name = "FILE",
        required_unless_present = "labels"
    )]
    pub(crate) file: Option<PathBuf>,
    /// What is so: CSV, JSON Lines or Parquet with a column `label`
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub(crate) labels: Option<PathBuf>,
    /// What the version answered
    #[arg(long, value_name = "FILE", required_unless_present = "endpoint")]
    pub(crate) predictions: Option<PathBuf>,
    /// Ask a server of the version by protocol v2, such as aws=http://HOST/v2/models/NAME; may
    /// be repeated: then all must be good, and answer the same
    #[arg(
        long,
        value_name = "NAME=URL",
        value_parser = parse_endpoint,
        conflicts_with = "predictions"
    )]
    pub(crate) endpoint: Vec<Endpoint>,
    /// What the incumbent answered, to compare with
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// What the model is asked for [default: what the labels look like]
    #[arg(long, value_name = "TASK", requires = "labels")]
    pub(crate) task: Option<TaskName>,
    /// The value must be at least this; may be repeated
    #[arg(long, value_name = "METRIC=NUMBER", value_parser = parse_bound, conflicts_with = "file")]
    pub(crate) min: Vec<Bound>,
    /// The value must be at most this; may be repeated
    #[arg(long, value_name = "METRIC=NUMBER", value_parser = parse_bound, conflicts_with = "file")]
    pub(crate) max: Vec<Bound>,
    /// The value may be this much worse than the incumbent's; may be repeated
    #[arg(
        long,
        value_name = "METRIC=NUMBER",
        value_parser = parse_bound,
        conflicts_with = "file",
        requires = "baseline"
    )]
    pub(crate) max_decrease: Vec<Bound>,
    /// Write the report as one page of HTML that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: EvaluateFormat,
    /// For a template whose dataset is in a store that the hub knows by name
    #[command(flatten)]
    pub(crate) hub: HubArgs,
}

/// Beside evaluating itself.
#[derive(Debug, Subcommand)]
pub(crate) enum EvaluateCommand {
    /// Propose which metrics to gate on, and why, as a template to edit
    Suggest(SuggestArgs),
}

/// `evaluate suggest`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcdeploy evaluate suggest --labels y.csv --predictions p.csv > eval.yaml")]
pub(crate) struct SuggestArgs {
    /// What is so: CSV, JSON Lines or Parquet with a column `label`
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: PathBuf,
    /// What a version answered
    #[arg(long, value_name = "FILE")]
    pub(crate) predictions: PathBuf,
    /// What the model is asked for [default: what the labels look like]
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<TaskName>,
}

/// Formats of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EvaluateFormat {
    /// For people
    Table,
    /// One JSON document, with MLflow's metric names too
    Json,
    /// XML for test reports of CI
    Junit,
}

/// What the model is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TaskName {
    /// One of two classes
    Binary,
    /// One of more than two classes
    Multiclass,
    /// Any number of labels
    Multilabel,
    /// A number
    Regression,
}

impl From<TaskName> for TaskKind {
    fn from(name: TaskName) -> Self {
        match name {
            TaskName::Binary => Self::Binary,
            TaskName::Multiclass => Self::Multiclass,
            TaskName::Multilabel => Self::Multilabel,
            TaskName::Regression => Self::Regression,
        }
    }
}

/// A metric and a number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bound {
    /// Which.
    pub(crate) metric: MetricName,
    /// In the metric's unit.
    pub(crate) bound: f64,
}

fn parse_endpoint(text: &str) -> Result<Endpoint, String> {
    let example = "expected a name and a URL, such as aws=http://HOST/v2/models/NAME";
    let (name, url) = text.split_once('=').ok_or(example)?;
    if !is_name(name, 63, "-") || url.is_empty() {
        return Err(example.to_owned());
    }
    Ok(Endpoint {
        name: name.to_owned(),
        url: url.to_owned(),
    })
}

fn parse_bound(text: &str) -> Result<Bound, String> {
    let example = "expected a metric and a number, such as accuracy=0.9";
    let (metric, number) = text.split_once('=').ok_or(example)?;
    let Some(metric) = metric_name(metric) else {
        let known = MetricName::ALL.map(|name| name.to_string());
        return Err(format!(
            "unknown metric {}: expected one of {}",
            did_you_mean(metric, known.iter().map(String::as_str)),
            known.join(", ")
        ));
    };
    let bound = number.trim().parse::<f64>().ok();
    let bound = bound.filter(|bound| bound.is_finite());
    Ok(Bound {
        metric,
        bound: bound.ok_or_else(|| format!("{number:?} is no number: {example}"))?,
    })
}
