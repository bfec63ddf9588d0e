//! The clouds and their addresses. Nothing here is configurable: one sandbox a machine.

use std::{fmt, net::Ipv4Addr};

use mcdeploy_api::Provider;
use serde::{Deserialize, Serialize};

/// Name of the bridge between the clouds.
pub(crate) const BRIDGE: &str = "mcd0";
/// The host's address on the bridge.
pub(crate) const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 203, 0, 1);
/// The network of all clouds.
pub(crate) const NETWORK: &str = "10.203.0.0/24";
/// First address of every cluster's service range.
pub(crate) const KUBERNETES_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 205, 0, 1);
/// The service range of every cluster.
pub(crate) const SERVICE_RANGE: &str = "10.205.0.0/16";
/// Port of each cloud's API server.
pub const API_PORT: u16 = 6443;
/// Port of each cloud's registry.
pub const REGISTRY_PORT: u16 = 5000;
/// Name of the registry in image references; each cloud resolves it to its own.
pub const REGISTRY_NAME: &str = "registry.mcdeploy.test:5000";

/// A cloud: the hub, or a provider with a member cluster.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// Where the operator runs.
    Hub,
    /// Amazon, us-east-1.
    Aws,
    /// Google, europe-west4.
    Gcp,
    /// Microsoft, eastus.
    Azure,
}

impl Cloud {
    /// The hub and every member.
    pub const ALL: [Self; 4] = [Self::Hub, Self::Aws, Self::Gcp, Self::Azure];
    /// Every member.
    pub const MEMBERS: [Self; 3] = [Self::Aws, Self::Gcp, Self::Azure];

    /// The word in commands; also the name of the member cluster and of its store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Aws => "aws",
            Self::Gcp => "gcp",
            Self::Azure => "azure",
        }
    }

    /// The provider, for members.
    pub fn provider(self) -> Option<Provider> {
        match self {
            Self::Hub => None,
            Self::Aws => Some(Provider::Aws),
            Self::Gcp => Some(Provider::Gcp),
            Self::Azure => Some(Provider::Azure),
        }
    }

    /// The region, in the provider's spelling.
    pub fn region(self) -> &'static str {
        match self {
            Self::Hub => "local",
            Self::Aws => "us-east-1",
            Self::Gcp => "europe-west4",
            Self::Azure => "eastus",
        }
    }

    /// The node's address: API server, registry and store listen on it.
    pub fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 203, 0, 10 + self.number())
    }

    /// URL of the API server.
    pub fn api_url(self) -> String {
        format!("https://{}:{API_PORT}", self.address())
    }

    /// Name of the cloud's own registry, as other clouds and image references have it.
    pub fn registry(self) -> String {
        format!("{}:{REGISTRY_PORT}", self.address())
    }

    /// URL of the registry.
    pub fn registry_url(self) -> String {
        format!("http://{}", self.registry())
    }

    /// Addresses for Services of type `LoadBalancer`, 16 of them.
    pub fn load_balancer_addresses(self) -> impl Iterator<Item = Ipv4Addr> {
        let first = 64 + 16 * self.number();
        (first..first + 16).map(|last| Ipv4Addr::new(10, 203, 0, last))
    }

    /// Addresses of pods; they leave the cloud masqueraded.
    pub(crate) fn pod_range(self) -> String {
        format!("10.204.{}.0/24", self.number())
    }

    /// Name of the link on the host's side.
    pub(crate) fn link(self) -> String {
        format!("mcd-{}", self.name())
    }

    fn number(self) -> u8 {
        match self {
            Self::Hub => 0,
            Self::Aws => 1,
            Self::Gcp => 2,
            Self::Azure => 3,
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_balancer_pools_do_not_overlap() {
        let mut all: Vec<_> = Cloud::ALL
            .into_iter()
            .flat_map(Cloud::load_balancer_addresses)
            .collect();
        assert_eq!(all.first(), Some(&Ipv4Addr::new(10, 203, 0, 64)));
        assert_eq!(all.last(), Some(&Ipv4Addr::new(10, 203, 0, 127)));
        all.dedup();
        assert_eq!(all.len(), 64);
    }
}
