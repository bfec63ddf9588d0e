//! Why an effect was not carried out.

use mcdeploy_api::{ErrorClass, Reason};
use mcdeploy_cluster::ClusterError;

/// Why an effect was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The cluster refused or did not answer.
    #[error(transparent)]
    Cluster(Box<ClusterError>),
    /// The plan names a cluster that there is no client for.
    #[error("no client of member cluster {cluster:?}")]
    FindCluster {
        /// The cluster.
        cluster: String,
    },
    /// What the hub keeps of a revision is not one of ours.
    #[error("read the record of revision {revision:?}")]
    ReadRecord {
        /// The revision.
        revision: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The plan names a store that cannot be used.
    #[error("no access to store {store:?}")]
    FindStore {
        /// The store.
        store: String,
    },
}

impl From<ClusterError> for ExecError {
    fn from(error: ClusterError) -> Self {
        Self::Cluster(Box::new(error))
    }
}

impl ExecError {
    /// What a caller may do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Cluster(error) => error.class(),
            // The world changed under the plan: look again.
            Self::FindCluster { .. } | Self::FindStore { .. } => ErrorClass::Transient,
            Self::ReadRecord { .. } => ErrorClass::Permanent,
        }
    }

    /// The word for a status row.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Cluster(error) => error.reason(),
            Self::FindCluster { .. } => Reason::Pending,
            Self::FindStore { .. } => Reason::StoreNotFound,
            Self::ReadRecord { .. } => Reason::Invalid,
        }
    }

    /// Whether the other side answered. Silence may be its end, and a process that does
    /// not lead any more stops.
    pub(crate) fn was_answered(&self) -> bool {
        match self {
            Self::Cluster(error) => !matches!(
                **error,
                ClusterError::Fenced { .. }
                    | ClusterError::Connect { .. }
                    | ClusterError::NoAnswer { .. }
            ),
            Self::FindCluster { .. } | Self::FindStore { .. } | Self::ReadRecord { .. } => true,
        }
    }
}
