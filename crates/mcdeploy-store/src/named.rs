//! Which keys mcdeploy writes: those that a claim or a manifest of ours names.
//!
//! A bucket may be shared. An upload that is under way carries no name of whoever began it,
//! so it is taken for ours only where a version of ours says that this key is one of its
//! files.

use std::collections::BTreeMap;

use mcdeploy_api::names::MANIFEST_FILE;
use tokio_util::sync::CancellationToken;

use crate::{
    Leftover, ListedObject, Manifest, Mark, Store, StoreError, VersionName,
    catalog::parts_of,
    manifest::{CLAIM_FILE, own_key},
    publish::{announced, read_small},
};

/// What versions of ours say of keys.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// By key: since when it is ours, in seconds since 1970 by the store's clock; none when
    /// that is not known.
    since_s: BTreeMap<String, Option<i64>>,
}

impl Named {
    /// Asks the versions that these uploads may belong to, and no others. A claim or
    /// manifest that cannot be read names nothing.
    ///
    /// # Errors
    /// A store that does not answer, or refuses.
    pub(crate) async fn of(
        store: &dyn Store,
        leftovers: &[Leftover],
        listed: &[ListedObject],
        cancel: &CancellationToken,
    ) -> Result<Self, StoreError> {
        let mut named = Self::default();
        let mut asked = vec![];
        for leftover in leftovers.iter().filter(|l| l.mark == Mark::Possible) {
            let Some((model, version, _)) = parts_of(&leftover.key) else {
                continue;
            };
            let Ok(name) = VersionName::new(model, version) else {
                continue;
            };
            if !asked.contains(&name) {
                named.ask(store, &name, listed, cancel).await?;
                asked.push(name);
            }
        }
        Ok(named)
    }

    async fn ask(
        &mut self,
        store: &dyn Store,
        name: &VersionName,
        listed: &[ListedObject],
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        let there = |file| {
            let key = own_key(name, file).ok()?;
            listed.iter().find(|object| object.key == key.as_str())
        };
        if let Some(claim) = there(CLAIM_FILE)
            && let Some((manifest, _)) = announced(store, name, cancel).await?
        {
            self.add(name, &manifest, claim.modified_s);
        }
        if there(MANIFEST_FILE).is_some()
            && let Ok(key) = own_key(name, MANIFEST_FILE)
            && let Some((_, bytes)) = read_small(store, &key, cancel).await?
            && let Ok(manifest) = Manifest::from_bytes(&bytes)
            && (manifest.model.as_str(), manifest.version.as_str())
                == (name.model(), name.version())
        {
            self.add(name, &manifest, None);
        }
        Ok(())
    }

    fn add(&mut self, name: &VersionName, manifest: &Manifest, since_s: Option<i64>) {
        for file in &manifest.files {
            if let Ok(key) = name.key(&file.path) {
                self.since_s.insert(key.to_string(), since_s);
            }
        }
    }

    /// Whether mcdeploy began the upload. Unknown is no.
    pub(crate) fn is_ours(&self, leftover: &Leftover) -> bool {
        match leftover.mark {
            Mark::Ours => true,
            Mark::Foreign => false,
            Mark::Possible => match (self.since_s.get(&leftover.key), leftover.began_s) {
                (None, _) | (Some(Some(_)), None) => false,
                (Some(None), _) => true,
                // We begin an upload only after the claim.
                (Some(Some(since_s)), Some(began_s)) => began_s >= *since_s,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_ours_where_it_is_marked_or_a_version_of_ours_names_its_key() {
        let named = Named {
            since_s: [
                ("m/v1/claimed".to_owned(), Some(100)),
                ("m/v1/published".to_owned(), None),
            ]
            .into(),
        };
        for (mark, key, began_s, expected) in [
            (Mark::Ours, ".", None, true),
            (Mark::Foreign, "m/v1/claimed", Some(200), false),
            (Mark::Foreign, "m/v1/published", Some(200), false),
            (Mark::Possible, "m/v1/claimed", Some(100), true),
            (Mark::Possible, "m/v1/claimed", Some(99), false),
            (Mark::Possible, "m/v1/claimed", None, false),
            (Mark::Possible, "m/v1/published", Some(1), true),
            (Mark::Possible, "m/v1/other", Some(200), false),
            (Mark::Possible, "of/another/application", Some(200), false),
        ] {
            let leftover = Leftover {
                key: key.to_owned(),
                id: String::new(),
                began_s,
                mark,
            };
            assert_eq!(named.is_ours(&leftover), expected, "{leftover:?}");
        }
    }
}
