//! What is known about something in a cluster.

use std::fmt;

use mcdeploy_api::Reason;

use crate::ClusterError;

/// What a look at a cluster gave. "I could not see it" is not "it is not there":
/// nothing is ever deleted or taken for gone because of [`Observation::Unknown`].
#[derive(Clone, Debug, PartialEq)]
pub enum Observation<T> {
    /// The cluster answered: it is not there.
    Absent,
    /// The cluster did not answer, or refused to.
    Unknown(Unseen),
    /// The cluster answered with this.
    Known(T),
}

/// Why something is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// `Unreachable`, `AuthFailed` or `KubeconfigRefused`.
    pub reason: Reason,
    /// The same for people.
    pub message: String,
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<&ClusterError> for Unseen {
    fn from(error: &ClusterError) -> Self {
        Self {
            reason: error.reason(),
            message: error.to_string(),
        }
    }
}

impl<T> Observation<T> {
    /// From the answer of a call that looks for one object.
    pub fn of_optional(result: Result<Option<T>, ClusterError>) -> Self {
        match result {
            Ok(Some(value)) => Self::Known(value),
            Ok(None) => Self::Absent,
            Err(error) => Self::Unknown(Unseen::from(&error)),
        }
    }

    /// From the answer of a call that always has a value when it succeeds.
    pub fn of(result: Result<T, ClusterError>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) => Self::Unknown(Unseen::from(&error)),
        }
    }

    /// The value, when it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// The value, when it is known.
    pub fn into_known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// Whether the cluster could not be asked.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// The same with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Observation<U> {
        match self {
            Self::Known(value) => Observation::Known(f(value)),
            Self::Absent => Observation::Absent,
            Self::Unknown(unseen) => Observation::Unknown(unseen),
        }
    }
}
