//! What the operator asks for: one Secret, watched.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    runtime::{
        WatchStreamExt as _,
        watcher::{Event, watcher},
    },
};
use mcdeploy_api::{FetchPlan, Sha256Digest, StagingEntry, names};
use mcdeploy_cluster::ClusterClient;
use tokio::sync::watch;

/// What this node is to have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wanted {
    /// To be fetched.
    pub(crate) fetch: BTreeMap<Sha256Digest, FetchPlan>,
    /// Not to be removed, those that are to be fetched included.
    pub(crate) spared: BTreeSet<Sha256Digest>,
}

/// Sends each change. Never ends: a watch that fails is begun anew, later each time, and
/// what was last seen holds meanwhile.
pub(crate) async fn follow(
    client: &ClusterClient,
    namespace: &str,
    wanted: watch::Sender<Option<Wanted>>,
) {
    let api = Api::<Secret>::namespaced(client.kube().clone(), namespace);
    // The agent may see no other Secret.
    let only = format!("metadata.name={}", names::STAGING_SECRET);
    let config = ClusterClient::watch_config().fields(&only);
    let mut events = pin!(watcher(api, config).default_backoff());
    let mut listed = Wanted::default();
    let send = |now: Wanted| {
        wanted.send_if_modified(|before| {
            let changed = before.as_ref() != Some(&now);
            *before = Some(now);
            changed
        });
    };
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed = Wanted::default(),
            Ok(Event::InitApply(secret)) => listed = read(&secret),
            Ok(Event::InitDone) => send(std::mem::take(&mut listed)),
            Ok(Event::Apply(secret)) => send(read(&secret)),
            Ok(Event::Delete(_)) => send(Wanted::default()),
            Err(error) => tracing::debug!(error = %error, "the watch is begun anew"),
        }
    }
}

/// An entry that this version does not understand hides no other. What it says is not
/// logged: it holds credentials.
fn read(secret: &Secret) -> Wanted {
    let mut wanted = Wanted::default();
    for (key, value) in secret.data.iter().flatten() {
        match serde_json::from_slice::<StagingEntry>(&value.0) {
            Ok(StagingEntry { digest, fetch }) => {
                wanted.spared.insert(digest);
                wanted.fetch.extend(fetch.map(|plan| (digest, plan)));
            }
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                tracing::warn!(key, line, column, "an entry is not understood");
                // The key begins with it: it is kept all the same.
                let digest = key.split('.').next().unwrap_or_default();
                wanted
                    .spared
                    .extend(format!("sha256:{digest}").parse::<Sha256Digest>());
            }
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    #[test]
    fn an_entry_of_a_later_version_is_kept_and_hides_no_other() {
        let (known, later) = (Sha256Digest::of("known"), Sha256Digest::of("later"));
        let entry = serde_json::json!({ "digest": known });
        let data = [
            (format!("{}.a.keep", known.hex()), entry.to_string()),
            (format!("{}.a.x", later.hex()), "[1]".to_owned()),
            ("nonsense".to_owned(), "nonsense".to_owned()),
        ];
        let data = data.map(|(key, value)| (key, ByteString(value.into_bytes())));
        let secret = Secret {
            data: Some(data.into()),
            ..Secret::default()
        };
        let wanted = read(&secret);
        assert_eq!(wanted.spared, [known, later].into());
        assert!(wanted.fetch.is_empty());
    }
}
