//! Which versions of which stores may go, and why each other one stays.
//!
//! | room | role |
//! |---|---|
//! | [`references`] | what the hub's objects refer to, and what could not be read of them |
//! | here | copies, rules and references in, a verdict for each copy out |
//!
//! **Invariants** (property-tested in `gc/tests.rs`): a copy goes only when everything that
//! can refer to one was read and nothing does; nothing is at work on it; and, while its
//! `ModelVersion` exists, another verified copy stays.

mod references;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use mcdeploy_api::Sha256Digest;

pub use references::{
    DeploymentRefs, HubRefs, KnownVersion, Looked, RecordRefs, Reference, References, Referred,
    RolloutRefs, references,
};

/// One version in one store, as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Name of the store.
    pub store: String,
    /// Model name.
    pub model: String,
    /// Version.
    pub version: String,
    /// What is there.
    pub state: CopyState,
    /// Whether every file was proved equal to the manifest. Looked at only where a
    /// `ModelVersion` exists.
    pub verified: bool,
    /// Since its youngest object was written, by the store's clock; none: unknown.
    pub age: Option<Duration>,
    /// Who reads or brings it now, for people.
    pub at_work: Vec<String>,
}

/// What there is of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyState {
    /// Manifest and files.
    Whole(Sha256Digest),
    /// A manifest, and a file of it is absent or has another size.
    Damaged(Sha256Digest),
    /// A manifest that cannot be read.
    Unreadable,
    /// Files without a manifest, that are claimed.
    Unfinished,
    /// Objects without a manifest, a claim, or a removal's note: the keys of any application
    /// may look like those of a version.
    Foreign,
    /// Files that a removal left behind when it was killed.
    BeingRemoved,
}

impl CopyState {
    /// Digest of the manifest.
    pub fn digest(self) -> Option<Sha256Digest> {
        match self {
            Self::Whole(digest) | Self::Damaged(digest) => Some(digest),
            Self::Unreadable | Self::Unfinished | Self::Foreign | Self::BeingRemoved => None,
        }
    }
}

/// What may go at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcRules {
    /// Stores in which something may go.
    pub stores: BTreeSet<String>,
    /// Only these versions, whatever their age; empty: all that nothing needs.
    pub named: Vec<NamedVersion>,
    /// Newest versions of each model that stay. Not for named ones.
    pub keep_newest: usize,
    /// Younger ones stay. Not for named ones.
    pub older_than: Duration,
}

/// A version that a user names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedVersion {
    /// Model name.
    pub model: String,
    /// Version.
    pub version: String,
    /// What its manifest must be; none: whatever it is.
    pub digest: Option<Sha256Digest>,
}

/// What becomes of one copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing needs it.
    Remove,
    /// Something does.
    Keep(Keep),
}

/// Why a copy stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// A deployment asks for it, or a cluster serves it.
    InUse {
        /// `namespace/name`.
        deployment: String,
        /// Revision id, where one is known.
        revision: Option<String>,
    },
    /// A deployment may return to it.
    RollbackTarget {
        /// `namespace/name`.
        deployment: String,
        /// Revision id.
        revision: String,
    },
    /// What refers to versions could not all be read.
    UnknownReferences {
        /// What could not be read, and why.
        what: String,
    },
    /// It is read or brought now.
    Copying {
        /// Who.
        holder: String,
    },
    /// Its manifest is not the one that was named.
    OtherBytes {
        /// What it is.
        actual: Option<Sha256Digest>,
    },
    /// Its manifest cannot be read, so that nothing is known of it.
    Unreadable,
    /// Nothing says that mcdeploy wrote it.
    Foreign,
    /// It was written not long ago.
    TooYoung {
        /// How long ago; none: the store does not tell.
        age: Option<Duration>,
    },
    /// It is among the newest of its model.
    Newest,
    /// No other verified copy would stay, and its `ModelVersion` exists.
    LastReplica {
        /// `namespace/name` of the `ModelVersion`.
        model_version: String,
    },
}

impl Keep {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "InUse",
            Self::RollbackTarget { .. } => "RollbackTarget",
            Self::UnknownReferences { .. } => "UnknownReferences",
            Self::Copying { .. } => "Copying",
            Self::OtherBytes { .. } => "OtherBytes",
            Self::Unreadable => "Unreadable",
            Self::Foreign => "Foreign",
            Self::TooYoung { .. } => "TooYoung",
            Self::Newest => "Newest",
            Self::LastReplica { .. } => "LastReplica",
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse {
                deployment,
                revision: Some(revision),
            } => write!(f, "ModelDeployment {deployment}, revision {revision}"),
            Self::InUse {
                deployment,
                revision: None,
            } => write!(f, "ModelDeployment {deployment} asks for it"),
            Self::RollbackTarget {
                deployment,
                revision,
            } => write!(
                f,
                "ModelDeployment {deployment} may return to revision {revision}"
            ),
            Self::UnknownReferences { what } => f.write_str(what),
            Self::Copying { holder } => f.write_str(holder),
            Self::OtherBytes {
                actual: Some(actual),
            } => write!(f, "it is {actual}"),
            Self::OtherBytes { actual: None } => f.write_str("it has no manifest"),
            Self::Unreadable => f.write_str("its manifest cannot be read"),
            Self::Foreign => f.write_str(
                "no manifest or claim of mcdeploy names these objects: others may have written them",
            ),
            Self::TooYoung { age: Some(age) } => {
                write!(f, "written {} s ago", age.as_secs())
            }
            Self::TooYoung { age: None } => f.write_str("the store does not tell its age"),
            Self::Newest => f.write_str("among the newest of the model"),
            Self::LastReplica { model_version } => write!(
                f,
                "the last verified copy of ModelVersion {model_version}; delete that first"
            ),
        }
    }
}

/// A verdict for each copy that the rules are about, by index into `copies`, in order.
#[must_use]
pub fn collect(
    copies: &[Copy],
    references: &References,
    rules: &GcRules,
) -> BTreeMap<usize, Verdict> {
    let newest = newest(copies, rules.keep_newest);
    let mut verdicts = BTreeMap::new();
    for (index, copy) in copies.iter().enumerate() {
        let named = rules.named.iter();
        let mut named = named.filter(|n| (&n.model, &n.version) == (&copy.model, &copy.version));
        let named = named.next();
        if !rules.stores.contains(&copy.store) || (named.is_none() && !rules.named.is_empty()) {
            continue;
        }
        let keep = needed(copy, references)
            .or_else(|| at_work(copy))
            .or_else(|| match named {
                Some(named) => is_another(copy, named),
                None => guarded(copy, &newest, rules),
            });
        verdicts.insert(index, keep.map_or(Verdict::Remove, Verdict::Keep));
    }
    spare_last_replicas(copies, references, &mut verdicts);
    verdicts
}

/// What refers to the copy, or may.
fn needed(copy: &Copy, references: &References) -> Option<Keep> {
    let digest = copy.state.digest();
    let mut known = references.known.iter();
    let found = known.find(|r| r.to.is_to(&copy.model, &copy.version, digest));
    found.map(|reference| reference.why.clone()).or_else(|| {
        let what = references.unknown.first()?.clone();
        Some(Keep::UnknownReferences { what })
    })
}

fn at_work(copy: &Copy) -> Option<Keep> {
    let holder = copy.at_work.first()?.clone();
    Some(Keep::Copying { holder })
}

/// Whether a copy that was named is not the one that was meant.
fn is_another(copy: &Copy, named: &NamedVersion) -> Option<Keep> {
    let actual = copy.state.digest();
    match copy.state {
        CopyState::Unreadable => Some(Keep::Unreadable),
        CopyState::Foreign => Some(Keep::Foreign),
        CopyState::Whole(_) | CopyState::Damaged(_) => named
            .digest
            .is_some_and(|digest| Some(digest) != actual)
            .then_some(Keep::OtherBytes { actual }),
        // Nothing tells what it was, and it is of no use.
        CopyState::Unfinished | CopyState::BeingRemoved => None,
    }
}

/// What keeps a copy that was not named.
fn guarded(copy: &Copy, newest: &BTreeSet<(&str, &str)>, rules: &GcRules) -> Option<Keep> {
    match copy.state {
        // A user said that it may go.
        CopyState::BeingRemoved => return None,
        CopyState::Unreadable => return Some(Keep::Unreadable),
        CopyState::Foreign => return Some(Keep::Foreign),
        CopyState::Whole(_) | CopyState::Damaged(_) | CopyState::Unfinished => {}
    }
    if copy.age.is_none_or(|age| age <= rules.older_than) {
        return Some(Keep::TooYoung { age: copy.age });
    }
    newest
        .contains(&(copy.model.as_str(), copy.version.as_str()))
        .then_some(Keep::Newest)
}

/// The newest versions of each model: a version is as old as its oldest copy. One whose age
/// no store tells is new.
fn newest(copies: &[Copy], keep: usize) -> BTreeSet<(&str, &str)> {
    let mut ages: BTreeMap<&str, BTreeMap<&str, Option<Duration>>> = BTreeMap::new();
    let with_manifest = copies.iter().filter(|copy| match copy.state {
        CopyState::Whole(_) | CopyState::Damaged(_) | CopyState::Unreadable => true,
        CopyState::Unfinished | CopyState::Foreign | CopyState::BeingRemoved => false,
    });
    for copy in with_manifest {
        let versions = ages.entry(&copy.model).or_default();
        let age = versions.entry(&copy.version).or_default();
        *age = (*age).max(copy.age);
    }
    let newest = ages.into_iter().flat_map(|(model, versions)| {
        let mut versions: Vec<_> = versions.into_iter().collect();
        // Of two of one age the later name is the newer one.
        versions.sort_by_key(|(version, age)| (*age, Reverse(*version)));
        let kept = versions.into_iter().take(keep);
        kept.map(move |(version, _)| (model, version))
    });
    newest.collect()
}

/// Of each version whose `ModelVersion` exists one verified copy stays: the one that it was
/// pushed to, else the first by name. Where none is verified, all stay.
fn spare_last_replicas(
    copies: &[Copy],
    references: &References,
    verdicts: &mut BTreeMap<usize, Verdict>,
) {
    for known in &references.versions {
        let KnownVersion {
            name,
            model,
            version,
            digest,
            origin,
        } = known;
        let of: Vec<_> = copies
            .iter()
            .enumerate()
            .filter(|(_, copy)| (&copy.model, &copy.version) == (model, version))
            .collect();
        let going = verdicts
            .iter()
            .filter(|(_, verdict)| **verdict == Verdict::Remove);
        let going: BTreeSet<usize> = going.map(|(index, _)| *index).collect();
        let is_good = |copy: &Copy| copy.verified && copy.state == CopyState::Whole(*digest);
        if of
            .iter()
            .any(|(index, copy)| is_good(copy) && !going.contains(index))
        {
            continue;
        }
        let mut good: Vec<_> = of.iter().filter(|(_, copy)| is_good(copy)).collect();
        good.sort_by_key(|(_, copy)| (copy.store != *origin, &copy.store));
        let kept: Vec<usize> = if let Some((index, _)) = good.first() {
            vec![*index]
        } else {
            let with_manifest = of.iter().filter(|(_, copy)| copy.state.digest().is_some());
            with_manifest.map(|(index, _)| *index).collect()
        };
        // Only what would go needs another reason.
        for index in kept.into_iter().filter(|index| going.contains(index)) {
            let keep = Keep::LastReplica {
                model_version: name.clone(),
            };
            verdicts.insert(index, Verdict::Keep(keep));
        }
    }
}
