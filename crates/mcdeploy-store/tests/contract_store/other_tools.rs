//! Objects that another tool wrote, without checksums that we can use.

use std::fs;

use azure_core::http::Url;
use azure_storage_blob::clients::BlobContainerClient;
use bytes::Bytes;
use mcdeploy_api::ReplicaState;
use mcdeploy_sandbox::testing::Azurite;
use mcdeploy_store::{open, verify_replica};

use crate::{
    tools::{key, random_bytes, token},
    versions::push,
};

#[tokio::test(flavor = "multi_thread")]
async fn objects_without_checksums_are_read_once_and_it_says_so() {
    let server = Azurite::start().await.unwrap();
    let access = server.access();
    let store = open(&access).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let bytes = random_bytes(100_000, 1);
    fs::write(dir.path().join("model.onnx"), &bytes).unwrap();
    let pushed = push(store.as_ref(), dir.path(), "v1").await.unwrap();
    let location = access.spec.location.azure_blob.unwrap();
    let sas = &access.secret.0["sasToken"];
    let url = format!("{}/{}?{sas}", location.endpoint, location.container);
    let foreign = BlobContainerClient::new(Url::parse(&url).unwrap(), None, None).unwrap();
    let object = key("digits/v1/model.onnx");
    for (content, state) in [
        (bytes, ReplicaState::Verified),
        (random_bytes(100_000, 2), ReplicaState::ChecksumMismatch),
    ] {
        let blob = foreign.blob_client(object.as_str());
        blob.upload(Bytes::clone(&content).into(), None)
            .await
            .unwrap();
        let digest = pushed.manifest_digest;
        let report = verify_replica(store.as_ref(), "digits", "v1", &digest, &token())
            .await
            .unwrap();
        assert_eq!(report.state, state, "{}", report.message);
        let read = usize::from(state == ReplicaState::Verified);
        assert_eq!(report.read_files, read);
    }
}
