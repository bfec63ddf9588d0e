//! Three gateways with three fake model servers each, on loopback: what clients see when
//! regions, pods and the control plane fail.

mod link;
mod load;
mod outage;
mod world;
