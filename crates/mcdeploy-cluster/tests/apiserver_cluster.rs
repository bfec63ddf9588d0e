//! The cluster client, the kinds and the charts against a real API server (no nodes).

#[path = "apiserver/support.rs"]
mod support;

#[path = "apiserver/calls.rs"]
mod calls;
#[path = "apiserver/charts.rs"]
mod charts;
#[path = "apiserver/kinds.rs"]
mod kinds;
#[path = "apiserver/leases.rs"]
mod leases;
#[path = "apiserver/registration.rs"]
mod registration;
