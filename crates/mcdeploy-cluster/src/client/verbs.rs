//! What can be asked of a cluster.

use http::{Request, StatusCode};
use k8s_openapi::{
    api::core::v1::Namespace,
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, version::Info},
};
use kube::{
    ResourceExt,
    api::{
        DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions,
        PropagationPolicy,
    },
    core::{ObjectList, Request as Paths},
};
use mcdeploy_api::names;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{ApiObject, ClusterClient, Delete, Force};
use crate::{Call, ClusterError, Observation, clock::Stopwatch};

/// Objects per page of a list.
const PAGE: u32 = 500;

impl ClusterClient {
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
