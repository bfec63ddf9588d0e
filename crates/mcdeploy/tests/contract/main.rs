//! Commands that need stores and registries, and no hub.

#![cfg(test)]

mod artifacts;
mod push_from;
