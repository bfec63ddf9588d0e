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

/// How long everything may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For a list, and for the head of a watch.
    list: Duration,
    /// The API server ends a watch after this.
    watch_seconds: u32,
    /// Nothing from a watch for so long, not even its end: the connection is dead.
    silence: Duration,
    /// First wait after a failure.
    pause: Duration,
    /// Longest wait after failures.
    pause_max: Duration,
    /// Before an empty list is asked for again, when it is not believed.
    doubt: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            list: Duration::from_secs(5),
            watch_seconds: 20,
            silence: Duration::from_secs(25),
            pause: Duration::from_millis(500),
            pause_max: Duration::from_secs(10),
            doubt: Duration::from_secs(5),
        }
    }
}

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
    #[error("no answer within {} s", .0.as_secs())]
    NoAnswer(Duration),
    #[error("the watch was silent for {} s", .0.as_secs())]
    Silent(Duration),
    #[error(transparent)]
    Kube(#[from] Box<kube::Error>),
    #[error("the API server ended the watch: {0}")]
    Ended(String),
}

/// Objects to watch.
#[derive(Debug)]
pub(crate) struct Watched<K> {
    pub(crate) api: Api<K>,
    pub(crate) labels: Option<&'static str>,
    pub(crate) patience: Patience,
}

/// Tells `on` about every object of a kind, for ever; and `failed`, when nothing can be
/// told for a while.
pub(crate) async fn follow<K>(
    watched: Watched<K>,
    mut on: impl FnMut(News<K>) -> Verdict,
    mut failed: impl FnMut(),
) -> Infallible
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let patience = watched.patience;
    let mut rng = Rng::from_entropy();
    let mut pause = patience.pause;
    loop {
        match watched.list(&mut on).await {
            Ok((_, Verdict::Doubted)) => {
                sleep(patience.doubt).await;
                continue;
            }
            Ok((version, Verdict::Taken)) => {
                pause = patience.pause;
                let error = watched.watch(version, &mut on).await;
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
        pause = (pause * 2).min(patience.pause_max);
    }
}

fn kind<K>() -> &'static str {
    std::any::type_name::<K>()
        .rsplit("::")
        .next()
        .unwrap_or_default()
}

impl<K> Watched<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    async fn list(
        &self,
        on: &mut impl FnMut(News<K>) -> Verdict,
    ) -> Result<(String, Verdict), WatchError> {
        let params = ListParams {
            label_selector: self.labels.map(ToOwned::to_owned),
            ..ListParams::default()
        };
        let limit = self.patience.list;
        let list = timeout(limit, self.api.list(&params))
            .await
            .map_err(|_| WatchError::NoAnswer(limit))?
            .map_err(Box::new)?;
        let version = list.metadata.resource_version.unwrap_or_default();
        Ok((version, on(News::Listed(list.items))))
    }

    /// Watches, again and again, until that fails.
    async fn watch(
        &self,
        mut version: String,
        on: &mut impl FnMut(News<K>) -> Verdict,
    ) -> WatchError {
        loop {
            if let Err(error) = self.watch_once(&mut version, on).await {
                return error;
            }
        }
    }

    async fn watch_once(
        &self,
        version: &mut String,
        on: &mut impl FnMut(News<K>) -> Verdict,
    ) -> Result<(), WatchError> {
        let params = WatchParams {
            label_selector: self.labels.map(ToOwned::to_owned),
            timeout: Some(self.patience.watch_seconds),
            bookmarks: true,
            ..WatchParams::default()
        };
        let (limit, silence) = (self.patience.list, self.patience.silence);
        let stream = timeout(limit, self.api.watch(&params, version))
            .await
            .map_err(|_| WatchError::NoAnswer(limit))?
            .map_err(Box::new)?;
        let mut stream = pin!(stream);
        loop {
            let event = match timeout(silence, stream.next()).await {
                Err(_) => return Err(WatchError::Silent(silence)),
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
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use futures::stream;
    use http::{Request, Response};
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::{Client, client::Body};

    use super::*;

    const SHORT: Patience = Patience {
        list: Duration::from_millis(50),
        watch_seconds: 1,
        silence: Duration::from_millis(50),
        pause: Duration::from_millis(2),
        pause_max: Duration::from_millis(4),
        doubt: Duration::from_millis(2),
    };

    type Served = Response<axum::body::Body>;

    fn list(names: &[&str]) -> Served {
        let items: Vec<_> = names
            .iter()
            .map(|name| serde_json::json!({"metadata": {"name": name, "resourceVersion": "1"}}))
            .collect();
        let list = serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMapList",
            "metadata": {"resourceVersion": "1"}, "items": items,
        });
        Response::new(list.to_string().into())
    }

    /// A watch whose connection is dead: its head came, and then nothing.
    fn silence() -> Served {
        let nothing = stream::pending::<Result<bytes::Bytes, Infallible>>();
        Response::new(axum::body::Body::from_stream(nothing))
    }

    /// A watch of a version that the server has forgotten.
    fn gone() -> Served {
        let status = serde_json::json!({
            "kind": "Status", "status": "Failure", "reason": "Expired", "code": 410,
            "message": "too old resource version",
        });
        let event = serde_json::json!({"type": "ERROR", "object": status});
        Response::new(format!("{event}\n").into())
    }

    /// Follows a server that answers its n-th list by `lists`, and every watch by `watch`;
    /// what was told.
    async fn told(
        lists: impl Fn(usize) -> Served + Clone + Send + 'static,
        watch: fn() -> Served,
    ) -> Vec<usize> {
        let asked = Arc::new(AtomicUsize::new(0));
        let service = tower::service_fn(move |request: Request<Body>| {
            let (lists, asked) = (lists.clone(), asked.clone());
            async move {
                if request.uri().query().unwrap_or_default().contains("watch=") {
                    return Ok::<_, Infallible>(watch());
                }
                Ok(lists(asked.fetch_add(1, Ordering::Relaxed)))
            }
        });
        let watched = Watched::<ConfigMap> {
            api: Api::all(Client::new(service, "default")),
            labels: None,
            patience: SHORT,
        };
        let mut told = Vec::new();
        let on = |news: News<ConfigMap>| {
            let News::Listed(items) = news else {
                return Verdict::Taken;
            };
            told.push(items.len());
            if items.is_empty() {
                Verdict::Doubted
            } else {
                Verdict::Taken
            }
        };
        let follow = follow(watched, on, || {});
        assert!(timeout(Duration::from_millis(400), follow).await.is_err());
        told
    }

    /// Each turn is 50 ms of silence and one or two of pause: eight lists in 400 ms.
    #[tokio::test(start_paused = true)]
    async fn a_watch_that_went_silent_is_listed_again() {
        let told = told(|_| list(&["a"]), silence).await;
        assert_eq!(told, [1; 8]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_of_a_version_that_is_gone_is_listed_again() {
        let told = told(|_| list(&["a"]), gone).await;
        // Only the pauses between two lists take time.
        assert!(told.len() > 100, "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_list_is_asked_for_again_until_it_is_believed() {
        let told = told(|n| list(if n < 3 { &[] } else { &["a"] }), silence).await;
        assert_eq!(told[..4], [0, 0, 0, 1]);
    }
}
