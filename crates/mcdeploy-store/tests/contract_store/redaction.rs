//! No secret in any error or `Debug`.

use mcdeploy_api::ErrorClass;
use mcdeploy_sandbox::testing::{Azurite, Versitygw};
use mcdeploy_store::{check_store, open};
use tokio_util::sync::CancellationToken;

use crate::tools::{create, key, random_bytes, token};

const CANARY: &str = "canary0123456789canary0123456789";

#[tokio::test(flavor = "multi_thread")]
async fn errors_hold_no_secret() {
    let (aws, azure) = tokio::join!(Versitygw::start(), Azurite::start());
    let (aws, azure) = (aws.unwrap(), azure.unwrap());
    let mut accesses = vec![];
    for (access, name, value) in [
        (aws.access(), "secretAccessKey", CANARY.to_owned()),
        (
            azure.access(),
            "sasToken",
            format!(
                "sv=2022-11-02&ss=b&srt=sco&sp=rwdlacx&se=2099-01-01T00%3A00%3A00Z&sig={CANARY}"
            ),
        ),
    ] {
        let mut refused = access;
        refused.secret.0.insert(name.to_owned(), value);
        let mut unreachable = refused.clone();
        let location = &mut unreachable.spec.location;
        if let Some(s3) = &mut location.s3 {
            s3.endpoint = Some("http://127.0.0.1:9".to_owned());
        }
        if let Some(blob) = &mut location.azure_blob {
            blob.endpoint = "http://127.0.0.1:9/account".to_owned();
        }
        accesses.push((refused, ErrorClass::Permanent, "access denied"));
        accesses.push((unreachable, ErrorClass::Transient, "no usable answer"));
    }
    for (access, class, words) in accesses {
        let store = open(&access).await.unwrap();
        let listed = check_store(store.as_ref(), &token()).await.unwrap_err();
        let written = create(store.as_ref(), &key("a"), &random_bytes(10, 1))
            .await
            .unwrap_err();
        assert_eq!(listed.class(), class, "{listed}");
        for shown in [
            format!("{listed} {listed:?} {written} {written:?}"),
            format!("{store:?} {access:?}"),
        ] {
            assert!(!shown.contains("canary"), "{shown}");
        }
        assert!(listed.to_string().contains(words), "{listed}");
        assert!(listed.to_string().contains(&access.name), "{listed}");
    }
}

#[tokio::test]
async fn unusable_secrets_are_named_by_key_only() {
    let server = Versitygw::start().await.unwrap();
    let mut access = server.access();
    access.secret.0.remove("secretAccessKey");
    access
        .secret
        .0
        .insert("secretKey".to_owned(), CANARY.to_owned());
    let error = open(&access).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("secretAccessKey") && text.contains("secretKey"),
        "{text}"
    );
    assert!(!text.contains(CANARY), "{text}");
    let cancel = CancellationToken::new();
    cancel.cancel();
    let mut both = server.access();
    both.spec.auth.anonymous = Some(mcdeploy_api::Empty {});
    let error = open(&both).await.unwrap_err();
    assert!(error.to_string().contains("exactly one of"), "{error}");
}
