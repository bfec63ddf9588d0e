//! Answers of a server to answers of rows.

use mcdeploy_eval::{Answers, SUM_TOLERANCE, ScoreKind, Scores, Truth};
use serde::Deserialize;
use serde_json::Value;

use super::{
    metadata::{Model, Tensor, Type},
    wire::Server,
};
use crate::{
    answers::likeliest, error::EvaluateError, inference::Inference, rows::Rows, table::listed,
};

/// Above this a label of several is taken to hold.
const HOLDS: f64 = 0.5;

/// What was answered about a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RowAnswer {
    Class(usize, Option<(ScoreKind, Vec<f64>)>),
    Labels(Vec<bool>, Option<(ScoreKind, Vec<f64>)>),
    Number(f64),
}

/// Answers of all rows, which are of one kind.
pub(crate) fn collected(rows: &Rows, answers: Vec<RowAnswer>) -> Answers {
    let mut kind = None;
    let mut scores = vec![];
    let (mut classes, mut labels, mut numbers) = (vec![], vec![], vec![]);
    for answer in answers {
        let of_row = match answer {
            RowAnswer::Class(class, given) => {
                classes.push(class);
                given
            }
            RowAnswer::Labels(holds, given) => {
                labels.push(holds);
                given
            }
            RowAnswer::Number(number) => {
                numbers.push(number);
                None
            }
        };
        if let Some((of, values)) = of_row {
            kind = Some(of);
            scores.push(values);
        }
    }
    let scores = kind.map(|kind| Scores { kind, rows: scores });
    match &rows.truth {
        Truth::Classes(..) => Answers::Classes(classes, scores),
        Truth::Multilabel(..) => Answers::Multilabel(labels, scores),
        Truth::Numbers(_) => Answers::Numbers(numbers),
    }
}

/// Where answers of a model are.
#[derive(Debug)]
pub(super) struct Decoder {
    endpoint: String,
    model: String,
    prediction: Option<String>,
    scores: Option<(ScoreKind, String)>,
    /// None: a number is asked for.
    labels: Option<Vec<String>>,
    multilabel: bool,
}

#[derive(Deserialize)]
struct Response {
    model_name: String,
    #[serde(default)]
    model_version: String,
    outputs: Vec<OutputTensor>,
}

#[derive(Deserialize)]
struct OutputTensor {
    name: String,
    shape: Vec<usize>,
    data: Value,
}

impl Decoder {
    /// Finds outputs by name, else by type and shape.
    pub(super) fn new(
        model: &Model,
        inference: &Inference,
        rows: &Rows,
        server: &Server,
    ) -> Result<Self, EvaluateError> {
        let names: Vec<&str> = model
            .outputs
            .iter()
            .map(|output| output.name.as_str())
            .collect();
        let labels = rows.labels().len();
        let wanted = &inference.output;
        let asked_for = [&wanted.prediction, &wanted.probability, &wanted.score];
        let missing = asked_for
            .into_iter()
            .flatten()
            .find(|name| !names.contains(&name.as_str()));
        if let Some(name) = missing {
            return Err(server.wrong(format!(
                "expected an output {name:?}, found {} of the model {:?}",
                listed(&names),
                model.name
            )));
        }
        let regression = matches!(rows.truth, Truth::Numbers(_));
        let multilabel = matches!(rows.truth, Truth::Multilabel(..));
        let of = |fits: &dyn Fn(&Tensor) -> bool| {
            let found = model.outputs.iter().find(|output| fits(output));
            found.map(|output| output.name.clone())
        };
        let single = |output: &Tensor| output.width() == Some(1);
        let prediction = wanted.prediction.clone().or_else(|| {
            of(&|output| match (regression, multilabel) {
                (true, _) => single(output),
                (false, true) => output.width() == Some(labels) && output.kind() != Type::Fraction,
                (false, false) => single(output) && output.kind() != Type::Fraction,
            })
        });
        let probability = (ScoreKind::Probability, wanted.probability.clone());
        let score = (ScoreKind::Score, wanted.score.clone());
        let scores = [probability, score]
            .into_iter()
            .find_map(|(kind, name)| Some((kind, name?)));
        let scores = scores.or_else(|| {
            let width = |output: &Tensor| {
                let wide = output.width() == Some(labels);
                (wide || (labels == 2 && !multilabel && single(output)))
                    && output.kind() == Type::Fraction
            };
            (!regression)
                .then(|| of(&width))
                .flatten()
                .map(|name| (ScoreKind::Probability, name))
        });
        if prediction.is_none() && scores.is_none() {
            return Err(server.wrong(format!(
                "expected an output with {}, found {} of the model {:?}",
                if regression {
                    "a number a row".to_owned()
                } else {
                    format!("a class, or {labels} probabilities, a row")
                },
                shapes(&model.outputs),
                model.name
            )));
        }
        Ok(Self {
            endpoint: server.name().to_owned(),
            model: model.name.clone(),
            prediction,
            scores,
            labels: (!regression).then(|| rows.labels().to_vec()),
            multilabel,
        })
    }

    fn wrong(&self, problem: String) -> EvaluateError {
        EvaluateError::Endpoint {
            endpoint: self.endpoint.clone(),
            problem,
        }
    }

    /// Answers to the questions from `start` to `end`. `version` is what answered before.
    pub(super) fn rows(
        &self,
        answer: &Value,
        start: usize,
        end: usize,
        version: &mut String,
    ) -> Result<Vec<RowAnswer>, EvaluateError> {
        let response = Response::deserialize(answer).map_err(|error| {
            self.wrong(format!("expected an answer by protocol v2, found {error}"))
        })?;
        let (wanted, found) = (&self.model, &response.model_name);
        if wanted != found {
            return Err(self.wrong(format!(
                "expected an answer of the model {wanted:?}, found one of {found:?}, to row {}",
                start + 1
            )));
        }
        if !version.is_empty() && *version != response.model_version {
            let found = &response.model_version;
            return Err(self.wrong(format!(
                "expected answers of version {version:?} as before, found one of {found:?}, to row {}",
                start + 1
            )));
        }
        version.clone_from(&response.model_version);
        let rows = end - start;
        let values = |name: &str| self.values(&response, name, rows, start);
        let said = self.prediction.as_deref().map(values).transpose()?;
        let scores = match &self.scores {
            Some((kind, name)) => Some((*kind, values(name)?)),
            None => None,
        };
        let one = |row: usize| {
            let place = start + row + 1;
            let said = said.as_ref().map(|said| said[row].as_slice());
            let scores = match &scores {
                Some((kind, rows)) => Some((*kind, self.scores(*kind, &rows[row], place)?)),
                None => None,
            };
            self.row(said, scores, place)
        };
        (0..rows).map(one).collect()
    }

    /// Values of an output, row by row.
    fn values(
        &self,
        response: &Response,
        name: &str,
        rows: usize,
        start: usize,
    ) -> Result<Vec<Vec<Value>>, EvaluateError> {
        let place = start + 1;
        let Some(output) = response.outputs.iter().find(|output| output.name == name) else {
            let names: Vec<&str> = response
                .outputs
                .iter()
                .map(|one| one.name.as_str())
                .collect();
            let found = listed(&names);
            return Err(self.wrong(format!(
                "expected an output {name:?} in the answer to row {place}, found {found}"
            )));
        };
        let mut flat = vec![];
        flatten(&output.data, &mut flat);
        let size: usize = output.shape.iter().product();
        if output.shape.first() != Some(&rows) || flat.len() != size {
            return Err(self.wrong(format!(
                "expected {rows} rows in the output {name:?} of the answer to row {place}, found the shape {:?} and {} values",
                output.shape,
                flat.len()
            )));
        }
        let width = (size / rows.max(1)).max(1);
        Ok(flat.chunks(width).map(<[Value]>::to_vec).collect())
    }

    fn scores(
        &self,
        kind: ScoreKind,
        values: &[Value],
        place: usize,
    ) -> Result<Vec<f64>, EvaluateError> {
        let labels = self.labels.as_ref().map_or(0, Vec::len);
        let numbers: Option<Vec<f64>> = values.iter().map(Value::as_f64).collect();
        let wrong = |expected: String, found: String| {
            self.wrong(format!(
                "expected {expected} in the answer to row {place}, found {found}"
            ))
        };
        let Some(mut numbers) = numbers else {
            return Err(wrong("finite numbers".to_owned(), format!("{values:?}")));
        };
        if let ([positive], 2, false) = (numbers.as_slice(), labels, self.multilabel) {
            let negative = match kind {
                ScoreKind::Probability => 1.0 - positive,
                ScoreKind::Score => -positive,
            };
            numbers.insert(0, negative);
        }
        if numbers.len() != labels {
            return Err(wrong(
                format!("{labels} numbers"),
                numbers.len().to_string(),
            ));
        }
        if kind == ScoreKind::Probability {
            if let Some(found) = numbers.iter().find(|number| !(0.0..=1.0).contains(*number)) {
                return Err(wrong(
                    "probabilities from 0 to 1".to_owned(),
                    found.to_string(),
                ));
            }
            let sum: f64 = numbers.iter().sum();
            if !self.multilabel && (sum - 1.0).abs() > SUM_TOLERANCE {
                return Err(wrong(
                    "probabilities that sum to 1".to_owned(),
                    format!("{sum:.4}"),
                ));
            }
        }
        Ok(numbers)
    }

    fn row(
        &self,
        said: Option<&[Value]>,
        scores: Option<(ScoreKind, Vec<f64>)>,
        place: usize,
    ) -> Result<RowAnswer, EvaluateError> {
        let wrong = |expected: String| {
            let found = said.map(|said| Value::from(said.to_vec()).to_string());
            let found = found.unwrap_or_else(|| "nothing".to_owned());
            self.wrong(format!(
                "expected {expected} in the answer to row {place}, found {found}"
            ))
        };
        let Some(labels) = &self.labels else {
            let number = said.and_then(|said| said.first()?.as_f64());
            return number
                .map(RowAnswer::Number)
                .ok_or_else(|| wrong("a number".to_owned()));
        };
        if self.multilabel {
            let holds = match (said, &scores) {
                (Some(said), _) => said.iter().map(truth).collect::<Option<Vec<bool>>>(),
                (None, Some((ScoreKind::Probability, scores))) => {
                    Some(scores.iter().map(|score| *score > HOLDS).collect())
                }
                (None, Some((ScoreKind::Score, scores))) => {
                    Some(scores.iter().map(|score| *score > 0.0).collect())
                }
                (None, None) => None,
            };
            let holds = holds.filter(|holds| holds.len() == labels.len());
            let holds = holds.ok_or_else(|| wrong(format!("{} truth values", labels.len())))?;
            return Ok(RowAnswer::Labels(holds, scores));
        }
        let class = match (said, &scores) {
            (Some(said), _) => said.first().and_then(|value| class(labels, value)),
            (None, Some((_, scores))) => Some(likeliest(scores)),
            (None, None) => None,
        };
        let class = class.ok_or_else(|| wrong(format!("one of the labels {}", listed(labels))))?;
        Ok(RowAnswer::Class(class, scores))
    }
}

fn shapes(outputs: &[Tensor]) -> String {
    let shown = outputs
        .iter()
        .map(|output| format!("{:?} {} {:?}", output.name, output.datatype, output.shape));
    shown.collect::<Vec<_>>().join(", ")
}

fn flatten(value: &Value, flat: &mut Vec<Value>) {
    match value {
        Value::Array(list) => list.iter().for_each(|one| flatten(one, flat)),
        one => flat.push(one.clone()),
    }
}

fn truth(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| match value.as_i64() {
        Some(0) => Some(false),
        Some(1) => Some(true),
        _ => None,
    })
}

/// A class by its name; a number is an index only where no label is a number.
fn class(labels: &[String], value: &Value) -> Option<usize> {
    let name = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let named = labels.iter().position(|label| *label == name);
    named.or_else(|| {
        let numbered = labels.iter().any(|label| label.parse::<f64>().is_ok());
        let index = usize::try_from(value.as_u64()?).ok()?;
        (!numbered && index < labels.len()).then_some(index)
    })
}
