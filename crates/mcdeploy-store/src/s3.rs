//! Amazon S3, and servers that speak its protocol.
//!
//! Every object gets a full-object CRC-64/NVME that the store itself checks: on a single
//! put by header, on a multipart upload over parts and whole.
//!
//! `upload` is the writing half, `delete` what goes.

use std::{ops::Range, pin::Pin, sync::Arc};

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Credentials, Region, RequestChecksumCalculation,
        ResponseChecksumValidation, http::HttpResponse, retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    operation::head_object::HeadObjectOutput,
    primitives::DateTime,
    types::{ChecksumAlgorithm, ChecksumMode, ChecksumType, ObjectAttributes, ObjectPart},
};
use bytes::Bytes;
use futures::stream;
use mcdeploy_api::{ErrorClass, S3Checksums, S3Location, StoreAccess};
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, Checksums, Crc32c, Crc64Nvme, Leftover, ListedObject, ObjectInfo, ObjectKey, Receipts,
    Resume, Store, StoreError, StoredChecksums, Upload,
    open::{Auth, secret_value},
    request::{CONNECT_DEADLINE, Request, Requester, body_of, cause_of_status},
    store::is_taken,
};

mod delete;
mod upload;

use delete::Answer;

/// Largest object that one request copies, in bytes.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html> (2026-11-23).
const MAX_COPY_BYTES: u64 = 5 * 1024 * 1024 * 1024;

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
                    (
                        400,
                        "BadDigest"
                        | "InvalidDigest"
                        | "XAmzContentChecksumMismatch"
                        | "XAmzContentSHA256Mismatch",
                    ) => Cause::ChecksumMismatch {
                        expected: "the checksum that was sent".to_owned(),
                        actual: detail,
                    },
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
            _ => self.requester.no_answer(error),
        }
    }

    async fn head_output(
        &self,
        key: &ObjectKey,
        cancel: &CancellationToken,
    ) -> Result<HeadObjectOutput, StoreError> {
        let attempt = || async {
            let head = self
                .client
                .head_object()
                .bucket(&self.bucket)
                .key(key.as_str())
                .checksum_mode(ChecksumMode::Enabled);
            head.send().await.map_err(|error| self.cause(&error))
        };
        let request = Request::new("head", key.as_str());
        self.requester.send(request, cancel, attempt).await
    }

    async fn read_range(&self, object: &ObjectInfo, range: Range<u64>) -> Result<Bytes, Cause> {
        let answer = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(object.key.as_str())
            .range(format!("bytes={}-{}", range.start, range.end - 1))
            .if_match(format!("\"{}\"", object.pin))
            .send()
            .await
            .map_err(|error| match self.cause(&error) {
                Cause::AlreadyExists => Cause::Changed,
                other => other,
            })?;
        // Not every server knows If-Match on reads.
        if pin(answer.e_tag()) != object.pin {
            return Err(Cause::Changed);
        }
        let mut body = answer.body;
        let chunks = stream::poll_fn(|context| Pin::new(&mut body).poll_next(context));
        body_of(chunks, &range, |error| Cause::Unreachable {
            detail: self.requester.detail(&error),
        })
        .await
    }

    /// Checksums of an object from those of its parts, where another tool uploaded it.
    async fn checksums_of_parts(&self, object: &ObjectInfo) -> Result<StoredChecksums, Cause> {
        let (mut parts, mut marker) = (vec![], None::<String>);
        loop {
            let answer = self
                .client
                .get_object_attributes()
                .bucket(&self.bucket)
                .key(object.key.as_str())
                .object_attributes(ObjectAttributes::ObjectParts)
                .set_part_number_marker(marker.clone())
                .send()
                .await
                .map_err(|error| self.cause(&error))?;
            let Some(page) = answer.object_parts else {
                return Ok(StoredChecksums::default());
            };
            parts.extend_from_slice(page.parts());
            let next = page.next_part_number_marker.clone();
            match next_page(page.is_truncated, next, marker.as_deref())? {
                None => return Ok(combined(&parts, object.size_bytes)),
                next => marker = next,
            }
        }
    }

    async fn copy(&self, object: &ObjectInfo, to: &ObjectKey) -> Result<(), Cause> {
        let copied = self
            .client
            .copy_object()
            .bucket(&self.bucket)
            .key(to.as_str())
            .copy_source(copy_source(&self.bucket, &object.key))
            .copy_source_if_match(format!("\"{}\"", object.pin))
            .if_none_match("*")
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .send()
            .await;
        match copied.map_err(|error| self.cause(&error)) {
            Ok(_) => Ok(()),
            Err(Cause::NotFound | Cause::AlreadyExists) => Err(Cause::Changed),
            Err(other) => Err(other),
        }
    }

    async fn list_page(
        &self,
        prefix: &str,
        asked: Option<String>,
    ) -> Result<(Vec<ListedObject>, Option<String>), Cause> {
        let page = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .set_continuation_token(asked.clone())
            .send()
            .await
            .map_err(|error| match self.cause(&error) {
                Cause::NotFound => Cause::Refused {
                    detail: "the bucket does not exist".to_owned(),
                },
                other => other,
            })?;
        let listed = page.contents().iter().map(|object| {
            let key = object.key().unwrap_or_default().to_owned();
            let size = object.size().and_then(|size| u64::try_from(size).ok());
            Ok(ListedObject {
                size_bytes: size.ok_or_else(|| Cause::no_size(&key))?,
                key,
                pin: pin(object.e_tag()),
                checksums: StoredChecksums::default(),
                modified_s: object.last_modified().map(DateTime::secs),
            })
        });
        let listed = listed.collect::<Result<Vec<_>, Cause>>()?;
        let next = page.next_continuation_token.clone();
        Ok((
            listed,
            next_page(page.is_truncated, next, asked.as_deref())?,
        ))
    }
}

/// Where a list goes on. Servers that speak S3 of their own leave the token out, send one
/// after the last page, or the same again: the first would hide objects, the others never
/// end.
fn next_page(
    is_truncated: Option<bool>,
    next: Option<String>,
    asked: Option<&str>,
) -> Result<Option<String>, Cause> {
    let next = next.filter(|next| !next.is_empty());
    let wrong = match (is_truncated, &next) {
        (Some(false), _) | (None, None) => return Ok(None),
        (Some(true), None) => "it is cut off, and does not say where it goes on",
        (_, Some(next)) if asked == Some(next.as_str()) => "it goes on where it began",
        (_, Some(_)) => return Ok(next),
    };
    Err(Cause::Refused {
        detail: format!("the server's list cannot be read to its end: {wrong}"),
    })
}

/// Bucket and key as a header carries them: every byte but the plainest escaped.
fn copy_source(bucket: &str, key: &ObjectKey) -> String {
    let escaped = key.as_str().bytes().map(|byte| match byte {
        b'/' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    format!("{bucket}/{}", escaped.collect::<String>())
}

/// An `ETag` without quotes: listings of some servers leave them out.
fn pin(e_tag: Option<&str>) -> String {
    e_tag.unwrap_or_default().trim_matches('"').to_owned()
}

/// The whole object's checksum from its parts'; none when a part has none that combines.
fn combined(parts: &[ObjectPart], size_bytes: u64) -> StoredChecksums {
    let mut whole = StoredChecksums::from(Checksums::EMPTY);
    let mut total = 0;
    for part in parts {
        let size = part.size().and_then(|size| u64::try_from(size).ok());
        let size = size.unwrap_or_default();
        let checksums = StoredChecksums {
            crc64nvme: part.checksum_crc64_nvme().and_then(Crc64Nvme::from_s3),
            crc32c: part.checksum_crc32_c().and_then(Crc32c::from_base64),
        };
        whole = whole.followed_by(checksums, size);
        total += size;
    }
    if total == size_bytes {
        whole
    } else {
        StoredChecksums::default()
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
        let head = self.head_output(key, cancel).await?;
        let length = head.content_length();
        let length = length.and_then(|length| u64::try_from(length).ok());
        Ok(ObjectInfo {
            key: key.clone(),
            size_bytes: length.ok_or_else(|| {
                let cause = Cause::no_size(key.as_str());
                self.requester.error("head", Some(key.as_str()), cause)
            })?,
            pin: pin(head.e_tag()),
            checksums: full_object_checksums(&head),
        })
    }

    async fn stored_checksums(
        &self,
        object: &ObjectInfo,
        cancel: &CancellationToken,
    ) -> Result<StoredChecksums, StoreError> {
        if !object.checksums.is_empty() {
            return Ok(object.checksums);
        }
        let key = object.key.as_str();
        let now = self.head(&object.key, cancel).await?;
        if now.pin != object.pin {
            return Err(self.requester.error("head", Some(key), Cause::Changed));
        }
        if !now.checksums.is_empty() {
            return Ok(now.checksums);
        }
        let attempt = || self.checksums_of_parts(object);
        let told = self
            .requester
            .send(Request::new("look at parts of", key), cancel, attempt);
        match told.await {
            // Not every server tells.
            Err(error) if error.class() == ErrorClass::Permanent => Ok(StoredChecksums::default()),
            other => other,
        }
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

    async fn duplicate(
        &self,
        object: &ObjectInfo,
        to: &ObjectKey,
        cancel: &CancellationToken,
    ) -> Result<bool, StoreError> {
        if object.size_bytes > MAX_COPY_BYTES {
            return Ok(false);
        }
        // Not every server knows a condition on this request.
        if is_taken(self, to, cancel).await? {
            let taken = Cause::AlreadyExists;
            return Err(self.requester.error("copy to", Some(to.as_str()), taken));
        }
        let request = Request::new("copy to", to.as_str()).bytes(object.size_bytes);
        self.requester
            .send(request, cancel, || self.copy(object, to))
            .await?;
        Ok(true)
    }

    fn receipts(&self) -> Receipts {
        Receipts::Proof
    }

    async fn leftovers(&self, cancel: &CancellationToken) -> Result<Vec<Leftover>, StoreError> {
        upload::unfinished(self, "", cancel).await
    }

    async fn last_activity(
        &self,
        leftover: &Leftover,
        cancel: &CancellationToken,
    ) -> Result<Option<i64>, StoreError> {
        upload::last_activity(self, leftover, cancel).await
    }

    async fn discard(
        &self,
        leftover: &Leftover,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        upload::abort(self, &leftover.key, &leftover.id, cancel).await
    }

    fn repeats(&self) -> u64 {
        self.requester.repeats()
    }

    async fn delete(
        &self,
        object: &ObjectInfo,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        let now = match self.head_output(&object.key, cancel).await {
            Ok(now) => now,
            Err(error) if error.class() == ErrorClass::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if pin(now.e_tag()) != object.pin {
            let key = Some(object.key.as_str());
            return Err(self.requester.error("delete", key, Cause::Changed));
        }
        let request = Request::new("delete", object.key.as_str());
        for only in delete::conditions(now.version_id(), &object.pin) {
            let attempt = || delete::send(self, &object.key, &only);
            match self.requester.send(request, cancel, attempt).await? {
                Answer::Gone => return Ok(()),
                Answer::Refused => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    #[test]
    fn a_key_goes_into_a_header_whatever_letters_it_has() {
        let key = ObjectKey::new("a b/grüße+1.onnx").unwrap();
        assert_eq!(
            copy_source("models", &key),
            "models/a%20b/gr%C3%BC%C3%9Fe%2B1.onnx"
        );
    }

    #[test]
    fn a_list_is_read_to_its_end_or_refused() {
        let page = |is_truncated, next: Option<&str>, asked| {
            next_page(is_truncated, next.map(str::to_owned), asked)
        };
        assert_eq!(
            page(Some(true), Some("b"), Some("a")).unwrap().as_deref(),
            Some("b")
        );
        assert_eq!(page(None, Some("b"), None).unwrap().as_deref(), Some("b"));
        for (is_truncated, next) in [(Some(false), None), (None, None), (Some(false), Some("b"))] {
            assert_eq!(page(is_truncated, next, None).unwrap(), None);
        }
        // The rest would be hidden, or the same come again for ever.
        for (next, asked) in [(None, None), (Some(""), None), (Some("a"), Some("a"))] {
            assert!(page(Some(true), next, asked).is_err(), "{next:?} {asked:?}");
        }
    }

    #[test]
    fn parts_tell_the_whole_where_each_has_a_checksum_that_combines() {
        let part = |bytes: &[u8]| {
            let crc = STANDARD.encode(Checksums::of(bytes).crc32c.0.to_be_bytes());
            let size = i64::try_from(bytes.len()).ok();
            let part = ObjectPart::builder().set_size(size);
            part.checksum_crc32_c(crc)
        };
        let whole = combined(&[part(b"wei").build(), part(b"ghts").build()], 7);
        let expected = Checksums::of(b"weights");
        assert_eq!(whole.crc32c, Some(expected.crc32c));
        assert_eq!(whole.crc64nvme, None);
        let other = part(b"ghts").set_checksum_crc32_c(None);
        let other = other.checksum_sha256("abc").build();
        assert!(combined(&[part(b"wei").build(), other], 7).is_empty());
        assert!(combined(&[part(b"wei").build()], 7).is_empty());
        assert!(combined(&[], 7).is_empty());
    }
}
