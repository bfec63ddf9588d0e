//! The fault catalogue against real servers, each behind a proxy that breaks the wire.
//!
//! A test of fault S1 is named `fault_s1_<behaviour>`, and so on.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod at_rest;
mod cache;
mod credentials;
mod delta;
mod outage;
mod receipts;
mod relay;
mod shapes;
mod sweeping;
mod wire;
mod world;
mod writers;
