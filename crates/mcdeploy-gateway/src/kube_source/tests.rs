use serde_json::json;

use super::*;

fn object(name: &str, seq: i64) -> DynamicObject {
    let spec = json!({
        "model": name, "epoch": {"term": 1, "seq": seq}, "hash": "", "cluster": "aws",
        "repeatable": true, "revisions": [], "regions": [],
    });
    serde_json::from_value(json!({
        "metadata": {"namespace": "default", "name": name}, "spec": spec,
    }))
    .unwrap()
}

fn endpoints(name: &str, addresses: &[(&str, serde_json::Value)]) -> EndpointSlice {
    let endpoints: Vec<_> = addresses
        .iter()
        .map(|(address, conditions)| json!({"addresses": [address], "conditions": conditions}))
        .collect();
    serde_json::from_value(json!({
        "metadata": {
            "namespace": "default", "name": name,
            "labels": {"kubernetes.io/service-name": "digits"},
        },
        "addressType": "IPv4", "ports": [{"port": 8080}], "endpoints": endpoints,
    }))
    .unwrap()
}

fn seen() -> Seen {
    Seen {
        start: Input::default(),
        snapshots: None,
        slices: None,
    }
}

fn names(seen: &Seen) -> Vec<(String, i64)> {
    let snapshots = seen.snapshots.iter().flatten();
    snapshots
        .map(|(key, spec)| (key.name.clone(), spec.epoch.seq))
        .collect()
}

#[test]
fn nothing_is_known_until_both_kinds_were_listed() {
    let mut seen = seen();
    assert_eq!(seen.on_snapshot(News::Listed(vec![])), Verdict::Taken);
    assert!(seen.input().is_none());
    assert_eq!(seen.on_slice(News::Listed(vec![])), Verdict::Taken);
    assert_eq!(seen.input(), Some(Input::default()));
}

#[test]
fn an_empty_list_deletes_nothing_and_a_deletion_does() {
    let mut seen = seen();
    seen.on_snapshot(News::Listed(vec![object("a", 1), object("b", 1)]));
    assert_eq!(seen.on_snapshot(News::Listed(vec![])), Verdict::Doubted);
    assert_eq!(names(&seen).len(), 2);
    seen.on_snapshot(News::Deleted(object("a", 1)));
    assert_eq!(names(&seen), [("b".to_owned(), 1)]);
    seen.on_snapshot(News::Deleted(object("b", 1)));
    assert_eq!(seen.on_snapshot(News::Listed(vec![])), Verdict::Taken);
}

#[test]
fn the_copy_on_disk_is_not_emptied_by_an_empty_list_either() {
    let slice = endpoints("digits-1", &[("10.0.0.1", json!({}))]);
    let mut before = seen();
    before.on_snapshot(News::Listed(vec![object("a", 1)]));
    before.on_slice(News::Listed(vec![slice]));
    let start = before.input().unwrap();
    let mut seen = Seen {
        start: start.clone(),
        ..seen()
    };
    assert_eq!(seen.on_slice(News::Listed(vec![])), Verdict::Doubted);
    assert_eq!(seen.on_snapshot(News::Listed(vec![])), Verdict::Doubted);
    assert_eq!(seen.input(), Some(start));
}

#[test]
fn a_snapshot_of_an_unknown_shape_hides_no_other_and_keeps_its_last() {
    let mut seen = seen();
    seen.on_snapshot(News::Listed(vec![object("a", 1), object("b", 1)]));
    let mut strange = object("a", 2);
    strange.data["spec"]["epoch"] = json!("of another shape");
    seen.on_snapshot(News::Changed(strange.clone()));
    seen.on_snapshot(News::Listed(vec![strange, object("b", 2)]));
    assert_eq!(names(&seen), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
}

#[test]
fn a_field_of_a_later_version_is_skipped() {
    let mut seen = seen();
    let mut newer = object("a", 2);
    newer.data["spec"]["ofTomorrow"] = json!(true);
    seen.on_snapshot(News::Listed(vec![newer]));
    assert_eq!(names(&seen), [("a".to_owned(), 2)]);
}

#[test]
fn only_pods_that_are_ready_and_stay_are_upstreams() {
    let mut seen = seen();
    seen.on_snapshot(News::Listed(vec![]));
    let first = endpoints(
        "digits-1",
        &[
            ("10.0.0.1", json!({"ready": true})),
            ("10.0.0.2", json!({"ready": false})),
            ("10.0.0.3", json!({"ready": true, "terminating": true})),
        ],
    );
    let second = endpoints("digits-2", &[("10.0.0.4", json!({}))]);
    seen.on_slice(News::Listed(vec![first, second]));
    let service = ObjectKey::new("default", "digits");
    let ready = |seen: &Seen| -> Vec<String> {
        let input = seen.input().unwrap();
        input.endpoints[&service]
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(ready(&seen), ["10.0.0.1:8080", "10.0.0.4:8080"]);
    seen.on_slice(News::Changed(endpoints("digits-2", &[])));
    assert_eq!(ready(&seen), ["10.0.0.1:8080"]);
}
