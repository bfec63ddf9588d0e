//! Conditions (KEP-1623 shape) with closed sets of types and reasons.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

/// A condition as Kubernetes defines it.
pub type Condition = k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// True, False, or "I cannot tell".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the three words of KEP-1623")]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

impl ConditionStatus {
    /// The word that the API server takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every word, in the order in which it is declared.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word as it stands in a status.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }

            /// The word of a status, if it is one of ours.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Types of conditions, over all kinds.
    ConditionType {
        /// The one summary of every kind.
        Ready,
        /// The hub reaches the member cluster's API server.
        Reachable,
        /// The deployment's target revision serves in every cluster of its scope.
        Complete,
        /// A rollout is under way and nothing stops it.
        Progressing,
        /// Clusters of one deployment serve different revisions.
        MixedRevisions,
        /// Verified in every store that needs it.
        Replicated,
        /// A later rollout took this one's place.
        Superseded,
        /// Something old cannot be removed. Nothing waits for it.
        UpkeepRefused,
    }
}

words! {
    /// Reasons of conditions and of rows, over all kinds. One word each, for
    /// programs; the message beside it is for people.
    Reason {
        /// Everything asked for is there.
        AsDesired,
        /// Serving was seen through the region's gateway.
        Serving,
        /// Waits for an earlier wave.
        WaitingForWave,
        /// The model version object does not exist.
        ModelVersionNotFound,
        /// No member cluster matches the placement.
        NoClusterMatches,
        /// A store that the clusters name does not exist or has no credentials.
        StoreNotFound,
        /// Pods that only read from a store hold the credential that writes to it.
        SharedCredential,
        /// The artifact is on its way to the provider's store.
        ArtifactCopying,
        /// No store holds a verified copy to copy from.
        ArtifactMissing,
        /// Bytes differ from the manifest.
        ChecksumMismatch,
        /// The transfer Job failed.
        TransferFailed,
        /// The image is on its way to the cluster's registry.
        ImageCopying,
        /// No registry that is known has the image to copy from.
        ImageMissing,
        /// The Job that copies the image failed.
        ImageCopyFailed,
        /// The cluster's registry does not answer.
        RegistryUnreachable,
        /// The cluster's registry answered and refused.
        RegistryDenied,
        /// The version is on its way to the caches of the cluster's nodes.
        Staging,
        /// Objects are applied; pods are not ready yet.
        PodsNotReady,
        /// A container image cannot be pulled.
        ImagePullFailed,
        /// A pod cannot be scheduled.
        Unschedulable,
        /// A container ends again and again.
        CrashLoop,
        /// The API server of the member refused an object.
        ApplyRefused,
        /// The gateway of the region has no address yet.
        GatewayNotFound,
        /// The gateway has not yet taken the newest snapshot.
        GatewayBehind,
        /// The new revision does not answer through the gateway.
        ProbeFailed,
        /// The revision fails in another cluster, so it goes no further here.
        RevisionFailed,
        /// The hub cannot see this cluster: nothing is concluded from that.
        Unreachable,
        /// The cluster's credentials were refused.
        AuthFailed,
        /// The kubeconfig is not one that the operator will use.
        KubeconfigRefused,
        /// The spec names a way to reach the cluster that this version cannot use yet.
        AccessNotSupported,
        /// A later rollout took this one's place.
        Superseded,
        /// Clusters outside the scope keep another revision.
        OutOfScope,
        /// The first look is not finished.
        Pending,
        /// The object names something that is not valid.
        Invalid,
        /// The store does not answer.
        StoreUnreachable,
        /// The store answered and refused.
        StoreDenied,
        /// A rollout is under way.
        RollingOut,
        /// Some clusters could not be finished.
        Incomplete,
        /// The cluster is no longer placed: what is there is being taken away.
        Leaving,
        /// The cluster is no longer placed, and nothing is taken away because no other
        /// one serves.
        LastServing,
        /// The object was deleted: what it put into clusters is being removed.
        Deleting,
        /// Something old cannot be removed. Nothing waits for it.
        UpkeepRefused,
    }
}

/// Sets one condition in a list keyed by type. Returns whether anything but
/// `observedGeneration` changed.
///
/// `lastTransitionTime` moves only when `status` does. The list stays sorted by type,
/// so that equal states are equal bytes.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    kind: ConditionType,
    status: ConditionStatus,
    reason: Reason,
    message: impl Into<String>,
    generation: Option<i64>,
    now: Timestamp,
) -> bool {
    let new = Condition {
        type_: kind.as_str().to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.as_str().to_owned(),
        message: message.into(),
        observed_generation: generation,
        last_transition_time: Time(now),
    };
    let Some(old) = conditions.iter_mut().find(|c| c.type_ == new.type_) else {
        conditions.push(new);
        conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
        return true;
    };
    let same_status = old.status == new.status;
    let changed = !same_status || old.reason != new.reason || old.message != new.message;
    let since = old.last_transition_time.clone();
    *old = new;
    if same_status {
        old.last_transition_time = since;
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let mut list = vec![];
        let at = |s| Timestamp::from_second(s).unwrap();
        let mut set = |status, message: &str, s| {
            let changed = set_condition(
                &mut list,
                ConditionType::Ready,
                status,
                Reason::Pending,
                message,
                Some(1),
                at(s),
            );
            (changed, list[0].last_transition_time.0)
        };
        assert_eq!(set(ConditionStatus::False, "a", 1), (true, at(1)));
        assert_eq!(set(ConditionStatus::False, "b", 2), (true, at(1)));
        assert_eq!(set(ConditionStatus::False, "b", 3), (false, at(1)));
        assert_eq!(set(ConditionStatus::True, "b", 4), (true, at(4)));
    }
}
