//! Artifact stores, registries, and what is copied between them.

use jiff::Timestamp;
use mcdeploy_api::{PinnedImage, Provider, Reason, ReplicaState, Sha256Digest};

use super::{MemberFacts, World};
use crate::names::StoreName;

/// An `ArtifactStore`.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreFacts {
    /// Provider that holds the bytes.
    pub provider: Provider,
    /// Opaque version of spec and credentials, or why the store cannot be used.
    pub usable: Result<String, String>,
}

/// One store's copy of one version, looked at now.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaFacts {
    /// What is known.
    pub state: ReplicaState,
    /// Bytes of verified files.
    pub verified_bytes: i64,
    /// Why the state is `Unknown`; not read otherwise.
    pub reason: Reason,
    /// Evidence, for people.
    pub message: String,
}

/// What a registry has of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageState {
    /// All of it: every platform, config and layer.
    Whole,
    /// Not all, or nothing.
    Missing,
    /// The registry gave no answer to conclude from.
    Unknown {
        /// Why, in one word.
        reason: Reason,
        /// Why, for people.
        message: String,
    },
}

/// A transfer Job.
#[derive(Clone, Debug, PartialEq)]
pub struct TransferFacts {
    /// Its name.
    pub name: String,
    /// The stores that it copies to.
    pub targets: Vec<StoreName>,
    /// Digest of the manifest of the version that it copies.
    pub digest: Sha256Digest,
    /// How far it is.
    pub state: TransferState,
}

/// A Job that copies an image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageCopyFacts {
    /// Its name.
    pub name: String,
    /// Where the image is to be.
    pub target: PinnedImage,
    /// How far it is.
    pub state: TransferState,
}

/// How far a transfer Job is.
#[derive(Clone, Debug, PartialEq)]
pub enum TransferState {
    /// Under way.
    Running,
    /// It says that it is done.
    Succeeded {
        /// When.
        at: Option<Timestamp>,
    },
    /// It gave up.
    Failed {
        /// When.
        at: Option<Timestamp>,
        /// Why: the termination message of its last pod. A line that begins with
        /// `<store>: ` is about that target.
        message: String,
    },
}

impl TransferState {
    /// Whether the Job does nothing any more.
    pub(crate) fn is_ended(&self) -> bool {
        match self {
            Self::Running => false,
            Self::Succeeded { .. } | Self::Failed { .. } => true,
        }
    }
}

impl World {
    /// Whether a store's copy was seen whole and equal to its manifest.
    pub(crate) fn is_verified(&self, store: &StoreName, digest: Sha256Digest) -> bool {
        let replica = self.replicas.get(&(store.clone(), digest));
        replica.is_some_and(|replica| replica.state == ReplicaState::Verified)
    }

    /// The version of a member's store, or why it cannot be used.
    pub(crate) fn usable_store(&self, member: &MemberFacts) -> Result<&str, (Reason, String)> {
        let name = &member.store;
        let Some(store) = self.stores.get(name) else {
            let message = format!("ArtifactStore {name:?} does not exist");
            return Err((Reason::StoreNotFound, message));
        };
        if store.provider != member.provider {
            let message = format!(
                "ArtifactStore {name:?} belongs to {}, the cluster to {}",
                store.provider, member.provider
            );
            return Err((Reason::Invalid, message));
        }
        match &store.usable {
            Ok(version) => Ok(version),
            Err(message) => Err((Reason::StoreNotFound, message.clone())),
        }
    }
}
