use mcdeploy_api::Provider;
use serde_json::json;

use super::*;
use crate::fixtures;

fn mixed() -> ModelDeployment {
    let providers = [Provider::Aws, Provider::Azure];
    let mut deployment = fixtures::deployment("digits", "v3", &providers);
    deployment.spec.scope = serde_json::from_value(json!({"providers": ["aws"]})).unwrap();
    deployment.status = serde_json::from_value(json!({
        "observedGeneration": 4,
        "targetRevision": "0123456789",
        "rollout": "digits-4",
        "servingClusters": "1/2",
        "conditions": [
            {"type": "MixedRevisions", "status": "True", "reason": "OutOfScope",
             "message": "azure keeps v2", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "Ready", "status": "True", "reason": "AsDesired",
             "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
        ],
        "clusters": [
            {"cluster": "aws", "provider": "aws", "reachable": "True", "revision": "0123456789",
             "version": "v3", "desiredReplicas": 1, "readyReplicas": 1, "weight": 100,
             "artifactBytes": 12300, "reason": "Serving"},
            {"cluster": "azure", "provider": "azure", "reachable": "Unknown",
             "revision": "9876543210", "version": "v2", "desiredReplicas": 1, "readyReplicas": 1,
             "weight": 100, "artifactBytes": 12000, "reason": "Unreachable",
             "message": "nothing came within 5 s"},
        ],
    }))
    .unwrap();
    deployment
}

#[test]
fn rows_and_conditions_are_shown() {
    insta::assert_snapshot!(text(&report(&[mixed()], &[])));
}

#[test]
fn the_report_is_data_with_a_kind() {
    insta::assert_json_snapshot!(report(&[mixed()], &[]));
}

#[test]
fn a_status_of_an_older_spec_is_not_ready() {
    let mut deployment = mixed();
    deployment.metadata.generation = Some(5);
    let report = report(&[deployment], &[]);
    assert!(!report.deployments[0].ready);
    assert!(text(&report).contains("the operator has not seen the newest spec yet"));
}
