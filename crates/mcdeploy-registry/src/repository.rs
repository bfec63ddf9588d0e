//! One repository of one registry.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures::{TryStreamExt as _, stream::BoxStream};
use http::HeaderValue;
use mcdeploy_api::{SecretValues, Sha256Digest};
use oci_client::{
    Client, Reference, RegistryOperation,
    client::{ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    secrets::RegistryAuth,
};
use tokio_util::sync::CancellationToken;

use crate::{
    RegistryCause, RegistryError,
    manifest::{ACCEPTED, Blob},
    request::{self, CONNECT_TIMEOUT, Call, READ_TIMEOUT},
};

/// Largest manifest that is read, in bytes; registries refuse to keep larger ones.
const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// How to authorise requests.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Not at all.
    #[default]
    Anonymous,
    /// HTTP Basic, which registries exchange for a token of their own.
    Basic {
        /// User name, such as `AWS`.
        username: String,
        /// Password or token.
        password: String,
    },
}

impl Credentials {
    /// `username` and `password` of a Secret; anonymous unless both are there.
    pub fn from_secret(secret: &SecretValues) -> Self {
        let value = |key: &str| secret.0.get(key).cloned();
        match (value("username"), value("password")) {
            (Some(username), Some(password)) => Self::Basic { username, password },
            (None | Some(_), _) => Self::Anonymous,
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic { .. } => "Basic(***)",
        })
    }
}

/// Where a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryAddress {
    /// `host` or `host:port`.
    pub registry: String,
    /// Such as `models/mcserve`.
    pub name: String,
    /// Whether to speak HTTP without TLS.
    pub plain_http: bool,
}

/// One repository. Every call is bounded in time, and repeats what may pass by itself.
#[derive(Clone)]
pub struct Repository {
    client: Arc<Client>,
    address: RepositoryAddress,
    auth: RegistryAuth,
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Repository").field(&self.address).finish()
    }
}

impl Repository {
    /// Makes no request yet.
    pub fn new(address: RepositoryAddress, credentials: Credentials) -> Self {
        let protocol = if address.plain_http {
            ClientProtocol::Http
        } else {
            ClientProtocol::Https
        };
        let client = Client::new(ClientConfig {
            protocol,
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(READ_TIMEOUT),
            // One request a blob: every registry knows it, and some refuse small chunks.
            use_monolithic_push: true,
            user_agent: "mcdeploy",
            ..ClientConfig::default()
        });
        Self {
            client: Arc::new(client),
            address,
            auth: match credentials {
                Credentials::Anonymous => RegistryAuth::Anonymous,
                Credentials::Basic { username, password } => {
                    RegistryAuth::Basic(username, password)
                }
            },
        }
    }

    /// `host/name`.
    pub fn location(&self) -> String {
        format!("{}/{}", self.address.registry, self.address.name)
    }

    /// The digest that a tag has now.
    ///
    /// # Errors
    /// `NotFound` when there is no such tag or repository.
    pub async fn resolve(
        &self,
        tag: &str,
        cancel: &CancellationToken,
    ) -> Result<Sha256Digest, RegistryError> {
        let call = Call::new("look up tag", tag);
        let digest = self
            .send(&call, cancel, || async {
                let reference = self.tagged(tag);
                let found = self.client.fetch_manifest_digest(&reference, &self.auth);
                found.await.map_err(|e| RegistryCause::of(&e))
            })
            .await?;
        digest.parse().map_err(|error| {
            let detail = format!("{error}");
            self.error(&call, RegistryCause::Refused { detail })
        })
    }

    /// A manifest's bytes, which have this digest.
    pub(crate) async fn manifest(
        &self,
        digest: &Sha256Digest,
        cancel: &CancellationToken,
    ) -> Result<Bytes, RegistryError> {
        let call = Call::new("read manifest", digest);
        self.send(&call, cancel, || async {
            let reference = self.pinned(digest);
            let pulled = self
                .client
                .pull_manifest_raw(&reference, &self.auth, &ACCEPTED);
            let (bytes, _) = pulled.await.map_err(|e| RegistryCause::of(&e))?;
            let actual = Sha256Digest::of(&bytes);
            if actual != *digest {
                let detail = format!("expected {digest}, actual {actual}");
                return Err(RegistryCause::DigestMismatch { detail });
            }
            if bytes.len() > MAX_MANIFEST_BYTES {
                let detail = format!("a manifest of {} bytes", bytes.len());
                return Err(RegistryCause::Refused { detail });
            }
            Ok(bytes)
        })
        .await
    }

    /// Writes a manifest under its digest, or under `tag`.
    pub(crate) async fn put_manifest(
        &self,
        tag: Option<&str>,
        bytes: &Bytes,
        media_type: &str,
        cancel: &CancellationToken,
    ) -> Result<(), RegistryError> {
        let digest = Sha256Digest::of(bytes);
        let call = Call::new(
            "write manifest",
            tag.map_or(digest.to_string(), str::to_owned),
        );
        let kind = HeaderValue::from_str(media_type).map_err(|_| {
            let detail = "the media type has control characters".to_owned();
            self.error(&call, RegistryCause::Refused { detail })
        })?;
        let reference = tag.map_or_else(|| self.pinned(&digest), |tag| self.tagged(tag));
        self.send(&call, cancel, || async {
            self.authorise(&reference, RegistryOperation::Push).await?;
            let pushed = self
                .client
                .push_manifest_raw(&reference, bytes.clone(), kind.clone());
            pushed.await.map_err(|e| RegistryCause::of(&e))?;
            Ok(())
        })
        .await
    }

    /// Whether the registry holds a config or layer. Reads none of its bytes.
    pub(crate) async fn has_blob(
        &self,
        blob: &Blob,
        cancel: &CancellationToken,
    ) -> Result<bool, RegistryError> {
        let call = Call::new("look for blob", blob.digest);
        let reference = self.pinned(&blob.digest);
        self.send(&call, cancel, || async {
            self.authorise(&reference, RegistryOperation::Pull).await?;
            let digest = blob.digest.to_string();
            let found = self.client.blob_exists(&reference, &digest);
            found.await.map_err(|e| RegistryCause::of(&e))
        })
        .await
    }

    /// Streams a config or layer from `from`, checked against its digest by both sides.
    pub(crate) async fn copy_blob(
        &self,
        from: &Self,
        blob: &Blob,
        cancel: &CancellationToken,
    ) -> Result<(), RegistryError> {
        let call = Call::new("copy blob", blob.digest).bytes(blob.size_bytes);
        let (source, target) = (from.pinned(&blob.digest), self.pinned(&blob.digest));
        let digest = blob.digest.to_string();
        self.send(&call, cancel, || async {
            from.authorise(&source, RegistryOperation::Pull).await?;
            self.authorise(&target, RegistryOperation::Push).await?;
            let pulled = from.client.pull_blob_stream(&source, digest.as_str());
            let stream = pulled.await.map_err(|e| from.at(RegistryCause::of(&e)))?;
            let stream = stream.stream.map_err(OciDistributionError::IoError);
            let size = Some(blob.size_bytes);
            let pushed = self.client.push_blob_stream(&target, stream, &digest, size);
            pushed.await.map_err(|e| RegistryCause::of(&e))?;
            Ok(())
        })
        .await
    }

    /// A blob's bytes; a digest that does not hold ends the stream with an error.
    pub(crate) async fn blob(
        &self,
        digest: &Sha256Digest,
        cancel: &CancellationToken,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, RegistryError> {
        let call = Call::new("read blob", digest);
        let reference = self.pinned(digest);
        let text = digest.to_string();
        self.send(&call, cancel, || async {
            self.authorise(&reference, RegistryOperation::Pull).await?;
            let pulled = self.client.pull_blob_stream(&reference, text.as_str());
            Ok(pulled.await.map_err(|e| RegistryCause::of(&e))?.stream)
        })
        .await
    }

    /// Manifests that name `digest` as their subject: signatures, provenance, SBOMs.
    pub(crate) async fn referrers(
        &self,
        digest: &Sha256Digest,
        cancel: &CancellationToken,
    ) -> Result<Vec<oci_client::manifest::ImageIndexEntry>, RegistryError> {
        let call = Call::new("list referrers of", digest);
        let reference = self.pinned(digest);
        self.send(&call, cancel, || async {
            self.authorise(&reference, RegistryOperation::Pull).await?;
            let index = self.client.pull_referrers(&reference, None);
            Ok(index.await.map_err(|e| RegistryCause::of(&e))?.manifests)
        })
        .await
    }

    /// The client asks for a token only in some of its calls.
    async fn authorise(
        &self,
        reference: &Reference,
        operation: RegistryOperation,
    ) -> Result<(), RegistryCause> {
        let outcome = self.client.auth(reference, &self.auth, operation).await;
        outcome.map(|_| ()).map_err(|e| RegistryCause::of(&e))
    }

    /// A cause that names this side of a copy.
    fn at(&self, cause: RegistryCause) -> RegistryCause {
        match cause {
            RegistryCause::NotFound => RegistryCause::Refused {
                detail: format!("the source {} does not have it", self.location()),
            },
            RegistryCause::Denied { detail } => RegistryCause::Denied {
                detail: format!("{} (source): {detail}", self.location()),
            },
            other => other,
        }
    }

    fn pinned(&self, digest: &Sha256Digest) -> Reference {
        let RepositoryAddress { registry, name, .. } = &self.address;
        Reference::with_digest(registry.clone(), name.clone(), digest.to_string())
    }

    fn tagged(&self, tag: &str) -> Reference {
        let RepositoryAddress { registry, name, .. } = &self.address;
        Reference::with_tag(registry.clone(), name.clone(), tag.to_owned())
    }

    pub(crate) fn refused(
        &self,
        operation: &'static str,
        what: &Sha256Digest,
        detail: String,
    ) -> RegistryError {
        self.error(
            &Call::new(operation, what),
            RegistryCause::Refused { detail },
        )
    }

    fn error(&self, call: &Call, cause: RegistryCause) -> RegistryError {
        call.error(self.location(), cause)
    }

    async fn send<T, F, A>(
        &self,
        call: &Call,
        cancel: &CancellationToken,
        attempt: F,
    ) -> Result<T, RegistryError>
    where
        F: FnMut() -> A,
        A: Future<Output = Result<T, RegistryCause>>,
    {
        let outcome = request::send(call, cancel, attempt).await;
        outcome.map_err(|cause| self.error(call, cause))
    }
}
