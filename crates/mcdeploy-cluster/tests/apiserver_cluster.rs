//! The cluster client, the kinds and the charts against a real API server (no nodes).

#![expect(
    clippy::needless_pass_by_value,
    reason = "JSON literals read best by value"
)]
#![expect(clippy::unwrap_used, reason = "helpers of tests end the test")]

#[path = "apiserver/support.rs"]
mod support;

#[path = "apiserver/calls.rs"]
mod calls;
#[path = "apiserver/charts.rs"]
mod charts;
#[path = "apiserver/columns.rs"]
mod columns;
#[path = "apiserver/kinds.rs"]
mod kinds;
#[path = "apiserver/leases.rs"]
mod leases;
#[path = "apiserver/registration.rs"]
mod registration;
#[path = "apiserver/rules.rs"]
mod rules;
