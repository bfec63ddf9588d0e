//! List and watch, with bounded waits: a watch that goes silent is noticed, and what was
//! last seen stays until something newer is seen.

use std::{convert::Infallible, fmt::Debug, pin::pin, time::Duration};

use futures::StreamExt;
use kube::{
    Api, Resource,
    api::{ListParams, WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use crate::rng::Rng;

/// For a list.
const LIST: Duration = Duration::from_secs(5);
/// The API server ends a watch after this.
const WATCH_SECONDS: u32 = 20;
/// Nothing from a watch for so long, not even its end: the connection is dead.
const SILENCE: Duration = Duration::from_secs(25);
/// First and longest wait after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// Before an empty list is asked for again, when it is not believed.
const DOUBT: Duration = Duration::from_secs(5);

/// News about objects of one kind.
#[derive(Debug)]
pub(crate) enum News<K> {
    /// All of them.
    Listed(Vec<K>),
    /// One is new or has changed.
    Changed(K),
    /// One was deleted.
    Deleted(K),
}

/// Whether a list was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was.
    Taken,
    /// It was empty where there was something before: it is asked for again, and what was
    /// there stays.
    Doubted,
}

#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("list timed out after {} s", LIST.as_secs())]
    ListTimeout,
    #[error("the watch was silent for {} s", SILENCE.as_secs())]
    Silent,
    #[error(transparent)]
    Kube(#[from] Box<kube::Error>),
    #[error("the API server ended the watch: {0}")]
    Ended(String),
}

/// Tells `on` about every object of a kind, for ever.
pub(crate) async fn follow<K>(
    api: Api<K>,
    labels: Option<&'static str>,
    mut on: impl FnMut(News<K>) -> Verdict,
    mut failed: impl FnMut(),
) -> Infallible
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut rng = Rng::from_entropy();
    let mut pause = PAUSE.0;
    loop {
        match list(&api, labels, &mut on).await {
            Ok((_, Verdict::Doubted)) => {
                sleep(DOUBT).await;
                continue;
            }
            Ok((version, Verdict::Taken)) => {
                pause = PAUSE.0;
                let error = watch(&api, labels, version, &mut on).await;
                tracing::warn!(kind = kind::<K>(), %error, "watch ended; listing again");
            }
            Err(error) => {
                tracing::warn!(
                    kind = kind::<K>(),
                    error = &error as &dyn std::error::Error,
                    "list failed; routing by what was last seen"
                );
            }
        }
        failed();
        let jitter = rng.below(u64::try_from(pause.as_millis()).unwrap_or(0));
        sleep(pause / 2 + Duration::from_millis(jitter) / 2).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

fn kind<K>() -> &'static str {
    std::any::type_name::<K>()
        .rsplit("::")
        .next()
        .unwrap_or_default()
}

async fn list<K>(
    api: &Api<K>,
    labels: Option<&'static str>,
    on: &mut impl FnMut(News<K>) -> Verdict,
) -> Result<(String, Verdict), WatchError>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let params = ListParams {
        label_selector: labels.map(ToOwned::to_owned),
        ..ListParams::default()
    };
    let list = timeout(LIST, api.list(&params))
        .await
        .map_err(|_| WatchError::ListTimeout)?
        .map_err(Box::new)?;
    let version = list.metadata.resource_version.unwrap_or_default();
    Ok((version, on(News::Listed(list.items))))
}

/// Watches, again and again, until that fails.
async fn watch<K>(
    api: &Api<K>,
    labels: Option<&'static str>,
    mut version: String,
    on: &mut impl FnMut(News<K>) -> Verdict,
) -> WatchError
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    loop {
        if let Err(error) = watch_once(api, labels, &mut version, on).await {
            return error;
        }
    }
}

async fn watch_once<K>(
    api: &Api<K>,
    labels: Option<&'static str>,
    version: &mut String,
    on: &mut impl FnMut(News<K>) -> Verdict,
) -> Result<(), WatchError>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let params = WatchParams {
        label_selector: labels.map(ToOwned::to_owned),
        timeout: Some(WATCH_SECONDS),
        bookmarks: true,
        ..WatchParams::default()
    };
    let stream = timeout(LIST, api.watch(&params, version))
        .await
        .map_err(|_| WatchError::ListTimeout)?
        .map_err(Box::new)?;
    let mut stream = pin!(stream);
    loop {
        let event = match timeout(SILENCE, stream.next()).await {
            Err(_) => return Err(WatchError::Silent),
            Ok(None) => return Ok(()),
            Ok(Some(event)) => event.map_err(Box::new)?,
        };
        let object = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => News::Changed(object),
            WatchEvent::Deleted(object) => News::Deleted(object),
            WatchEvent::Bookmark(bookmark) => {
                *version = bookmark.metadata.resource_version;
                continue;
            }
            WatchEvent::Error(status) => return Err(WatchError::Ended(status.message)),
        };
        if let News::Changed(o) | News::Deleted(o) = &object
            && let Some(seen) = &o.meta().resource_version
        {
            version.clone_from(seen);
        }
        on(object);
    }
}
