use mcdeploy_api::Provider;
use serde_json::{Value, json};

use super::*;
use crate::fixtures;

pub(crate) fn rollout(complete: &str, reason: &str, steps: &[(&str, &str, &str)]) -> ModelRollout {
    let waves: Vec<Value> = steps
        .iter()
        .map(|step| json!({"clusters": [step.0]}))
        .collect();
    let steps: Vec<Value> = steps
        .iter()
        .map(|(cluster, state, reason)| {
            json!({"cluster": cluster, "state": state, "reason": reason, "message": "as seen"})
        })
        .collect();
    serde_json::from_value(json!({
        "metadata": {"name": "digits-4"},
        "spec": {
            "deploymentRef": {"name": "digits"}, "deploymentGeneration": 4,
            "toRevision": "0123456789", "toVersion": "v3", "waves": waves,
        },
        "status": {
            "conditions": [{
                "type": "Complete", "status": complete, "reason": reason, "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
            "steps": steps,
        },
    }))
    .unwrap()
}

fn judge(deployment: &ModelDeployment, rollout: Option<&ModelRollout>) -> Verdict {
    verdict(View {
        generation: 4,
        deployment: Some(deployment),
        rollout,
    })
}

#[test]
fn the_steps_decide_whether_there_is_more_to_wait_for() {
    let deployment = fixtures::deployment("digits", "v3", &[Provider::Aws, Provider::Gcp]);
    let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let stuck = |blocked: &[&str], unknown: &[&str]| Verdict::Stuck {
        blocked: names(blocked),
        unknown: names(unknown),
    };
    let cases = [
        ("Waiting", "Running", Verdict::Waiting),
        ("Done", "Running", Verdict::Waiting),
        ("Blocked", "Running", Verdict::Waiting),
        ("Blocked", "Waiting", Verdict::Waiting),
        ("Done", "Done", Verdict::Waiting),
        ("Blocked", "Done", stuck(&["aws"], &[])),
        ("Unknown", "Done", stuck(&[], &["aws"])),
        ("Unknown", "Blocked", stuck(&["gcp"], &["aws"])),
    ];
    for (aws, gcp, expected) in cases {
        let steps = [("aws", aws, "RollingOut"), ("gcp", gcp, "RollingOut")];
        let rollout = rollout("False", "RollingOut", &steps);
        assert_eq!(judge(&deployment, Some(&rollout)), expected, "{aws} {gcp}");
    }
    let complete = rollout("True", "AsDesired", &[("aws", "Done", "Serving")]);
    assert_eq!(judge(&deployment, Some(&complete)), Verdict::Complete);
    assert_eq!(judge(&deployment, None), Verdict::Waiting);
    let gone = View {
        generation: 4,
        deployment: None,
        rollout: None,
    };
    assert_eq!(verdict(gone), Verdict::Deleted);
}

#[test]
fn a_later_rollout_is_named_with_who_asked_for_it() {
    let mut deployment = fixtures::deployment("digits", "v4", &[Provider::Aws]);
    deployment.metadata.generation = Some(5);
    let by = "bob@ci 2026-01-01T00:00:00Z".to_owned();
    deployment.metadata.annotations = Some([(ANNOTATION_REQUESTED_BY.to_owned(), by)].into());
    let running = rollout("False", "RollingOut", &[("aws", "Running", "RollingOut")]);
    let expected = Verdict::Superseded {
        by: "digits-5 (digits-v4), asked for by bob@ci 2026-01-01T00:00:00Z".into(),
    };
    assert_eq!(judge(&deployment, Some(&running)), expected);
    assert_eq!(judge(&deployment, None), expected);
    // Somebody wrote the spec with another tool, and left the note of the one before.
    let written = |manager: &str, second: u32| {
        json!({
            "manager": manager, "operation": "Apply", "fieldsType": "FieldsV1",
            "time": format!("2026-01-01T00:00:0{second}Z"), "fieldsV1": {"f:spec": {}},
        })
    };
    let fields = json!([written("mcdeploy", 1), written("kubectl-edit", 2)]);
    let mut edited = deployment.clone();
    edited.metadata.managed_fields = serde_json::from_value(fields).unwrap();
    let expected = Verdict::Superseded {
        by: "digits-5 (digits-v4), written by the field manager \"kubectl-edit\"".into(),
    };
    assert_eq!(judge(&edited, Some(&running)), expected);
    // One that was complete before the later one came is complete.
    let complete = rollout("True", "AsDesired", &[("aws", "Done", "Serving")]);
    assert_eq!(judge(&deployment, Some(&complete)), Verdict::Complete);
}

#[test]
fn only_a_refusal_of_this_generation_counts() {
    let mut deployment = fixtures::deployment("digits", "v3", &[Provider::Aws]);
    let mut refuse = |generation: i64, reason: &str| {
        deployment.status = serde_json::from_value(json!({"conditions": [{
            "type": "Ready", "status": "False", "reason": reason, "message": "no such thing",
            "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}))
        .unwrap();
        judge(&deployment, None)
    };
    assert_eq!(refuse(3, "Invalid"), Verdict::Waiting);
    assert_eq!(refuse(4, "ModelVersionNotFound"), Verdict::Waiting);
    assert_eq!(
        refuse(4, "Invalid"),
        Verdict::Refused {
            message: "no such thing".into()
        }
    );
}
