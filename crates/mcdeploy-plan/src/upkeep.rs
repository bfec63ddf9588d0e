//! Removing what is old. Nothing waits for it.

mod deleted;
mod eviction;
pub mod gc;
mod history;
mod prune;
mod rests;

pub(crate) use deleted::plan as deleted;
pub use eviction::{CachedFacts, Room, evictions};
pub(crate) use history::forget;
pub(crate) use prune::prune;
pub(crate) use rests::rest;
