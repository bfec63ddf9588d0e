use super::*;
use crate::rollout_verdict::RowStatus;

fn status(version: &str, next: Option<&str>, ready: i32, weight: i32, bytes: i64) -> RowStatus {
    RowStatus {
        provider: "aws".into(),
        reachable: "True".into(),
        version: (!version.is_empty()).then(|| version.into()),
        revision: (!version.is_empty()).then(|| "0123456789".into()),
        next_revision: next.map(Into::into),
        ready_replicas: ready,
        desired_replicas: 2,
        weight,
        artifact_bytes: bytes,
    }
}

fn rows() -> Vec<Row> {
    use RolloutStepState::{Blocked, Done, Running, Unknown, Waiting};
    let row = |cluster: &str, wave, state, status, reason: &str, message: &str| Row {
        cluster: cluster.into(),
        wave,
        state,
        status,
        reason: reason.into(),
        message: message.into(),
    };
    vec![
        row(
            "aws",
            Some(1),
            Some(Done),
            Some(status("v3", None, 2, 100, 12_300)),
            "Serving",
            "",
        ),
        row(
            "aws-2",
            Some(1),
            Some(Running),
            Some(status("v2", Some("abcdef0123"), 0, 100, 4_000)),
            "ArtifactCopying",
            "from store gcp",
        ),
        row(
            "gcp",
            Some(2),
            Some(Blocked),
            None,
            "ChecksumMismatch",
            "model.onnx differs",
        ),
        row("lab", Some(3), Some(Unknown), None, "Unreachable", ""),
        row("lab-2", Some(3), Some(Waiting), None, "WaitingForWave", ""),
        row(
            "azure",
            None,
            None,
            Some(status("v2", None, 2, 100, 12_000)),
            "OutOfScope",
            "",
        ),
    ]
}

const HEADER: Header<'static> = Header {
    title: "digits v3, 12 s",
    version: "v3",
    size_bytes: Some(12_300),
};

#[test]
fn a_tree_has_waves_clusters_and_what_is_not_touched() {
    insta::assert_snapshot!(render(&HEADER, &rows(), false).join("\n"));
}

#[test]
fn colours_are_only_added() {
    let coloured = render(&HEADER, &rows(), true).join("\n");
    assert!(coloured.contains("\u{1b}["));
    assert!(
        !render(&HEADER, &rows(), false)
            .join("\n")
            .contains('\u{1b}')
    );
}

#[test]
fn a_log_has_one_line_per_cluster() {
    let lines: Vec<String> = rows().iter().map(|row| plain(row, &HEADER)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn bytes_alone_are_no_change() {
    let before = rows().swap_remove(1);
    let mut after = before.clone();
    after.status.as_mut().unwrap().artifact_bytes += 1;
    assert!(change_key(&before) == change_key(&after));
    after.status.as_mut().unwrap().weight = 0;
    assert!(change_key(&before) != change_key(&after));
}
