//! Is a version good? Metrics of what a model answered, how sure they are, and verdicts.
//!
//! [`judge`] takes a [`Gate`], a [`Candidate`]'s answers to rows whose truth is known, and the
//! incumbent's answers to the same rows; it says Pass, Fail or Inconclusive for every bound,
//! with the evidence. It is pure: no clock, no file, no randomness but the gate's seed.
//! Metrics have scikit-learn's values; where one is undefined, it says why ([`Undefined`])
//! and is never NaN or 0 instead.
//!
//! | room | role |
//! |---|---|
//! | `input` | labels and answers, checked |
//! | `counts`, `confusion`, `ranking`, `probability`, `regression` | formulas |
//! | `gate`, `metric` | what users write, and what it means for a task |
//! | `prepared` | a metric of rows for any weights of them |
//! | `random`, `special`, `interval`, `paired` | how sure a value is |
//! | `judge`, `report` | verdicts and their evidence |

#![deny(clippy::wildcard_enum_match_arm)]

pub mod confusion;
pub mod counts;
mod gate;
mod input;
pub mod interval;
mod judge;
mod metric;
pub mod paired;
mod prepared;
pub mod probability;
pub mod random;
pub mod ranking;
pub mod regression;
mod report;
mod special;
mod value;

pub use gate::{Confidence, Gate, MetricGate, MetricName, MultiClass, SliceGate, WhenInconclusive};
pub use input::{
    Answers, Baseline, Candidate, InputError, Labels, SUM_TOLERANCE, ScoreKind, Scores, Task, Truth,
};
pub use judge::{Described, JudgeError, Place, describe, judge, judge_places};
pub use metric::{Metric, MetricError, Scope};
pub use prepared::Prepared;
pub use report::{Check, Evidence, Interval, Outcome, Reason, Report, Requirement, Verdict};
pub use value::{Undefined, Value};
