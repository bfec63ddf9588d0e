//! Objects that another tool wrote, without checksums that we can use.

use std::fs;

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    primitives::ByteStream,
    types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart},
};
use azure_core::http::Url;
use azure_storage_blob::clients::BlobContainerClient;
use bytes::Bytes;
use mcdeploy_api::ReplicaState;
use mcdeploy_api::StoreAccess;
use mcdeploy_sandbox::testing::{Azurite, Versitygw};
use mcdeploy_store::{open, verify_replica};

use crate::{
    tools::{MIB, key, random_bytes, token},
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

/// The SDK without any of ours around it.
pub(crate) fn foreign_s3(access: &StoreAccess) -> (Client, String) {
    let location = access.spec.location.s3.clone().unwrap();
    let secret = |name: &str| access.secret.0[name].clone();
    let (id, key) = (secret("accessKeyId"), secret("secretAccessKey"));
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(location.endpoint.unwrap())
        .force_path_style(true)
        .credentials_provider(Credentials::new(id, key, None, None, "test"))
        .build();
    (Client::from_conf(config), location.bucket)
}

/// Uploads in two parts with a checksum of the parts' checksums.
async fn upload_composite(access: &StoreAccess, key: &str, bytes: &Bytes, kind: ChecksumAlgorithm) {
    let (client, bucket) = foreign_s3(access);
    let created = client.create_multipart_upload().bucket(&bucket).key(key);
    let created = created
        .checksum_algorithm(kind.clone())
        .checksum_type(ChecksumType::Composite)
        .send()
        .await
        .unwrap();
    let id = created.upload_id().unwrap();
    let mut parts = vec![];
    for (number, range) in [(1, 0..6 * MIB), (2, 6 * MIB..bytes.len())] {
        let part = client.upload_part().bucket(&bucket).key(key).upload_id(id);
        let sent = part
            .part_number(number)
            .checksum_algorithm(kind.clone())
            .body(ByteStream::from(bytes.slice(range)))
            .send()
            .await
            .unwrap();
        parts.push(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(sent.e_tag)
                .set_checksum_crc32_c(sent.checksum_crc32_c)
                .set_checksum_sha256(sent.checksum_sha256)
                .build(),
        );
    }
    let all = CompletedMultipartUpload::builder()
        .set_parts(Some(parts))
        .build();
    let complete = client.complete_multipart_upload().bucket(&bucket).key(key);
    complete
        .upload_id(id)
        .multipart_upload(all)
        .send()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_whose_checksum_is_of_their_parts_are_read_where_the_server_does_not_tell_the_parts()
 {
    let server = Versitygw::start().await.unwrap();
    let access = server.access();
    let store = open(&access).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let bytes = random_bytes(10 * MIB, 1);
    fs::write(dir.path().join("model.onnx"), &bytes).unwrap();
    let pushed = push(store.as_ref(), dir.path(), "v1").await.unwrap();
    let digest = pushed.manifest_digest;
    let object = "digits/v1/model.onnx";
    for (kind, content, state, read) in [
        (ChecksumAlgorithm::Crc32C, &bytes, ReplicaState::Verified, 1),
        (ChecksumAlgorithm::Sha256, &bytes, ReplicaState::Verified, 1),
        (
            ChecksumAlgorithm::Crc32C,
            &random_bytes(10 * MIB, 2),
            ReplicaState::ChecksumMismatch,
            0,
        ),
    ] {
        upload_composite(&access, object, content, kind.clone()).await;
        let report = verify_replica(store.as_ref(), "digits", "v1", &digest, &token())
            .await
            .unwrap();
        assert_eq!(report.state, state, "{kind:?}: {}", report.message);
        assert_eq!(report.read_files, read, "{kind:?}");
    }
}
