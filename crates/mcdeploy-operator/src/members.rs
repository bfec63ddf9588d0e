//! Which member clusters can be seen, and by which client.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use mcdeploy_api::Reason;
use mcdeploy_cluster::{ClusterClient, Unseen};
use tokio_util::sync::CancellationToken;

/// What is known of every member cluster.
#[derive(Debug, Default)]
pub(crate) struct Members(Mutex<BTreeMap<String, Member>>);

#[derive(Debug)]
struct Member {
    /// Version of the credentials that the client was made from, and the client; `None`:
    /// the credentials cannot be used.
    client: Option<(String, ClusterClient)>,
    reach: Reach,
    /// Ends the watches.
    watches: CancellationToken,
}

/// Whether a member cluster can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It was not looked at yet.
    Pending,
    /// It answered.
    Seen,
    /// It did not.
    Lost(Unseen),
}

impl Members {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Member>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// The client of a cluster that can be seen, else why it cannot.
    pub(crate) fn client(&self, name: &str) -> Result<ClusterClient, Unseen> {
        let members = self.lock();
        let pending = || Unseen {
            reason: Reason::Pending,
            message: "the first look is not finished".to_owned(),
        };
        let member = members.get(name).ok_or_else(pending)?;
        match &member.reach {
            Reach::Pending => Err(pending()),
            Reach::Seen => {
                let client = member.client.as_ref().ok_or_else(pending)?;
                Ok(client.1.clone())
            }
            Reach::Lost(unseen) => Err(unseen.clone()),
        }
    }

    /// The client that was made from these credentials, if it still is the one.
    pub(crate) fn client_of_version(&self, name: &str, version: &str) -> Option<ClusterClient> {
        let members = self.lock();
        let (made_from, client) = members.get(name)?.client.as_ref()?;
        (made_from == version).then(|| client.clone())
    }

    /// Puts a client in place of another. Answers the token of its watches.
    pub(crate) fn put(
        &self,
        name: &str,
        version: String,
        client: ClusterClient,
        cancel: &CancellationToken,
    ) -> CancellationToken {
        let watches = cancel.child_token();
        let member = Member {
            client: Some((version, client)),
            reach: Reach::Pending,
            watches: watches.clone(),
        };
        self.insert(name, member);
        watches
    }

    /// The cluster's credentials cannot be used. Answers whether that is news.
    pub(crate) fn put_refused(&self, name: &str, why: Unseen) -> bool {
        let reach = Reach::Lost(why);
        if self
            .lock()
            .get(name)
            .is_some_and(|m| m.client.is_none() && m.reach == reach)
        {
            return false;
        }
        let member = Member {
            client: None,
            reach,
            watches: CancellationToken::new(),
        };
        self.insert(name, member);
        true
    }

    fn insert(&self, name: &str, member: Member) {
        if let Some(old) = self.lock().insert(name.to_owned(), member) {
            old.watches.cancel();
        }
    }

    /// Whether the first look at a cluster is not finished.
    pub(crate) fn is_pending(&self, name: &str) -> bool {
        let members = self.lock();
        members.get(name).is_none_or(|m| m.reach == Reach::Pending)
    }

    pub(crate) fn remove(&self, name: &str) {
        if let Some(old) = self.lock().remove(name) {
            old.watches.cancel();
        }
    }

    /// Remembers what a look gave. Answers whether that is news.
    pub(crate) fn set_reach(&self, name: &str, reach: Reach) -> bool {
        let mut members = self.lock();
        let Some(member) = members.get_mut(name) else {
            return false;
        };
        let news = member.reach != reach;
        member.reach = reach;
        news
    }

    /// How many can be seen, of how many.
    pub(crate) fn count(&self) -> (usize, usize) {
        let members = self.lock();
        let seen = members.values().filter(|m| m.reach == Reach::Seen).count();
        (seen, members.len())
    }
}
