//! Google Cloud Storage.
//!
//! Bytes go through the SDK; control calls (head, list, delete) are the JSON API by plain
//! HTTP, because the SDK makes them by gRPC, which no emulator speaks. The service keeps a
//! CRC-32C of every object and checks the one that we send.
//!
//! `upload` is the writing half.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use async_trait::async_trait;
// Of all crates that are linked anyway, this one reads RFC 3339.
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use bytes::Bytes;
use futures::stream;
use google_cloud_auth::credentials::{
    Builder as AmbientCredentials, CacheableResource, Credentials,
    anonymous::Builder as AnonymousCredentials, service_account::Builder as ServiceAccount,
};
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_storage::{client::Storage, model_ext::ReadRange};
use http::Extensions;
use mcdeploy_api::{GcsLocation, StoreAccess};
use reqwest::{
    Method, Url,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, Checksums, Crc32c, Leftover, ListedObject, ObjectInfo, ObjectKey, Receipts, Resume,
    Store, StoreError, StoredChecksums, Upload,
    open::{Auth, refused, secret_value},
    request::{CONNECT_DEADLINE, POOL_IDLE, Request, Requester, body_of, cause_of_status},
    store::{is_taken, is_unchanged},
};

mod upload;

/// Where Google serves the JSON API.
const DEFAULT_ENDPOINT: &str = "https://storage.googleapis.com";
/// What we ask credentials for.
const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";

pub(crate) async fn open(
    access: &StoreAccess,
    location: &GcsLocation,
    auth: Auth,
) -> Result<Arc<dyn Store>, StoreError> {
    let GcsLocation { bucket, endpoint } = location;
    let endpoint = endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT);
    let place = match location.endpoint {
        Some(_) => format!("gs://{bucket} at {endpoint}"),
        None => format!("gs://{bucket}"),
    };
    let base = Url::parse(endpoint)
        .map_err(|error| refused(access, format!("endpoint {endpoint:?}: {error}")))?;
    let (credentials, secrets) = credentials(access, auth)?;
    let requester = Requester::new(&access.name, place, secrets);
    let failed = |error: &(dyn std::error::Error + 'static)| {
        let detail = requester.detail(error);
        requester.error("open", None, Cause::Configuration { detail })
    };
    let http = reqwest::Client::builder()
        .connect_timeout(CONNECT_DEADLINE)
        .pool_idle_timeout(POOL_IDLE)
        .build()
        .map_err(|error| failed(&error))?;
    let data = Storage::builder()
        .with_endpoint(endpoint)
        .with_credentials(credentials.clone())
        .with_retry_policy(NeverRetry)
        .build()
        .await
        .map_err(|error| failed(&error))?;
    Ok(Arc::new(Gcs {
        data,
        http,
        base,
        credentials,
        bucket: bucket.clone(),
        requester,
    }))
}

fn credentials(access: &StoreAccess, auth: Auth) -> Result<(Credentials, Vec<String>), StoreError> {
    let unusable = |error: &dyn std::fmt::Display| refused(access, error.to_string());
    Ok(match auth {
        Auth::Anonymous => (AnonymousCredentials::new().build(), vec![]),
        Auth::Ambient => {
            let ambient = AmbientCredentials::default().with_scopes([SCOPE]).build();
            (ambient.map_err(|error| unusable(&error))?, vec![])
        }
        Auth::Secret => {
            let text = secret_value(access, "serviceAccountKey")?;
            // The parser's message may quote the key: say only where it stopped.
            let key: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
                let (line, column) = (error.line(), error.column());
                refused(
                    access,
                    format!("serviceAccountKey is not JSON: line {line}, column {column}"),
                )
            })?;
            let private = key.get("private_key").and_then(|k| k.as_str());
            let secrets = private.map(str::to_owned).into_iter().collect();
            let built = ServiceAccount::new(key).build();
            let built = built.map_err(|_| {
                refused(
                    access,
                    "serviceAccountKey is not the key of a service account".to_owned(),
                )
            })?;
            (built, secrets)
        }
    })
}

#[derive(Clone)]
struct Gcs {
    data: Storage,
    http: reqwest::Client,
    base: Url,
    credentials: Credentials,
    bucket: String,
    requester: Requester,
}

impl std::fmt::Debug for Gcs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Gcs").field(&self.requester).finish()
    }
}

/// An object as the JSON API describes it.
#[derive(Deserialize)]
struct ObjectResource {
    name: String,
    #[serde(default)]
    size: Option<String>,
    #[serde(default)]
    generation: Option<String>,
    #[serde(default)]
    crc32c: Option<String>,
    #[serde(default)]
    updated: Option<String>,
}

impl ObjectResource {
    fn checksums(&self) -> StoredChecksums {
        StoredChecksums {
            crc64nvme: None,
            crc32c: self.crc32c.as_deref().and_then(Crc32c::from_base64),
        }
    }

    fn listed(self) -> Result<ListedObject, Cause> {
        let updated = self.updated.as_deref();
        let format = DateTimeFormat::DateTimeWithOffset;
        let modified = updated.and_then(|at| DateTime::from_str(at, format).ok());
        Ok(ListedObject {
            size_bytes: self.size_bytes()?,
            checksums: self.checksums(),
            pin: self.generation.unwrap_or_default(),
            key: self.name,
            modified_s: modified.map(|at| at.secs()),
        })
    }

    fn size_bytes(&self) -> Result<u64, Cause> {
        let size = self.size.as_deref().and_then(|size| size.parse().ok());
        size.ok_or_else(|| Cause::no_size(&self.name))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    #[serde(default)]
    items: Vec<ObjectResource>,
    #[serde(default)]
    next_page_token: Option<String>,
}

/// How far a copy inside the service is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rewrite {
    done: bool,
    #[serde(default)]
    rewrite_token: Option<String>,
}

impl Gcs {
    fn bucket_path(&self) -> String {
        format!("projects/_/buckets/{}", self.bucket)
    }

    fn cause(&self, error: &google_cloud_storage::Error) -> Cause {
        let detail = self.requester.detail(error);
        // The service has no code of its own for this 400.
        if detail.contains("doesn't match calculated CRC32C") {
            return Cause::ChecksumMismatch {
                expected: "the checksum that was sent".to_owned(),
                actual: detail,
            };
        }
        if let Some(status) = error.http_status_code() {
            let headers = error.http_headers();
            let retry_after = headers
                .and_then(|h| h.get(RETRY_AFTER.as_str()))
                .and_then(|value| value.to_str().ok());
            return cause_of_status(status, detail, retry_after);
        }
        if error.is_authentication() {
            return Cause::Denied { detail };
        }
        if error.is_binding() || error.is_serialization() {
            return Cause::Refused { detail };
        }
        self.requester.no_answer(error)
    }

    /// URL of the bucket's objects, or of one of them, in the JSON API.
    fn url(&self, key: Option<&ObjectKey>) -> Result<Url, Cause> {
        let mut url = self.base.clone();
        let mut segments = url.path_segments_mut().map_err(|()| Cause::Configuration {
            detail: "the endpoint is not a base URL".to_owned(),
        })?;
        segments
            .pop_if_empty()
            .extend(["storage", "v1", "b", &self.bucket, "o"]);
        if let Some(key) = key {
            segments.push(key.as_str());
        }
        drop(segments);
        Ok(url)
    }

    async fn control(&self, method: Method, url: Url, body: Bytes) -> Result<Bytes, Cause> {
        let headers = self
            .credentials
            .headers(Extensions::new())
            .await
            .map_err(|error| Cause::Denied {
                detail: self.requester.detail(&error),
            })?;
        let mut request = self.http.request(method, url);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        if let CacheableResource::New { data, .. } = headers {
            request = request.headers(data);
        }
        let unreachable = |error: reqwest::Error| self.requester.no_answer(&error.without_url());
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let retry_after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let body = answer.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return Ok(body);
        }
        let text = String::from_utf8_lossy(&body);
        let detail = self.requester.redact(&format!("{status} {text}"));
        Err(cause_of_status(
            status.as_u16(),
            detail,
            retry_after.as_deref(),
        ))
    }

    async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, Cause> {
        parse(&self.control(Method::GET, url, Bytes::new()).await?)
    }

    /// Goes on with a copy inside the service, or begins it.
    async fn rewrite(
        &self,
        object: &ObjectInfo,
        to: &ObjectKey,
        token: Option<&str>,
    ) -> Result<Rewrite, Cause> {
        let mut url = self.url(Some(&object.key))?;
        url.path_segments_mut()
            .map_err(|()| Cause::Configuration {
                detail: "the endpoint is not a base URL".to_owned(),
            })?
            .extend(["rewriteTo", "b", &self.bucket, "o", to.as_str()]);
        url.query_pairs_mut()
            .append_pair("sourceGeneration", &object.pin)
            .append_pair("ifGenerationMatch", "0");
        if let Some(token) = token {
            url.query_pairs_mut().append_pair("rewriteToken", token);
        }
        let empty = Bytes::from_static(b"{}");
        match self.control(Method::POST, url, empty).await {
            Ok(answer) => parse(&answer),
            Err(Cause::NotFound | Cause::AlreadyExists) => Err(Cause::Changed),
            Err(other) => Err(other),
        }
    }

    /// Deletes one generation of an object; gone already is fine.
    async fn remove(&self, key: &ObjectKey, generation: &str) -> Result<(), Cause> {
        let mut url = self.url(Some(key))?;
        let condition = ("ifGenerationMatch", generation);
        url.query_pairs_mut().append_pair(condition.0, condition.1);
        match self.control(Method::DELETE, url, Bytes::new()).await {
            Ok(_) | Err(Cause::NotFound) => Ok(()),
            Err(Cause::AlreadyExists) => Err(Cause::Changed),
            Err(other) => Err(other),
        }
    }

    async fn read_range(&self, object: &ObjectInfo, range: Range<u64>) -> Result<Bytes, Cause> {
        let generation: i64 = object.pin.parse().map_err(|_| Cause::Changed)?;
        // A generation that is gone answers 404.
        let changed = |error: google_cloud_storage::Error| match self.cause(&error) {
            Cause::NotFound | Cause::AlreadyExists => Cause::Changed,
            other => other,
        };
        let answer = self
            .data
            .read_object(self.bucket_path(), object.key.as_str())
            .set_generation(generation)
            .set_read_range(ReadRange::segment(range.start, range.end - range.start))
            .send()
            .await
            .map_err(changed)?;
        let chunks = stream::unfold(answer, |mut answer| async {
            answer.next().await.map(|chunk| (chunk, answer))
        });
        body_of(chunks, &range, changed).await
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Cause> {
    serde_json::from_slice(body).map_err(|error| Cause::Unreachable {
        detail: format!("the answer is not what the JSON API gives: {error}"),
    })
}

#[async_trait]
impl Store for Gcs {
    fn name(&self) -> &str {
        &self.requester.store
    }

    fn location(&self) -> &str {
        &self.requester.location
    }

    async fn list(
        &self,
        prefix: &str,
        cancel: &CancellationToken,
    ) -> Result<Vec<ListedObject>, StoreError> {
        let (mut all, mut token) = (vec![], None::<String>);
        loop {
            let page = self
                .requester
                .send(Request::new("list", prefix), cancel, || async {
                    let mut url = self.url(None)?;
                    url.query_pairs_mut().append_pair("prefix", prefix);
                    if let Some(token) = &token {
                        url.query_pairs_mut().append_pair("pageToken", token);
                    }
                    match self.get::<Listing>(url).await {
                        Err(Cause::NotFound) => Err(Cause::Refused {
                            detail: "the bucket does not exist".to_owned(),
                        }),
                        other => other,
                    }
                })
                .await?;
            for object in page.items {
                let listed = object.listed();
                let no_size = |cause| self.requester.error("list", Some(prefix), cause);
                all.push(listed.map_err(no_size)?);
            }
            let next = page.next_page_token.filter(|next| !next.is_empty());
            if next.is_none() {
                return Ok(all);
            }
            if next == token {
                let detail = "the server's list goes on where it began".to_owned();
                let cause = Cause::Refused { detail };
                return Err(self.requester.error("list", Some(prefix), cause));
            }
            token = next;
        }
    }

    async fn head(
        &self,
        key: &ObjectKey,
        cancel: &CancellationToken,
    ) -> Result<ObjectInfo, StoreError> {
        self.requester
            .send(Request::new("head", key.as_str()), cancel, || async {
                let object: ObjectResource = self.get(self.url(Some(key))?).await?;
                Ok(ObjectInfo {
                    key: key.clone(),
                    size_bytes: object.size_bytes()?,
                    checksums: object.checksums(),
                    pin: object.generation.unwrap_or_default(),
                })
            })
            .await
    }

    async fn stored_checksums(
        &self,
        object: &ObjectInfo,
        _cancel: &CancellationToken,
    ) -> Result<StoredChecksums, StoreError> {
        Ok(object.checksums)
    }

    async fn read(
        &self,
        object: &ObjectInfo,
        range: Range<u64>,
        cancel: &CancellationToken,
    ) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let request = Request::new("read", object.key.as_str()).bytes(range.end - range.start);
        self.requester
            .send(request, cancel, || self.read_range(object, range.clone()))
            .await
    }

    async fn begin(
        &self,
        key: &ObjectKey,
        content: &Checksums,
        resume: Resume,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn Upload>, StoreError> {
        upload::begin(self.clone(), key.clone(), *content, resume, cancel).await
    }

    async fn delete(
        &self,
        object: &ObjectInfo,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        if !is_unchanged(self, object, cancel).await? {
            return Ok(());
        }
        let request = Request::new("delete", object.key.as_str());
        self.requester
            .send(request, cancel, || self.remove(&object.key, &object.pin))
            .await
    }

    async fn duplicate(
        &self,
        object: &ObjectInfo,
        to: &ObjectKey,
        cancel: &CancellationToken,
    ) -> Result<bool, StoreError> {
        // Not every server knows a condition on this request.
        if is_taken(self, to, cancel).await? {
            let taken = Cause::AlreadyExists;
            return Err(self.requester.error("copy to", Some(to.as_str()), taken));
        }
        let request = Request::new("copy to", to.as_str()).bytes(object.size_bytes);
        let mut token = None;
        loop {
            let attempt = || self.rewrite(object, to, token.as_deref());
            let Rewrite {
                done,
                rewrite_token,
            } = self.requester.send(request, cancel, attempt).await?;
            if done {
                return Ok(true);
            }
            token = rewrite_token;
        }
    }

    async fn parts_under_way(
        &self,
        key: &ObjectKey,
        content: &Checksums,
        cancel: &CancellationToken,
    ) -> Result<BTreeMap<u32, ObjectInfo>, StoreError> {
        upload::parts_under_way(self, key, content, cancel).await
    }

    fn receipts(&self) -> Receipts {
        Receipts::Sources
    }

    /// None: part objects are in listings, below a prefix of their own.
    async fn leftovers(&self, _cancel: &CancellationToken) -> Result<Vec<Leftover>, StoreError> {
        Ok(vec![])
    }

    async fn discard(
        &self,
        _leftover: &Leftover,
        _cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    fn repeats(&self) -> u64 {
        self.requester.repeats()
    }
}
