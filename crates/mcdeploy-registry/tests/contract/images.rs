//! Images between real registries (Debian's docker-registry).

use mcdeploy_api::{ErrorClass, Sha256Digest};
use mcdeploy_registry::{
    Credentials, ImageState, Repository, RepositoryAddress, copy_image, image_state,
};
use mcdeploy_sandbox::testing::TestRegistry;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

fn token() -> CancellationToken {
    CancellationToken::new()
}

fn repository(registry: &TestRegistry, name: &str) -> Repository {
    let address = RepositoryAddress {
        registry: registry.authority().to_owned(),
        name: name.to_owned(),
        plain_http: true,
    };
    Repository::new(address, Credentials::Anonymous)
}

/// Writes as any other tool would.
struct Author<'a> {
    registry: &'a TestRegistry,
    http: reqwest::Client,
}

impl Author<'_> {
    async fn blob(&self, bytes: &[u8]) -> Value {
        let digest = Sha256Digest::of(bytes);
        let begin = format!(
            "http://{}/v2/source/blobs/uploads/",
            self.registry.authority()
        );
        let answer = self.http.post(begin).send().await.unwrap();
        let at = answer.headers()["location"].to_str().unwrap().to_owned();
        let put = self.http.put(format!("{at}&digest={digest}"));
        let answer = put.body(bytes.to_vec()).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": digest.to_string(),
            "size": bytes.len(),
        })
    }

    async fn manifest(&self, tag: &str, kind: &str, body: &Value) -> Sha256Digest {
        let bytes = serde_json::to_vec(body).unwrap();
        let digest = Sha256Digest::of(&bytes);
        let name = if tag.is_empty() {
            digest.to_string()
        } else {
            tag.to_owned()
        };
        let url = format!(
            "http://{}/v2/source/manifests/{name}",
            self.registry.authority()
        );
        let put = self.http.put(url).header("content-type", kind).body(bytes);
        let answer = put.send().await.unwrap();
        assert_eq!(answer.status(), 201);
        digest
    }

    /// One platform with a config, a layer of its own and a layer that all share.
    async fn platform(&self, name: &str) -> (Sha256Digest, u64) {
        let config = self.blob(format!("config of {name}").as_bytes()).await;
        let own = self.blob(name.repeat(100_000).as_bytes()).await;
        let shared = self.blob(&vec![7; 300_000]).await;
        let sizes = [&config, &own, &shared].map(|blob| blob["size"].as_u64().unwrap());
        let body = json!({
            "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [own, shared],
        });
        let digest = self.manifest("", IMAGE, &body).await;
        (digest, sizes.iter().sum())
    }

    /// An index of two platforms, and a signature that names it.
    async fn image(&self) -> (Sha256Digest, Sha256Digest, u64) {
        let (amd64, amd64_bytes) = self.platform("amd64").await;
        let (arm64, arm64_bytes) = self.platform("arm64").await;
        let entry = |digest: Sha256Digest, architecture: &str| {
            json!({
                "mediaType": IMAGE, "digest": digest.to_string(), "size": 1,
                "platform": { "os": "linux", "architecture": architecture },
            })
        };
        let index = json!({
            "schemaVersion": 2, "mediaType": INDEX,
            "manifests": [entry(amd64, "amd64"), entry(arm64, "arm64")],
        });
        let digest = self.manifest("v1", INDEX, &index).await;
        let signature = self.signature(&digest).await;
        (digest, signature, amd64_bytes + arm64_bytes)
    }

    /// As cosign writes it to a registry without the referrers API.
    async fn signature(&self, subject: &Sha256Digest) -> Sha256Digest {
        let empty = self.blob(b"{}").await;
        let payload = self.blob(b"signature").await;
        let subject = json!({ "mediaType": INDEX, "digest": subject.to_string(), "size": 1 });
        let body = json!({
            "schemaVersion": 2, "mediaType": IMAGE, "config": empty, "layers": [payload],
            "artifactType": "application/vnd.test.signature", "subject": subject,
        });
        let digest = self.manifest("", IMAGE, &body).await;
        let list = json!({
            "schemaVersion": 2, "mediaType": INDEX,
            "manifests": [{ "mediaType": IMAGE, "digest": digest.to_string(), "size": 1 }],
        });
        let subject = subject["digest"].as_str().unwrap().replace(':', "-");
        self.manifest(&subject, INDEX, &list).await;
        digest
    }
}

struct World {
    from: TestRegistry,
    to: TestRegistry,
    digest: Sha256Digest,
    signature: Sha256Digest,
    bytes: u64,
}

impl World {
    async fn new() -> Self {
        let (from, to) = (
            TestRegistry::start().await.unwrap(),
            TestRegistry::start().await.unwrap(),
        );
        let author = Author {
            registry: &from,
            http: reqwest::Client::new(),
        };
        let (digest, signature, bytes) = author.image().await;
        Self {
            from,
            to,
            digest,
            signature,
            bytes,
        }
    }

    fn source(&self) -> Repository {
        repository(&self.from, "source")
    }

    fn target(&self) -> Repository {
        repository(&self.to, "mirror/source")
    }
}

#[tokio::test]
async fn an_image_arrives_whole_with_platforms_and_signature_and_is_sent_once() {
    let world = World::new().await;
    let (from, to) = (world.source(), world.target());
    let resolved = from.resolve("v1", &token()).await.unwrap();
    assert_eq!(resolved, world.digest);
    let before = image_state(&to, &world.digest, &token()).await.unwrap();
    assert!(matches!(before, ImageState::Missing(_)), "{before:?}");

    let copied = copy_image(&from, &to, &world.digest, &token())
        .await
        .unwrap();
    assert_eq!(copied.manifests, 4, "{copied:?}");
    // The layer that both platforms share is sent once.
    assert_eq!(copied.bytes_there, 300_000, "{copied:?}");
    let signature_bytes = (b"{}".len() + b"signature".len()) as u64;
    assert_eq!(copied.bytes_sent, world.bytes - 300_000 + signature_bytes);
    for digest in [world.digest, world.signature] {
        let state = image_state(&to, &digest, &token()).await.unwrap();
        assert_eq!(state, ImageState::Whole);
    }

    let again = copy_image(&from, &to, &world.digest, &token())
        .await
        .unwrap();
    assert_eq!((again.bytes_sent, again.blobs_sent), (0, 0), "{again:?}");
}

#[tokio::test]
async fn a_byte_changed_on_the_sources_disk_never_becomes_an_image() {
    let world = World::new().await;
    let layer = Sha256Digest::of("arm64".repeat(100_000));
    let file = world.from.blob_file(&layer.hex());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[4_000] ^= 1;
    std::fs::write(&file, bytes).unwrap();

    let (from, to) = (world.source(), world.target());
    let error = copy_image(&from, &to, &world.digest, &token())
        .await
        .unwrap_err();
    assert!(error.to_string().contains(&layer.hex()), "{error}");
    let state = image_state(&to, &world.digest, &token()).await.unwrap();
    assert!(matches!(state, ImageState::Missing(_)), "{state:?}");
}

#[tokio::test]
async fn an_image_that_is_not_there_is_not_found_and_a_dead_registry_is_not_missing() {
    let world = World::new().await;
    let (from, to) = (world.source(), world.target());
    let nothing = Sha256Digest::of("nothing");
    let error = copy_image(&from, &to, &nothing, &token())
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound, "{error}");
    let error = from.resolve("v9", &token()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound, "{error}");

    drop(world.to);
    let error = image_state(&to, &world.digest, &token()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient, "{error}");
}

#[tokio::test]
async fn cancel_ends_a_copy() {
    let world = World::new().await;
    let cancel = token();
    cancel.cancel();
    let error = copy_image(&world.source(), &world.target(), &world.digest, &cancel)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Cancelled);
}
