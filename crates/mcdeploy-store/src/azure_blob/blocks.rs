//! Writing to Azure: blocks are staged in any order, and one list of them makes the blob.

use std::collections::BTreeMap;

use async_trait::async_trait;
use azure_core::http::{Etag, NoFormat, RequestContent};
use azure_storage_blob::models::{
    Block, BlockBlobClientCommitBlockListOptions, BlockBlobClientCommitBlockListResultHeaders as _,
    BlockBlobClientStageBlockOptions, BlockListType, BlockLookupList,
};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::{AzureBlob, pin};
use crate::{
    Cause, Checksums, Crc32c, Crc64Nvme, HeldPart, ObjectKey, Resume, StoreError, StoredChecksums,
    Upload,
    request::Request,
    store::{Tally, part_bytes},
};

/// Largest block, in bytes.
/// Source: <https://learn.microsoft.com/rest/api/storageservices/put-block> (2026-11-23).
const MAX_BLOCK_BYTES: u64 = 4000 * 1024 * 1024;

/// Checksums that our block ids carry; none when any block is of another tool.
pub(super) fn checksums_of(blocks: &[Block], size_bytes: u64) -> StoredChecksums {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BlockId {
    index: u32,
    checksums: Checksums,
    /// CRC-64/NVME of the whole object, which tells uploads to one key apart.
    object: Crc64Nvme,
}

impl BlockId {
    const PREFIX: &'static str = "mcd2";

    fn to_bytes(self) -> Vec<u8> {
        let Self {
            index,
            checksums:
                Checksums {
                    size_bytes,
                    crc64nvme,
                    crc32c,
                },
            object,
        } = self;
        let prefix = Self::PREFIX;
        format!("{prefix}{index:04x}{size_bytes:08x}{crc64nvme}{crc32c}{object}").into_bytes()
    }

    fn parse(id: &[u8]) -> Option<Self> {
        let fields = std::str::from_utf8(id).ok()?.strip_prefix(Self::PREFIX)?;
        let parsed = Self {
            index: u32::from_str_radix(fields.get(..4)?, 16).ok()?,
            checksums: Checksums {
                size_bytes: u64::from_str_radix(fields.get(4..12)?, 16).ok()?,
                crc64nvme: Crc64Nvme::from_hex(fields.get(12..28)?)?,
                crc32c: Crc32c::from_hex(fields.get(28..36)?)?,
            },
            object: Crc64Nvme::from_hex(fields.get(36..52)?)?,
        };
        (parsed.to_bytes() == id).then_some(parsed)
    }
}

pub(super) async fn begin(
    store: AzureBlob,
    key: ObjectKey,
    content: Checksums,
    resume: Resume,
    cancel: &CancellationToken,
) -> Result<Box<dyn Upload>, StoreError> {
    let part_bytes = part_bytes(content.size_bytes).min(MAX_BLOCK_BYTES);
    let tally = Tally::new(&content, part_bytes);
    // One block is sent again sooner than it is looked for.
    if resume == Resume::IfThere && content.size_bytes > part_bytes {
        for block in staged(&store, &key, cancel).await? {
            let Some(id) = block.name.as_deref().and_then(BlockId::parse) else {
                continue;
            };
            if id.object == content.crc64nvme {
                tally.adopt(id.index, id.checksums.into(), id.to_bytes());
            }
        }
    }
    Ok(Box::new(Blocks {
        store,
        key,
        part_bytes,
        object: content.crc64nvme,
        tally,
    }))
}

/// Blocks that were staged and not committed.
async fn staged(
    store: &AzureBlob,
    key: &ObjectKey,
    cancel: &CancellationToken,
) -> Result<Vec<Block>, StoreError> {
    let blob = store.client.blob_client(key.as_str()).block_blob_client();
    let request = Request::new("list blocks of", key.as_str());
    let attempt = || async {
        let listed = blob.get_block_list(BlockListType::Uncommitted, None).await;
        let answer = match listed.map_err(|error| store.cause(&error)) {
            Ok(answer) => answer,
            Err(Cause::NotFound) => return Ok(vec![]),
            Err(other) => return Err(other),
        };
        let list = answer.into_model().map_err(|error| store.cause(&error))?;
        Ok(list.uncommitted_blocks.unwrap_or_default())
    };
    store.requester.send(request, cancel, attempt).await
}

/// Staged blocks; the service drops those that are never committed after a week.
struct Blocks {
    store: AzureBlob,
    key: ObjectKey,
    part_bytes: u64,
    object: Crc64Nvme,
    tally: Tally<Vec<u8>>,
}

#[async_trait]
impl Upload for Blocks {
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
        let object = self.object;
        let id = BlockId {
            index,
            checksums,
            object,
        };
        let name = id.to_bytes();
        let blob = store.client.blob_client(self.key.as_str());
        let blob = blob.block_blob_client();
        let request = Request::new("write block of", self.key.as_str()).bytes(checksums.size_bytes);
        store
            .requester
            .send(request, cancel, || async {
                let options = BlockBlobClientStageBlockOptions {
                    transactional_content_crc64: Some(checksums.crc64nvme.to_azure()),
                    ..BlockBlobClientStageBlockOptions::default()
                };
                let body: RequestContent<Bytes, NoFormat> = bytes.clone().into();
                blob.stage_block(&name, checksums.size_bytes, body, Some(options))
                    .await
                    .map_err(|error| store.cause(&error))?;
                Ok(())
            })
            .await?;
        self.tally.record(index, checksums.into(), name.clone());
        Ok(())
    }

    async fn complete(self: Box<Self>, cancel: &CancellationToken) -> Result<String, StoreError> {
        let store = &self.store;
        let blob = store.client.blob_client(self.key.as_str());
        let blob = blob.block_blob_client();
        let request = Request::new("write", self.key.as_str()).commit();
        let wrong = |cause| store.requester.error("write", request.key, cause);
        let ids = self.tally.finish().map_err(wrong)?;
        store
            .requester
            .send(request, cancel, || async {
                let list = BlockLookupList {
                    latest: Some(ids.clone()),
                    ..BlockLookupList::default()
                };
                let list = list.try_into().map_err(|error| store.cause(&error))?;
                let options = BlockBlobClientCommitBlockListOptions {
                    if_none_match: Some(Etag::from("*")),
                    ..BlockBlobClientCommitBlockListOptions::default()
                };
                let committed = blob.commit_block_list(list, Some(options)).await;
                let committed = committed.map_err(|error| store.cause(&error))?;
                Ok(pin(committed.etag().ok().flatten().as_ref()))
            })
            .await
    }

    /// The service frees them.
    async fn abort(self: Box<Self>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(index: u32, bytes: &[u8]) -> Block {
        let checksums = Checksums::of(bytes);
        let mut block = Block::default();
        let object = Crc64Nvme(7);
        let id = BlockId {
            index,
            checksums,
            object,
        };
        block.name = Some(id.to_bytes());
        block.size = i64::try_from(bytes.len()).ok();
        block
    }

    #[test]
    fn block_ids_are_short_of_equal_length_and_survive_a_round_trip() {
        for (index, bytes) in [(0, &b""[..]), (49_999, b"weights")] {
            let checksums = Checksums::of(bytes);
            let object = Crc64Nvme(u64::MAX);
            let id = BlockId {
                index,
                checksums,
                object,
            };
            assert_eq!(id.to_bytes().len(), 56);
            assert_eq!(BlockId::parse(&id.to_bytes()), Some(id));
        }
        for other in [&b"block-000001"[..], b"", b"mcd20000", &[0xff; 56]] {
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
