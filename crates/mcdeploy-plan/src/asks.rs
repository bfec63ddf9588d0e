//! What the next observation should bring.

use mcdeploy_api::{ImageRegistry, PinnedImage, Sha256Digest};

use crate::names::{ClusterName, RevisionId, StoreName};

/// Something to be looked at before anything is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A store's copy of a version. Answered in [`World::replicas`](crate::World::replicas).
    Copy(CopyAsk),
    /// An image in a registry. Answered in [`World::images`](crate::World::images).
    Image(ImageAsk),
    /// An inference through a region's gateway, after all else of this observation.
    /// Answered in [`MemberFacts::probe`](crate::MemberFacts::probe).
    Probe(ProbeAsk),
}

/// A copy to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CopyAsk {
    /// Name of the `ArtifactStore`.
    pub store: StoreName,
    /// Model name.
    pub model: String,
    /// Model version.
    pub version: String,
    /// Digest that the manifest should have.
    pub digest: Sha256Digest,
}

/// An image to be looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageAsk {
    /// The image in the registry.
    pub image: PinnedImage,
    /// How to ask the registry.
    pub registry: ImageRegistry,
}

/// A probe to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeAsk {
    /// Member cluster.
    pub cluster: ClusterName,
    /// `host:port` of its gateway.
    pub address: String,
    /// Model name.
    pub model: String,
    /// Model version that the answer must name.
    pub version: String,
    /// Revision to ask for.
    pub revision: RevisionId,
}
