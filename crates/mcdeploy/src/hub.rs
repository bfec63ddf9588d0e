//! The hub's API server: every call has a deadline, every error says where and why.

use std::{fmt::Debug, path::Path, time::Duration};

use futures::{Stream, StreamExt};
use http::{Request, header::ACCEPT};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope, api::core::v1::Secret};
use kube::{
    Api, Client, Config, Resource,
    api::{ListParams, Patch, PatchParams},
    core::response::Status,
    runtime::{WatchStreamExt, watcher},
};
use mcdeploy_api::names::{FIELD_MANAGER_CLI, SYSTEM_NAMESPACE};
use mcdeploy_cluster::{LoadError, LoadedConfig, kube_client, proxy_name};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    args::HubArgs,
    exit::{ExitStatus, Failure, chain},
};

/// A hub that does not answer at all is told within this time.
const FIRST_ANSWER: Duration = Duration::from_millis(2500);
/// Bound on every later call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Pauses before a call is made again that was answered with "later".
const RETRY_PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// A client of the hub.
#[derive(Clone)]
pub(crate) struct Hub {
    client: Client,
    address: String,
    context_namespace: String,
    server_version: String,
}

/// A call to the hub that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HubError {
    /// No answer, or no connection.
    #[error("cannot {what}: the hub at {address} does not answer: {why}")]
    Unreachable {
        when: When,
        what: String,
        address: String,
        why: String,
    },
    /// 401.
    #[error("cannot {what}: the hub at {address} does not accept the credentials: {why}")]
    Unauthorized {
        what: String,
        address: String,
        why: String,
    },
    /// 403.
    #[error("cannot {what}: {why}")]
    Forbidden { what: String, why: String },
    /// 404 of an object or of its namespace.
    #[error("cannot {what}: {why}")]
    NotFound { what: String, why: String },
    /// 404 of the kind.
    #[error("cannot {what}: mcdeploy is not installed in the hub at {address}")]
    NotInstalled { what: String, address: String },
    /// The object changed since it was read.
    #[error("cannot {what}: {why}")]
    Changed { what: String, why: String },
    /// Another field manager owns a field.
    #[error("cannot {what}: {why}")]
    Owned { what: String, why: String },
    /// The object was refused.
    #[error("cannot {what}: {why}")]
    Refused { what: String, why: String },
}

/// What an answer was missed of, and so what may have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// The first call: nothing was asked for yet.
    Connecting,
    /// A read.
    Reading,
    /// A write, which may have arrived.
    Writing,
}

impl HubError {
    fn new(when: When, what: &str, address: &str, error: &kube::Error) -> Self {
        let what = what.to_owned();
        let address = address.to_owned();
        match error {
            kube::Error::Api(status) => Self::from_status(what, address, status),
            other => Self::Unreachable {
                when,
                what,
                address,
                why: chain(other),
            },
        }
    }

    fn from_status(what: String, address: String, status: &Status) -> Self {
        let why = status.message.clone();
        match status.code {
            401 => Self::Unauthorized { what, address, why },
            403 => Self::Forbidden { what, why },
            404 if status.details.as_ref().is_none_or(|d| d.kind.is_empty()) => {
                Self::NotInstalled { what, address }
            }
            404 => Self::NotFound { what, why },
            409 if is_field_conflict(status) => Self::Owned { what, why },
            409 => Self::Changed { what, why },
            _ => Self::Refused { what, why },
        }
    }
}

fn is_field_conflict(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .into_iter()
        .any(|cause| cause.reason == "FieldManagerConflict")
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        let text = error.to_string();
        match error {
            HubError::Unreachable { when, .. } => {
                let failure = Self::new(ExitStatus::Failed, text);
                match when {
                    When::Connecting => failure
                        .hint("gateways go on serving; nothing was changed by this command")
                        .hint("check --kubeconfig and --context, and that this machine reaches the address"),
                    When::Reading => failure.hint("gateways go on serving"),
                    When::Writing => failure.hint(
                        "gateways go on serving; it is not known whether this was written: the same command again is safe",
                    ),
                }
            }
            HubError::Unauthorized { .. } => Self::new(ExitStatus::Auth, text)
                .hint("log in again, or choose other credentials with --kubeconfig or --context"),
            HubError::Forbidden { .. } => Self::new(ExitStatus::Auth, text)
                .hint("ask whoever runs the hub for this right"),
            HubError::NotFound { .. } => Self::new(ExitStatus::NotFound, text),
            HubError::NotInstalled { .. } => Self::new(ExitStatus::NotFound, text)
                .hint("install charts/mcdeploy-crds and charts/mcdeploy, or choose the hub with --context"),
            HubError::Changed { .. } => Self::new(ExitStatus::Conflict, text)
                .hint("somebody else changes it at the same time: look with `mcdeploy status`, then try again"),
            HubError::Owned { .. } => Self::new(ExitStatus::Conflict, text)
                .hint("change it where it is managed, or take the field out there first"),
            HubError::Refused { .. } => Self::new(ExitStatus::Failed, text),
        }
    }
}

impl Hub {
    /// Connects, and makes sure within 3 seconds that there is an answer.
    pub(crate) async fn connect(args: &HubArgs) -> Result<Self, Failure> {
        let config = hub_config(args).await?;
        Self::connect_with(config).await
    }

    async fn connect_with(mut config: Config) -> Result<Self, Failure> {
        config.connect_timeout = Some(FIRST_ANSWER);
        // Deadlines are ours; the default retry loop waits for minutes.
        config.default_retry = false;
        let mut address = config.cluster_url.to_string();
        if let Some(proxy) = proxy_name(&config) {
            address = format!("{address} (through the proxy {proxy})");
        }
        let context_namespace = config.default_namespace.clone();
        let client = kube_client(config).map_err(|error| {
            let text = format!("cannot use the kubeconfig for {address}: {}", chain(&error));
            Failure::new(ExitStatus::Usage, text)
        })?;
        let what = "reach the hub";
        let first = tokio::time::timeout(FIRST_ANSWER, client.apiserver_version()).await;
        let version = match first {
            Ok(Ok(version)) => version,
            Ok(Err(error)) => {
                return Err(HubError::new(When::Connecting, what, &address, &error).into());
            }
            Err(_) => {
                return Err(no_answer(When::Connecting, what, &address, FIRST_ANSWER).into());
            }
        };
        Ok(Self {
            client,
            address,
            context_namespace,
            server_version: version.git_version,
        })
    }

    /// Version of the API server.
    pub(crate) fn server_version(&self) -> &str {
        &self.server_version
    }

    /// Address of the API server.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Namespace that the kubeconfig's context names.
    pub(crate) fn context_namespace(&self) -> &str {
        &self.context_namespace
    }

    /// API of a namespaced kind.
    pub(crate) fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// API of a cluster-scoped kind.
    pub(crate) fn cluster_scoped<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope>,
    {
        Api::all(self.client.clone())
    }

    /// API of a kind in all namespaces.
    pub(crate) fn everywhere<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::all(self.client.clone())
    }

    /// One object, if it exists.
    pub(crate) async fn get<K>(&self, api: &Api<K>, name: &str) -> Result<Option<K>, HubError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let what = format!("read {} {name}", K::kind(&()));
        self.within(When::Reading, &what, || api.get_opt(name))
            .await
    }

    /// Every object of a kind, sorted by name.
    pub(crate) async fn list<K>(&self, api: &Api<K>) -> Result<Vec<K>, HubError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let what = format!("list {}", K::plural(&()));
        let everything = ListParams::default();
        let listed = self.within(When::Reading, &what, || api.list(&everything));
        let mut items = listed.await?.items;
        items.sort_by(|a, b| a.meta().name.cmp(&b.meta().name));
        Ok(items)
    }

    /// Server-side apply with this program's field manager. `force` takes fields from
    /// other managers.
    pub(crate) async fn apply<K>(
        &self,
        api: &Api<K>,
        name: &str,
        object: &Value,
        force: bool,
    ) -> Result<K, HubError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let what = format!("apply {} {name}", K::kind(&()));
        let mut params = PatchParams::apply(FIELD_MANAGER_CLI);
        params.force = force;
        let patch = Patch::Apply(object);
        self.within(When::Writing, &what, || api.patch(name, &params, &patch))
            .await
    }

    /// What [`Self::apply`] without force would answer now. Changes nothing.
    pub(crate) async fn check_apply<K>(
        &self,
        api: &Api<K>,
        name: &str,
        object: &Value,
    ) -> Result<K, HubError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let what = format!("apply {} {name}", K::kind(&()));
        let params = PatchParams::apply(FIELD_MANAGER_CLI).dry_run();
        let patch = Patch::Apply(object);
        self.within(When::Reading, &what, || api.patch(name, &params, &patch))
            .await
    }

    /// The values of a Secret in mcdeploy's own namespace.
    pub(crate) async fn system_secret(&self, name: &str) -> Result<Option<Secret>, HubError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), SYSTEM_NAMESPACE);
        self.get(&api, name).await
    }

    /// GET of a path, as JSON.
    pub(crate) async fn get_json(
        &self,
        what: &str,
        path: &str,
        accept: &str,
    ) -> Result<Value, HubError> {
        let request = || Request::get(path).header(ACCEPT, accept).body(vec![]);
        self.within(When::Reading, what, || async {
            let request = request().map_err(kube::Error::HttpError)?;
            self.client.request(request).await
        })
        .await
    }

    /// Makes a call until it is answered with something that lasts, or the time is up.
    /// Every call here may be made twice: reads, and server-side applies.
    async fn within<T, F>(
        &self,
        when: When,
        what: &str,
        call: impl Fn() -> F,
    ) -> Result<T, HubError>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let work = async {
            for pause in RETRY_PAUSES {
                match call().await {
                    Err(kube::Error::Api(status)) if passes_by_itself(&status) => {
                        tokio::time::sleep(pause).await;
                    }
                    other => return other,
                }
            }
            call().await
        };
        match tokio::time::timeout(CALL_TIMEOUT, work).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(HubError::new(when, what, &self.address, &error)),
            Err(_) => Err(no_answer(when, what, &self.address, CALL_TIMEOUT)),
        }
    }
}

/// Too many requests, a start that is not finished, a proxy without its server.
fn passes_by_itself(status: &Status) -> bool {
    matches!(status.code, 429 | 502 | 503 | 504)
}

fn no_answer(when: When, what: &str, address: &str, after: Duration) -> HubError {
    HubError::Unreachable {
        when,
        what: what.to_owned(),
        address: address.to_owned(),
        why: format!("nothing came within {:.1} s", after.as_secs_f64()),
    }
}

/// A client configuration from a kubeconfig; `flag` is what names the file.
pub(crate) async fn load_config(
    path: Option<&Path>,
    context: Option<&str>,
    flag: &str,
) -> Result<LoadedConfig, Failure> {
    let loaded = mcdeploy_cluster::load_config(path, context).await;
    loaded.map_err(|error| {
        let failure = Failure::new(ExitStatus::Usage, chain(&error));
        let name_another = format!("name the kubeconfig with {flag} FILE or KUBECONFIG");
        match error {
            LoadError::NoProgram { install_hint, .. } => match install_hint {
                Some(hint) => failure.hint(hint.trim()),
                None => failure.hint("install it, or choose other credentials with --context"),
            },
            LoadError::Proxy(_) => failure,
            LoadError::Context { contexts, .. } => {
                let failure = failure.hint(name_another);
                match contexts.as_slice() {
                    [] => failure.hint("it has no context at all"),
                    all => failure.hint(format!("it has the contexts: {}", all.join(", "))),
                }
            }
            LoadError::File { .. } | LoadError::Absent { .. } | LoadError::NotFound(_) => {
                failure.hint(name_another)
            }
        }
    })
}

/// The hub's client configuration.
pub(crate) async fn hub_config(args: &HubArgs) -> Result<Config, Failure> {
    let (path, context) = (args.kubeconfig.as_deref(), args.context.as_deref());
    let loaded = load_config(path, context, "--kubeconfig").await?;
    Ok(loaded.config)
}

/// What a watch saw.
#[derive(Debug)]
pub(crate) enum Seen<K> {
    /// The object as it is, or that there is none.
    Now(Option<Box<K>>),
    /// The hub does not answer. The watch tries again by itself.
    Lost(String),
}

/// A server closes a watch after this long, and a silent one is given up 5 s later.
const WATCH_SECONDS: u32 = 10;

/// Watches one object, for as long as the stream is polled.
pub(crate) fn watch<K>(api: &Api<K>, name: &str) -> impl Stream<Item = Seen<K>> + use<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default()
        .fields(&format!("metadata.name={name}"))
        .timeout(WATCH_SECONDS);
    let events = watcher(api.clone(), config).default_backoff();
    let mut listed = false;
    events.filter_map(move |event| {
        let seen = match event {
            Ok(watcher::Event::Init) => {
                listed = false;
                None
            }
            Ok(watcher::Event::InitApply(object)) => {
                listed = true;
                Some(Seen::Now(Some(Box::new(object))))
            }
            Ok(watcher::Event::Apply(object)) => Some(Seen::Now(Some(Box::new(object)))),
            Ok(watcher::Event::InitDone) if listed => None,
            Ok(watcher::Event::InitDone | watcher::Event::Delete(_)) => Some(Seen::Now(None)),
            Err(error) => Some(Seen::Lost(chain(&error))),
        };
        std::future::ready(seen)
    })
}

/// Ticks whenever any object of a kind changed, or may have.
pub(crate) fn changes<K>(api: &Api<K>) -> impl Stream<Item = ()> + use<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    watcher(api.clone(), config).default_backoff().map(|_| ())
}
