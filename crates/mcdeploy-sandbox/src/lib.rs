//! Three clouds and a hub on one machine, for tests and demos.
