//! The reference model server: Open Inference Protocol v2 over REST, ONNX by tract.
//!
//! `args` is the command line, `repository` finds models on disk, `version` orders them,
//! `onnx` prepares one with the operators of `ops`, `engine` runs it, `check` says which can
//! be served, `protocol` is the JSON, `body` its bytes, `decode` turns it into tensors,
//! `pool` bounds what runs and what waits, `server` is the HTTP side and `drain` its end.
//!
//! It serves what it finds at start and never writes. Any other container that speaks
//! protocol v2 on port 8080 and reads `/mnt/models` works in its place.

pub mod args;
mod body;
pub mod check;
mod clock;
pub mod decode;
pub mod engine;
pub mod error;
pub mod metrics;
pub mod onnx;
mod ops;
pub mod panics;
pub mod pool;
pub mod protocol;
pub mod repository;
pub mod server;
pub mod version;

pub use args::Args;
pub use engine::Engine;
pub use repository::Repository;
pub use server::Server;
