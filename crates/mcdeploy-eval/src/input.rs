//! Labels and answers, checked once: what is behind these types has equal lengths, known
//! classes and numbers only, and metrics need not ask again. Rows are counted from 0.

use std::collections::BTreeMap;

/// How far probabilities of a row may be from a sum of 1: what single precision loses.
pub const SUM_TOLERANCE: f64 = 1e-4;

/// What is wrong with labels or answers. All of them are permanent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InputError {
    /// Two things that go together row by row have different lengths.
    #[error("{what} has {found} rows and the labels have {expected}; give one for each label")]
    Length {
        /// What is too short or too long.
        what: String,
        /// Rows of the labels.
        expected: usize,
        /// Its rows.
        found: usize,
    },
    /// A row has too many or too few columns.
    #[error("row {row} of {what} has {found} columns, expected {expected}, one per label")]
    Columns {
        /// What.
        what: String,
        /// Which.
        row: usize,
        /// Number of labels.
        expected: usize,
        /// Its columns.
        found: usize,
    },
    /// A class has no number below that of the labels.
    #[error("row {row} of {what} is class {found}, and there are {classes} classes from 0")]
    UnknownClass {
        /// What.
        what: String,
        /// Which.
        row: usize,
        /// Number of classes.
        classes: usize,
        /// The class.
        found: usize,
    },
    /// A label is none of those that are known.
    #[error(
        "row {row} of {what} is {found:?}, which is none of the labels {known:?}; add it to them or correct the row"
    )]
    UnknownLabel {
        /// What.
        what: String,
        /// Which.
        row: usize,
        /// All labels.
        known: Vec<String>,
        /// The label.
        found: String,
    },
    /// Labels that are too few or twice there.
    #[error("the labels {found:?} must be two or more, each once")]
    Labels {
        /// All labels.
        found: Vec<String>,
    },
    /// NaN or infinite.
    #[error(
        "row {row} of {what} is {found}, expected a finite number; drop the row or repair the model"
    )]
    NotFinite {
        /// What.
        what: String,
        /// Which.
        row: usize,
        /// The number.
        found: f64,
    },
    /// A weight below 0.
    #[error("row {row} of the weights is {found}, expected 0 or more")]
    NegativeWeight {
        /// Which.
        row: usize,
        /// The weight.
        found: f64,
    },
    /// Not between 0 and 1.
    #[error(
        "row {row} of the probabilities has {found}, expected 0 to 1; give it as a score if it is none"
    )]
    NoProbability {
        /// Which.
        row: usize,
        /// The number.
        found: f64,
    },
    /// Probabilities of classes that exclude each other do not sum to 1.
    #[error(
        "row {row} of the probabilities sums to {found}, expected 1; give them as scores if they are none"
    )]
    Sum {
        /// Which.
        row: usize,
        /// The sum.
        found: f64,
    },
    /// Labels of one task and answers of another.
    #[error("the labels are {expected} and the answers are {found}")]
    Task {
        /// Task of the labels.
        expected: Task,
        /// Task of the answers.
        found: Task,
    },
}

/// What a model is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// One of two or more classes.
    Classes,
    /// Any number of labels.
    Multilabel,
    /// A number.
    Numbers,
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Classes => "classes",
            Self::Multilabel => "sets of labels",
            Self::Numbers => "numbers",
        })
    }
}

/// Names of classes or labels, in the order of the columns of scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels(Vec<String>);

impl Labels {
    /// Takes names, of which there are two or more, each once.
    ///
    /// # Errors
    /// [`InputError::Labels`].
    pub fn new(names: Vec<String>) -> Result<Self, InputError> {
        let twice = (1..names.len()).any(|index| names[..index].contains(&names[index]));
        if names.len() < 2 || twice {
            return Err(InputError::Labels { found: names });
        }
        Ok(Self(names))
    }

    /// The names.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Index of a name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|known| known == name)
    }

    /// Index of each of `rows`; `what` they are is for the message.
    ///
    /// # Errors
    /// [`InputError::UnknownLabel`].
    pub fn indices(&self, what: &str, rows: &[&str]) -> Result<Vec<usize>, InputError> {
        let index = |(row, name): (usize, &&str)| {
            self.index(name).ok_or_else(|| InputError::UnknownLabel {
                what: what.to_owned(),
                row,
                known: self.0.clone(),
                found: (*name).to_owned(),
            })
        };
        rows.iter().enumerate().map(index).collect()
    }
}

/// What is so, one entry per row.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    /// Index of the class. With two classes the second is the positive one.
    Classes(Labels, Vec<usize>),
    /// Whether each label holds, in order of labels.
    Multilabel(Labels, Vec<Vec<bool>>),
    /// A number.
    Numbers(Vec<f64>),
}

/// What a model answered, one entry per row.
#[derive(Clone, Debug, PartialEq)]
pub enum Answers {
    /// Index of the class, and the scores that it was chosen by.
    Classes(Vec<usize>, Option<Scores>),
    /// Whether each label holds, and scores.
    Multilabel(Vec<Vec<bool>>, Option<Scores>),
    /// A number.
    Numbers(Vec<f64>),
}

/// Scores of classes or labels: rows, then one column per label. With two classes one column,
/// that of the second, is enough.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// What the numbers mean.
    pub kind: ScoreKind,
    /// The numbers.
    pub rows: Vec<Vec<f64>>,
}

/// What scores mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreKind {
    /// Each between 0 and 1; those of classes that exclude each other sum to 1.
    Probability,
    /// Any finite number, larger for what is likelier.
    Score,
}

/// A version's answers to rows whose truth is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    truth: Truth,
    answers: Answers,
    weights: Vec<f64>,
    columns: BTreeMap<String, Vec<String>>,
}

/// The incumbent's answers to the candidate's rows, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    answers: Answers,
}

impl Baseline {
    /// What it answered.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }
}

impl Candidate {
    /// Checks labels and answers. Every row weighs 1.
    ///
    /// # Errors
    /// [`InputError`].
    pub fn new(truth: Truth, answers: Answers) -> Result<Self, InputError> {
        check_truth(&truth)?;
        let answers = checked_answers(&truth, answers)?;
        let weights = vec![1.0; truth.rows()];
        Ok(Self {
            truth,
            answers,
            weights,
            columns: BTreeMap::new(),
        })
    }

    /// With a weight per row, 0 or more.
    ///
    /// # Errors
    /// [`InputError`].
    pub fn with_weights(mut self, weights: Vec<f64>) -> Result<Self, InputError> {
        same_length("the weights", self.truth.rows(), weights.len())?;
        all_finite("the weights", &weights)?;
        if let Some(row) = weights.iter().position(|weight| *weight < 0.0) {
            let found = weights[row];
            return Err(InputError::NegativeWeight { row, found });
        }
        self.weights = weights;
        Ok(self)
    }

    /// With a column to slice by, which has an entry per row.
    ///
    /// # Errors
    /// [`InputError::Length`].
    pub fn with_column(mut self, name: &str, values: Vec<String>) -> Result<Self, InputError> {
        let what = format!("column {name:?}");
        same_length(&what, self.truth.rows(), values.len())?;
        self.columns.insert(name.to_owned(), values);
        Ok(self)
    }

    /// Another version's answers to the same rows.
    ///
    /// # Errors
    /// [`InputError`].
    pub fn baseline(&self, answers: Answers) -> Result<Baseline, InputError> {
        let answers = checked_answers(&self.truth, answers)?;
        Ok(Baseline { answers })
    }

    /// What is so.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// What the version answered.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// Weights, one per row.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Values of a column, one per row.
    pub fn column(&self, name: &str) -> Option<&[String]> {
        self.columns.get(name).map(Vec::as_slice)
    }
}

impl Truth {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::Classes(_, rows) => rows.len(),
            Self::Multilabel(_, rows) => rows.len(),
            Self::Numbers(rows) => rows.len(),
        }
    }

    /// What the model was asked for.
    pub fn task(&self) -> Task {
        match self {
            Self::Classes(..) => Task::Classes,
            Self::Multilabel(..) => Task::Multilabel,
            Self::Numbers(_) => Task::Numbers,
        }
    }

    /// The rows of `rows`, in that order.
    #[must_use]
    pub fn pick(&self, rows: &[usize]) -> Self {
        match self {
            Self::Classes(labels, all) => Self::Classes(labels.clone(), picked(all, rows)),
            Self::Multilabel(labels, all) => Self::Multilabel(labels.clone(), picked(all, rows)),
            Self::Numbers(all) => Self::Numbers(picked(all, rows)),
        }
    }
}

impl Answers {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::Classes(rows, _) => rows.len(),
            Self::Multilabel(rows, _) => rows.len(),
            Self::Numbers(rows) => rows.len(),
        }
    }

    /// The rows of `rows`, in that order.
    #[must_use]
    pub fn pick(&self, rows: &[usize]) -> Self {
        let scores = |scores: &Option<Scores>| {
            scores.as_ref().map(|scores| Scores {
                kind: scores.kind,
                rows: picked(&scores.rows, rows),
            })
        };
        match self {
            Self::Classes(all, all_scores) => Self::Classes(picked(all, rows), scores(all_scores)),
            Self::Multilabel(all, all_scores) => {
                Self::Multilabel(picked(all, rows), scores(all_scores))
            }
            Self::Numbers(all) => Self::Numbers(picked(all, rows)),
        }
    }
}

pub(crate) fn picked<T: Clone>(all: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().map(|row| all[*row].clone()).collect()
}

fn check_truth(truth: &Truth) -> Result<(), InputError> {
    match truth {
        Truth::Classes(labels, rows) => known_classes("the labels", labels.0.len(), rows),
        Truth::Multilabel(labels, rows) => equal_columns("the labels", labels.0.len(), rows),
        Truth::Numbers(rows) => all_finite("the labels", rows),
    }
}

fn checked_answers(truth: &Truth, answers: Answers) -> Result<Answers, InputError> {
    let expected = truth.rows();
    same_length("the answers", expected, answers.rows())?;
    match (truth, answers) {
        (Truth::Classes(labels, _), Answers::Classes(rows, scores)) => {
            known_classes("the answers", labels.0.len(), &rows)?;
            let scores = scores.map(|scores| checked_scores(labels, rows.len(), scores, true));
            Ok(Answers::Classes(rows, scores.transpose()?))
        }
        (Truth::Multilabel(labels, _), Answers::Multilabel(rows, scores)) => {
            equal_columns("the answers", labels.0.len(), &rows)?;
            let scores = scores.map(|scores| checked_scores(labels, rows.len(), scores, false));
            Ok(Answers::Multilabel(rows, scores.transpose()?))
        }
        (Truth::Numbers(_), Answers::Numbers(rows)) => {
            all_finite("the answers", &rows)?;
            Ok(Answers::Numbers(rows))
        }
        (truth, answers) => Err(InputError::Task {
            expected: truth.task(),
            found: match answers {
                Answers::Classes(..) => Task::Classes,
                Answers::Multilabel(..) => Task::Multilabel,
                Answers::Numbers(_) => Task::Numbers,
            },
        }),
    }
}

/// Scores with a column per label; `exclusive`: exactly one label holds in a row.
fn checked_scores(
    labels: &Labels,
    expected: usize,
    mut scores: Scores,
    exclusive: bool,
) -> Result<Scores, InputError> {
    same_length("the scores", expected, scores.rows.len())?;
    let columns = labels.0.len();
    for (row, values) in scores.rows.iter_mut().enumerate() {
        if let Some(found) = values.iter().copied().find(|value| !value.is_finite()) {
            let what = "the scores".to_owned();
            return Err(InputError::NotFinite { what, row, found });
        }
        if let ([positive], 2, true) = (values.as_slice(), columns, exclusive) {
            let negative = match scores.kind {
                ScoreKind::Probability => 1.0 - positive,
                ScoreKind::Score => -positive,
            };
            values.insert(0, negative);
        }
        let found = values.len();
        if found != columns {
            let what = "the scores".to_owned();
            return Err(InputError::Columns {
                what,
                row,
                expected: columns,
                found,
            });
        }
        if scores.kind == ScoreKind::Probability {
            check_probabilities(row, values, exclusive)?;
        }
    }
    Ok(scores)
}

fn check_probabilities(row: usize, values: &[f64], exclusive: bool) -> Result<(), InputError> {
    let outside = |value: &f64| !(0.0..=1.0).contains(value);
    if let Some(found) = values.iter().copied().find(outside) {
        return Err(InputError::NoProbability { row, found });
    }
    let found: f64 = values.iter().sum();
    if exclusive && (found - 1.0).abs() > SUM_TOLERANCE {
        return Err(InputError::Sum { row, found });
    }
    Ok(())
}

fn same_length(what: &str, expected: usize, found: usize) -> Result<(), InputError> {
    if expected == found {
        return Ok(());
    }
    let what = what.to_owned();
    Err(InputError::Length {
        what,
        expected,
        found,
    })
}

fn known_classes(what: &str, classes: usize, rows: &[usize]) -> Result<(), InputError> {
    match rows.iter().position(|class| *class >= classes) {
        None => Ok(()),
        Some(row) => Err(InputError::UnknownClass {
            what: what.to_owned(),
            row,
            classes,
            found: rows[row],
        }),
    }
}

fn equal_columns(what: &str, expected: usize, rows: &[Vec<bool>]) -> Result<(), InputError> {
    match rows.iter().position(|row| row.len() != expected) {
        None => Ok(()),
        Some(row) => Err(InputError::Columns {
            what: what.to_owned(),
            row,
            expected,
            found: rows[row].len(),
        }),
    }
}

fn all_finite(what: &str, rows: &[f64]) -> Result<(), InputError> {
    match rows.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(row) => Err(InputError::NotFinite {
            what: what.to_owned(),
            row,
            found: rows[row],
        }),
    }
}
