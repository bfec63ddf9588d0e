//! The servers that tests start.

#![cfg(test)]

mod kubernetes;
mod proxy;
mod stores;
