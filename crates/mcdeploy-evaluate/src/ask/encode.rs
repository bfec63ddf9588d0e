//! Rows to the bodies of requests.

use serde_json::{Value, json};

use super::{
    metadata::{Model, Tensor, Type},
    wire::Server,
};
use crate::{
    error::{EvaluateError, Problem},
    inference::Inference,
    rows::Rows,
    table::{Cells, listed},
};

/// What is asked about each row.
#[derive(Debug)]
pub struct Questions<'a> {
    /// Rows of the labels.
    rows: Vec<usize>,
    file: &'a str,
    asked: Asked<'a>,
}

#[derive(Debug)]
enum Asked<'a> {
    /// Columns of features.
    Features(Vec<(&'a str, Cells<'a>)>),
    /// A whole request by protocol v2.
    Requests(Cells<'a>),
}

impl Questions<'_> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// What to ask about the rows of `ask`.
///
/// # Errors
/// [`EvaluateError::Input`] where columns are missing.
pub fn questions(rows: &Rows, ask: Vec<usize>) -> Result<Questions<'_>, EvaluateError> {
    let (table, columns) = (&rows.table, &rows.plan.columns);
    let asked = if let Some(name) = &columns.request {
        Asked::Requests(table.column(name)?)
    } else if columns.features.is_empty() {
        let other = [
            Some(columns.id.as_deref().unwrap_or("id")),
            Some(columns.label()),
            Some(columns.prediction()),
            columns.weight.as_deref(),
        ];
        let is_feature =
            |name: &str| !other.contains(&Some(name)) && !rows.plan.slices.contains(name);
        let names = table.names().filter(|name| is_feature(name));
        let cells = names.filter_map(|name| Some((name, table.find(name)?)));
        Asked::Features(cells.collect())
    } else {
        let cells = columns.features.iter();
        let cells = cells.map(|name| Ok((name.as_str(), table.column(name)?)));
        Asked::Features(cells.collect::<Result<_, Problem>>()?)
    };
    if let Asked::Features(features) = &asked
        && features.is_empty()
    {
        let names: Vec<&str> = table.names().collect();
        let found = format!("only {}", listed(&names));
        return Err(table
            .problem("columns of features to ask about", found)
            .into());
    }
    Ok(Questions {
        rows: ask,
        file: &table.file,
        asked,
    })
}

/// Makes bodies for one model.
#[derive(Debug)]
pub(super) struct Encoder {
    inputs: Vec<Tensor>,
    /// Names of outputs to ask for; none: all.
    outputs: Vec<String>,
}

impl Encoder {
    /// Checks that the model takes what the rows have.
    pub(super) fn new(
        model: &Model,
        inference: &Inference,
        questions: &Questions<'_>,
        server: &Server,
    ) -> Result<Self, EvaluateError> {
        let output = &inference.output;
        let outputs = [&output.prediction, &output.probability, &output.score];
        let outputs = outputs.into_iter().flatten().cloned().collect();
        let Asked::Features(features) = &questions.asked else {
            if inference.batch > 1 {
                return Err(server.wrong(
                    "`spec.inference.batch` is more than 1 and rows are whole requests: expected 1",
                ));
            }
            return Ok(Self {
                inputs: vec![],
                outputs,
            });
        };
        let names: Vec<&str> = model
            .inputs
            .iter()
            .map(|input| input.name.as_str())
            .collect();
        let inputs: Vec<Tensor> = match &inference.input {
            Some(name) => model
                .inputs
                .iter()
                .filter(|input| input.name == *name)
                .cloned()
                .collect(),
            None => model.inputs.clone(),
        };
        match inputs.as_slice() {
            [] => {
                let wanted = inference.input.as_deref().unwrap_or_default();
                return Err(server.wrong(format!(
                    "expected an input {wanted:?}, found {} of the model {:?}",
                    listed(&names),
                    model.name
                )));
            }
            [one] if one.width().is_some_and(|width| width != features.len()) => {
                return Err(server.wrong(format!(
                    "expected a model that takes the {} columns of features of {}, found {:?}, which takes {} numbers a row",
                    features.len(),
                    questions.file,
                    model.name,
                    one.width().unwrap_or_default()
                )));
            }
            [_] => {}
            several => {
                let missing = several
                    .iter()
                    .find(|input| !features.iter().any(|(name, _)| *name == input.name));
                if let Some(input) = missing {
                    return Err(server.wrong(format!(
                        "expected a column {:?} in {}, which the model {:?} takes as an input, found none",
                        input.name, questions.file, model.name
                    )));
                }
            }
        }
        Ok(Self { inputs, outputs })
    }

    /// The request about the questions from `start` to `end`.
    pub(super) fn body(
        &self,
        questions: &Questions<'_>,
        start: usize,
        end: usize,
    ) -> Result<Vec<u8>, EvaluateError> {
        let rows = &questions.rows[start..end];
        let features = match &questions.asked {
            Asked::Requests(cells) => return Ok(request(*cells, rows[0])?),
            Asked::Features(features) => features,
        };
        let inputs = self.inputs.iter().map(|input| {
            let own = |name: &str| self.inputs.len() == 1 || name == input.name;
            let cells: Vec<Cells<'_>> = features
                .iter()
                .filter(|(name, _)| own(name))
                .map(|(_, cells)| *cells)
                .collect();
            tensor(input, &cells, rows)
        });
        let mut body = json!({ "inputs": inputs.collect::<Result<Vec<_>, _>>()? });
        if !self.outputs.is_empty() {
            let outputs = self.outputs.iter().map(|name| json!({ "name": name }));
            body["outputs"] = outputs.collect();
        }
        Ok(body.to_string().into_bytes())
    }
}

fn request(cells: Cells<'_>, row: usize) -> Result<Vec<u8>, Problem> {
    let text = cells.get(row);
    match serde_json::from_str(text) {
        Ok(Value::Object(_)) => Ok(text.as_bytes().to_vec()),
        Ok(_) | Err(_) => Err(cells.problem(row, "a request by protocol v2, a JSON object")),
    }
}

fn tensor(input: &Tensor, cells: &[Cells<'_>], rows: &[usize]) -> Result<Value, Problem> {
    let mut data = Vec::with_capacity(rows.len() * cells.len());
    for row in rows {
        for cells in cells {
            data.push(scalar(input.kind(), *cells, *row)?);
        }
    }
    let mut shape = vec![rows.len()];
    match input.width() {
        // Pictures and the like keep their shape.
        Some(_) => shape.extend(
            input
                .shape
                .iter()
                .skip(1)
                .filter_map(|size| usize::try_from(*size).ok()),
        ),
        None => shape.push(cells.len()),
    }
    Ok(json!({
        "name": input.name,
        "datatype": input.datatype,
        "shape": shape,
        "data": data,
    }))
}

fn scalar(kind: Type, cells: Cells<'_>, row: usize) -> Result<Value, Problem> {
    let text = cells.get(row).trim();
    match kind {
        Type::Text => Ok(cells.get(row).into()),
        Type::Fraction => Ok(cells.number(row)?.into()),
        Type::Whole => {
            let number = text.parse::<i64>();
            number
                .map(Value::from)
                .map_err(|_| cells.problem(row, "a whole number"))
        }
        Type::Truth => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true.into()),
            "false" | "0" => Ok(false.into()),
            _ => Err(cells.problem(row, "true or false")),
        },
    }
}
