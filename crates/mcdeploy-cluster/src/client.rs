//! One call to a cluster: deadline, retries, bounded body, typed error.

use std::{fmt::Debug, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header::RETRY_AFTER};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use k8s_openapi::{
    api::core::v1::Namespace,
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, version::Info},
};
use kube::{
    Config, Resource, ResourceExt,
    api::{
        DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions,
        PropagationPolicy,
    },
    core::{ObjectList, Request as Paths, Status},
    runtime::watcher,
};
use mcdeploy_api::names;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    Call, ClusterError, Observation,
    clock::Stopwatch,
    error::{certificate_problem, innermost},
    parse_kubeconfig,
};

/// What an object must be able to do to be sent and received.
pub trait ApiObject:
    Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<K> ApiObject for K where
    K: Resource<DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Bounds on every call.
#[derive(Clone, Copy, Debug)]
pub struct ClientSettings {
    /// Longest time for one call, its retries included.
    pub deadline: Duration,
    /// Longest time for a connection, TLS included.
    pub connect: Duration,
    /// Most tries after the first.
    pub retries: u32,
    /// First wait between tries; it doubles.
    pub backoff: Duration,
    /// Longest wait between tries. A `Retry-After` beyond it ends the call.
    pub longest_wait: Duration,
    /// Longest answer that is read, in bytes.
    pub max_body: usize,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            connect: Duration::from_secs(2),
            retries: 3,
            backoff: Duration::from_millis(100),
            longest_wait: Duration::from_secs(1),
            max_body: 64 << 20,
        }
    }
}

/// Whether a server-side apply takes fields from other managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Take them: for objects that mcdeploy owns.
    Yes,
    /// Answer [`ClusterError::Conflict`]: for objects that users edit too.
    No,
}

/// How an object is deleted.
#[derive(Clone, Debug, Default)]
pub struct Delete {
    /// Only if the object still has this uid.
    pub uid: Option<String>,
    /// Only if the object still has this resource version.
    pub resource_version: Option<String>,
}

/// A client of one cluster. Cheap to clone.
///
/// Cancel-safe: dropping a call's future stops it. A dropped or timed-out write may
/// have happened; observe again.
#[derive(Clone)]
pub struct ClusterClient {
    kube: kube::Client,
    shared: Arc<Shared>,
    settings: ClientSettings,
    fence: Option<Fence>,
}

/// Asked before each write; `false` keeps it from being sent.
pub type Fence = Arc<dyn Fn(&Call) -> bool + Send + Sync>;

struct Shared {
    cluster: String,
    server: String,
    ca_pem: String,
}

impl Debug for ClusterClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterClient")
            .field("cluster", &self.shared.cluster)
            .field("server", &self.shared.server)
            .finish_non_exhaustive()
    }
}

/// A watch ends, and is begun anew, after this many seconds at the latest: a cluster
/// that went silent is noticed by then.
const WATCH_SECONDS: u32 = 20;
/// Silence on a connection after which it is given up.
const READ_TIMEOUT: Duration = Duration::from_secs(25);
/// Objects per page of a list.
const PAGE: u32 = 500;

impl ClusterClient {
    /// A client of the cluster at `config`, which `cluster` names for people. Retries of
    /// the library are switched off: this client has its own. Needs a tokio runtime.
    ///
    /// # Errors
    /// `Permanent` when the configuration's keys or certificates cannot be used.
    pub fn new(
        cluster: &str,
        mut config: Config,
        settings: ClientSettings,
    ) -> Result<Self, ClusterError> {
        config.default_retry = false;
        config.connect_timeout = Some(settings.connect);
        config.read_timeout = Some(READ_TIMEOUT);
        config.write_timeout = Some(settings.deadline);
        config.reset_reader_on_write = true;
        let shared = Shared {
            cluster: cluster.to_owned(),
            server: config
                .cluster_url
                .to_string()
                .trim_end_matches('/')
                .to_owned(),
            ca_pem: config.root_cert.as_deref().map_or_else(String::new, pem),
        };
        let kube = kube::Client::try_from(config).map_err(|error| ClusterError::Configure {
            cluster: cluster.to_owned(),
            detail: innermost(&error),
        })?;
        Ok(Self {
            kube,
            shared: Arc::new(shared),
            settings,
            fence: None,
        })
    }

    /// A client by a kubeconfig's text, with the default bounds.
    ///
    /// # Errors
    /// `Permanent`: [`ClusterError::Kubeconfig`] for what [`parse_kubeconfig`] refuses.
    pub fn from_kubeconfig(cluster: &str, text: &str) -> Result<Self, ClusterError> {
        let config = parse_kubeconfig(text).map_err(|why| ClusterError::Kubeconfig {
            cluster: cluster.to_owned(),
            why,
        })?;
        Self::new(cluster, config, ClientSettings::default())
    }

    /// A client of the cluster that this process runs in as a pod.
    ///
    /// # Errors
    /// `Permanent` when the process has no service account around it.
    pub fn in_cluster(cluster: &str) -> Result<Self, ClusterError> {
        let config = Config::incluster().map_err(|error| ClusterError::Configure {
            cluster: cluster.to_owned(),
            detail: format!("no service account of a pod found: {}", innermost(&error)),
        })?;
        Self::new(cluster, config, ClientSettings::default())
    }

    /// The same client with another deadline per call.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        let mut client = self.clone();
        client.settings.deadline = deadline;
        client
    }

    /// The same client, which writes only while `fence` says so.
    #[must_use]
    pub fn with_fence(&self, fence: Fence) -> Self {
        let mut client = self.clone();
        client.fence = Some(fence);
        client
    }

    /// Name of the cluster, for people.
    pub fn cluster(&self) -> &str {
        &self.shared.cluster
    }

    /// Address of the API server, such as `https://10.0.0.1:6443`.
    pub fn server(&self) -> &str {
        &self.shared.server
    }

    /// The CA certificates that the server is checked against, as PEM; empty when the
    /// configuration names none.
    pub fn ca_pem(&self) -> &str {
        &self.shared.ca_pem
    }

    /// The library's client, for watches. Its calls have no deadline: give them one.
    pub fn kube(&self) -> &kube::Client {
        &self.kube
    }

    /// Settings of a watch that notices a cluster gone silent within 25 s.
    pub fn watch_config() -> watcher::Config {
        watcher::Config::default().timeout(WATCH_SECONDS)
    }

    /// One object. `namespace` is `None` for kinds without one.
    ///
    /// # Errors
    /// Every class but `NotFound`, `Precondition` and `Unknown`.
    pub async fn get<K: ApiObject>(
        &self,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<K>, ClusterError> {
        let call = self.call::<K>("get", namespace, name, false)?;
        let request = paths::<K>(namespace).get(name, &GetParams::default());
        match self.send(call, request).await {
            Ok(object) => Ok(Some(object)),
            Err(ClusterError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is known about one object.
    pub async fn observe<K: ApiObject>(
        &self,
        namespace: Option<&str>,
        name: &str,
    ) -> Observation<K> {
        Observation::of_optional(self.get(namespace, name).await)
    }

    /// All objects that a label selector matches, from all namespaces when `namespace`
    /// is `None`. An empty selector matches everything. A half-read list is an error,
    /// never a shorter list.
    ///
    /// # Errors
    /// As [`ClusterClient::get`]; `NotFound` when the kind does not exist.
    pub async fn list<K: ApiObject>(
        &self,
        namespace: Option<&str>,
        selector: &str,
    ) -> Result<Vec<K>, ClusterError> {
        let since = Stopwatch::start();
        match self.pages(namespace, selector, since).await {
            // The first page grew too old while the others were read: once from the start.
            Err(ClusterError::Gone { .. }) => self.pages(namespace, selector, since).await,
            done => done,
        }
    }

    async fn pages<K: ApiObject>(
        &self,
        namespace: Option<&str>,
        selector: &str,
        since: Stopwatch,
    ) -> Result<Vec<K>, ClusterError> {
        let mut items = Vec::new();
        let mut token = None;
        loop {
            let mut params = ListParams::default().labels(selector).limit(PAGE);
            params.continue_token = token.take();
            let call = self.call::<K>("list", namespace, "", false)?;
            let request = paths::<K>(namespace).list(&params);
            let page: ObjectList<K> = self.send_within(call, request, since).await?;
            items.extend(page.items);
            match page.metadata.continue_ {
                Some(next) if !next.is_empty() => token = Some(next),
                _ => return Ok(items),
            }
        }
    }

    /// Server-side apply. Name and namespace are those of `object`. Idempotent.
    ///
    /// # Errors
    /// Every class; `Unknown` when no answer came, `Precondition` for a field that
    /// another manager owns (with [`Force::No`]) or an outdated resource version.
    pub async fn apply<K: ApiObject>(
        &self,
        object: &K,
        manager: &str,
        force: Force,
    ) -> Result<K, ClusterError> {
        let namespace = object.namespace();
        let name = object.name_any();
        let call = self.call::<K>("apply", namespace.as_deref(), &name, true)?;
        let body = Patch::Apply(typed(object, &call)?);
        let request = paths::<K>(namespace.as_deref()).patch(&name, &ssa(manager, force), &body);
        self.send(call, request).await
    }

    /// Server-side apply of the status alone. With a resource version it is a
    /// compare-and-swap.
    ///
    /// # Errors
    /// As [`ClusterClient::apply`]; `NotFound` when the object does not exist.
    pub async fn patch_status<K: ApiObject>(
        &self,
        namespace: Option<&str>,
        name: &str,
        status: &(impl Serialize + Sync),
        manager: &str,
        resource_version: Option<&str>,
    ) -> Result<K, ClusterError> {
        let call = self.call::<K>("patch status", namespace, name, true)?;
        let mut metadata = json!({ "name": name });
        if let Some(version) = resource_version {
            metadata["resourceVersion"] = version.into();
        }
        let body = Patch::Apply(json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": metadata,
            "status": status,
        }));
        let params = ssa(manager, Force::Yes);
        let request = paths::<K>(namespace).patch_subresource("status", name, &params, &body);
        self.send(call, request).await
    }

    /// Makes a new object.
    ///
    /// # Errors
    /// As [`ClusterClient::apply`]; [`ClusterError::is_already_exists`] when it is there.
    pub async fn create<K: ApiObject>(&self, object: &K, manager: &str) -> Result<K, ClusterError> {
        let namespace = object.namespace();
        let call = self.call::<K>("create", namespace.as_deref(), &object.name_any(), true)?;
        let body = typed(object, &call)?.to_string().into_bytes();
        let request = paths::<K>(namespace.as_deref()).create(&post(manager), body);
        self.send(call, request).await
    }

    /// Puts `object` in place of what is there, if it still has `object`'s resource
    /// version.
    ///
    /// # Errors
    /// As [`ClusterClient::apply`]; `Precondition` when somebody else was first.
    pub async fn replace<K: ApiObject>(
        &self,
        object: &K,
        manager: &str,
    ) -> Result<K, ClusterError> {
        let namespace = object.namespace();
        let name = object.name_any();
        let call = self.call::<K>("replace", namespace.as_deref(), &name, true)?;
        let body = typed(object, &call)?.to_string().into_bytes();
        let request = paths::<K>(namespace.as_deref()).replace(&name, &post(manager), body);
        self.send(call, request).await
    }

    /// Makes a subresource that answers with an object of its own, such as `token`.
    pub(crate) async fn create_subresource<K: ApiObject, B: Serialize, A: DeserializeOwned>(
        &self,
        namespace: &str,
        name: &str,
        subresource: &'static str,
        body: &B,
    ) -> Result<A, ClusterError> {
        let mut call = self.call::<K>("create", Some(namespace), name, true)?;
        call.object = format!("{} of {}", subresource, call.object);
        let bytes = serde_json::to_vec(body).map_err(|error| ClusterError::Request {
            call: call.clone(),
            detail: error.to_string(),
        })?;
        let params = PostParams::default();
        let request =
            paths::<K>(Some(namespace)).create_subresource(subresource, name, &params, bytes);
        self.send(call, request).await
    }

    /// Deletes an object, what it owns in the background. `false`: it was not there.
    ///
    /// # Errors
    /// As [`ClusterClient::apply`]; `Precondition` when `only` no longer holds.
    pub async fn delete<K: ApiObject>(
        &self,
        namespace: Option<&str>,
        name: &str,
        only: Delete,
    ) -> Result<bool, ClusterError> {
        let call = self.call::<K>("delete", namespace, name, true)?;
        let Delete {
            uid,
            resource_version,
        } = only;
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: (uid.is_some() || resource_version.is_some()).then_some(Preconditions {
                uid,
                resource_version,
            }),
            ..DeleteParams::default()
        };
        let request = paths::<K>(namespace).delete(name, &params);
        match self.send::<serde_json::Value>(call, request).await {
            Ok(_) => Ok(true),
            Err(ClusterError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes a namespace unless it is there. Needs no right to change one.
    ///
    /// # Errors
    /// As [`ClusterClient::apply`]; [`ClusterError::Refused`] while it is being deleted.
    pub async fn ensure_namespace(&self, name: &str) -> Result<(), ClusterError> {
        if let Some(found) = self.get::<Namespace>(None, name).await? {
            if found.metadata.deletion_timestamp.is_none() {
                return Ok(());
            }
            return Err(ClusterError::Refused {
                call: self.call::<Namespace>("create", None, name, true)?,
                code: StatusCode::CONFLICT.as_u16(),
                message: "the namespace is being deleted; wait until it is gone".to_owned(),
            });
        }
        let label = (
            names::LABEL_MANAGED_BY.to_owned(),
            names::MANAGED_BY.to_owned(),
        );
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some([label].into()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        match self.create(&namespace, names::FIELD_MANAGER_OPERATOR).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_already_exists() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Version of the API server, such as `v1.37.2`.
    ///
    /// # Errors
    /// As [`ClusterClient::get`].
    pub async fn api_server_version(&self) -> Result<String, ClusterError> {
        let call = self.named("get", "/version".to_owned(), false);
        let request = Request::get("/version").body(Vec::new());
        let request = request.map_err(kube::core::request::Error::BuildRequest);
        let info: Info = self.send(call, request).await?;
        Ok(info.git_version)
    }

    fn named(&self, verb: &'static str, object: String, write: bool) -> Call {
        Call {
            cluster: self.shared.cluster.clone(),
            verb,
            object,
            write,
        }
    }

    fn call<K: ApiObject>(
        &self,
        verb: &'static str,
        namespace: Option<&str>,
        name: &str,
        write: bool,
    ) -> Result<Call, ClusterError> {
        let kind = K::kind(&());
        let object = match (namespace, name) {
            (Some(namespace), "") => format!("{kind} in {namespace}"),
            (None, "") => kind.into_owned(),
            (Some(namespace), name) => format!("{kind} {namespace}/{name}"),
            (None, name) => format!("{kind} {name}"),
        };
        let call = self.named(verb, object, write);
        // Names become part of a path.
        match [namespace.unwrap_or_default(), name]
            .iter()
            .find(|name| !is_name(name))
        {
            None => Ok(call),
            Some(name) => Err(ClusterError::Request {
                call,
                detail: format!("{name:?} is a name that no object can have"),
            }),
        }
    }

    async fn send<A: DeserializeOwned>(
        &self,
        call: Call,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<A, ClusterError> {
        self.send_within(call, request, Stopwatch::start()).await
    }

    /// Sends within the deadline that began at `since`.
    async fn send_within<A: DeserializeOwned>(
        &self,
        call: Call,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
        since: Stopwatch,
    ) -> Result<A, ClusterError> {
        let request = request.map_err(|error| ClusterError::Request {
            call: call.clone(),
            detail: error.to_string(),
        })?;
        if call.write
            && self
                .fence
                .as_ref()
                .is_some_and(|may_write| !may_write(&call))
        {
            return Err(ClusterError::Fenced { call });
        }
        let left = self.settings.deadline.saturating_sub(since.elapsed());
        let body = match tokio::time::timeout(left, self.tries(&call, &request, since)).await {
            Ok(done) => done?,
            Err(_) => {
                return Err(ClusterError::NoAnswer {
                    call,
                    waited: since.elapsed(),
                    detail: "deadline passed".to_owned(),
                });
            }
        };
        serde_json::from_slice(&body).map_err(|error| ClusterError::Answer {
            call,
            detail: error.to_string(),
        })
    }

    async fn tries(
        &self,
        call: &Call,
        request: &Request<Vec<u8>>,
        since: Stopwatch,
    ) -> Result<Bytes, ClusterError> {
        let mut pause = self.settings.backoff;
        let mut tried = 0;
        loop {
            let answer = self.one_try(call, request, since).await?;
            let Answer { status, body, wait } = answer;
            if status.is_success() {
                return Ok(body);
            }
            let pause_now = wait.unwrap_or(pause).max(pause);
            let left = self.settings.deadline.saturating_sub(since.elapsed());
            let give_up = tried >= self.settings.retries
                || pause_now > self.settings.longest_wait
                || pause_now >= left
                || !may_repeat(status, request);
            if give_up {
                return Err(refusal(call.clone(), status, &body, wait));
            }
            tracing::debug!(%call, status = status.as_u16(), "repeating a call");
            tokio::time::sleep(pause_now + jitter(call, tried, pause)).await;
            pause = (pause * 2).min(self.settings.longest_wait);
            tried += 1;
        }
    }

    async fn one_try(
        &self,
        call: &Call,
        request: &Request<Vec<u8>>,
        since: Stopwatch,
    ) -> Result<Answer, ClusterError> {
        let sent = request.clone().map(kube::client::Body::from);
        let response = self.kube.send(sent).await;
        let response = response.map_err(|error| self.transport(call, &error, since))?;
        let (head, body) = response.into_parts();
        let limited = Limited::new(body, self.settings.max_body);
        let body = limited.collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return ClusterError::Answer {
                    call: call.clone(),
                    detail: format!("longer than {} bytes", self.settings.max_body),
                };
            }
            ClusterError::NoAnswer {
                call: call.clone(),
                waited: since.elapsed(),
                detail: innermost(error.as_ref()),
            }
        })?;
        Ok(Answer {
            status: head.status,
            body: body.to_bytes(),
            wait: retry_after(&head.headers),
        })
    }

    fn transport(&self, call: &Call, error: &kube::Error, since: Stopwatch) -> ClusterError {
        let server = self.shared.server.clone();
        let detail = innermost(error);
        if let Some(problem) = certificate_problem(error) {
            return ClusterError::Untrusted {
                call: call.clone(),
                server,
                detail: problem,
            };
        }
        if is_connect(error) {
            return ClusterError::Connect {
                call: call.clone(),
                server,
                detail,
            };
        }
        ClusterError::NoAnswer {
            call: call.clone(),
            waited: since.elapsed(),
            detail,
        }
    }
}

struct Answer {
    status: StatusCode,
    body: Bytes,
    wait: Option<Duration>,
}

/// What the API server takes as a segment of a path: letters, digits, `-`, `.`, and `:`
/// for roles. Empty stands for "all".
fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '_');
    name.len() <= 253 && name.chars().all(fits) && name != "." && name != ".."
}

fn paths<K: ApiObject>(namespace: Option<&str>) -> Paths {
    Paths::new(K::url_path(&(), namespace))
}

fn post(manager: &str) -> PostParams {
    PostParams {
        dry_run: false,
        field_manager: Some(manager.to_owned()),
    }
}

fn ssa(manager: &str, force: Force) -> PatchParams {
    let params = PatchParams::apply(manager);
    match force {
        Force::Yes => params.force(),
        Force::No => params,
    }
}

/// The object as JSON with its kind, and without what only the server writes.
fn typed<K: ApiObject>(object: &K, call: &Call) -> Result<serde_json::Value, ClusterError> {
    let mut value = serde_json::to_value(object).map_err(|error| ClusterError::Request {
        call: call.clone(),
        detail: error.to_string(),
    })?;
    value["apiVersion"] = K::api_version(&()).into();
    value["kind"] = K::kind(&()).into();
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    Ok(value)
}

/// 429 is an answer from before the work began. After a 5xx a POST may have been done.
fn may_repeat(status: StatusCode, request: &Request<Vec<u8>>) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || (status.is_server_error() && request.method() != http::Method::POST)
}

/// Up to half of `pause`, different for each call and try, so that many callers do not
/// come back together.
fn jitter(call: &Call, tried: u32, pause: Duration) -> Duration {
    let digest = mcdeploy_api::Sha256Digest::of(format!("{call}{tried}")).short(4);
    let share = u32::from_str_radix(&digest, 16).unwrap_or(0);
    pause / 2 * share / 0xffff
}

/// `Retry-After` in seconds, however large. A date, which no API server sends, is ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn is_connect(error: &kube::Error) -> bool {
    let kube::Error::Service(inner) = error else {
        return false;
    };
    inner
        .downcast_ref::<hyper_util::client::legacy::Error>()
        .is_some_and(hyper_util::client::legacy::Error::is_connect)
}

fn refusal(call: Call, status: StatusCode, body: &[u8], wait: Option<Duration>) -> ClusterError {
    let parsed: Option<Status> = serde_json::from_slice(body).ok();
    let (reason, message) = match parsed {
        Some(status) => (status.reason, status.message),
        None => (String::new(), first_line(body)),
    };
    let code = status.as_u16();
    match status {
        StatusCode::UNAUTHORIZED => ClusterError::AuthRefused {
            call,
            code,
            message,
        },
        StatusCode::FORBIDDEN if is_rbac(&message) => ClusterError::AuthRefused {
            call,
            code,
            message,
        },
        StatusCode::NOT_FOUND => ClusterError::NotFound { call, message },
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => ClusterError::Conflict {
            call,
            already_exists: reason == "AlreadyExists",
            message,
        },
        StatusCode::GONE => ClusterError::Gone { call, message },
        StatusCode::TOO_MANY_REQUESTS => ClusterError::Throttled {
            call,
            retry_after: wait.map(|w| w.min(ClusterError::MAX_RETRY_AFTER)),
        },
        other if other.is_server_error() => ClusterError::Server {
            call,
            code,
            message,
        },
        _ => ClusterError::Refused {
            call,
            code,
            message,
        },
    }
}

/// Quota, Pod Security and a namespace that is going away answer 403 too; only RBAC
/// speaks of the user.
fn is_rbac(message: &str) -> bool {
    message.contains("forbidden: User \"") || !message.contains("forbidden")
}

fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(512)]);
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// DER certificates as PEM.
fn pem(certificates: &[Vec<u8>]) -> String {
    let mut text = String::new();
    for der in certificates {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(der);
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, tail) = rest.split_at(rest.len().min(64));
            text.push_str(line);
            text.push('\n');
            rest = tail;
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}
