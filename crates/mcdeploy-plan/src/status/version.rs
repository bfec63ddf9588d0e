//! Status of a `ModelVersion`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mcdeploy_api::{
    ConditionStatus, ConditionType, CopyProgress, ModelVersionStatus, Reason, ReplicaState,
    StoreReplicaStatus, set_condition,
};

use crate::world::ReplicaFacts;

/// The status of a version after looking at some of its copies. `looked` has one entry
/// per store, in any order; stores that were not looked at keep their entry. `copying` says
/// of which stores a transfer is under way; what it has brought is not looked for.
pub fn version_status(
    before: &ModelVersionStatus,
    generation: i64,
    origin: &str,
    looked: &[(String, ReplicaFacts)],
    copying: &BTreeMap<String, CopyProgress>,
    now: Timestamp,
) -> ModelVersionStatus {
    let mut status = before.clone();
    status.observed_generation = Some(generation);
    for (store, facts) in looked {
        let lacks = match facts.state {
            ReplicaState::Missing | ReplicaState::Copying => true,
            ReplicaState::Verified | ReplicaState::ChecksumMismatch | ReplicaState::Unknown => {
                false
            }
        };
        let progress = copying.get(store).filter(|_| lacks).cloned();
        let entry = StoreReplicaStatus {
            store: store.clone(),
            state: match progress {
                Some(_) => ReplicaState::Copying,
                None => facts.state,
            },
            verified_bytes: facts.verified_bytes,
            message: facts.message.clone(),
            progress,
        };
        match status.stores.iter_mut().find(|e| e.store == *store) {
            Some(old) => *old = entry,
            None => status.stores.push(entry),
        }
    }
    status.stores.sort_by(|a, b| a.store.cmp(&b.store));
    let (ready, reason, message) = readiness(&status, origin, looked);
    let ready_and = (ConditionType::Ready, ready, reason, message);
    let (replicated, reason, message) = replication(&status);
    let replicated_and = (ConditionType::Replicated, replicated, reason, message);
    for (kind, state, reason, message) in [ready_and, replicated_and] {
        let list = &mut status.conditions;
        set_condition(list, kind, state, reason, message, Some(generation), now);
    }
    status
}

/// Ready: at least the store that was pushed to holds it, whole.
fn readiness(
    status: &ModelVersionStatus,
    origin: &str,
    looked: &[(String, ReplicaFacts)],
) -> (ConditionStatus, Reason, String) {
    let Some(entry) = status.stores.iter().find(|e| e.store == origin) else {
        let message = format!("store {origin} was not looked at yet");
        return (ConditionStatus::Unknown, Reason::Pending, message);
    };
    let facts = looked.iter().find(|(store, _)| store == origin);
    let message = format!("store {origin}: {}", entry.message);
    match entry.state {
        ReplicaState::Verified => {
            let message = format!("verified in {origin}");
            (ConditionStatus::True, Reason::AsDesired, message)
        }
        ReplicaState::ChecksumMismatch => {
            (ConditionStatus::False, Reason::ChecksumMismatch, message)
        }
        ReplicaState::Missing | ReplicaState::Copying => {
            (ConditionStatus::False, Reason::ArtifactMissing, message)
        }
        ReplicaState::Unknown => {
            let reason = facts.map_or(Reason::StoreUnreachable, |(_, facts)| facts.reason);
            (ConditionStatus::Unknown, reason, message)
        }
    }
}

fn replication(status: &ModelVersionStatus) -> (ConditionStatus, Reason, String) {
    let named = |wanted: &[ReplicaState]| {
        let entries = status.stores.iter();
        let names = entries.filter(|e| wanted.contains(&e.state));
        let names: Vec<_> = names.map(|e| e.store.as_str()).collect();
        names.join(", ")
    };
    let bad = named(&[ReplicaState::ChecksumMismatch]);
    let lacking = named(&[ReplicaState::Missing, ReplicaState::Copying]);
    let unknown = named(&[ReplicaState::Unknown]);
    if !bad.is_empty() {
        let message = format!("bytes differ in {bad}");
        (ConditionStatus::False, Reason::ChecksumMismatch, message)
    } else if !lacking.is_empty() {
        let message = format!("not in {lacking}");
        (ConditionStatus::False, Reason::ArtifactMissing, message)
    } else if !unknown.is_empty() {
        let message = format!("no answer from {unknown}");
        (ConditionStatus::Unknown, Reason::StoreUnreachable, message)
    } else {
        let message = format!("verified in {}", named(&[ReplicaState::Verified]));
        (ConditionStatus::True, Reason::AsDesired, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(state: ReplicaState) -> ReplicaFacts {
        ReplicaFacts {
            state,
            verified_bytes: 0,
            reason: Reason::AsDesired,
            message: String::new(),
        }
    }

    #[test]
    fn progress_is_shown_while_the_copy_lacks_something_and_gone_afterwards() {
        let progress = CopyProgress {
            copied_bytes: 5,
            total_bytes: 10,
            ..CopyProgress::default()
        };
        let copying = BTreeMap::from([("gcp".to_owned(), progress.clone())]);
        let look = |before: &ModelVersionStatus, state, copying: &BTreeMap<_, _>| {
            let looked = [
                ("aws".to_owned(), facts(ReplicaState::Verified)),
                ("gcp".to_owned(), facts(state)),
            ];
            version_status(before, 1, "aws", &looked, copying, Timestamp::UNIX_EPOCH)
        };
        let begun = look(
            &ModelVersionStatus::default(),
            ReplicaState::Missing,
            &copying,
        );
        assert_eq!(begun.stores[1].state, ReplicaState::Copying);
        assert_eq!(begun.stores[1].progress, Some(progress));
        assert_eq!(begun.stores[0].progress, None);
        let condition = begun
            .conditions
            .iter()
            .find(|c| c.type_ == "Replicated")
            .unwrap();
        assert_eq!(
            (condition.status.as_str(), condition.message.as_str()),
            ("False", "not in gcp")
        );
        // The last word of a Job comes before or after the copy is seen whole.
        let done = look(&begun, ReplicaState::Verified, &copying);
        assert_eq!(done.stores[1].progress, None);
        let lost = look(&begun, ReplicaState::Missing, &BTreeMap::new());
        assert_eq!(lost.stores[1].state, ReplicaState::Missing);
        assert_eq!(lost.stores[1].progress, None);
    }
}
