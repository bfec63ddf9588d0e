//! A store that can be used, with the credentials of its writers and of its readers.

use mcdeploy_api::{SecretValues, Sha256Digest, StoreAccess};

/// A usable `ArtifactStore` with its credentials.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownStore {
    /// For the operator and for transfer Jobs: it may write.
    pub access: StoreAccess,
    /// Values of the Secret for pods that only read; none: they share the writer's.
    reader: Option<SecretValues>,
    /// Changes with spec and credentials.
    pub version: String,
}

impl KnownStore {
    /// A store, and the credential of its readers where they have one of their own.
    pub fn new(access: StoreAccess, reader: Option<SecretValues>) -> Self {
        // Plain data always serialises. Without a reader it is the version that earlier
        // operators gave: an upgrade applies nothing again.
        let bytes = match &reader {
            None => serde_json::to_vec(&access),
            Some(reader) => serde_json::to_vec(&(&access, reader)),
        };
        let version = Sha256Digest::of(bytes.unwrap_or_default()).short(16);
        Self {
            access,
            reader,
            version,
        }
    }

    /// What pods get that fetch from it.
    pub fn for_readers(&self) -> StoreAccess {
        StoreAccess {
            secret: self.reader.as_ref().unwrap_or(&self.access.secret).clone(),
            ..self.access.clone()
        }
    }

    /// Whether pods that only read hold a credential that may write.
    pub fn is_shared(&self) -> bool {
        self.reader.is_none() && !self.access.secret.0.is_empty()
    }

    /// Whether readers have a credential of their own.
    pub fn has_reader(&self) -> bool {
        self.reader.is_some()
    }
}

#[cfg(test)]
mod tests {
    use mcdeploy_api::{ArtifactStoreSpec, Provider, StoreAuth, StoreLocation};

    use super::*;

    fn values(token: &str) -> SecretValues {
        SecretValues([("sasToken".to_owned(), token.to_owned())].into())
    }

    fn access(secret: SecretValues) -> StoreAccess {
        StoreAccess {
            name: "azure".to_owned(),
            spec: ArtifactStoreSpec {
                provider: Provider::Azure,
                region: "eastus".to_owned(),
                jurisdiction: None,
                location: StoreLocation::default(),
                auth: StoreAuth::default(),
            },
            secret,
        }
    }

    #[test]
    fn pods_never_get_the_credential_that_writes_where_there_is_one_that_reads() {
        let writer = access(values("writes"));
        let apart = KnownStore::new(writer.clone(), Some(values("reads")));
        assert_eq!(apart.for_readers(), access(values("reads")));
        assert_eq!(apart.access, writer);
        assert!(!apart.is_shared() && apart.has_reader());

        let shared = KnownStore::new(writer.clone(), None);
        assert_eq!(shared.for_readers(), writer);
        assert!(shared.is_shared() && !shared.has_reader());

        let without = KnownStore::new(access(SecretValues::default()), None);
        assert!(
            !without.is_shared(),
            "an identity of the cloud is no credential"
        );
    }

    #[test]
    fn the_version_changes_with_either_credential() {
        let version = |writer, reader: Option<&str>| {
            KnownStore::new(access(values(writer)), reader.map(values)).version
        };
        let all = [
            version("a", None),
            version("b", None),
            version("a", Some("c")),
            version("a", Some("d")),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "{all:?}");
    }
}
