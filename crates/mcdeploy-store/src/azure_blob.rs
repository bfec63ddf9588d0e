//! Azure Blob Storage.
//!
//! The service checks a CRC-64/NVME on each block and then forgets it. So each block's id
//! says index, length and both CRCs: one `get_block_list` later proves the whole object
//! without reading a byte of it. The id also says which content the block belongs to, so
//! that an upload can go on with blocks that an earlier one staged.
//!
//! `blocks` is the writing half.

use std::{num::NonZero, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::{
    credentials::TokenCredential,
    error::ErrorKind,
    http::{ClientOptions, Etag, RetryOptions, Transport, Url},
    time::OffsetDateTime,
};
use azure_identity::{ManagedIdentityCredential, WorkloadIdentityCredential};
use azure_storage_blob::{
    clients::{BlobContainerClient, BlobContainerClientOptions},
    models::{
        BlobClientDeleteOptions, BlobClientDownloadOptions,
        BlobClientGetPropertiesResultHeaders as _, BlobClientStartCopyFromUrlOptions,
        BlobClientStartCopyFromUrlResultHeaders as _, BlobContainerClientListBlobsOptions,
        BlobItem, BlockListHeaders as _, BlockListType, CopyStatus, HttpRange,
    },
};
use bytes::Bytes;
use futures::TryStreamExt as _;
use mcdeploy_api::{AzureBlobLocation, StoreAccess};
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, Checksums, Leftover, ListedObject, ObjectInfo, ObjectKey, Receipts, Resume, Store,
    StoreError, StoredChecksums, Upload,
    open::{Auth, refused, secret_value},
    request::{CONNECT_DEADLINE, POOL_IDLE, Request, Requester, body_of, cause_of_status},
    store::is_unchanged,
};

mod blocks;

use blocks::checksums_of;

/// How often a copy inside the account is looked at.
const COPY_POLL: Duration = Duration::from_millis(500);

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
        .pool_idle_timeout(POOL_IDLE)
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
                    Some("Crc64Mismatch" | "Md5Mismatch") => Cause::ChecksumMismatch {
                        expected: "the checksum that was sent".to_owned(),
                        actual: detail,
                    },
                    Some("ServerBusy") => cause_of_status(503, detail, retry_after.as_deref()),
                    _ if u16::from(*status) == 416 => Cause::Changed,
                    _ => cause_of_status(u16::from(*status), detail, retry_after.as_deref()),
                }
            }
            ErrorKind::Connection | ErrorKind::Io => self.requester.no_answer(error),
            ErrorKind::Credential => Cause::Denied { detail },
            _ => Cause::Refused { detail },
        }
    }

    async fn read_range(&self, object: &ObjectInfo, range: Range<u64>) -> Result<Bytes, Cause> {
        let length = range.end - range.start;
        let options = BlobClientDownloadOptions {
            if_match: Some(quoted(&object.pin)),
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
        body_of(answer.body, &range, changed).await
    }

    /// Copies with the blocks and their ids, so that the copy can be proved as its source.
    async fn copy(&self, object: &ObjectInfo, to: &ObjectKey) -> Result<(), Cause> {
        let options = BlobClientStartCopyFromUrlOptions {
            if_none_match: Some(Etag::from("*")),
            source_if_match: Some(quoted(&object.pin)),
            ..BlobClientStartCopyFromUrlOptions::default()
        };
        let source = self.client.blob_client(object.key.as_str());
        let target = self.client.blob_client(to.as_str());
        let begun = target
            .start_copy_from_url(source.url().to_string(), Some(options))
            .await
            .map_err(|error| match self.cause(&error) {
                Cause::NotFound | Cause::AlreadyExists => Cause::Changed,
                other => other,
            })?;
        let mut status = begun.copy_status().map_err(|error| self.cause(&error))?;
        while status == Some(CopyStatus::Pending) {
            tokio::time::sleep(COPY_POLL).await;
            let now = target.get_properties(None).await;
            let now = now.map_err(|error| self.cause(&error))?;
            status = now.copy_status().map_err(|error| self.cause(&error))?;
        }
        match status {
            Some(CopyStatus::Success) => Ok(()),
            other => Err(Cause::Refused {
                detail: format!("the copy ended as {other:?}"),
            }),
        }
    }

    async fn blobs(&self, prefix: &str) -> Result<Vec<BlobItem>, Cause> {
        let options = BlobContainerClientListBlobsOptions {
            prefix: Some(prefix.to_owned()),
            ..BlobContainerClientListBlobsOptions::default()
        };
        let pager = self.client.list_blobs(Some(options));
        let pager = pager.map_err(|error| self.cause(&error))?;
        pager
            .try_collect()
            .await
            .map_err(|error| self.cause(&error))
    }
}

/// An `ETag` without quotes: listings leave them out.
fn pin(etag: Option<&Etag>) -> String {
    let text = etag.map(ToString::to_string).unwrap_or_default();
    text.trim_matches('"').to_owned()
}

fn quoted(pin: &str) -> Etag {
    Etag::from(format!("\"{pin}\""))
}

fn listed(blob: BlobItem) -> Result<ListedObject, Cause> {
    let key = blob.name.unwrap_or_default();
    let properties = blob.properties.unwrap_or_default();
    let size = properties.content_length;
    Ok(ListedObject {
        size_bytes: size.ok_or_else(|| Cause::no_size(&key))?,
        key,
        pin: pin(properties.etag.as_ref()),
        checksums: StoredChecksums::default(),
        modified_s: properties.last_modified.map(OffsetDateTime::unix_timestamp),
    })
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
                let blobs = self.blobs(prefix).await?;
                let listed = blobs.into_iter().map(listed);
                let mut listed = listed.collect::<Result<Vec<_>, Cause>>()?;
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
                    size_bytes: length.ok_or_else(|| Cause::no_size(key.as_str()))?,
                    pin: pin(etag.as_ref()),
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
                if etag.is_some_and(|etag| pin(Some(&etag)) != object.pin) {
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
        resume: Resume,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn Upload>, StoreError> {
        blocks::begin(self.clone(), key.clone(), *content, resume, cancel).await
    }

    async fn duplicate(
        &self,
        object: &ObjectInfo,
        to: &ObjectKey,
        cancel: &CancellationToken,
    ) -> Result<bool, StoreError> {
        let request = Request::new("copy to", to.as_str()).bytes(object.size_bytes);
        self.requester
            .send(request, cancel, || self.copy(object, to))
            .await?;
        Ok(true)
    }

    fn receipts(&self) -> Receipts {
        Receipts::Proof
    }

    /// None: the service drops uncommitted blocks by itself a week after the last of them,
    /// and has no request that does so earlier without making the object visible.
    /// Source: <https://learn.microsoft.com/rest/api/storageservices/put-block> (2026-11-23).
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
                    if_match: Some(quoted(&object.pin)),
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
