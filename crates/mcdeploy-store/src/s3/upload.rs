//! Writing to S3: one put, or a multipart upload.
//!
//! Bodies are not signed: the signature covers their CRC-64/NVME, which the store checks,
//! and a SHA-256 of every byte would double the processor time of a copy.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_s3::{
    primitives::{ByteStream, DateTime},
    types::{
        ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, MultipartUpload,
        Part,
    },
};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::{S3, pin};
use crate::{
    Cause, Checksums, Crc64Nvme, HeldPart, Leftover, Mark, ObjectKey, Resume, StoreError,
    StoredChecksums, Upload,
    request::{Request, Requester},
    single::{PutWhole, Single},
    store::{Tally, is_pointless, part_bytes},
};

/// Unfinished uploads of one key that are looked into; more means that something else is
/// wrong, and a new upload is as good.
const MOST_LOOKED_INTO: usize = 4;

pub(super) async fn begin(
    store: S3,
    key: ObjectKey,
    content: Checksums,
    resume: Resume,
    cancel: &CancellationToken,
) -> Result<Box<dyn Upload>, StoreError> {
    let part_bytes = part_bytes(content.size_bytes);
    if content.size_bytes <= part_bytes {
        return Ok(Box::new(Single::new(store, key, content, part_bytes)));
    }
    let mut best: Option<(String, Tally<CompletedPart>)> = None;
    if resume == Resume::IfThere {
        let uploads = unfinished(&store, key.as_str(), cancel).await?;
        let same_key = uploads
            .into_iter()
            .filter(|upload| upload.key == key.as_str());
        for Leftover { id, .. } in same_key.take(MOST_LOOKED_INTO) {
            let tally = Tally::new(&content, part_bytes);
            list_parts(&store, &key, &id, &tally, cancel).await?;
            let most = best.as_ref().map_or(0, |(_, best)| best.held().len());
            if tally.held().len() > most {
                best = Some((id, tally));
            }
        }
    }
    let (id, tally) = match best {
        Some(found) => found,
        None => (
            create(&store, &key, cancel).await?,
            Tally::new(&content, part_bytes),
        ),
    };
    Ok(Box::new(Multipart {
        store,
        key,
        content,
        part_bytes,
        id,
        tally,
    }))
}

async fn create(
    store: &S3,
    key: &ObjectKey,
    cancel: &CancellationToken,
) -> Result<String, StoreError> {
    store
        .requester
        .send(Request::new("begin", key.as_str()), cancel, || async {
            let answer = store
                .client
                .create_multipart_upload()
                .bucket(&store.bucket)
                .key(key.as_str())
                .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
                .checksum_type(ChecksumType::FullObject)
                .send()
                .await
                .map_err(|error| store.cause(&error))?;
            answer.upload_id.ok_or_else(|| Cause::Refused {
                detail: "the answer has no upload id".to_owned(),
            })
        })
        .await
}

/// Uploads under way, or given up, to keys with this prefix.
pub(super) async fn unfinished(
    store: &S3,
    prefix: &str,
    cancel: &CancellationToken,
) -> Result<Vec<Leftover>, StoreError> {
    let (mut all, mut key, mut id) = (vec![], None, None);
    loop {
        let request = Request::new("list uploads to", prefix);
        let page = store
            .requester
            .send(request, cancel, || async {
                store
                    .client
                    .list_multipart_uploads()
                    .bucket(&store.bucket)
                    .prefix(prefix)
                    .set_key_marker(key.clone())
                    .set_upload_id_marker(id.clone())
                    .send()
                    .await
                    .map_err(|error| store.cause(&error))
            })
            .await?;
        let uploads = page.uploads().iter().filter_map(|upload| {
            Some(Leftover {
                key: upload.key()?.to_owned(),
                id: upload.upload_id()?.to_owned(),
                began_s: upload.initiated().map(DateTime::secs),
                mark: mark(upload),
            })
        });
        all.extend(uploads);
        if !page.is_truncated().unwrap_or_default() {
            return Ok(all);
        }
        (key, id) = (page.next_key_marker, page.next_upload_id_marker);
    }
}

/// Ours are made with one kind of checksum. Not every server tells it in the listing.
fn mark(upload: &MultipartUpload) -> Mark {
    let is_other = |algorithm: &ChecksumAlgorithm| *algorithm != ChecksumAlgorithm::Crc64Nvme;
    if upload.checksum_algorithm().is_some_and(is_other)
        || upload.checksum_type() == Some(&ChecksumType::Composite)
    {
        Mark::Foreign
    } else {
        Mark::Possible
    }
}

/// When the upload began or got its last part, whichever is later; none when it is gone.
pub(super) async fn last_activity(
    store: &S3,
    leftover: &Leftover,
    cancel: &CancellationToken,
) -> Result<Option<i64>, StoreError> {
    let parts = parts(store, &leftover.key, &leftover.id, cancel).await?;
    Ok(parts.and_then(|parts| {
        let dates = parts.iter().map(|p| p.last_modified().map(DateTime::secs));
        let mut newest = leftover.began_s?;
        for at in dates {
            newest = newest.max(at?);
        }
        Some(newest)
    }))
}

/// Adopts the parts that the store has of an upload; none when it is gone.
async fn list_parts(
    store: &S3,
    key: &ObjectKey,
    id: &str,
    tally: &Tally<CompletedPart>,
    cancel: &CancellationToken,
) -> Result<(), StoreError> {
    for part in parts(store, key.as_str(), id, cancel)
        .await?
        .unwrap_or_default()
    {
        let index = part.part_number().and_then(|n| u32::try_from(n - 1).ok());
        let size = part.size().and_then(|size| u64::try_from(size).ok());
        let crc = part.checksum_crc64_nvme().and_then(Crc64Nvme::from_s3);
        if let (Some(index), Some(size_bytes), Some(crc)) = (index, size, crc) {
            let checksums = StoredChecksums {
                crc64nvme: Some(crc),
                crc32c: None,
            };
            let held = HeldPart {
                size_bytes,
                checksums,
            };
            let tag = part.e_tag().map(str::to_owned);
            tally.adopt(index, held, completed(index, crc, tag));
        }
    }
    Ok(())
}

/// The parts that the store has of an upload; none when it is gone.
async fn parts(
    store: &S3,
    key: &str,
    id: &str,
    cancel: &CancellationToken,
) -> Result<Option<Vec<Part>>, StoreError> {
    let (mut all, mut marker) = (vec![], None);
    loop {
        let request = Request::new("list parts of", key);
        let page = store
            .requester
            .send(request, cancel, || async {
                let listed = store
                    .client
                    .list_parts()
                    .bucket(&store.bucket)
                    .key(key)
                    .upload_id(id)
                    .set_part_number_marker(marker.clone())
                    .send()
                    .await;
                match listed.map_err(|error| store.cause(&error)) {
                    Ok(page) => Ok(Some(page)),
                    Err(Cause::NotFound) => Ok(None),
                    Err(other) => Err(other),
                }
            })
            .await?;
        let Some(page) = page else { return Ok(None) };
        all.extend_from_slice(page.parts());
        if !page.is_truncated().unwrap_or_default() {
            return Ok(Some(all));
        }
        marker = page.next_part_number_marker;
    }
}

fn part_number(index: u32) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX - 1) + 1
}

fn completed(index: u32, crc: Crc64Nvme, e_tag: Option<String>) -> CompletedPart {
    CompletedPart::builder()
        .part_number(part_number(index))
        .checksum_crc64_nvme(crc.to_s3())
        .set_e_tag(e_tag)
        .build()
}

/// Frees an upload's parts; gone already is fine.
pub(super) async fn abort(
    store: &S3,
    key: &str,
    id: &str,
    cancel: &CancellationToken,
) -> Result<(), StoreError> {
    let attempt = || async {
        let aborted = store
            .client
            .abort_multipart_upload()
            .bucket(&store.bucket)
            .key(key)
            .upload_id(id)
            .send()
            .await;
        match aborted.map_err(|error| store.cause(&error)) {
            Ok(_) | Err(Cause::NotFound) => Ok(()),
            Err(other) => Err(other),
        }
    };
    let request = Request::new("abort", key);
    store.requester.send(request, cancel, attempt).await
}

#[async_trait]
impl PutWhole for S3 {
    fn requester(&self) -> &Requester {
        &self.requester
    }

    async fn put_whole(
        &self,
        key: &ObjectKey,
        content: &Checksums,
        bytes: Bytes,
    ) -> Result<String, Cause> {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key.as_str())
            .if_none_match("*")
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_crc64_nvme(content.crc64nvme.to_s3())
            .body(ByteStream::from(bytes))
            .customize()
            .disable_payload_signing()
            .send()
            .await
            .map(|answer| pin(answer.e_tag()))
            .map_err(|error| self.cause(&error))
    }
}

/// A multipart upload.
struct Multipart {
    store: S3,
    key: ObjectKey,
    content: Checksums,
    part_bytes: u64,
    id: String,
    tally: Tally<CompletedPart>,
}

impl Multipart {
    async fn commit(&self, cancel: &CancellationToken) -> Result<String, StoreError> {
        let store = &self.store;
        // The store may have to join the parts before it answers.
        let request = Request::new("write", self.key.as_str())
            .bytes(self.content.size_bytes)
            .commit();
        let wrong = |cause| store.requester.error("write", request.key, cause);
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(self.tally.finish().map_err(wrong)?))
            .build();
        store
            .requester
            .send(request, cancel, || async {
                let completed = store
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
                    .await;
                match completed.map_err(|error| store.cause(&error)) {
                    Ok(answer) => Ok(pin(answer.e_tag())),
                    Err(Cause::NotFound) => Err(Cause::Changed),
                    Err(other) => Err(other),
                }
            })
            .await
    }
}

#[async_trait]
impl Upload for Multipart {
    fn part_bytes(&self) -> u64 {
        self.part_bytes
    }

    fn held(&self) -> BTreeMap<u32, HeldPart> {
        self.tally.held()
    }

    async fn part(
        &self,
        index: u32,
        bytes: Bytes,
        checksums: Checksums,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        let store = &self.store;
        let request = Request::new("write part of", self.key.as_str()).bytes(checksums.size_bytes);
        let answer = store
            .requester
            .send(request, cancel, || async {
                let sent = store
                    .client
                    .upload_part()
                    .bucket(&store.bucket)
                    .key(self.key.as_str())
                    .upload_id(&self.id)
                    .part_number(part_number(index))
                    .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
                    .checksum_crc64_nvme(checksums.crc64nvme.to_s3())
                    .body(ByteStream::from(bytes.clone()))
                    .customize()
                    .disable_payload_signing()
                    .send()
                    .await;
                sent.map_err(|error| match store.cause(&error) {
                    Cause::NotFound => Cause::Changed,
                    other => other,
                })
            })
            .await?;
        let name = completed(index, checksums.crc64nvme, answer.e_tag);
        self.tally.record(index, checksums.into(), name);
        Ok(())
    }

    async fn complete(self: Box<Self>, cancel: &CancellationToken) -> Result<String, StoreError> {
        let outcome = self.commit(cancel).await;
        if is_pointless(&outcome) {
            self.abort().await;
        }
        outcome
    }

    async fn abort(self: Box<Self>) {
        // Also after a cancel: parts that stay cost money.
        let cancel = CancellationToken::new();
        if let Err(error) = abort(&self.store, self.key.as_str(), &self.id, &cancel).await {
            tracing::warn!("parts of an upload stay: {error}");
        }
    }
}
