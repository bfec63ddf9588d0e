//! Faults in the whole sandbox, which must be up with `--install`. One after another:
//! run with `--test-threads=1`.
//!
//! A test is named after the fault of the catalogue and the behaviour that is required.

#![cfg(test)]

mod artifacts;
mod control_plane;
mod fixture;
mod images;
mod members;
mod other_server;
mod requests;
mod usage;
mod words;
