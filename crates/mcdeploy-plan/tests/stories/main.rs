//! The planner in a simulated world: stories with golden answers, and properties of random
//! ones.

#![cfg(test)]

mod properties;
mod scenarios;
mod sim;
