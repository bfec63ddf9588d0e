//! Azure Blob Storage.
//!
//! The service checks a CRC-64/NVME on each block and then forgets it. So each block's id
//! says index, length and both CRCs: one `get_block_list` later proves the whole object
//! without reading a byte of it.

use std::{num::NonZero, ops::Range, sync::Arc};

use async_trait::async_trait;
use azure_core::{
    credentials::TokenCredential,
    error::ErrorKind,
    http::{ClientOptions, Etag, NoFormat, RequestContent, RetryOptions, Transport, Url},
};
use azure_identity::{ManagedIdentityCredential, WorkloadIdentityCredential};
use azure_storage_blob::{
    clients::{BlobContainerClient, BlobContainerClientOptions},
    models::{
        BlobClientDeleteOptions, BlobClientDownloadOptions,
        BlobClientGetPropertiesResultHeaders as _, BlobContainerClientListBlobsOptions, Block,
        BlockBlobClientCommitBlockListOptions, BlockBlobClientStageBlockOptions,
        BlockListHeaders as _, BlockListType, BlockLookupList, HttpRange,
    },
};
use bytes::Bytes;
use futures::TryStreamExt as _;
use mcdeploy_api::{AzureBlobLocation, StoreAccess};
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, Checksums, Crc32c, Crc64Nvme, ListedObject, ObjectInfo, ObjectKey, Store, StoreError,
    StoredChecksums, Upload,
    open::{Auth, refused, secret_value},
    request::{CONNECT_DEADLINE, Request, Requester, cause_of_status},
    s3::exactly,
    store::{Tally, is_unchanged, part_bytes},
};

pub(crate) fn open(
    access: &StoreAccess,
    location: &AzureBlobLocation,
    auth: Auth,
) -> Result<Arc<dyn Store>, StoreError> {
    let AzureBlobLocation {
        endpoint,
        container,
    } = location;
    let unusable = |detail: String| refused(access, format!("endpoint {endpoint:?}: {detail}"));
    let mut url = Url::parse(endpoint).map_err(|error| unusable(error.to_string()))?;
    if url.query().is_some() {
        let detail = "has a query; a SAS token belongs into the Secret";
        return Err(refused(access, format!("endpoint {detail}")));
    }
    url.path_segments_mut()
        .map_err(|()| unusable("is not a base URL".to_owned()))?
        .pop_if_empty()
        .push(container);
    let place = format!("az://{container} at {endpoint}");
    let mut secrets = vec![];
    let mut credential: Option<Arc<dyn TokenCredential>> = None;
    match auth {
        Auth::Secret => {
            let sas = secret_value(access, "sasToken")?;
            let sas = sas.trim_start_matches('?');
            url.set_query(Some(sas));
            secrets.push(sas.to_owned());
            let pairs = url.query_pairs().map(|(_, value)| value.into_owned());
            secrets.extend(pairs.filter(|value| value.len() >= 20));
        }
        Auth::Anonymous => {}
        Auth::Ambient => {
            let unusable = |error: azure_core::Error| refused(access, error.to_string());
            credential = Some(match WorkloadIdentityCredential::new(None) {
                Ok(workload) => workload,
                Err(_) => ManagedIdentityCredential::new(None).map_err(unusable)?,
            });
        }
    }
    let requester = Requester::new(&access.name, place, secrets);
    let failed = |error: &(dyn std::error::Error + 'static)| {
        let detail = requester.detail(error);
        requester.error("open", None, Cause::Configuration { detail })
    };
    let http = reqwest::Client::builder()
        .connect_timeout(CONNECT_DEADLINE)
        .build()
        .map_err(|error| failed(&error))?;
    let options = BlobContainerClientOptions {
        client_options: ClientOptions {
            retry: RetryOptions::none(),
            transport: Some(Transport::new(Arc::new(http))),
            ..ClientOptions::default()
        },
        ..BlobContainerClientOptions::default()
    };
    let client =
        BlobContainerClient::new(url, credential, Some(options)).map_err(|e| failed(&e))?;
    Ok(Arc::new(AzureBlob {
        client: Arc::new(client),
        requester,
    }))
}

#[derive(Clone)]
struct AzureBlob {
    client: Arc<BlobContainerClient>,
    requester: Requester,
}

impl std::fmt::Debug for AzureBlob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AzureBlob").field(&self.requester).finish()
    }
}

impl AzureBlob {
    fn cause(&self, error: &azure_core::Error) -> Cause {
        let detail = self.requester.detail(error);
        match error.kind() {
            ErrorKind::HttpResponse {
                status,
                error_code,
                raw_response,
            } => {
                let retry_after = raw_response.as_ref().and_then(|raw| {
                    let name = azure_core::http::headers::RETRY_AFTER;
                    raw.headers().get_optional_string(&name)
                });
                match error_code.as_deref() {
                    Some("ContainerNotFound") => Cause::Refused { detail },
                    Some("BlobAlreadyExists") => Cause::AlreadyExists,
                    Some("ServerBusy") => cause_of_status(503, detail, retry_after.as_deref()),
                    _ if u16::from(*status) == 416 => Cause::Changed,
                    _ => cause_of_status(u16::from(*status), detail, retry_after.as_deref()),
                }
            }
            ErrorKind::Connection | ErrorKind::Io => Cause::Unreachable { detail },
            ErrorKind::Credential => Cause::Denied { detail },
            _ => Cause::Refused { detail },
        }
    }

    async fn read_range(&self, object: &ObjectInfo, range: Range<u64>) -> Result<Bytes, Cause> {
        let length = range.end - range.start;
        let options = BlobClientDownloadOptions {
            if_match: Some(Etag::from(object.pin.clone())),
            range: Some(HttpRange::new(range.start, length)),
            parallel: Some(NonZero::<usize>::MIN),
            partition_size: usize::try_from(length).ok().and_then(NonZero::new),
            ..BlobClientDownloadOptions::default()
        };
        let changed = |error: azure_core::Error| match self.cause(&error) {
            Cause::AlreadyExists => Cause::Changed,
            other => other,
        };
        let answer = self
            .client
            .blob_client(object.key.as_str())
            .download(Some(options))
            .await
            .map_err(changed)?;
        let body = answer.body.collect().await.map_err(changed)?;
        exactly(body, &range)
    }
}

/// Checksums that our block ids carry; none when any block is of another tool.
fn checksums_of(blocks: &[Block], size_bytes: u64) -> StoredChecksums {
    if size_bytes == 0 {
        return Checksums::EMPTY.into();
    }
    let mut whole = Checksums::EMPTY;
    for (index, block) in blocks.iter().enumerate() {
        match block.name.as_deref().and_then(BlockId::parse) {
            Some(id)
                if usize::try_from(id.index) == Ok(index)
                    && block.size.and_then(|n| u64::try_from(n).ok())
                        == Some(id.checksums.size_bytes) =>
            {
                whole = whole.followed_by(id.checksums);
            }
            Some(_) | None => return StoredChecksums::default(),
        }
    }
    if whole.size_bytes == size_bytes {
        whole.into()
    } else {
        StoredChecksums::default()
    }
}

/// What a block's id says. All ids have the same length, as the service demands.
#[derive(Debug, PartialEq, Eq)]
struct BlockId {
    index: u32,
    checksums: Checksums,
}

impl BlockId {
    const PREFIX: &'static str = "mcd1";

    fn to_bytes(&self) -> Vec<u8> {
        let Self { index, checksums } = self;
        let Checksums {
            size_bytes,
            crc64nvme,
            crc32c,
        } = checksums;
        format!(
            "{}-{index:08x}-{size_bytes:016x}-{crc64nvme}-{crc32c}",
            Self::PREFIX
        )
        .into_bytes()
    }

    fn parse(id: &[u8]) -> Option<Self> {
        let mut fields = std::str::from_utf8(id).ok()?.split('-');
        if fields.next()? != Self::PREFIX {
            return None;
        }
        let parsed = Self {
            index: u32::from_str_radix(fields.next()?, 16).ok()?,
            checksums: Checksums {
                size_bytes: u64::from_str_radix(fields.next()?, 16).ok()?,
                crc64nvme: Crc64Nvme::from_hex(fields.next()?)?,
                crc32c: Crc32c::from_hex(fields.next()?)?,
            },
        };
        (parsed.to_bytes() == id).then_some(parsed)
    }
}

#[async_trait]
impl Store for AzureBlob {
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
        self.requester
            .send(Request::new("list", prefix), cancel, || async {
                let options = BlobContainerClientListBlobsOptions {
                    prefix: Some(prefix.to_owned()),
                    ..BlobContainerClientListBlobsOptions::default()
                };
                let pager = self
                    .client
                    .list_blobs(Some(options))
                    .map_err(|error| self.cause(&error))?;
                let blobs: Vec<_> = pager
                    .try_collect()
                    .await
                    .map_err(|error| self.cause(&error))?;
                let mut listed: Vec<_> = blobs
                    .into_iter()
                    .filter_map(|blob| {
                        let length = blob.properties?.content_length?;
                        Some(ListedObject {
                            key: blob.name?,
                            size_bytes: length,
                        })
                    })
                    .collect();
                listed.sort_by(|a, b| a.key.cmp(&b.key));
                Ok(listed)
            })
            .await
    }

    async fn head(
        &self,
        key: &ObjectKey,
        cancel: &CancellationToken,
    ) -> Result<ObjectInfo, StoreError> {
        self.requester
            .send(Request::new("head", key.as_str()), cancel, || async {
                let properties = self
                    .client
                    .blob_client(key.as_str())
                    .get_properties(None)
                    .await
                    .map_err(|error| self.cause(&error))?;
                let length = properties.content_length().map_err(|e| self.cause(&e))?;
                let etag = properties.etag().map_err(|e| self.cause(&e))?;
                Ok(ObjectInfo {
                    key: key.clone(),
                    size_bytes: length.unwrap_or_default(),
                    pin: etag.map(|etag| etag.to_string()).unwrap_or_default(),
                    checksums: StoredChecksums::default(),
                })
            })
            .await
    }

    async fn stored_checksums(
        &self,
        object: &ObjectInfo,
        cancel: &CancellationToken,
    ) -> Result<StoredChecksums, StoreError> {
        let request = Request::new("list blocks of", object.key.as_str());
        self.requester
            .send(request, cancel, || async {
                let answer = self
                    .client
                    .blob_client(object.key.as_str())
                    .block_blob_client()
                    .get_block_list(BlockListType::Committed, None)
                    .await
                    .map_err(|error| self.cause(&error))?;
                let etag = answer.etag().map_err(|error| self.cause(&error))?;
                if etag.is_some_and(|etag| etag.to_string() != object.pin) {
                    return Err(Cause::Changed);
                }
                let list = answer.into_model().map_err(|error| self.cause(&error))?;
                let blocks = list.committed_blocks.unwrap_or_default();
                Ok(checksums_of(&blocks, object.size_bytes))
            })
            .await
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
        Ok(Box::new(Blocks {
            store: self.clone(),
            key: key.clone(),
            part_bytes: part_bytes(content.size_bytes),
            tally: Tally::new(content),
            ids: vec![],
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
                let options = BlobClientDeleteOptions {
                    if_match: Some(Etag::from(object.pin.clone())),
                    ..BlobClientDeleteOptions::default()
                };
                let blob = self.client.blob_client(object.key.as_str());
                match blob.delete(Some(options)).await {
                    Ok(_) => Ok(()),
                    Err(error) => match self.cause(&error) {
                        Cause::NotFound => Ok(()),
                        Cause::AlreadyExists => Err(Cause::Changed),
                        other => Err(other),
                    },
                }
            })
            .await
    }
}

/// Staged blocks; the service drops those that are never committed after a week.
struct Blocks {
    store: AzureBlob,
    key: ObjectKey,
    part_bytes: u64,
    tally: Tally,
    ids: Vec<Vec<u8>>,
}

#[async_trait]
impl Upload for Blocks {
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
        let id = BlockId { index, checksums }.to_bytes();
        let blob = store
            .client
            .blob_client(self.key.as_str())
            .block_blob_client();
        let request = Request::new("write block of", self.key.as_str()).bytes(checksums.size_bytes);
        store
            .requester
            .send(request, cancel, || async {
                let options = BlockBlobClientStageBlockOptions {
                    transactional_content_crc64: Some(checksums.crc64nvme.to_azure()),
                    ..BlockBlobClientStageBlockOptions::default()
                };
                let body: RequestContent<Bytes, NoFormat> = bytes.clone().into();
                blob.stage_block(&id, checksums.size_bytes, body, Some(options))
                    .await
                    .map_err(|error| store.cause(&error))?;
                Ok(())
            })
            .await?;
        self.ids.push(id);
        self.tally.add(checksums);
        Ok(())
    }

    async fn complete(self: Box<Self>, cancel: &CancellationToken) -> Result<(), StoreError> {
        let store = &self.store;
        let blob = store
            .client
            .blob_client(self.key.as_str())
            .block_blob_client();
        let request = Request::new("write", self.key.as_str()).commit();
        self.tally
            .check()
            .map_err(|cause| store.requester.error("write", request.key, cause))?;
        store
            .requester
            .send(request, cancel, || async {
                let list = BlockLookupList {
                    latest: Some(self.ids.clone()),
                    ..BlockLookupList::default()
                };
                let list = list.try_into().map_err(|error| store.cause(&error))?;
                let options = BlockBlobClientCommitBlockListOptions {
                    if_none_match: Some(Etag::from("*")),
                    ..BlockBlobClientCommitBlockListOptions::default()
                };
                blob.commit_block_list(list, Some(options))
                    .await
                    .map_err(|error| store.cause(&error))?;
                Ok(())
            })
            .await
    }

    async fn abort(self: Box<Self>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(index: u32, bytes: &[u8]) -> Block {
        let checksums = Checksums::of(bytes);
        let mut block = Block::default();
        block.name = Some(BlockId { index, checksums }.to_bytes());
        block.size = i64::try_from(bytes.len()).ok();
        block
    }

    #[test]
    fn block_ids_are_short_of_equal_length_and_survive_a_round_trip() {
        for (index, bytes) in [(0, &b""[..]), (49_999, b"weights")] {
            let checksums = Checksums::of(bytes);
            let id = BlockId { index, checksums };
            assert_eq!(id.to_bytes().len(), 56);
            assert_eq!(BlockId::parse(&id.to_bytes()), Some(id));
        }
        for other in [&b"block-000001"[..], b"", b"mcd1-0-0-0-0", &[0xff; 56]] {
            assert_eq!(BlockId::parse(other), None);
        }
    }

    #[test]
    fn a_block_list_proves_the_whole_object_or_nothing() {
        let whole = StoredChecksums::from(Checksums::of(b"weights"));
        let (a, b) = (block(0, b"wei"), block(1, b"ghts"));
        assert_eq!(checksums_of(&[a.clone(), b.clone()], 7), whole);
        for unusable in [vec![b.clone(), a.clone()], vec![a.clone()], vec![]] {
            assert!(checksums_of(&unusable, 7).is_empty());
        }
        let mut foreign = b;
        foreign.name = Some(b"block-1".to_vec());
        assert!(checksums_of(&[a, foreign], 7).is_empty());
        assert_eq!(checksums_of(&[], 0), Checksums::EMPTY.into());
    }
}
