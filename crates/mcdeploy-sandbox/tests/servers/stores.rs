//! The store servers themselves.

use mcdeploy_sandbox::testing::{Azurite, FakeGcs, Versitygw};

#[tokio::test]
async fn every_store_starts_with_its_bucket() {
    let (s3, azure, gcs) = tokio::join!(Versitygw::start(), Azurite::start(), FakeGcs::start());
    let (s3, azure, gcs) = (s3.expect("s3"), azure.expect("azure"), gcs.expect("gcs"));
    assert!(s3.object_file("").is_dir());
    assert!(gcs.object_file("").is_dir());
    let secret = azure.access().secret.0;
    assert!(secret.contains_key("sasToken"));
}
