//! The goals, a file for those that are measured alike.

pub(crate) mod audit;
pub(crate) mod copies;
pub(crate) mod fanout;
pub(crate) mod faults;
pub(crate) mod outage;
pub(crate) mod planner;
pub(crate) mod relay;
pub(crate) mod resume;

use serde::Serialize;

/// How much is moved, and how often.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Size {
    /// The large object, in bytes.
    pub(crate) large_bytes: u64,
    /// The one that memory must not grow with, in bytes.
    pub(crate) larger_bytes: u64,
    /// Turns of each tool.
    pub(crate) repeats: usize,
    /// Faults for each sink.
    pub(crate) faults: usize,
    /// Objects of the copy that has nothing to do.
    pub(crate) many_files: usize,
    /// Writers under one name.
    pub(crate) racers: usize,
    /// The version that goes through relays, in bytes.
    pub(crate) relay_bytes: u64,
    /// How long a provider is away.
    pub(crate) outage_seconds: u64,
    /// Objects that it gets.
    pub(crate) outage_files: usize,
}

impl Size {
    /// Ten minutes in all.
    pub(crate) const SHORT: Self = Self {
        large_bytes: 256 << 20,
        larger_bytes: 1 << 30,
        repeats: 2,
        faults: 4,
        many_files: 1000,
        racers: 20,
        relay_bytes: 96 << 20,
        outage_seconds: 10,
        outage_files: 64,
    };
    /// As the goals say.
    pub(crate) const FULL: Self = Self {
        large_bytes: 4 << 30,
        larger_bytes: 8 << 30,
        repeats: 5,
        faults: 100,
        many_files: 10_000,
        racers: 100,
        relay_bytes: 1 << 30,
        outage_seconds: 30,
        outage_files: 1000,
    };
}

/// For ratios: counts here are far below what a float holds exactly.
#[expect(clippy::cast_precision_loss, reason = "ratios and medians of counts")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}
