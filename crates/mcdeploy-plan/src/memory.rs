//! What a leader remembers from one look to the next, to tell how long something has
//! lasted. Losing it is safe: every wait then begins again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mcdeploy_api::{Epoch, Reason, RolloutStepState};

use crate::{Plan, World};

/// Since when things are as they are, for one deployment.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    clusters: BTreeMap<String, Since>,
}

#[derive(Clone, Debug, Default)]
struct Since {
    applied: Option<((Epoch, String), Timestamp)>,
    running: Option<((String, Reason, String), Timestamp)>,
    refused: Option<(String, String)>,
}

impl Memory {
    /// Puts what is remembered into a world that was just observed.
    pub fn recall(&mut self, world: &mut World) {
        self.clusters
            .retain(|name, _| world.members.contains_key(name));
        for (name, member) in &mut world.members {
            let since = self.clusters.entry(name.clone()).or_default();
            let view = member.seen().filter(|view| view.applied());
            let snapshot = view.and_then(|view| view.snapshot.as_ref());
            since.applied = snapshot.map(|snapshot| {
                let key = (snapshot.spec.epoch, snapshot.spec.hash.clone());
                let before = since.applied.take().filter(|(old, _)| *old == key);
                before.unwrap_or((key, world.now))
            });
            member.applied_since = since.applied.as_ref().map(|(_, at)| *at);
            member.running_since = since.running.as_ref().map(|(_, at)| *at);
            member.refused.clone_from(&since.refused);
        }
    }

    /// Remembers how far a plan found each cluster.
    pub fn note(&mut self, plan: &Plan, now: Timestamp) {
        let target = plan.target.as_ref().map(|(id, _)| id.clone());
        for step in &plan.steps {
            let since = self.clusters.entry(step.cluster.clone()).or_default();
            let under_way = match step.state {
                RolloutStepState::Running | RolloutStepState::Blocked => true,
                RolloutStepState::Waiting | RolloutStepState::Done | RolloutStepState::Unknown => {
                    false
                }
            };
            let key = target.clone().filter(|_| under_way);
            since.running = key.map(|target| {
                let key = (target, step.reason, step.message.clone());
                let before = since.running.take().filter(|(old, _)| *old == key);
                before.unwrap_or((key, now))
            });
        }
    }

    /// Remembers that a cluster refused the objects of a revision for good, or, with
    /// `None`, that it took them.
    pub fn refused(&mut self, cluster: &str, revision: &str, why: Option<String>) {
        let since = self.clusters.entry(cluster.to_owned()).or_default();
        since.refused = why.map(|why| (revision.to_owned(), why));
    }
}
