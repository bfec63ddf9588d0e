//! Evaluates a model version offline: reads an [`EvaluationTemplate`], labels and answers,
//! has `mcdeploy-eval` judge them, and makes reports. It decides nothing itself, prints
//! nothing, and knows no cluster.
//!
//! | room | role |
//! |---|---|
//! | `template` | what users write |
//! | `table` | a file as columns of text: CSV, JSON Lines, Parquet |
//! | `text` | bytes of other programs as text |
//! | `rows`, `answers` | tables to what the judge takes, every mistake with its place |
//! | `inference`, `ask` | asks endpoints by protocol v2, at a stated rate |
//! | `parity` | whether endpoints answer the same |
//! | `measure` | which metrics to show, and MLflow's names for them |
//! | `evaluation` | the result as data, and in a sentence |
//! | `suggest` | which metrics to gate on, as a template to edit |
//! | `junit`, `page`, `whole_file` | reports |

mod answers;
mod ask;
mod error;
mod evaluation;
mod inference;
mod junit;
mod measure;
mod page;
mod parity;
mod rows;
mod sentence;
mod suggest;
mod table;
mod template;
mod text;
mod whole_file;

pub use answers::{AnswerTable, answers};
pub use ask::{AskProgress, Asked, Endpoint, Questions, ask, questions, rows_to_ask};
pub use error::{EvaluateError, Problem, RowPlace};
pub use evaluation::{
    DataFile, EndpointReport, Evaluation, Judged, Matrix, Measured, MeasuredSlice, Sources,
    evaluate,
};
pub use inference::{Budget, Inference, Output, Parity, Protocol};
pub use junit::junit;
pub use measure::metric_name;
pub use page::page;
pub use parity::ParityReport;
pub use rows::{Plan, Rows, rows};
pub use sentence::{describe_check, describe_reason, number};
pub use suggest::suggest;
pub use table::{Format, Table, read, read_as, read_up_to};
pub use template::{
    Columns, Dataset, DatasetArtifact, EvaluationTemplate, Spec, TaskKind, parse_template, schema,
};
pub use text::{NotText, decode};
pub use whole_file::write_whole;
