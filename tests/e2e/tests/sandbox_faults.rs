//! Faults in the whole sandbox.

#![cfg(test)]
