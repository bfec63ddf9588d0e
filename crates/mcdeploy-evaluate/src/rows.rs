//! From a table of labels to rows whose truth is known.

use std::collections::{BTreeMap, BTreeSet};

use mcdeploy_eval::{Labels, Truth};

use crate::{
    error::{EvaluateError, Problem},
    table::{Cells, Table, listed},
    template::{Columns, EvaluationTemplate, TaskKind},
};

/// How to read labels and answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What the model is asked for; by default what the labels look like.
    pub task: Option<TaskKind>,
    /// Names of columns.
    pub columns: Columns,
    /// Classes or labels, in order; empty: those that occur.
    pub labels: Vec<String>,
    /// Columns to slice by. One that is not there is for the judge to say.
    pub slices: BTreeSet<String>,
}

impl Plan {
    /// What a template says.
    pub fn of(template: &EvaluationTemplate) -> Self {
        let spec = &template.spec;
        let columns = spec.slices.iter().flat_map(|slice| &slice.columns);
        Self {
            task: Some(spec.task),
            columns: spec.dataset.columns.clone(),
            labels: spec
                .dataset
                .labels
                .iter()
                .map(|label| label.0.clone())
                .collect(),
            slices: columns.cloned().collect(),
        }
    }
}

/// Rows whose truth is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// What the model is asked for.
    pub task: TaskKind,
    /// What is so.
    pub truth: Truth,
    pub(crate) weights: Option<Vec<f64>>,
    pub(crate) columns: BTreeMap<String, Vec<String>>,
    pub(crate) table: Table,
    pub(crate) plan: Plan,
}

impl Rows {
    /// Without all rows but those of `keep`. Places of mistakes stay those of the file.
    #[must_use]
    pub fn only(&self, keep: &[usize]) -> Self {
        let columns = self.columns.iter().map(|(name, values)| {
            let kept = keep.iter().map(|row| values[*row].clone());
            (name.clone(), kept.collect())
        });
        let weights = self.weights.as_ref();
        Self {
            truth: self.truth.pick(keep),
            weights: weights.map(|all| keep.iter().map(|row| all[*row]).collect()),
            columns: columns.collect(),
            ..self.clone()
        }
    }

    /// Names of classes or labels; none of a regression.
    pub fn labels(&self) -> &[String] {
        match &self.truth {
            Truth::Classes(labels, _) | Truth::Multilabel(labels, _) => labels.names(),
            Truth::Numbers(_) => &[],
        }
    }
}

/// Reads labels. `answers` are asked for names of classes too: one may have no row.
///
/// # Errors
/// [`EvaluateError::Input`].
pub fn rows(plan: &Plan, table: Table, answers: Option<&Table>) -> Result<Rows, EvaluateError> {
    let label = table.column(plan.columns.label())?;
    if let Some(row) = label.iter().position(str::is_empty)
        && plan.task != Some(TaskKind::Multilabel)
    {
        return Err(label.problem(row, "a label").into());
    }
    let task = plan.task.unwrap_or_else(|| looks_like(label));
    let truth = match task {
        TaskKind::Regression => {
            let numbers = (0..table.rows()).map(|row| label.number(row));
            Truth::Numbers(numbers.collect::<Result<_, _>>()?)
        }
        TaskKind::Multilabel => {
            let names = all_names(plan, sets(label)?.into_iter().flatten(), answers);
            let labels = known(&table, task, names)?;
            let rows = label_sets(label, &labels)?;
            Truth::Multilabel(labels, rows)
        }
        TaskKind::Binary | TaskKind::Multiclass => {
            let names = all_names(plan, label.iter().map(str::to_owned), answers);
            let labels = known(&table, task, names)?;
            let rows = classes(label, &labels)?;
            Truth::Classes(labels, rows)
        }
    };
    // Two classes are two classes, whatever it looked like.
    let task = match (&truth, plan.task) {
        (Truth::Classes(labels, _), None) if labels.names().len() > 2 => TaskKind::Multiclass,
        (Truth::Classes(..), None) => TaskKind::Binary,
        (Truth::Classes(..) | Truth::Multilabel(..) | Truth::Numbers(_), _) => task,
    };
    let weights = plan.columns.weight.as_deref();
    let weights = weights.map(|name| weights_of(table.column(name)?));
    let columns = plan.slices.iter().filter_map(|name| {
        let cells = table.find(name)?;
        Some((name.clone(), cells.to_vec()))
    });
    Ok(Rows {
        task,
        truth,
        weights: weights.transpose()?,
        columns: columns.collect(),
        plan: plan.clone(),
        table,
    })
}

/// A number with a fraction is no class, and a list is several.
fn looks_like(label: Cells<'_>) -> TaskKind {
    let number = |cell: &str| cell.trim().parse::<f64>().ok();
    if label.iter().any(|cell| cell.starts_with('[')) {
        return TaskKind::Multilabel;
    }
    let fraction = |cell: &str| number(cell).is_some_and(|number| number.fract().abs() > 0.0);
    if label.iter().any(fraction) && label.iter().all(|cell| number(cell).is_some()) {
        return TaskKind::Regression;
    }
    TaskKind::Multiclass
}

/// Names that the plan gives, else those that occur, sorted; numbers by size.
fn all_names(
    plan: &Plan,
    occurring: impl Iterator<Item = String>,
    answers: Option<&Table>,
) -> Vec<String> {
    if !plan.labels.is_empty() {
        return plan.labels.clone();
    }
    let mut names: BTreeSet<String> = occurring.collect();
    names.extend(answers.into_iter().flat_map(|table| named_by(plan, table)));
    let mut names: Vec<String> = names.into_iter().collect();
    let number = |name: &String| name.parse::<i64>().ok();
    if names.iter().all(|name| number(name).is_some()) {
        names.sort_by_key(number);
    }
    names
}

/// Classes that columns of probabilities or scores are named after.
fn named_by(plan: &Plan, table: &Table) -> Vec<String> {
    let patterns = [
        plan.columns
            .probability
            .as_deref()
            .unwrap_or("probability_{label}"),
        plan.columns.score.as_deref().unwrap_or("score_{label}"),
    ];
    let named = |pattern: &str| {
        let (before, after) = pattern.split_once("{label}")?;
        let names = table.names().filter_map(|name| {
            let name = name.strip_prefix(before)?.strip_suffix(after)?;
            Some(name.to_owned())
        });
        Some(names.collect::<Vec<_>>())
    };
    patterns.into_iter().filter_map(named).flatten().collect()
}

fn known(table: &Table, task: TaskKind, names: Vec<String>) -> Result<Labels, EvaluateError> {
    let found = listed(&names);
    let count = names.len();
    let expected = match task {
        TaskKind::Binary if count != 2 => "two labels",
        TaskKind::Multiclass | TaskKind::Multilabel if count < 2 => "two or more labels",
        _ => return Ok(Labels::new(names)?),
    };
    Err(table.problem(expected, format!("{count}, {found}")).into())
}

/// Index of the class in every row.
pub(crate) fn classes(cells: Cells<'_>, labels: &Labels) -> Result<Vec<usize>, Problem> {
    let index = index(labels);
    let class = |(row, name): (usize, &str)| {
        let class = index.get(name).copied();
        class.ok_or_else(|| cells.problem(row, one_of(labels)))
    };
    cells.iter().enumerate().map(class).collect()
}

pub(crate) fn one_of(labels: &Labels) -> String {
    format!("one of the labels {}", listed(labels.names()))
}

fn index(labels: &Labels) -> BTreeMap<&str, usize> {
    let names = labels.names().iter().enumerate();
    names.map(|(index, name)| (name.as_str(), index)).collect()
}

/// Labels of every row, as they are written.
fn sets(cells: Cells<'_>) -> Result<Vec<Vec<String>>, Problem> {
    let set = |(row, cell): (usize, &str)| {
        if cell.starts_with('[') {
            let list: Result<Vec<serde_json::Value>, _> = serde_json::from_str(cell);
            let list = list.map_err(|_| cells.problem(row, "a list of labels"))?;
            let text = |value: serde_json::Value| match value {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            return Ok(list.into_iter().map(text).collect());
        }
        let names = cell
            .split('|')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        Ok(names.map(str::to_owned).collect())
    };
    cells.iter().enumerate().map(set).collect()
}

/// Whether each label holds, in every row.
pub(crate) fn label_sets(cells: Cells<'_>, labels: &Labels) -> Result<Vec<Vec<bool>>, Problem> {
    let index = index(labels);
    let mut rows = vec![];
    for (row, names) in sets(cells)?.into_iter().enumerate() {
        let mut holds = vec![false; labels.names().len()];
        for name in names {
            let Some(label) = index.get(name.as_str()) else {
                let found = crate::table::shown(&name);
                return Err(cells.problem_with(row, one_of(labels), found));
            };
            holds[*label] = true;
        }
        rows.push(holds);
    }
    Ok(rows)
}

fn weights_of(cells: Cells<'_>) -> Result<Vec<f64>, Problem> {
    let weight = |(row, _): (usize, &str)| {
        let weight = cells.number(row)?;
        if weight < 0.0 {
            return Err(cells.problem(row, "a weight of 0 or more"));
        }
        Ok(weight)
    };
    cells.iter().enumerate().map(weight).collect()
}
