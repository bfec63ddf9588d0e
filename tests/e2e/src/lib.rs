//! Drives the real programs in the sandbox as a user would, and counts what users see.
//!
//! [`digits`] is the example with its known answers, [`load`] the open-loop load,
//! [`sandbox`] the clouds and the CLI, [`memory`] what they use, [`demo`] the story of
//! `cargo xtask demo` with its report and its checks.

mod clock;
pub mod demo;
pub mod digits;
pub mod load;
pub mod memory;
pub mod sandbox;
