//! What can go wrong, each in one sentence.

use std::{fmt, io};

use mcdeploy_eval::{InputError, JudgeError};

/// Where a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowPlace {
    /// Counted from 1, without a header.
    pub row: usize,
    /// Line of the file, counted from 1; none where the format has no lines.
    pub line: Option<u64>,
}

/// Something in a file that is not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// Which row.
    pub place: Option<RowPlace>,
    /// Which column.
    pub column: Option<String>,
    /// What it has to be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(RowPlace { row, line }) = self.place {
            write!(f, ", row {row}")?;
            if let Some(line) = line {
                write!(f, " (line {line})")?;
            }
        }
        if let Some(column) = &self.column {
            write!(f, ", column {column:?}")?;
        }
        write!(f, ": expected {}, found {}", self.expected, self.found)
    }
}

/// Why there is no evaluation.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// Contents of a file.
    #[error("{0}")]
    Input(Problem),
    /// A file that cannot be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// Which.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {file}: {source}")]
    Write {
        /// Which.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A template that does not parse or contradicts itself.
    #[error("{place}: {problem}")]
    Template {
        /// File, and line and column where they are known.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// Metrics that cannot be judged as they are asked for.
    #[error("{place}: {source}")]
    Judge {
        /// The template, or the command line.
        place: String,
        /// What is wrong.
        source: JudgeError,
    },
    /// An endpoint that answers something else than it was asked for, or cannot be asked so.
    #[error("endpoint {endpoint}: {problem}")]
    Endpoint {
        /// Its name.
        endpoint: String,
        /// What was expected and found.
        problem: String,
    },
    /// An endpoint that does not answer: there is no verdict, and another time there may be.
    #[error("endpoint {endpoint}: {problem}")]
    Unanswered {
        /// Its name.
        endpoint: String,
        /// Why.
        problem: String,
    },
    /// What is wrong with all rows together.
    #[error(transparent)]
    Data(#[from] InputError),
}

impl From<Problem> for EvaluateError {
    fn from(problem: Problem) -> Self {
        Self::Input(problem)
    }
}
