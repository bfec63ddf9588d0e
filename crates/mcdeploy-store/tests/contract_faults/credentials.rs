//! K1: a credential that is refused in the middle.

use mcdeploy_api::{ErrorClass, ReplicaState};
use mcdeploy_sandbox::testing::Fault;
use mcdeploy_store::{PublishError, open_directory};

use crate::world::{Cloud, MIB, is_part, one_file, options, replicate};

#[tokio::test(flavor = "multi_thread")]
async fn fault_k1_a_credential_that_expires_mid_upload_is_named_and_the_next_run_goes_on() {
    let clouds = Cloud::all().await;
    let root = tempfile::tempdir().unwrap();
    let source = open_directory(root.path()).unwrap();
    let digest = one_file(source.as_ref(), "v1", 160 * MIB).await;
    for cloud in &clouds {
        let mut parts = 0;
        cloud.proxy.inject(move |request| {
            parts += u32::from(is_part(request));
            let status = 403;
            let retry_after = None;
            (parts > 6).then_some(Fault::Answer {
                status,
                retry_after,
            })
        });
        let targets = [cloud.store.as_ref()];
        let done = replicate(source.as_ref(), &targets, ("v1", &digest), &options()).await;
        let error = done.unwrap().targets.pop().unwrap().outcome.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Permanent, "{error}");
        let PublishError::Store(error) = error else {
            panic!("{error}");
        };
        assert_eq!(error.reason().as_str(), "StoreDenied");
        for secret in cloud.access.secret.0.values() {
            assert!(!error.to_string().contains(secret.as_str()), "{error}");
        }
        assert_eq!(cloud.verified("v1", &digest).await, ReplicaState::Missing);
        cloud.proxy.heal();
        let done = replicate(source.as_ref(), &targets, ("v1", &digest), &options()).await;
        let target = done.unwrap().targets.pop().unwrap();
        assert!(target.outcome.unwrap());
        assert!(
            target.resumed_bytes >= 15 * MIB as u64,
            "{}",
            target.resumed_bytes
        );
        assert_eq!(cloud.verified("v1", &digest).await, ReplicaState::Verified);
    }
}
