//! The daemon: operator, gateway, transfer, fetch.

fn main() {}
