//! The test servers themselves.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use mcdeploy_sandbox::testing::TestApiServer;

#[tokio::test]
async fn two_api_servers_run_side_by_side_and_know_nothing_of_each_other() {
    let (one, two) = tokio::join!(TestApiServer::start(), TestApiServer::start());
    let (one, two) = (one.expect("first server"), two.expect("second server"));
    let namespaces = Api::<Namespace>::all(one.client().await.expect("client"));
    namespaces.get("default").await.expect("default namespace");
    let map: ConfigMap = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "here"}
    }))
    .expect("config map");
    let maps = Api::<ConfigMap>::namespaced(one.client().await.expect("client"), "default");
    maps.create(&kube::api::PostParams::default(), &map)
        .await
        .expect("create");
    let others = Api::<ConfigMap>::namespaced(two.client().await.expect("client"), "default");
    assert!(others.get_opt("here").await.expect("get").is_none());
}
