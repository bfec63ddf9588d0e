//! The result of an evaluation, as data.

use std::collections::BTreeMap;

use mcdeploy_eval::{
    Answers, Baseline, Candidate, Check, Described, Gate, JudgeError, MetricGate, MetricName,
    Outcome, Place, Truth, Verdict, confusion::ConfusionMatrix, describe, judge_places,
};
use serde::Serialize;

use crate::{
    error::EvaluateError,
    inference::Parity,
    measure::{mlflow, usual},
    parity::{ParityReport, parity},
    rows::Rows,
    sentence,
    template::TaskKind,
};

/// A version's answers from one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Name of the endpoint; empty where there is one source of answers only.
    pub name: String,
    /// Answers with their truth.
    pub candidate: Candidate,
    /// The incumbent's answers.
    pub baseline: Option<Baseline>,
}

impl Judged {
    /// Puts answers beside the truth.
    ///
    /// # Errors
    /// [`EvaluateError::Data`].
    pub fn new(
        name: &str,
        rows: &Rows,
        answers: Answers,
        baseline: Option<Answers>,
    ) -> Result<Self, EvaluateError> {
        let mut candidate = Candidate::new(rows.truth.clone(), answers)?;
        if let Some(weights) = &rows.weights {
            candidate = candidate.with_weights(weights.clone())?;
        }
        for (name, values) in &rows.columns {
            candidate = candidate.with_column(name, values.clone())?;
        }
        let baseline = baseline.map(|answers| candidate.baseline(answers));
        Ok(Self {
            name: name.to_owned(),
            baseline: baseline.transpose()?,
            candidate,
        })
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place {
            name: &self.name,
            candidate: &self.candidate,
            baseline: self.baseline.as_ref(),
        }
    }
}

/// A file that the evaluation rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataFile {
    /// `labels`, `predictions` or `baseline`.
    pub role: &'static str,
    /// As it was named.
    pub file: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Rows in it.
    pub rows: usize,
}

/// What became of asking an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointReport {
    /// As it was named.
    pub name: String,
    /// Where it was asked.
    pub url: String,
    /// The model's version, as the server says.
    pub version: String,
    /// Rows that were answered.
    pub rows: usize,
    /// Requests that were sent.
    pub requests: usize,
    /// Of those, repeated ones.
    pub repeats: usize,
    /// From the first request to the last.
    pub requests_per_second: Option<f64>,
}

/// What an evaluation rests on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// Files.
    pub data: Vec<DataFile>,
    /// Endpoints.
    pub endpoints: Vec<EndpointReport>,
    /// How alike endpoints have to answer.
    pub parity: Parity,
}

/// A metric without a verdict. Each interval is for itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// As templates spell it.
    pub name: String,
    /// How classes became one value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<String>,
    /// The one class that it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// None: see `reason`.
    pub value: Option<f64>,
    /// Low end of the interval.
    pub low: Option<f64>,
    /// High end of it.
    pub high: Option<f64>,
    /// The incumbent's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// How much worse the candidate is; negative when it is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decrease: Option<f64>,
    /// Low end of the decrease's interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decrease_low: Option<f64>,
    /// High end of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decrease_high: Option<f64>,
    /// Why there is no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Measured {
    /// Which metric it is, for people: `recall of "spam"`, `f1 (Macro)`.
    pub fn title(&self) -> String {
        sentence::metric_title(&self.name, self.class.as_deref(), self.average.as_deref())
    }

    fn of(described: Described, labels: &[String]) -> Self {
        let MetricGate {
            name,
            average,
            class,
            ..
        } = described.metric;
        Self {
            name: name.to_string(),
            average: average.map(|average| format!("{average:?}")),
            class,
            value: described.value,
            low: described.interval.0,
            high: described.interval.1,
            baseline: described.baseline,
            decrease: described.decrease,
            decrease_low: described.decrease_interval.0,
            decrease_high: described.decrease_interval.1,
            reason: described
                .reason
                .map(|reason| sentence::describe_reason(&reason, labels)),
        }
    }
}

/// A part of the rows, with its metrics.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeasuredSlice {
    /// Endpoint, where there are several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// Values of columns; empty for all rows.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub slice: BTreeMap<String, String>,
    /// Rows with any weight.
    pub rows: usize,
    /// Values.
    pub metrics: Vec<Measured>,
}

/// Weights of rows by truth, then by answer, in the order of labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Matrix {
    /// Endpoint, where there are several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// Of the version.
    pub candidate: Vec<Vec<f64>>,
    /// Of the incumbent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Vec<Vec<f64>>>,
}

/// Whether a version is good enough, and everything that says so.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// Version of this format.
    pub api_version: &'static str,
    /// `Evaluation`
    pub kind: &'static str,
    /// Inconclusive also where nothing had a bound.
    pub verdict: Verdict,
    /// What the template says to do then.
    pub outcome: Outcome,
    /// The verdict, for somebody who does not know the field.
    pub sentence: String,
    /// What to do next, the most useful first.
    pub next: Vec<String>,
    /// What the model was asked for.
    pub task: TaskKind,
    /// Classes or labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Rows that were judged.
    pub rows: usize,
    /// Probability that the truth is above the low end of an interval, and below the high one.
    pub level: f64,
    /// Draws that intervals rest on.
    pub resamples: usize,
    /// Where randomness began.
    pub seed: u64,
    /// One for every bound.
    pub checks: Vec<Check>,
    /// All rows, then slices.
    pub measured: Vec<MeasuredSlice>,
    /// Values of the first place under MLflow's names.
    pub mlflow: BTreeMap<&'static str, f64>,
    /// One for every place; none of a regression or of several labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Matrix>,
    /// One for every endpoint but the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parity: Vec<ParityReport>,
    /// What was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<EndpointReport>,
    /// What it rests on.
    pub data: Vec<DataFile>,
}

/// Judges answers by a gate, of which metrics may be empty: then values are told and the
/// verdict is Inconclusive. `written` is where the gate is from.
///
/// # Errors
/// [`EvaluateError::Judge`].
pub fn evaluate(
    gate: &Gate,
    written: &str,
    rows: &Rows,
    judged: &[Judged],
    sources: Sources,
) -> Result<Evaluation, EvaluateError> {
    let wrong = |source| EvaluateError::Judge {
        place: written.to_owned(),
        source,
    };
    let places: Vec<Place<'_>> = judged.iter().map(Judged::place).collect();
    let (verdict, outcome, checks) = if gate.metrics.is_empty() {
        (Verdict::Inconclusive, Outcome::Hold, vec![])
    } else {
        let report = judge_places(gate, &places).map_err(wrong)?;
        (report.verdict, report.outcome, report.checks)
    };
    let parity = parity(sources.parity, judged);
    let apart = parity.iter().any(|one| one.verdict == Verdict::Fail);
    // Places that answer otherwise do not serve one version, however good each is.
    let (verdict, outcome) = if apart {
        (Verdict::Fail, Outcome::Fail)
    } else {
        (verdict, outcome)
    };
    let mut measured = vec![];
    for one in judged {
        measured.extend(measure(gate, rows, one).map_err(wrong)?);
    }
    let mut next = turned(rows, &measured);
    let compared = judged.iter().any(|one| one.baseline.is_some());
    next.extend(sentence::next(verdict, &checks, compared));
    let rows_judged = judged.first().map_or(0, |one| one.candidate.truth().rows());
    Ok(Evaluation {
        api_version: "cli.mcdeploy.dev/v1alpha1",
        kind: "Evaluation",
        sentence: sentence::verdict(verdict, &checks, &parity, rows_judged),
        next,
        verdict,
        outcome,
        task: rows.task,
        labels: rows.labels().to_vec(),
        rows: rows_judged,
        level: gate.confidence.level,
        resamples: gate.confidence.resamples,
        seed: gate.confidence.seed,
        checks,
        measured,
        mlflow: judged
            .first()
            .map(|one| mlflow(&one.candidate))
            .unwrap_or_default(),
        confusion: judged.iter().filter_map(matrices).collect(),
        parity,
        endpoints: sources.endpoints,
        data: sources.data,
    })
}

/// Of two classes: where scores rank them the wrong way round.
fn turned(rows: &Rows, measured: &[MeasuredSlice]) -> Vec<String> {
    if rows.task != TaskKind::Binary {
        return vec![];
    }
    let name = MetricName::RocAuc.to_string();
    let whole = measured.iter().filter(|part| part.slice.is_empty());
    let told = whole.filter_map(|part| {
        let area = part.metrics.iter().find(|metric| metric.name == name)?;
        let value = area.value.filter(|value| *value < 0.5)?;
        sentence::turned(&part.place, value, rows.labels())
    });
    told.collect()
}

fn measure(gate: &Gate, rows: &Rows, one: &Judged) -> Result<Vec<MeasuredSlice>, JudgeError> {
    let metrics = usual(rows, one.candidate.answers());
    // An incumbent without scores is compared by what it has.
    let of_both = one.baseline.as_ref();
    let of_both = of_both.map_or_else(Vec::new, |baseline| usual(rows, baseline.answers()));
    let (compared, alone): (Vec<MetricGate>, Vec<MetricGate>) = metrics
        .into_iter()
        .partition(|metric| of_both.contains(metric));
    let by_itself = Place {
        baseline: None,
        ..one.place()
    };
    let mut parts: Vec<MeasuredSlice> = vec![];
    for (metrics, place) in [(compared, one.place()), (alone, by_itself)] {
        if metrics.is_empty() {
            continue;
        }
        for described in describe(&metrics, &gate.slices, gate.confidence, &place)? {
            let (slice, of) = (described.slice.clone(), described.rows);
            let value = Measured::of(described, rows.labels());
            match parts.iter_mut().find(|part| part.slice == slice) {
                Some(part) => part.metrics.push(value),
                None => parts.push(MeasuredSlice {
                    place: one.name.clone(),
                    slice,
                    rows: of,
                    metrics: vec![value],
                }),
            }
        }
    }
    Ok(parts)
}

fn matrices(one: &Judged) -> Option<Matrix> {
    let baseline = one.baseline.as_ref();
    Some(Matrix {
        place: one.name.clone(),
        candidate: matrix(&one.candidate, one.candidate.answers())?,
        baseline: baseline.and_then(|baseline| matrix(&one.candidate, baseline.answers())),
    })
}

fn matrix(candidate: &Candidate, answers: &Answers) -> Option<Vec<Vec<f64>>> {
    let (Truth::Classes(labels, truth), Answers::Classes(said, _)) = (candidate.truth(), answers)
    else {
        return None;
    };
    let classes = labels.names().len();
    let matrix = ConfusionMatrix::new(classes, truth, said, candidate.weights());
    let row = |of| (0..classes).map(|as_| matrix.cell(of, as_)).collect();
    Some((0..classes).map(row).collect())
}
