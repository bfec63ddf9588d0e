//! Whether an object has the expected content, from what its store knows of it.

use futures::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use crate::{
    Checksums, Hasher, ObjectInfo, Store, StoreError,
    store::{MAX_WHOLE_BYTES, part_ranges},
};

/// What a comparison found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// The same content.
    Equal {
        /// Whether the bytes had to be read, because the store has no checksum.
        read: bool,
    },
    /// Other content, in words.
    Differs { actual: String },
}

/// Compares by size, then by the store's checksums. An object that some other tool wrote
/// without a usable checksum is read once.
pub(crate) async fn compare(
    store: &dyn Store,
    object: &ObjectInfo,
    expected: &Checksums,
    cancel: &CancellationToken,
) -> Result<Comparison, StoreError> {
    if object.size_bytes != expected.size_bytes {
        return Ok(Comparison::Differs {
            actual: format!("{} bytes", object.size_bytes),
        });
    }
    let stored = store.stored_checksums(object, cancel).await?;
    if !stored.is_empty() {
        return Ok(if stored.agree_with(expected) {
            Comparison::Equal { read: false }
        } else {
            Comparison::Differs {
                actual: format!("{} bytes {stored}", object.size_bytes),
            }
        });
    }
    let actual = read_checksums(store, object, cancel).await?;
    Ok(if actual == *expected {
        Comparison::Equal { read: true }
    } else {
        Comparison::Differs {
            actual: actual.to_string(),
        }
    })
}

/// Checksums of what is really there.
pub(crate) async fn read_checksums(
    store: &dyn Store,
    object: &ObjectInfo,
    cancel: &CancellationToken,
) -> Result<Checksums, StoreError> {
    let ranges = part_ranges(object.size_bytes, MAX_WHOLE_BYTES);
    let mut parts = std::pin::pin!(
        stream::iter(ranges)
            .map(|range| store.read(object, range, cancel))
            .buffered(2)
    );
    let mut hasher = Hasher::default();
    while let Some(bytes) = parts.next().await {
        hasher.update(&bytes?);
    }
    Ok(hasher.finish())
}
