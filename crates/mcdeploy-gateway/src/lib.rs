//! The data plane: routes inference requests to its own region first, then to another.
//!
//! - `gateway`: one gateway, put together and run
//! - `watch`, `kube_source`, `input`, `disk`: where routes come from, and the last good ones
//! - `router`: epochs and hashes; from what the API server says to a table
//! - `table`: which upstream gets a request (pure)
//! - `upstream`, `health`, `check`: who may get requests now
//! - `serve`, `downstream`, `tls`, `slots`, `room`: clients, and what they may take
//! - `path`, `proxy`, `upstream_try`, `budget`, `reply`, `pass_on`: one request, from head to
//!   answer
//! - `status`, `metrics`, `admin`, `access`: what a gateway tells
//!
//! It decides nothing about weights, and serves without the control plane: nothing here
//! waits for a write, and a lost API server changes nothing but the news.

mod access;
mod admin;
pub mod budget;
mod check;
pub mod config;
pub mod disk;
mod downstream;
pub mod gateway;
pub mod health;
pub mod input;
mod kube_source;
mod metrics;
mod pass_on;
pub mod path;
mod proxy;
pub mod reply;
pub mod rng;
mod room;
pub mod router;
mod serve;
mod slots;
mod state;
mod status;
pub mod table;
mod tls;
pub mod upstream;
mod upstream_try;
mod watch;

pub use config::Config;
pub use gateway::{Gateway, GatewayError, Options, Source, Tls, kube_client};
pub use input::{Input, ObjectKey};
pub use tls::CertificateError;
