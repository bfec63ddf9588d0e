//! Three gateways with three fake model servers each, on loopback: what clients see when
//! regions, pods and the control plane fail.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests, outside of test functions"
)]

mod blast;
mod crowds;
mod hostile;
mod link;
mod load;
mod outage;
mod requests;
mod restart;
mod streams;
mod tls;
mod world;
