//! One contract for every backend, each against a real server (or a real directory), and
//! the whole life of a version on and between them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests too"
)]

mod backends;
mod deletes;
mod foreign;
mod inputs;
mod leftovers;
mod links;
mod other_tools;
mod redaction;
mod removal;
mod suite;
mod tools;
mod transfers;
mod two_writers;
mod versions;
