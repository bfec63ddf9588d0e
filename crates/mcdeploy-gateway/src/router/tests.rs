use mcdeploy_api::{Provider, RegionRoute, RevisionRoute};

use super::*;

fn spec(model: &str, term: i64, seq: i64, weight: i32) -> RoutingSnapshotSpec {
    let mut spec = RoutingSnapshotSpec {
        model: model.to_owned(),
        epoch: Epoch { term, seq },
        hash: String::new(),
        cluster: "aws".to_owned(),
        repeatable: true,
        local_weight: None,
        revisions: vec![RevisionRoute {
            revision: "aaaaaaaaaa".to_owned(),
            version: "v2".to_owned(),
            service: "digits-aaaaaaaaaa".to_owned(),
            weight,
        }],
        regions: ["aws", "gcp"]
            .map(|cluster| RegionRoute {
                cluster: cluster.to_owned(),
                provider: Provider::Gcp,
                address: "10.203.0.12:80".to_owned(),
                weight: 1,
                revisions: Vec::new(),
            })
            .into(),
    };
    spec.hash = spec.content_hash();
    spec
}

fn input(specs: &[(&str, RoutingSnapshotSpec)]) -> Input {
    let service = ObjectKey::new("default", "digits-aaaaaaaaaa");
    let pod = "10.0.0.1:8080".parse().unwrap();
    Input {
        snapshots: specs
            .iter()
            .map(|(name, spec)| (ObjectKey::new("default", *name), spec.clone()))
            .collect(),
        endpoints: BTreeMap::from([(service, BTreeSet::from([pod]))]),
    }
}

/// Applies `next` after `first`; the weight that is routed by, and the refusal.
fn after(first: &RoutingSnapshotSpec, next: RoutingSnapshotSpec) -> (u64, Option<String>) {
    let mut router = Router::new("aws", RetryConfig::default());
    router.apply(&input(&[("digits", first.clone())]));
    let applied = router.apply(&input(&[("digits", next)]));
    let report = applied.reports.values().next().unwrap();
    let weight = applied.table.models["digits"].revisions[0].weight;
    assert!(report.applied.is_some());
    (weight, report.refused.clone())
}

#[test]
fn only_a_higher_epoch_changes_the_route() {
    let now = spec("digits", 2, 5, 100);
    for (term, seq) in [(2, 6), (3, 0)] {
        assert_eq!(after(&now, spec("digits", term, seq, 50)), (50, None));
    }
    for (term, seq) in [(2, 4), (1, 9), (2, 5)] {
        let (weight, refused) = after(&now, spec("digits", term, seq, 50));
        assert_eq!(weight, 100);
        assert!(refused.unwrap().contains("2.5"));
    }
    assert_eq!(after(&now, now.clone()), (100, None), "seen again");
}

#[test]
fn the_hash_is_taken_as_it_is_and_its_first_content_stays() {
    let now = spec("digits", 1, 1, 100);
    let of_a_newer_hub = RoutingSnapshotSpec {
        hash: "of fields that this gateway does not know".to_owned(),
        ..spec("digits", 1, 2, 50)
    };
    assert_eq!(after(&now, of_a_newer_hub), (50, None));
    let mut edited = now.clone();
    edited.revisions[0].weight = 1;
    assert_eq!(after(&now, edited), (100, None), "the same epoch and hash");
}

#[test]
fn a_snapshot_for_another_cluster_is_refused() {
    let mut router = Router::new("gcp", RetryConfig::default());
    let applied = router.apply(&input(&[("digits", spec("digits", 1, 1, 100))]));
    assert!(applied.table.models.is_empty());
    let report = applied.reports.values().next().unwrap();
    assert_eq!(report.applied, None);
    assert!(report.refused.as_ref().unwrap().contains("\"aws\""));
}

#[test]
fn of_two_snapshots_for_a_model_the_first_by_name_routes() {
    let mut router = Router::new("aws", RetryConfig::default());
    let two = [
        ("b", spec("digits", 9, 9, 50)),
        ("a", spec("digits", 1, 1, 100)),
    ];
    let applied = router.apply(&input(&two));
    assert_eq!(applied.table.models["digits"].revisions[0].weight, 100);
    let refused = &applied.reports[&ObjectKey::new("default", "b")].refused;
    assert!(refused.as_ref().unwrap().contains("another snapshot"));
}

#[test]
fn upstreams_keep_their_health_from_table_to_table() {
    let mut router = Router::new("aws", RetryConfig::default());
    let first = router.apply(&input(&[("digits", spec("digits", 1, 1, 100))]));
    assert_eq!(first.upstreams.len(), 2, "a pod and a region, not this one");
    let next = router.apply(&input(&[("digits", spec("digits", 1, 2, 50))]));
    for (old, new) in first.upstreams.iter().zip(&next.upstreams) {
        assert!(Arc::ptr_eq(old, new));
    }
    let gone = router.apply(&Input::default());
    assert!(gone.upstreams.is_empty() && gone.table.models.is_empty());
}

#[test]
fn what_is_kept_for_a_restart_is_what_was_accepted() {
    let mut router = Router::new("aws", RetryConfig::default());
    let good = input(&[("digits", spec("digits", 1, 2, 100))]);
    router.apply(&good);
    let applied = router.apply(&input(&[("digits", spec("digits", 1, 1, 50))]));
    assert_eq!(applied.good, good);
}
