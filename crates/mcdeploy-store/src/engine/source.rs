//! What the source has. One that is itself still receiving the version is followed: a file
//! is copied as soon as it is there, and a part of one as soon as it can be read, while the
//! next are on their way to the source.
//!
//! An object is visible whole or not at all, so a file that is listed is complete. Whether
//! it, or a part, is the right one is proved as everything else is: by the manifest's
//! checksums, before anything becomes visible in a target.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    ManifestFile, ObjectInfo, ObjectKey, StoreError, VersionName, part_bytes, publish::Files,
};

/// Pause between two looks at a source that is followed.
const LOOK: Duration = Duration::from_millis(500);

/// The source's files, as they were listed.
pub(super) struct Source<'a> {
    from: &'a Files<'a>,
    /// How long something is waited for while nothing else comes either.
    follow: Option<Duration>,
    seen: Mutex<Seen>,
}

/// Where to read a piece of a file.
pub(super) struct Piece {
    pub(super) object: ObjectInfo,
    /// Within the object.
    pub(super) range: Range<u64>,
    /// It is of an upload that is under way: the object goes when the file is there.
    pub(super) is_part: bool,
}

struct Seen {
    files: BTreeMap<String, ObjectInfo>,
    /// Of files that are not there yet.
    parts: BTreeMap<String, Parts>,
    /// None: look now.
    looked_at: Option<Instant>,
    /// When something came last.
    news_at: Instant,
}

#[derive(Default)]
struct Parts {
    by_index: BTreeMap<u32, ObjectInfo>,
    looked_at: Option<Instant>,
}

impl<'a> Source<'a> {
    /// Lists the source: a pin on each file costs no request then.
    pub(super) async fn list(
        from: &'a Files<'a>,
        follow: Option<Duration>,
        cancel: &CancellationToken,
    ) -> Result<Self, StoreError> {
        let now = Instant::now();
        Ok(Self {
            from,
            follow,
            seen: Mutex::new(Seen {
                files: list(from, cancel).await?,
                parts: BTreeMap::new(),
                looked_at: Some(now),
                news_at: now,
            }),
        })
    }

    /// Where to read a range of a file: whatever is read there later is of this content.
    /// Waits for what may still come, and gives none once it is not wanted any more.
    pub(super) async fn piece(
        &self,
        (file, key): (&ManifestFile, &ObjectKey),
        range: &Range<u64>,
        is_wanted: impl Fn() -> bool,
        cancel: &CancellationToken,
    ) -> Result<Option<Piece>, StoreError> {
        loop {
            let mut seen = self.seen.lock().await;
            if let Some(piece) = seen.piece((file, key), range) {
                return Ok(Some(piece));
            }
            let Some(patience) = self.follow else {
                let found = self.from.store.head(key, cancel).await?;
                seen.files.insert(key.as_str().to_owned(), found);
                continue;
            };
            // One looks, and the others get to know.
            if seen.look(self.from, (file, key), cancel).await? {
                continue;
            }
            let is_over = seen.news_at.elapsed() > patience;
            drop(seen);
            if !is_wanted() {
                return Ok(None);
            }
            if is_over || cancel.is_cancelled() {
                self.from.store.head(key, cancel).await?;
            }
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Parts of this file went away: it is looked at again.
    pub(super) async fn forget_parts(&self, key: &ObjectKey) {
        let mut seen = self.seen.lock().await;
        seen.parts.remove(key.as_str());
        seen.looked_at = None;
    }
}

impl Seen {
    fn piece(&self, (file, key): (&ManifestFile, &ObjectKey), range: &Range<u64>) -> Option<Piece> {
        if let Some(object) = self.files.get(key.as_str()) {
            return Some(Piece {
                object: object.clone(),
                range: range.clone(),
                is_part: false,
            });
        }
        let index = u32::try_from(range.start / part_bytes(file.size_bytes)).ok()?;
        let starts_it = u64::from(index) * part_bytes(file.size_bytes) == range.start;
        let part = self.parts.get(key.as_str())?.by_index.get(&index)?;
        let length = range.end - range.start;
        (starts_it && part.size_bytes == length).then(|| Piece {
            object: part.clone(),
            range: 0..length,
            is_part: true,
        })
    }

    /// Looks again, unless somebody did just now. Says whether it did.
    async fn look(
        &mut self,
        from: &Files<'_>,
        (file, key): (&ManifestFile, &ObjectKey),
        cancel: &CancellationToken,
    ) -> Result<bool, StoreError> {
        let is_due = |at: Option<Instant>| at.is_none_or(|at| at.elapsed() >= LOOK);
        if is_due(self.looked_at) {
            let files = list(from, cancel).await?;
            self.looked_at = Some(Instant::now());
            if files.len() != self.files.len() {
                self.news_at = Instant::now();
            }
            self.files = files;
            return Ok(true);
        }
        let parts = self.parts.entry(key.as_str().to_owned()).or_default();
        let has_parts = file.size_bytes > part_bytes(file.size_bytes);
        if !has_parts || !is_due(parts.looked_at) {
            return Ok(false);
        }
        let content = file.checksums();
        let by_index = from.store.parts_under_way(key, &content, cancel).await?;
        if by_index.len() > parts.by_index.len() {
            self.news_at = Instant::now();
        }
        *parts = Parts {
            by_index,
            looked_at: Some(Instant::now()),
        };
        Ok(true)
    }
}

async fn list(
    from: &Files<'_>,
    cancel: &CancellationToken,
) -> Result<BTreeMap<String, ObjectInfo>, StoreError> {
    let prefix = from.version.map_or_else(String::new, VersionName::prefix);
    let listed = from.store.list(&prefix, cancel).await?.into_iter();
    let named = listed.filter_map(|listed| Some((listed.key.clone(), listed.object().ok()?)));
    Ok(named.collect())
}
