//! Writing to Google Cloud Storage: one request, or part objects that are composed.
//!
//! The SDK has no parallel upload of one object and no session that outlives a process.
//! So parts are objects of their own below [`PARTS_PREFIX`], outside the listing of any
//! version, in a directory named after key and content: whoever uploads the same content
//! to the same key finds them. Each name ends with its writer's id: a writer that begins
//! takes parts of others as sources, but writes and deletes only its own, and what it took
//! when the object is there.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, RandomState},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use mcdeploy_api::Sha256Digest;
use reqwest::Method;
use tokio_util::sync::CancellationToken;

use super::{Gcs, ObjectResource, parse};
use crate::{
    Cause, Checksums, Crc32c, Crc64Nvme, HeldPart, ListedObject, ObjectInfo, ObjectKey, Resume,
    Store as _, StoreError, StoredChecksums, Upload,
    key::PARTS_PREFIX,
    request::{Request, Requester},
    single::{PutWhole, Single},
    store::{Tally, is_pointless, is_taken, part_bytes},
};

/// Most objects that one request composes.
/// Source: <https://cloud.google.com/storage/docs/composite-objects> (2026-11-23).
const MAX_SOURCES: usize = 32;
/// Part objects that are composed, or deleted, at once.
const AT_ONCE: usize = 8;

pub(super) async fn begin(
    store: Gcs,
    key: ObjectKey,
    content: Checksums,
    resume: Resume,
    cancel: &CancellationToken,
) -> Result<Box<dyn Upload>, StoreError> {
    let part_bytes = part_bytes(content.size_bytes);
    if content.size_bytes <= part_bytes {
        return Ok(Box::new(Single::new(store, key, content, part_bytes)));
    }
    let directory = directory(&key, &content);
    let tally = Tally::new(&content, part_bytes);
    if resume == Resume::IfThere {
        for (name, object) in listed_parts(&store, &directory, cancel).await? {
            let PartName {
                index, crc64nvme, ..
            } = name;
            let checksums = StoredChecksums {
                crc64nvme: Some(crc64nvme),
                ..object.checksums
            };
            let part = HeldPart {
                size_bytes: object.size_bytes,
                checksums,
            };
            if let (Some(_), Ok(object)) = (object.checksums.crc32c, object.object()) {
                tally.adopt(index, part, (object.key, object.pin));
            }
        }
    }
    Ok(Box::new(Parts {
        store,
        key,
        content,
        part_bytes,
        directory,
        tally,
        // A hasher with random keys makes an id that no other writer has.
        writer: format!("{:016x}", RandomState::new().hash_one(0)),
    }))
}

/// The part objects in a directory, with what their names say.
async fn listed_parts(
    store: &Gcs,
    directory: &str,
    cancel: &CancellationToken,
) -> Result<Vec<(PartName, ListedObject)>, StoreError> {
    let listed = store.list(&format!("{directory}/"), cancel).await?;
    let named = listed.into_iter().filter_map(|object| {
        let name = object.key.strip_prefix(directory)?;
        Some((PartName::parse(name)?, object))
    });
    Ok(named.collect())
}

/// The part objects that an upload of this content to this key has made so far.
pub(super) async fn parts_under_way(
    store: &Gcs,
    key: &ObjectKey,
    content: &Checksums,
    cancel: &CancellationToken,
) -> Result<BTreeMap<u32, ObjectInfo>, StoreError> {
    let listed = listed_parts(store, &directory(key, content), cancel).await?;
    let parts = listed
        .into_iter()
        .filter_map(|(name, object)| Some((name.index, object.object().ok()?)));
    Ok(parts.collect())
}

/// Where the parts of this content of this key are.
fn directory(key: &ObjectKey, content: &Checksums) -> String {
    let identity = Sha256Digest::of(format!("{key}\n{content}"));
    format!("{PARTS_PREFIX}{}", identity.short(32))
}

/// What a part object's name says.
#[derive(Debug, PartialEq, Eq)]
struct PartName {
    index: u32,
    crc64nvme: Crc64Nvme,
    /// Absent in names that earlier versions of mcdeploy gave.
    writer: Option<String>,
}

impl PartName {
    fn text(&self) -> String {
        let Self {
            index,
            crc64nvme,
            writer,
        } = self;
        let writer = writer.as_deref().map(|id| format!("-{id}"));
        format!("/{index:06}-{crc64nvme}{}", writer.unwrap_or_default())
    }

    fn parse(text: &str) -> Option<Self> {
        let (index, rest) = text.strip_prefix('/')?.split_once('-')?;
        let (crc, writer) = match rest.split_once('-') {
            Some((crc, writer)) => (crc, Some(writer.to_owned())),
            None => (rest, None),
        };
        let parsed = Self {
            index: index.parse().ok()?,
            crc64nvme: Crc64Nvme::from_hex(crc)?,
            writer,
        };
        (parsed.text() == text).then_some(parsed)
    }
}

impl Gcs {
    /// Creates an object in one request. Gives its generation.
    async fn put(&self, key: &ObjectKey, bytes: Bytes, crc32c: Crc32c) -> Result<String, Cause> {
        let write = self
            .data
            .write_object(self.bucket_path(), key.as_str(), bytes)
            .set_if_generation_match(0_i64)
            .with_known_crc32c(crc32c.0)
            // Whatever the length: a resumable upload takes a request more.
            .with_resumable_upload_threshold(usize::MAX)
            .send_buffered();
        let object = Box::pin(write).await.map_err(|error| self.cause(&error))?;
        Ok(object.generation.to_string())
    }

    /// Makes one object of up to [`MAX_SOURCES`], if nobody was first.
    async fn compose(&self, sources: &[Part], to: &ObjectKey) -> Result<ObjectResource, Cause> {
        let mut url = self.url(Some(to))?;
        url.path_segments_mut()
            .map_err(|()| Cause::Configuration {
                detail: "the endpoint is not a base URL".to_owned(),
            })?
            .push("compose");
        url.query_pairs_mut().append_pair("ifGenerationMatch", "0");
        let sources: Vec<_> = sources
            .iter()
            .map(|(key, generation)| {
                serde_json::json!({
                    "name": key.as_str(),
                    "objectPreconditions": { "ifGenerationMatch": generation },
                })
            })
            .collect();
        let body =
            serde_json::json!({ "kind": "storage#composeRequest", "sourceObjects": sources });
        match self
            .control(Method::POST, url, body.to_string().into())
            .await
        {
            Ok(answer) => parse(&answer),
            // A part is gone: somebody else made the object of it, or swept it.
            Err(Cause::NotFound) => Err(Cause::Changed),
            Err(other) => Err(other),
        }
    }
}

#[async_trait]
impl PutWhole for Gcs {
    fn requester(&self) -> &Requester {
        &self.requester
    }

    async fn put_whole(
        &self,
        key: &ObjectKey,
        content: &Checksums,
        bytes: Bytes,
    ) -> Result<String, Cause> {
        self.put(key, bytes, content.crc32c).await
    }
}

/// Key and generation of a part object.
type Part = (ObjectKey, String);

/// Part objects on their way to one.
struct Parts {
    store: Gcs,
    key: ObjectKey,
    content: Checksums,
    part_bytes: u64,
    directory: String,
    tally: Tally<Part>,
    /// Ends the names of what this upload writes.
    writer: String,
}

impl Parts {
    fn error(&self, cause: Cause) -> StoreError {
        let key = Some(self.key.as_str());
        self.store.requester.error("write", key, cause)
    }

    fn own_key(&self, name: &str) -> Result<ObjectKey, StoreError> {
        let key = ObjectKey::new(format!("{}{name}", self.directory));
        key.map_err(|cause| self.error(Cause::InvalidKey(cause)))
    }

    /// Composes parts into fewer, until one request can make the object.
    async fn gather(
        &self,
        parts: Vec<Part>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Part>, StoreError> {
        let (mut parts, mut level) = (parts, 1);
        while parts.len() > MAX_SOURCES {
            let mut groups = vec![];
            for (n, group) in parts.chunks(MAX_SOURCES).enumerate() {
                groups.push(self.group(level, n, group, cancel));
            }
            let made = stream::iter(groups).buffered(AT_ONCE);
            parts = made.try_collect().await?;
            level += 1;
        }
        Ok(parts)
    }

    async fn group(
        &self,
        level: u32,
        n: usize,
        group: &[Part],
        cancel: &CancellationToken,
    ) -> Result<Part, StoreError> {
        let writer = &self.writer;
        let key = self.own_key(&format!("/level{level}-{n:06}-{writer}"))?;
        // One of an attempt of our own before may be of other parts.
        match self.store.head(&key, cancel).await {
            Ok(old) => self.store.delete(&old, cancel).await?,
            Err(error) if matches!(error.cause, Cause::NotFound) => {}
            Err(error) => return Err(error),
        }
        let request = Request::new("gather parts of", self.key.as_str());
        let attempt = || self.store.compose(group, &key);
        let made = self.store.requester.send(request, cancel, attempt).await?;
        Ok((key, made.generation.unwrap_or_default()))
    }

    /// Composes the parts, checked, into the object.
    async fn commit(&self, cancel: &CancellationToken) -> Result<String, StoreError> {
        let parts = self.tally.finish().map_err(|cause| self.error(cause))?;
        let parts = self.gather(parts, cancel).await?;
        // Not every server knows a condition on this request.
        if is_taken(&self.store, &self.key, cancel).await? {
            return Err(self.error(Cause::AlreadyExists));
        }
        let request = Request::new("write", self.key.as_str()).commit();
        let attempt = || self.store.compose(&parts, &self.key);
        let made = self.store.requester.send(request, cancel, attempt).await?;
        let size = made.size_bytes().ok();
        if size != Some(self.content.size_bytes) || !made.checksums().agree_with(&self.content) {
            let generation = made.generation.clone().unwrap_or_default();
            let attempt = || self.store.remove(&self.key, &generation);
            self.store.requester.send(request, cancel, attempt).await?;
            return Err(self.error(Cause::ChecksumMismatch {
                expected: self.content.to_string(),
                actual: format!("{} bytes {}", size.unwrap_or(0), made.checksums()),
            }));
        }
        Ok(made.generation.unwrap_or_default())
    }

    /// Deletes what the upload wrote, and the parts of others that it took when `is_there`:
    /// then nobody needs them any more. Never fails: what stays is swept.
    async fn clean_up(&self, is_there: bool) {
        let cancel = CancellationToken::new();
        let prefix = format!("{}/", self.directory);
        let taken = if is_there { self.tally.names() } else { vec![] };
        let outcome = async {
            let objects = self.store.list(&prefix, &cancel).await?;
            let mut deletes = vec![];
            for object in objects.iter().filter_map(|object| object.object().ok()) {
                let is_own = object.key.as_str().ends_with(&self.writer);
                if !is_own && !taken.iter().any(|(key, _)| *key == object.key) {
                    continue;
                }
                let request = Request::new("delete parts of", self.key.as_str());
                let (store, cancel) = (&self.store, &cancel);
                deletes.push(async move {
                    let attempt = || store.remove(&object.key, &object.pin);
                    store.requester.send(request, cancel, attempt).await
                });
            }
            let deletes = stream::iter(deletes).buffer_unordered(AT_ONCE);
            deletes.try_collect::<()>().await
        };
        if let Err(error) = outcome.await {
            tracing::warn!("parts of an upload stay: {error}");
        }
    }
}

#[async_trait]
impl Upload for Parts {
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
        let Checksums {
            size_bytes,
            crc64nvme,
            crc32c,
        } = checksums;
        let name = PartName {
            index,
            crc64nvme,
            writer: Some(self.writer.clone()),
        };
        let key = self.own_key(&name.text())?;
        let request = Request::new("write part of", self.key.as_str()).bytes(size_bytes);
        let attempt = || async {
            match self.store.put(&key, bytes.clone(), crc32c).await {
                // Our own write whose answer was lost.
                Err(Cause::AlreadyExists) => {
                    let there: ObjectResource = self.store.get(self.store.url(Some(&key))?).await?;
                    if there.checksums().crc32c != Some(crc32c) {
                        return Err(Cause::AlreadyExists);
                    }
                    Ok(there.generation.unwrap_or_default())
                }
                other => other,
            }
        };
        let generation = self.store.requester.send(request, cancel, attempt).await?;
        self.tally
            .record(index, checksums.into(), (key, generation));
        Ok(())
    }

    async fn complete(self: Box<Self>, cancel: &CancellationToken) -> Result<String, StoreError> {
        let outcome = self.commit(cancel).await;
        if outcome.is_ok() || is_pointless(&outcome) {
            self.clean_up(outcome.is_ok()).await;
        }
        outcome
    }

    async fn abort(self: Box<Self>) {
        self.clean_up(false).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_names_sort_by_index_and_survive_a_round_trip() {
        let crc64nvme = Crc64Nvme(0xab);
        let name = |writer: Option<&str>| PartName {
            index: 42,
            crc64nvme,
            writer: writer.map(str::to_owned),
        };
        let old = name(None);
        assert_eq!(old.text(), "/000042-00000000000000ab");
        assert_eq!(PartName::parse(&old.text()), Some(old));
        let own = name(Some("0123"));
        assert_eq!(own.text(), "/000042-00000000000000ab-0123");
        assert_eq!(PartName::parse(&own.text()), Some(own));
        for other in ["/level1-000000", "/42-00000000000000ab", "", "/000042-xyz"] {
            assert_eq!(PartName::parse(other), None);
        }
    }

    #[test]
    fn other_content_of_the_same_key_has_parts_of_its_own() {
        let key = ObjectKey::new("a/b").unwrap();
        let one = directory(&key, &Checksums::of(b"one"));
        assert_ne!(one, directory(&key, &Checksums::of(b"two")));
        assert_eq!(one.len(), PARTS_PREFIX.len() + 32);
    }
}
