//! What the operator says about a spec that it cannot use, or that contradicts itself.

use mcdeploy_api::{ArtifactStore, ClusterAccess, EksAccess, MemberCluster, Provider, names};
use mcdeploy_cluster::Force;

use crate::cloud::{World, always, artifact_store, member_cluster};

fn eks() -> ClusterAccess {
    ClusterAccess {
        eks: Some(EksAccess {
            cluster_name: "one".into(),
            region: "eu-west-1".into(),
            account_id: "123456789012".into(),
            role_arn: "arn:aws:iam::123456789012:role/hub".into(),
            endpoint: "https://eks.example.com".into(),
            ca_data: "Zm9v".into(),
        }),
        ..ClusterAccess::default()
    }
}

/// Reason and message of `Ready`, once it is said.
async fn told(world: &World, name: &str) -> (String, String, String) {
    for _ in 0..200 {
        let member: MemberCluster = world.client.get(None, name).await.unwrap().unwrap();
        let conditions = member.status.unwrap_or_default().conditions;
        let mut found = conditions.into_iter();
        if let Some(ready) = found.find(|c| c.type_ == "Ready" && c.reason != "StoreNotFound") {
            return (ready.status, ready.reason, ready.message);
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("nothing is said about {name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_is_told_with_what_to_do() {
    let world = World::start(&["aws"]).await;
    let (hub, manager) = (&world.client, names::FIELD_MANAGER_CLI);
    let mut by_identity = member_cluster("aws-eks", Provider::Aws);
    by_identity.spec.access = eks();
    let mut elsewhere = member_cluster("aws-law", Provider::Aws);
    let known: MemberCluster = hub.get(None, "aws").await.unwrap().unwrap();
    elsewhere.spec.access = known.spec.access;
    elsewhere.spec.region = "eu-west-1".into();
    elsewhere.spec.jurisdiction = Some("US".into());
    let mut store = artifact_store(Provider::Azure);
    store.spec.region = "westeurope".into();
    store.spec.jurisdiction = Some("US".into());
    hub.apply(&by_identity, manager, Force::Yes).await.unwrap();
    hub.apply(&elsewhere, manager, Force::Yes).await.unwrap();
    hub.apply(&store, manager, Force::Yes).await.unwrap();
    world.operate_while(always(), story(&world)).await;
    // Nothing but the status is touched.
    let after: MemberCluster = hub.get(None, "aws-eks").await.unwrap().unwrap();
    assert_eq!(after.spec, by_identity.spec);
}

async fn story(world: &World) {
    let (state, reason, message) = told(world, "aws-eks").await;
    assert_eq!((&*state, &*reason), ("False", "AccessNotSupported"));
    assert!(message.contains("spec.access.eks is kept"), "{message}");
    assert!(
        message.contains("mcdeploy clusters add aws-eks "),
        "{message}"
    );
    let member: MemberCluster = world.client.get(None, "aws-eks").await.unwrap().unwrap();
    let conditions = member.status.unwrap().conditions;
    assert_eq!(crate::cloud::condition(&conditions, "Reachable"), "Unknown");
    let (state, reason, message) = told(world, "aws-law").await;
    assert_eq!((&*state, &*reason), ("False", "Invalid"));
    assert!(message.starts_with("spec.jurisdiction: "), "{message}");
    assert!(message.ends_with("expected IE or EU"), "{message}");
    for _ in 0..100 {
        let store: ArtifactStore = world.client.get(None, "azure").await.unwrap().unwrap();
        let conditions = store.status.unwrap_or_default().conditions;
        if let [ready] = &conditions[..] {
            assert_eq!((&*ready.status, &*ready.reason), ("False", "Invalid"));
            assert!(ready.message.ends_with("expected NL or EU"), "{ready:?}");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("nothing is said about the store");
}
