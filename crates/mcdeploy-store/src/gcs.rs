//! Google Cloud Storage.
//!
//! Bytes go through the SDK; control calls (head, list, delete) are the JSON API by plain
//! HTTP, because the SDK makes them by gRPC, which no emulator speaks. The service keeps a
//! CRC-32C of every object and checks the one that we send.

use std::{io, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use google_cloud_auth::credentials::{
    Builder as AmbientCredentials, CacheableResource, Credentials,
    anonymous::Builder as AnonymousCredentials, service_account::Builder as ServiceAccount,
};
use google_cloud_gax::retry_policy::{NeverRetry, RetryPolicyExt as _};
use google_cloud_storage::{
    client::Storage, model_ext::ReadRange, retry_policy::RetryableErrors,
    streaming_source::StreamingSource,
};
use http::Extensions;
use mcdeploy_api::{GcsLocation, StoreAccess};
use reqwest::{Method, Url, header::RETRY_AFTER};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, Checksums, Crc32c, ListedObject, ObjectInfo, ObjectKey, Store, StoreError,
    StoredChecksums, Upload,
    open::{Auth, refused, secret_value},
    request::{CONNECT_DEADLINE, Request, Requester, cause_of_status},
    s3::exactly,
    store::{Tally, is_unchanged},
};

/// Where Google serves the JSON API.
const DEFAULT_ENDPOINT: &str = "https://storage.googleapis.com";
/// What we ask credentials for.
const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";
/// Part length in bytes. Parts go into one resumable stream, so no limit counts them.
const PART_BYTES: u64 = 8 * 1024 * 1024;
/// How long the SDK repeats a step of a resumable upload.
const RESUME_LIMIT: Duration = Duration::from_secs(30);

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
}

impl ObjectResource {
    fn size_bytes(&self) -> u64 {
        let size = self.size.as_deref().unwrap_or("0");
        size.parse().unwrap_or_default()
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

impl Gcs {
    fn bucket_path(&self) -> String {
        format!("projects/_/buckets/{}", self.bucket)
    }

    fn cause(&self, error: &google_cloud_storage::Error) -> Cause {
        let detail = self.requester.detail(error);
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
        Cause::Unreachable { detail }
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

    async fn control(&self, method: Method, url: Url) -> Result<Bytes, Cause> {
        let headers = self
            .credentials
            .headers(Extensions::new())
            .await
            .map_err(|error| Cause::Denied {
                detail: self.requester.detail(&error),
            })?;
        let mut request = self.http.request(method, url);
        if let CacheableResource::New { data, .. } = headers {
            request = request.headers(data);
        }
        let unreachable = |error: reqwest::Error| Cause::Unreachable {
            detail: self.requester.detail(&error.without_url()),
        };
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
        let body = self.control(Method::GET, url).await?;
        serde_json::from_slice(&body).map_err(|error| Cause::Unreachable {
            detail: format!("the answer is not what the JSON API gives: {error}"),
        })
    }

    async fn read_range(&self, object: &ObjectInfo, range: Range<u64>) -> Result<Bytes, Cause> {
        let generation: i64 = object.pin.parse().map_err(|_| Cause::Changed)?;
        // A generation that is gone answers 404.
        let changed = |error: google_cloud_storage::Error| match self.cause(&error) {
            Cause::NotFound | Cause::AlreadyExists => Cause::Changed,
            other => other,
        };
        let mut answer = self
            .data
            .read_object(self.bucket_path(), object.key.as_str())
            .set_generation(generation)
            .set_read_range(ReadRange::segment(range.start, range.end - range.start))
            .send()
            .await
            .map_err(changed)?;
        let length = usize::try_from(range.end - range.start).unwrap_or_default();
        let mut body = BytesMut::with_capacity(length);
        while let Some(chunk) = answer.next().await {
            body.extend_from_slice(&chunk.map_err(changed)?);
        }
        exactly(body.freeze(), &range)
    }
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
            all.extend(page.items.into_iter().map(|item| ListedObject {
                size_bytes: item.size_bytes(),
                key: item.name,
            }));
            if page.next_page_token.as_deref().is_none_or(str::is_empty) {
                return Ok(all);
            }
            token = page.next_page_token;
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
                    size_bytes: object.size_bytes(),
                    checksums: StoredChecksums {
                        crc64nvme: None,
                        crc32c: object.crc32c.as_deref().and_then(Crc32c::from_base64),
                    },
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
        _cancel: &CancellationToken,
    ) -> Result<Box<dyn Upload>, StoreError> {
        if content.size_bytes <= PART_BYTES {
            return Ok(Box::new(Single {
                store: self.clone(),
                key: key.clone(),
                content: *content,
                bytes: Bytes::new(),
            }));
        }
        let (parts, source) = mpsc::channel(1);
        let write = self
            .data
            .write_object(self.bucket_path(), key.as_str(), Parts(source))
            .set_if_generation_match(0_i64)
            .with_known_crc32c(content.crc32c.0)
            .with_retry_policy(RetryableErrors.with_time_limit(RESUME_LIMIT))
            .with_resumable_upload_threshold(0_usize)
            .with_resumable_upload_buffer_size(usize::try_from(PART_BYTES).unwrap_or_default());
        let (requester, store, name) = (self.requester.clone(), self.clone(), key.clone());
        let task = tokio::spawn(async move {
            let outcome = Box::pin(write.send_buffered()).await;
            outcome
                .map(|_| ())
                .map_err(|error| requester.error("write", Some(name.as_str()), store.cause(&error)))
        });
        Ok(Box::new(Resumable {
            store: self.clone(),
            key: key.clone(),
            tally: Tally::new(content),
            parts,
            task: Some(Aborting(task)),
        }))
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
            .send(request, cancel, || async {
                let mut url = self.url(Some(&object.key))?;
                url.query_pairs_mut()
                    .append_pair("ifGenerationMatch", &object.pin);
                match self.control(Method::DELETE, url).await {
                    Ok(_) | Err(Cause::NotFound) => Ok(()),
                    Err(Cause::AlreadyExists) => Err(Cause::Changed),
                    Err(other) => Err(other),
                }
            })
            .await
    }
}

/// One small object, sent when it is completed.
struct Single {
    store: Gcs,
    key: ObjectKey,
    content: Checksums,
    bytes: Bytes,
}

#[async_trait]
impl Upload for Single {
    fn part_bytes(&self) -> u64 {
        PART_BYTES
    }

    async fn part(
        &mut self,
        _index: u32,
        bytes: Bytes,
        _checksums: Checksums,
        _cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        self.bytes = bytes;
        Ok(())
    }

    async fn complete(self: Box<Self>, cancel: &CancellationToken) -> Result<(), StoreError> {
        let store = &self.store;
        let request = Request::new("write", self.key.as_str())
            .bytes(self.content.size_bytes)
            .commit();
        store
            .requester
            .send(request, cancel, || async {
                let write = store
                    .data
                    .write_object(store.bucket_path(), self.key.as_str(), self.bytes.clone())
                    .set_if_generation_match(0_i64)
                    .with_known_crc32c(self.content.crc32c.0)
                    .send_buffered();
                Box::pin(write).await.map_err(|error| store.cause(&error))?;
                Ok(())
            })
            .await
    }

    async fn abort(self: Box<Self>) {}
}

/// What goes into a resumable upload.
enum Piece {
    Bytes(Bytes),
    End,
}

/// The parts as the SDK wants them. Without an `End` the upload fails and nothing
/// becomes visible.
struct Parts(mpsc::Receiver<Piece>);

impl StreamingSource for Parts {
    type Error = io::Error;

    async fn next(&mut self) -> Option<Result<Bytes, Self::Error>> {
        match self.0.recv().await {
            Some(Piece::Bytes(bytes)) => Some(Ok(bytes)),
            Some(Piece::End) => None,
            None => Some(Err(io::Error::other("the upload was given up"))),
        }
    }
}

/// A task that ends when nobody waits for it.
struct Aborting(JoinHandle<Result<(), StoreError>>);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A resumable upload, fed by parts.
struct Resumable {
    store: Gcs,
    key: ObjectKey,
    tally: Tally,
    parts: mpsc::Sender<Piece>,
    task: Option<Aborting>,
}

impl Resumable {
    async fn send(
        &mut self,
        piece: Piece,
        request: Request<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        let mut piece = Some(piece);
        let parts = self.parts.clone();
        let sent = self
            .store
            .requester
            .send(request.commit(), cancel, || {
                let piece = piece.take();
                let parts = &parts;
                async move {
                    let Some(piece) = piece else { return Ok(false) };
                    Ok(parts.send(piece).await.is_ok())
                }
            })
            .await?;
        if sent { Ok(()) } else { self.end(cancel).await }
    }

    /// Waits for the SDK to end.
    async fn end(&mut self, cancel: &CancellationToken) -> Result<(), StoreError> {
        let (key, requester) = (self.key.clone(), self.store.requester.clone());
        let error = |cause| requester.error("write", Some(key.as_str()), cause);
        let lost = |detail: &str| Cause::OutcomeUnknown {
            detail: detail.to_owned(),
        };
        let Some(mut task) = self.task.take() else {
            return Err(error(lost("the upload ended before")));
        };
        let outcome = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(error(Cause::Cancelled)),
            outcome = tokio::time::timeout(RESUME_LIMIT * 3, &mut task.0) => outcome,
        };
        match outcome {
            Ok(Ok(Err(StoreError {
                cause: Cause::Unreachable { detail } | Cause::Throttled { detail, .. },
                ..
            }))) => Err(error(lost(&detail))),
            Ok(Ok(outcome)) => outcome,
            Ok(Err(join)) => Err(error(lost(&join.to_string()))),
            Err(_) => Err(error(lost("no answer to the last part"))),
        }
    }
}

#[async_trait]
impl Upload for Resumable {
    fn part_bytes(&self) -> u64 {
        PART_BYTES
    }

    async fn part(
        &mut self,
        _index: u32,
        bytes: Bytes,
        checksums: Checksums,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        let key = self.key.clone();
        let request = Request::new("write part of", key.as_str()).bytes(checksums.size_bytes);
        self.tally.add(checksums);
        self.send(Piece::Bytes(bytes), request, cancel).await
    }

    async fn complete(mut self: Box<Self>, cancel: &CancellationToken) -> Result<(), StoreError> {
        let key = self.key.clone();
        let request = Request::new("write", key.as_str()).bytes(PART_BYTES);
        let requester = self.store.requester.clone();
        let wrong = |cause| requester.error("write", Some(key.as_str()), cause);
        self.tally.check().map_err(wrong)?;
        self.send(Piece::End, request, cancel).await?;
        self.end(cancel).await
    }

    async fn abort(self: Box<Self>) {}
}
