//! Amazon S3, and servers that speak its protocol.
//!
//! Every object gets a full-object CRC-64/NVME that the store itself checks: on a single
//! put by header, on a multipart upload over parts and whole.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Credentials, Region, RequestChecksumCalculation,
        ResponseChecksumValidation, http::HttpResponse, retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    operation::head_object::HeadObjectOutput,
    primitives::ByteStream,
    types::{
        ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
    },
};
use bytes::Bytes;
use mcdeploy_api::{S3Checksums, S3Location, StoreAccess};
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, Checksums, Crc32c, Crc64Nvme, ListedObject, ObjectInfo, ObjectKey, Store, StoreError,
    StoredChecksums, Upload,
    open::{Auth, secret_value},
    request::{CONNECT_DEADLINE, Request, Requester, cause_of_status},
    store::{is_unchanged, part_bytes},
};

pub(crate) async fn open(
    access: &StoreAccess,
    location: &S3Location,
    auth: Auth,
) -> Result<Arc<dyn Store>, StoreError> {
    let S3Location {
        bucket,
        endpoint,
        path_style,
        checksums,
    } = location;
    let mut builder = match auth {
        Auth::Ambient => {
            let region = Region::new(access.spec.region.clone());
            let loader = aws_config::defaults(BehaviorVersion::latest()).region(region);
            aws_sdk_s3::config::Builder::from(&loader.load().await)
        }
        Auth::Secret | Auth::Anonymous => aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(access.spec.region.clone())),
    };
    let mut secrets = vec![];
    match auth {
        Auth::Secret => {
            let id = secret_value(access, "accessKeyId")?;
            let key = secret_value(access, "secretAccessKey")?;
            let token = secret_value(access, "sessionToken").ok();
            secrets.push(key.clone());
            secrets.extend(token.clone());
            let credentials = Credentials::new(id, key, token, None, "ArtifactStore");
            builder = builder.credentials_provider(credentials);
        }
        Auth::Anonymous => builder = builder.allow_no_auth(),
        Auth::Ambient => {}
    }
    if let Some(endpoint) = endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    let calculation = match checksums {
        S3Checksums::WhenSupported => RequestChecksumCalculation::WhenSupported,
        S3Checksums::WhenRequired => RequestChecksumCalculation::WhenRequired,
    };
    let config = builder
        .force_path_style(*path_style)
        .request_checksum_calculation(calculation)
        // Whoever reads checks every byte, and names file, expected and actual; the SDK's own
        // check would end the read first, with none of the three.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_DEADLINE)
                .build(),
        )
        .build();
    let place = match endpoint {
        Some(endpoint) => format!("s3://{bucket} at {endpoint}"),
        None => format!("s3://{bucket}"),
    };
    Ok(Arc::new(S3 {
        client: Client::from_conf(config),
        bucket: bucket.clone(),
        requester: Requester::new(&access.name, place, secrets),
    }))
}

#[derive(Clone, Debug)]
struct S3 {
    client: Client,
    bucket: String,
    requester: Requester,
}

impl S3 {
    fn cause<E>(&self, error: &SdkError<E, HttpResponse>) -> Cause
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match error {
            SdkError::ServiceError(answer) => {
                let raw = answer.raw();
                let code = answer.err().code().unwrap_or_default();
                let message = answer.err().message().unwrap_or_default();
                let status = raw.status().as_u16();
                let detail = self.requester.redact(&format!("{status} {code} {message}"));
                match (status, code) {
                    (_, "NoSuchBucket") => Cause::Refused { detail },
                    // Two writers at once: look who was first.
                    (409, _) => Cause::OutcomeUnknown { detail },
                    (416, _) => Cause::Changed,
                    (_, "SlowDown") => cause_of_status(503, detail, None),
                    _ => cause_of_status(status, detail, raw.headers().get("retry-after")),
                }
            }
            SdkError::ConstructionFailure(_) => Cause::Refused {
                detail: self.requester.detail(error),
            },
            SdkError::TimeoutError(_) => Cause::TimedOut {
                after: CONNECT_DEADLINE,
            },
            _ => Cause::Unreachable {
                detail: self.requester.detail(error),
            },
        }
    }

    async fn read_range(&self, object: &ObjectInfo, range: Range<u64>) -> Result<Bytes, Cause> {
        let answer = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(object.key.as_str())
            .range(format!("bytes={}-{}", range.start, range.end - 1))
            .if_match(&object.pin)
            .send()
            .await
            .map_err(|error| match self.cause(&error) {
                Cause::AlreadyExists => Cause::Changed,
                other => other,
            })?;
        // Not every server knows If-Match on reads.
        if answer.e_tag() != Some(&object.pin) {
            return Err(Cause::Changed);
        }
        let body = answer
            .body
            .collect()
            .await
            .map_err(|error| Cause::Unreachable {
                detail: self.requester.detail(&error),
            })?
            .into_bytes();
        exactly(body, &range)
    }

    async fn list_page(
        &self,
        prefix: &str,
        token: Option<String>,
    ) -> Result<(Vec<ListedObject>, Option<String>), Cause> {
        let page = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .set_continuation_token(token)
            .send()
            .await
            .map_err(|error| match self.cause(&error) {
                Cause::NotFound => Cause::Refused {
                    detail: "the bucket does not exist".to_owned(),
                },
                other => other,
            })?;
        let listed = page.contents().iter().filter_map(|object| {
            Some(ListedObject {
                key: object.key()?.to_owned(),
                size_bytes: u64::try_from(object.size()?).ok()?,
            })
        });
        Ok((listed.collect(), page.next_continuation_token.clone()))
    }
}

/// A body that has all of the range, or an error that may be tried again.
pub(crate) fn exactly(body: Bytes, range: &Range<u64>) -> Result<Bytes, Cause> {
    let expected = range.end - range.start;
    if body.len() as u64 == expected {
        Ok(body)
    } else {
        Err(Cause::Unreachable {
            detail: format!("expected {expected} bytes, got {}", body.len()),
        })
    }
}

/// Only checksums of the whole object count; composite ones depend on the parts.
fn full_object_checksums(head: &HeadObjectOutput) -> StoredChecksums {
    if head.checksum_type() == Some(&ChecksumType::Composite) {
        return StoredChecksums::default();
    }
    StoredChecksums {
        crc64nvme: head.checksum_crc64_nvme().and_then(Crc64Nvme::from_s3),
        crc32c: head.checksum_crc32_c().and_then(Crc32c::from_base64),
    }
}

#[async_trait]
impl Store for S3 {
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
        let (mut all, mut token) = (vec![], None);
        loop {
            let (page, next) = self
                .requester
                .send(Request::new("list", prefix), cancel, || {
                    self.list_page(prefix, token.clone())
                })
                .await?;
            all.extend(page);
            if next.is_none() {
                return Ok(all);
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
                let head = self
                    .client
                    .head_object()
                    .bucket(&self.bucket)
                    .key(key.as_str())
                    .checksum_mode(ChecksumMode::Enabled)
                    .send()
                    .await
                    .map_err(|error| self.cause(&error))?;
                let length = head.content_length().unwrap_or_default();
                Ok(ObjectInfo {
                    key: key.clone(),
                    size_bytes: u64::try_from(length).unwrap_or_default(),
                    pin: head.e_tag().unwrap_or_default().to_owned(),
                    checksums: full_object_checksums(&head),
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
        cancel: &CancellationToken,
    ) -> Result<Box<dyn Upload>, StoreError> {
        let (store, key, content) = (self.clone(), key.clone(), *content);
        let part_bytes = part_bytes(content.size_bytes);
        if content.size_bytes <= part_bytes {
            return Ok(Box::new(Single {
                store,
                key,
                content,
                part_bytes,
                bytes: Bytes::new(),
            }));
        }
        let id = self
            .requester
            .send(Request::new("begin", key.as_str()), cancel, || async {
                let answer = self
                    .client
                    .create_multipart_upload()
                    .bucket(&self.bucket)
                    .key(key.as_str())
                    .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
                    .checksum_type(ChecksumType::FullObject)
                    .send()
                    .await
                    .map_err(|error| self.cause(&error))?;
                answer.upload_id.ok_or_else(|| Cause::Refused {
                    detail: "the answer has no upload id".to_owned(),
                })
            })
            .await?;
        Ok(Box::new(Multipart {
            store,
            key,
            content,
            part_bytes,
            id,
            parts: vec![],
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
        self.requester
            .send(
                Request::new("delete", object.key.as_str()),
                cancel,
                || async {
                    self.client
                        .delete_object()
                        .bucket(&self.bucket)
                        .key(object.key.as_str())
                        .send()
                        .await
                        .map_err(|error| self.cause(&error))?;
                    Ok(())
                },
            )
            .await
    }
}

/// One put, sent when it is completed.
struct Single {
    store: S3,
    key: ObjectKey,
    content: Checksums,
    part_bytes: u64,
    bytes: Bytes,
}

#[async_trait]
impl Upload for Single {
    fn part_bytes(&self) -> u64 {
        self.part_bytes
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
                store
                    .client
                    .put_object()
                    .bucket(&store.bucket)
                    .key(self.key.as_str())
                    .if_none_match("*")
                    .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
                    .checksum_crc64_nvme(self.content.crc64nvme.to_s3())
                    .body(ByteStream::from(self.bytes.clone()))
                    .send()
                    .await
                    .map_err(|error| store.cause(&error))?;
                Ok(())
            })
            .await
    }

    async fn abort(self: Box<Self>) {}
}

/// A multipart upload.
struct Multipart {
    store: S3,
    key: ObjectKey,
    content: Checksums,
    part_bytes: u64,
    id: String,
    parts: Vec<CompletedPart>,
}

#[async_trait]
impl Upload for Multipart {
    fn part_bytes(&self) -> u64 {
        self.part_bytes
    }

    async fn part(
        &mut self,
        index: u32,
        bytes: Bytes,
        checksums: Checksums,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        let store = &self.store;
        let number = i32::try_from(index).unwrap_or(i32::MAX - 1) + 1;
        let crc = checksums.crc64nvme.to_s3();
        let request = Request::new("write part of", self.key.as_str()).bytes(checksums.size_bytes);
        let answer = store
            .requester
            .send(request, cancel, || async {
                store
                    .client
                    .upload_part()
                    .bucket(&store.bucket)
                    .key(self.key.as_str())
                    .upload_id(&self.id)
                    .part_number(number)
                    .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
                    .checksum_crc64_nvme(&crc)
                    .body(ByteStream::from(bytes.clone()))
                    .send()
                    .await
                    .map_err(|error| store.cause(&error))
            })
            .await?;
        let part = CompletedPart::builder()
            .part_number(number)
            .checksum_crc64_nvme(crc)
            .set_e_tag(answer.e_tag)
            .build();
        self.parts.push(part);
        Ok(())
    }

    async fn complete(self: Box<Self>, cancel: &CancellationToken) -> Result<(), StoreError> {
        let store = &self.store;
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(self.parts.clone()))
            .build();
        // The store may have to join the parts before it answers.
        let request = Request::new("write", self.key.as_str())
            .bytes(self.content.size_bytes)
            .commit();
        let outcome = store
            .requester
            .send(request, cancel, || async {
                store
                    .client
                    .complete_multipart_upload()
                    .bucket(&store.bucket)
                    .key(self.key.as_str())
                    .upload_id(&self.id)
                    .if_none_match("*")
                    .checksum_type(ChecksumType::FullObject)
                    .checksum_crc64_nvme(self.content.crc64nvme.to_s3())
                    .set_mpu_object_size(i64::try_from(self.content.size_bytes).ok())
                    .multipart_upload(parts.clone())
                    .send()
                    .await
                    .map_err(|error| store.cause(&error))?;
                Ok(())
            })
            .await;
        if outcome.is_err() {
            self.abort().await;
        }
        outcome
    }

    async fn abort(self: Box<Self>) {
        let store = &self.store;
        let request = Request::new("abort", self.key.as_str());
        // Also after a cancel: parts that stay cost money.
        let outcome = store
            .requester
            .send(request, &CancellationToken::new(), || async {
                store
                    .client
                    .abort_multipart_upload()
                    .bucket(&store.bucket)
                    .key(self.key.as_str())
                    .upload_id(&self.id)
                    .send()
                    .await
                    .map_err(|error| store.cause(&error))?;
                Ok(())
            })
            .await;
        match outcome {
            Err(error) if !matches!(error.cause, Cause::NotFound) => {
                tracing::warn!("parts of an upload stay: {error}");
            }
            Ok(()) | Err(_) => {}
        }
    }
}
