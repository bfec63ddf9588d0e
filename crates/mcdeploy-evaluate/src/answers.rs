//! From a table of answers to answers in the order of the labels.

use std::collections::HashMap;

use mcdeploy_eval::{Answers, Labels, SUM_TOLERANCE, ScoreKind, Scores, Truth};

use crate::{
    error::{EvaluateError, Problem},
    rows::{Rows, classes, label_sets},
    table::{Cells, Table, listed, shown},
};

/// Above this a label of several is taken to hold.
const HOLDS: f64 = 0.5;

/// Answers, and the file that they are from.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerTable {
    /// In the order of the labels' rows.
    pub answers: Answers,
    /// The file.
    pub table: Table,
}

/// Reads answers to `rows`.
///
/// # Errors
/// [`EvaluateError::Input`].
pub fn answers(rows: &Rows, table: Table) -> Result<AnswerTable, EvaluateError> {
    let columns = &rows.plan.columns;
    let prediction = match &columns.prediction {
        Some(name) => Some(table.column(name)?),
        None => table.find(columns.prediction()),
    };
    // Cells before rows: a file of another kind has no rows that fit either.
    let answers = match &rows.truth {
        Truth::Numbers(_) => {
            let cells = table.column(columns.prediction())?;
            let numbers = (0..table.rows()).map(|row| cells.number(row));
            Answers::Numbers(numbers.collect::<Result<_, _>>()?)
        }
        Truth::Classes(labels, _) => {
            let scores = scores(rows, &table, labels, true)?;
            let said = match (prediction, &scores) {
                (Some(cells), _) => classes(cells, labels)?,
                (None, Some(scores)) => scores.rows.iter().map(|row| likeliest(row)).collect(),
                (None, None) => return Err(nothing(rows, &table).into()),
            };
            Answers::Classes(said, scores)
        }
        Truth::Multilabel(labels, _) => {
            let scores = scores(rows, &table, labels, false)?;
            let said = match (prediction, &scores) {
                (Some(cells), _) => label_sets(cells, labels)?,
                (None, Some(scores)) => {
                    let rows = scores.rows.iter();
                    rows.map(|row| holding(scores, row)).collect()
                }
                (None, None) => return Err(nothing(rows, &table).into()),
            };
            Answers::Multilabel(said, scores)
        }
    };
    let order = order(rows, &table)?;
    let answers = match answers {
        Answers::Numbers(all) => Answers::Numbers(picked(&order, all)),
        Answers::Classes(all, scores) => {
            let scores = scores.map(|scores| in_order(&order, scores));
            Answers::Classes(picked(&order, all), scores)
        }
        Answers::Multilabel(all, scores) => {
            let scores = scores.map(|scores| in_order(&order, scores));
            Answers::Multilabel(picked(&order, all), scores)
        }
    };
    Ok(AnswerTable { answers, table })
}

/// The first of those with the largest score.
pub(crate) fn likeliest(row: &[f64]) -> usize {
    let mut best = 0;
    for (class, score) in row.iter().enumerate() {
        if *score > row[best] {
            best = class;
        }
    }
    best
}

fn holding(scores: &Scores, row: &[f64]) -> Vec<bool> {
    let least = match scores.kind {
        ScoreKind::Probability => HOLDS,
        ScoreKind::Score => 0.0,
    };
    row.iter().map(|score| *score > least).collect()
}

fn nothing(rows: &Rows, table: &Table) -> Problem {
    let names: Vec<&str> = table.names().collect();
    let example = rows.labels().first().map_or("", String::as_str);
    table.problem(
        format!("a column \"prediction\", or one per label such as \"probability_{example}\""),
        format!("only {}", listed(&names)),
    )
}

fn picked<T: Clone>(order: &[usize], all: Vec<T>) -> Vec<T> {
    if order.iter().enumerate().all(|(place, row)| place == *row) {
        return all;
    }
    order.iter().map(|row| all[*row].clone()).collect()
}

fn in_order(order: &[usize], scores: Scores) -> Scores {
    Scores {
        kind: scores.kind,
        rows: picked(order, scores.rows),
    }
}

/// For every row of the labels the row of the answers.
fn order(rows: &Rows, table: &Table) -> Result<Vec<usize>, EvaluateError> {
    let columns = &rows.plan.columns;
    let ids = match &columns.id {
        Some(name) => Some((rows.table.column(name)?, table.column(name)?)),
        None => rows.table.find("id").zip(table.find("id")),
    };
    if let Some((labels, answers)) = ids {
        return Ok(joined(labels, answers, rows, table)?);
    }
    let (expected, found) = (rows.table.rows(), table.rows());
    if expected != found {
        let expected = format!("{expected} rows, one for each of {}", rows.table.file);
        return Err(table.problem(expected, found.to_string()).into());
    }
    Ok((0..expected).collect())
}

fn joined(
    labels: Cells<'_>,
    answers: Cells<'_>,
    rows: &Rows,
    table: &Table,
) -> Result<Vec<usize>, Problem> {
    unique(labels)?;
    let mut given = unique(answers)?;
    let mut order = vec![];
    for (row, id) in labels.iter().enumerate() {
        let Some(answer) = given.remove(id) else {
            let of = rows.table.problem_in(row, "", "");
            let place = of.place.map_or(0, |place| place.row);
            let expected = format!(
                "an answer to the id {} of {}, row {place}",
                shown(id),
                of.file
            );
            return Err(table.problem(expected, "none"));
        };
        order.push(answer);
    }
    match given.into_values().min() {
        None => Ok(order),
        Some(row) => Err(answers.problem(row, format!("an id of {}", rows.table.file))),
    }
}

fn unique(cells: Cells<'_>) -> Result<HashMap<&str, usize>, Problem> {
    let mut seen = HashMap::new();
    for (row, id) in cells.iter().enumerate() {
        if id.is_empty() {
            return Err(cells.problem(row, "an id"));
        }
        if let Some(first) = seen.insert(id, row) {
            let found = format!("{} as in row {}", shown(id), first + 1);
            return Err(cells.problem_with(row, "an id that no other row has", found));
        }
    }
    Ok(seen)
}

/// Where scores are.
enum Layout<'a> {
    /// A column per label.
    Columns(Vec<Cells<'a>>),
    /// That of the positive class, or lists.
    One(Cells<'a>),
}

/// Scores of every row of the table, in the order of labels.
fn scores(
    rows: &Rows,
    table: &Table,
    labels: &Labels,
    exclusive: bool,
) -> Result<Option<Scores>, Problem> {
    let columns = &rows.plan.columns;
    let wanted = [
        (ScoreKind::Probability, &columns.probability, "probability"),
        (ScoreKind::Score, &columns.score, "score"),
    ];
    for (kind, named, word) in wanted {
        let Some(layout) = layout(table, labels, named.as_deref(), word)? else {
            continue;
        };
        let read = |row| {
            let values = row_of(&layout, labels, kind, row, exclusive)?;
            if kind == ScoreKind::Probability {
                check(&layout, table, row, &values, exclusive)?;
            }
            Ok(values)
        };
        let rows = (0..table.rows())
            .map(read)
            .collect::<Result<_, Problem>>()?;
        return Ok(Some(Scores { kind, rows }));
    }
    Ok(None)
}

fn layout<'a>(
    table: &'a Table,
    labels: &Labels,
    named: Option<&str>,
    word: &str,
) -> Result<Option<Layout<'a>>, Problem> {
    let default = format!("{word}_{{label}}");
    let pattern = named.unwrap_or(&default);
    let Some((before, after)) = pattern.split_once("{label}") else {
        return Ok(Some(Layout::One(table.column(pattern)?)));
    };
    let of = |label: &str| format!("{before}{label}{after}");
    let there = labels
        .names()
        .iter()
        .filter(|label| table.find(&of(label)).is_some());
    if there.count() == 0 {
        return match (named, table.find(word)) {
            (None, Some(one)) => Ok(Some(Layout::One(one))),
            (None, None) => Ok(None),
            (Some(_), _) => table.column(&of(&labels.names()[0])).map(|_| None),
        };
    }
    let columns = labels.names().iter().map(|label| table.column(&of(label)));
    let columns: Vec<Cells<'a>> = columns.collect::<Result<_, _>>()?;
    let other = table.names().find(|name| {
        let label = name
            .strip_prefix(before)
            .and_then(|name| name.strip_suffix(after));
        label.is_some_and(|label| labels.index(label).is_none())
    });
    match other {
        None => Ok(Some(Layout::Columns(columns))),
        Some(name) => {
            let expected = format!("columns {word:?} of {}", listed(labels.names()));
            Err(table.problem(expected, format!("{name:?} too")))
        }
    }
}

fn row_of(
    layout: &Layout<'_>,
    labels: &Labels,
    kind: ScoreKind,
    row: usize,
    exclusive: bool,
) -> Result<Vec<f64>, Problem> {
    let classes = labels.names().len();
    let one = match layout {
        Layout::Columns(columns) => return columns.iter().map(|cells| cells.number(row)).collect(),
        Layout::One(one) => one,
    };
    if one.get(row).starts_with('[') {
        let expected = format!("a list of {classes} numbers, in the order of labels");
        let list: Result<Vec<f64>, _> = serde_json::from_str(one.get(row));
        let list = list.map_err(|_| one.problem(row, expected.as_str()))?;
        if list.len() != classes {
            return Err(one.problem_with(row, expected, list.len().to_string()));
        }
        return Ok(list);
    }
    if classes != 2 || !exclusive {
        return Err(one.problem(
            row,
            format!("a list of {classes} numbers, in the order of labels"),
        ));
    }
    let positive = one.number(row)?;
    Ok(match kind {
        ScoreKind::Probability => vec![1.0 - positive, positive],
        ScoreKind::Score => vec![-positive, positive],
    })
}

fn check(
    layout: &Layout<'_>,
    table: &Table,
    row: usize,
    values: &[f64],
    exclusive: bool,
) -> Result<(), Problem> {
    if let Some(class) = values.iter().position(|value| !(0.0..=1.0).contains(value)) {
        let expected = "a probability, 0 to 1 (give scores as `score`)";
        return Err(match layout {
            Layout::Columns(columns) => columns[class].problem(row, expected),
            Layout::One(one) => one.problem(row, expected),
        });
    }
    let sum: f64 = values.iter().sum();
    if exclusive && (sum - 1.0).abs() > SUM_TOLERANCE {
        let expected = "probabilities that sum to 1";
        let found = format!("{sum:.4}");
        return Err(match layout {
            Layout::Columns(_) => table.problem_in(row, expected, found),
            Layout::One(one) => one.problem_with(row, expected, found),
        });
    }
    Ok(())
}
