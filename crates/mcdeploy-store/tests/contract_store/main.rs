//! One contract for every backend, each against a real server (or a real directory), and
//! the whole life of a version on and between them.

mod backends;
mod redaction;
mod suite;
mod tools;
mod transfers;
mod versions;
