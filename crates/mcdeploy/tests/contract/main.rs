//! Commands that need stores and registries, and no hub.

#![cfg(test)]

mod artifacts;
mod inputs;
mod push_from;
