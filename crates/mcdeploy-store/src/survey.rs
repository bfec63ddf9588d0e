//! What a store holds, with what matters before something of it is removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    HeldLease, ListedObject, Store, StoreError, StoredVersion,
    catalog::{parts_of, versions_of},
    key::{LEASES_PREFIX, REMOVALS_PREFIX},
    lease::{Purpose, Seen},
    manifest::CLAIM_FILE,
    sweep::store_clock,
};

/// A version, and who is at work on it. Ages are by the store's own clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedVersion {
    /// What is there.
    pub stored: StoredVersion,
    /// Since its youngest object was written; none where the store does not tell.
    pub age: Option<Duration>,
    /// Since the claim of whoever brings it was written; zero where the store does not tell;
    /// none without a claim.
    pub claim_age: Option<Duration>,
    /// Copies that read it now.
    pub copies: Vec<HeldLease>,
    /// Whether a removal began and did not end: by its lease, or by its note of the manifest.
    pub is_being_removed: bool,
}

/// The versions in a store, sorted by model and version. One listing, and the manifests and
/// leases that it shows; a small object is written and deleted, to ask the store's time.
///
/// # Errors
/// As [`list_versions`](crate::list_versions).
pub async fn survey_versions(
    store: &dyn Store,
    cancel: &CancellationToken,
) -> Result<Vec<SurveyedVersion>, StoreError> {
    let now_s = store_clock(store, cancel).await?;
    let objects = store.list("", cancel).await?;
    let mut leases: BTreeMap<(&str, &str), Vec<Seen>> = BTreeMap::new();
    for object in &objects {
        let Some(key) = object.key.strip_prefix(LEASES_PREFIX) else {
            continue;
        };
        if let Some((model, version, _)) = parts_of(key)
            && let Some(seen) = Seen::of(store, object, cancel).await?
        {
            leases.entry((model, version)).or_default().push(seen);
        }
    }
    let noted = objects.iter().filter_map(|object| {
        let (model, version, _) = parts_of(object.key.strip_prefix(REMOVALS_PREFIX)?)?;
        Some((model, version))
    });
    let noted: BTreeSet<_> = noted.collect();
    let mut dates: BTreeMap<(&str, &str), Dates> = BTreeMap::new();
    for object in &objects {
        if let Some((model, version, file)) = parts_of(&object.key) {
            dates.entry((model, version)).or_default().add(object, file);
        }
    }
    let versions = versions_of(store, &objects, cancel).await?;
    let surveyed = versions.into_iter().map(|stored| {
        let name = (stored.model.as_str(), stored.version.as_str());
        let leases = leases.get(&name).map_or(&[][..], Vec::as_slice);
        let of = |purpose| leases.iter().filter(move |lease| lease.purpose == purpose);
        let dates = dates.get(&name).cloned().unwrap_or_default();
        SurveyedVersion {
            age: dates.youngest.since(now_s),
            claim_age: match dates.claim {
                Written::Nothing => None,
                // Somebody works with it, however old it is.
                _ if of(Purpose::Push).any(|lease| lease.held_at(now_s).is_some()) => {
                    Some(Duration::ZERO)
                }
                claim => Some(claim.since(now_s).unwrap_or(Duration::ZERO)),
            },
            copies: of(Purpose::Copy)
                .filter_map(|lease| lease.held_at(now_s))
                .collect(),
            is_being_removed: of(Purpose::Removal).next().is_some() || noted.contains(&name),
            stored,
        }
    });
    Ok(surveyed.collect())
}

/// When something was written, in seconds since 1970 by the store's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Written {
    /// It was not.
    #[default]
    Nothing,
    /// The store does not tell.
    Untold,
    At(i64),
}

impl Written {
    fn of(object: &ListedObject) -> Self {
        object.modified_s.map_or(Self::Untold, Self::At)
    }

    /// The later of both; unknown when one of them is.
    fn or_later(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, any) | (any, Self::Nothing) => any,
            (Self::Untold, _) | (_, Self::Untold) => Self::Untold,
            (Self::At(a), Self::At(b)) => Self::At(a.max(b)),
        }
    }

    /// How long ago; none where that is not known.
    fn since(self, now_s: i64) -> Option<Duration> {
        match self {
            Self::Nothing | Self::Untold => None,
            Self::At(at_s) => {
                let seconds = u64::try_from(now_s.saturating_sub(at_s)).unwrap_or(0);
                Some(Duration::from_secs(seconds))
            }
        }
    }
}

/// When the objects of a version were written.
#[derive(Clone, Debug, Default)]
struct Dates {
    youngest: Written,
    claim: Written,
}

impl Dates {
    fn add(&mut self, object: &ListedObject, file: &str) {
        if file == CLAIM_FILE {
            self.claim = Written::of(object);
        }
        self.youngest = self.youngest.or_later(Written::of(object));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StoredChecksums;

    #[test]
    fn the_age_of_a_version_is_unknown_when_that_of_one_object_is() {
        let object = |modified_s| ListedObject {
            key: String::new(),
            size_bytes: 1,
            pin: String::new(),
            checksums: StoredChecksums::default(),
            modified_s,
        };
        let mut dates = Dates::default();
        dates.add(&object(Some(5)), "a");
        dates.add(&object(Some(9)), "b");
        dates.add(&object(Some(7)), CLAIM_FILE);
        assert_eq!(
            (dates.youngest, dates.claim),
            (Written::At(9), Written::At(7))
        );
        dates.add(&object(None), "c");
        dates.add(&object(Some(10)), "d");
        assert_eq!(dates.youngest, Written::Untold);
    }
}
