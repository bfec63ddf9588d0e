//! The daemon's short-lived commands, as Jobs and init containers run them, on real stores
//! and registries.

#![cfg(test)]

mod artifacts;
mod copy_image;
mod resume;
