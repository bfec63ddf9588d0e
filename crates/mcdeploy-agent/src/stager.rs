//! Fetches what is wanted, one version after another, and makes room for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use mcdeploy_api::{FetchPlan, Sha256Digest, StagedState, StagedVersion};
use mcdeploy_plan::{CachedFacts, Room, evictions};
use mcdeploy_store::{CachedVersion, FetchError, Fetched, NodeCache};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{Settings, clock, report::Reporter, wanted::Wanted};

/// Works until the sender of what is wanted ends.
pub(crate) async fn run(
    settings: &Settings,
    mut wanted: watch::Receiver<Option<Wanted>>,
    mut report: Reporter<'_>,
    cancel: &CancellationToken,
) {
    let mut stager = Stager {
        settings,
        states: BTreeMap::new(),
    };
    let mut pause = settings.retry.0;
    loop {
        let now = wanted.borrow_and_update().clone();
        let mut again = false;
        if let Some(now) = now {
            again = !stager.work(&now, &mut report, &wanted, cancel).await;
        }
        let retry = async {
            if again {
                sleep(pause).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            changed = wanted.changed() => match changed {
                Ok(()) => pause = settings.retry.0,
                Err(_) => return,
            },
            () = retry => pause = next(pause, settings.retry.1),
        }
    }
}

fn next(pause: Duration, longest: Duration) -> Duration {
    (pause * 2).min(longest)
}

struct Stager<'a> {
    settings: &'a Settings,
    /// What is known of each version that is to be fetched.
    states: BTreeMap<Sha256Digest, (StagedState, String)>,
}

impl Stager<'_> {
    /// Answers whether all is done and said.
    async fn work(
        &mut self,
        wanted: &Wanted,
        report: &mut Reporter<'_>,
        news: &watch::Receiver<Option<Wanted>>,
        cancel: &CancellationToken,
    ) -> bool {
        self.states
            .retain(|digest, _| wanted.fetch.contains_key(digest));
        for digest in wanted.fetch.keys() {
            let fetching = || (StagedState::Fetching, String::new());
            self.states.entry(*digest).or_insert_with(fetching);
        }
        // From now on the operator waits for this node.
        let mut said = report.say(self.versions()).await;
        for (digest, plan) in &wanted.fetch {
            let staged = self.states.get(digest);
            if staged.is_some_and(|(state, _)| *state == StagedState::Staged) {
                continue;
            }
            if news.has_changed().unwrap_or(true) {
                // What is wanted now goes first.
                return false;
            }
            let state = match self.hold(plan, &wanted.spared, cancel).await {
                Ok(fetched) => {
                    tracing::info!(
                        artifact.model = plan.model,
                        artifact.version = plan.version,
                        size_bytes = fetched.size_bytes,
                        was_there = fetched.was_there,
                        "staged {} {}",
                        plan.model,
                        plan.version
                    );
                    (StagedState::Staged, String::new())
                }
                Err(error) => {
                    tracing::warn!(
                        artifact.model = plan.model,
                        artifact.version = plan.version,
                        error = %error,
                        "not staged"
                    );
                    (StagedState::Failed, error.to_string())
                }
            };
            self.states.insert(*digest, state);
            said = report.say(self.versions()).await;
        }
        let mut states = self.states.values();
        said && states.all(|(state, _)| *state == StagedState::Staged)
    }

    fn versions(&self) -> Vec<StagedVersion> {
        let states = self.states.iter();
        let versions = states.map(|(digest, (state, message))| StagedVersion {
            digest: *digest,
            state: *state,
            message: message.clone(),
        });
        versions.collect()
    }

    /// Makes room as long as there is some to be made.
    async fn hold(
        &self,
        plan: &FetchPlan,
        spared: &BTreeSet<Sha256Digest>,
        cancel: &CancellationToken,
    ) -> Result<Fetched, FetchError> {
        let quota = plan.node_cache.map_or(u64::MAX, |cache| cache.quota_bytes);
        let cache = NodeCache::new(&self.settings.cache, quota);
        loop {
            let error = match cache.hold(plan, &|_| {}, cancel).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => error,
            };
            let room = match &error {
                FetchError::NoRoom { needed_bytes, .. } => Room::Within {
                    needed_bytes: *needed_bytes,
                    quota_bytes: quota,
                },
                FetchError::Write { .. } => Room::All,
                FetchError::Missing { .. }
                | FetchError::Mismatch { .. }
                | FetchError::Cancelled
                | FetchError::Store(_) => return Err(error),
            };
            if !make_room(&cache, spared, room).await? {
                return Err(error);
            }
        }
    }
}

/// Answers whether anything went.
async fn make_room(
    cache: &NodeCache,
    spared: &BTreeSet<Sha256Digest>,
    room: Room,
) -> Result<bool, FetchError> {
    let cached = cache.versions().await?;
    let facts: Vec<_> = cached.iter().map(facts).collect();
    let mut some = false;
    for digest in evictions(&facts, spared, room, clock::now()) {
        if cache.evict(&digest).await? {
            tracing::info!(artifact.digest = %digest, "removed from the cache");
            some = true;
        }
    }
    Ok(some)
}

fn facts(version: &CachedVersion) -> CachedFacts {
    CachedFacts {
        digest: version.digest,
        size_bytes: version.size_bytes,
        // A time that is none: long ago.
        used_at: Timestamp::try_from(version.used_at).unwrap_or(Timestamp::UNIX_EPOCH),
    }
}
