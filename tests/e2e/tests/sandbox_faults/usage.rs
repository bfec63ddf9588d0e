//! Mistakes on the command line and in `mcdeploy.yaml`.

use crate::fixture::Fixture;

#[tokio::test]
async fn unknown_clouds_and_versions_are_named_and_change_nothing() {
    let fixture = Fixture::new().await;
    let before = fixture.deployment().await.metadata.generation;
    let said = fixture
        .refused(&["rollout", "--model", "v3", "--clouds", "awss"], 2)
        .await;
    assert!(said.contains("awss") && said.contains("aws"), "{said}");
    let said = fixture
        .refused(&["rollout", "--model", "v9", "--clouds", "aws"], 5)
        .await;
    assert!(said.contains("v9"), "{said}");
    let image = "registry.mcdeploy.test:5000/mcserve:nothing";
    let said = fixture
        .refused(&["rollout", "--model", "v3", "--image", image], 5)
        .await;
    assert!(said.contains("mcserve:nothing"), "{said}");
    assert_eq!(fixture.deployment().await.metadata.generation, before);
}

#[tokio::test]
async fn a_mistake_in_mcdeploy_yaml_is_told_with_line_and_column() {
    let fixture = Fixture::new().await;
    let file = fixture.sandbox.project().join("mcdeploy.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("replicas: 1", "replicas: many")).unwrap();
    let line = good.lines().position(|line| line == "replicas: 1").unwrap() + 1;
    let said = fixture.refused(&["rollout", "--model", "v3"], 2).await;
    let place = format!("mcdeploy.yaml:{line}:11: ");
    assert!(said.contains(&place), "{place}: {said}");
    assert!(said.contains("expected a whole number"), "{said}");
}

#[tokio::test]
async fn other_bytes_under_a_used_version_are_refused_with_both_digests() {
    let fixture = Fixture::new().await;
    let model = fixture.sandbox.project().join("models/v2/model.onnx");
    let other = fixture.sandbox.project().join("models/v3/model.onnx");
    std::fs::copy(other, model).unwrap();
    let said = fixture.refused(&["push", "v2"], 6).await;
    let digests = said.matches("sha256:").count();
    assert!(digests >= 2, "{said}");
}
