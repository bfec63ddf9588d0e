//! Images between real registries, and models of others from where they publish them.

#![cfg(test)]

mod hub;
mod images;
mod mlflow_auth;
mod sources;
