//! What the next observation should bring.

use mcdeploy_api::{ImageRegistry, PinnedImage, Sha256Digest};

/// A copy that the planner wants looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicaWanted {
    /// Name of the `ArtifactStore`.
    pub store: String,
    /// Model name.
    pub model: String,
    /// Model version.
    pub version: String,
    /// Digest that the manifest should have.
    pub digest: Sha256Digest,
}

/// A probe that the planner wants taken, now, after this very observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeWanted {
    /// Member cluster.
    pub cluster: String,
    /// `host:port` of its gateway.
    pub address: String,
    /// Model name.
    pub model: String,
    /// Model version that the answer must name.
    pub version: String,
    /// Revision to ask for.
    pub revision: String,
}

/// An image that the planner wants looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageWanted {
    /// The image in the registry.
    pub image: PinnedImage,
    /// How to ask the registry.
    pub registry: ImageRegistry,
}
