//! Probes: TCP, HTTP, inference. Gives samples, decides nothing.
//!
//! A sample says what one look at one gateway gave. Nothing here retries, follows a
//! redirect, or reads more than a bounded answer; each connection is new, so that a
//! sample is about the way that a new client takes.

#![deny(clippy::wildcard_enum_match_arm)]

mod clock;
mod probe;
mod sample;
mod tensor;

pub use probe::{MAX_ANSWER_BYTES, PROBE_HOP, Probe, ProbeTarget};
pub use sample::{ProbeFailure, ProbeSample, ProbeStep};
pub use tensor::MAX_ELEMENTS;
