use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use mcdeploy_api::{
    AppliedEpoch, ClusterSelection, Container, Epoch, ModelDeploymentSpec, ModelDeploymentStatus,
    ObjectName, Provider, Reason, RegionRoute, RevisionRoute, RoutingSnapshotSpec,
};
use proptest::prelude::*;

use super::*;
use crate::{
    names::StoreName,
    traffic::weights::Spread,
    world::{DeploymentFacts, ObjectFacts, Sight, SnapshotFacts, Timings},
};

const CLUSTERS: [&str; 4] = ["aws", "azure", "gcp", "onprem"];

/// One cluster as it is, and what it is to take.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Case {
    is_seen: bool,
    is_ready: bool,
    is_applied: bool,
    /// Other clusters send requests there.
    is_known: bool,
    now: Option<&'static str>,
    wanted: Option<&'static str>,
}

fn case() -> impl Strategy<Value = Case> {
    let revision = || prop_oneof![Just(None), Just(Some("one")), Just(Some("two"))];
    // Mostly well, or little would ever be permitted.
    let mostly = || prop::bool::weighted(0.8);
    let facts = (mostly(), mostly(), mostly(), any::<bool>());
    (facts, revision(), revision()).prop_map(|(facts, now, wanted)| {
        let (is_seen, is_ready, is_applied, is_known) = facts;
        Case {
            is_seen,
            is_ready,
            is_applied,
            is_known,
            now,
            wanted,
        }
    })
}

fn view(name: &str, cases: &[Case], case: &Case) -> MemberView {
    let others = CLUSTERS.iter().zip(cases);
    let known = others.filter(|(other, case)| **other != name && case.is_known);
    let regions = known.map(|(other, _)| RegionRoute {
        cluster: (*other).to_owned(),
        provider: Provider::Onprem,
        address: format!("{other}:80"),
        weight: 1,
        revisions: vec![],
    });
    let routes = case.now.iter().map(|revision| RevisionRoute {
        revision: (*revision).to_owned(),
        version: (*revision).to_owned(),
        service: (*revision).to_owned(),
        weight: 100,
    });
    let spec = RoutingSnapshotSpec {
        model: "digits".to_owned(),
        epoch: Epoch::default(),
        hash: "hash".to_owned(),
        cluster: name.to_owned(),
        repeatable: true,
        local_weight: None,
        revisions: routes.collect(),
        regions: regions.collect(),
    };
    let applied = AppliedEpoch {
        gateway: "gateway".to_owned(),
        epoch: spec.epoch,
        hash: spec.hash.clone(),
        features: vec![],
        refused: None,
        not_kept: None,
    };
    let objects = ObjectFacts {
        replicas: 1,
        ready: i32::from(case.is_ready),
        ..ObjectFacts::default()
    };
    let revisions = case.now.iter();
    MemberView {
        revisions: revisions
            .map(|revision| ((*revision).into(), objects.clone()))
            .collect(),
        snapshot: Some(SnapshotFacts {
            spec,
            applied: case.is_applied.then_some(applied).into_iter().collect(),
        }),
        ..MemberView::default()
    }
}

fn member(name: &str, cases: &[Case], case: &Case) -> MemberFacts {
    MemberFacts {
        provider: Provider::Onprem,
        store: StoreName::default(),
        registry: None,
        cache: None,
        gateway: None,
        sight: if case.is_seen {
            Sight::Seen(Box::new(view(name, cases, case)))
        } else {
            Sight::Unknown {
                reason: Reason::Unreachable,
                message: String::new(),
            }
        },
        applied_since: None,
        running_since: None,
        staging_since: None,
        refused: None,
        probe: None,
    }
}

fn world(cases: &[Case]) -> World {
    let members = CLUSTERS.iter().zip(cases);
    let members = members.map(|(name, case)| ((*name).into(), member(name, cases, case)));
    World {
        now: Timestamp::UNIX_EPOCH,
        term: 1,
        timings: Timings::default(),
        deployment: DeploymentFacts {
            name: "digits".to_owned(),
            namespace: "default".to_owned(),
            generation: 1,
            spec: ModelDeploymentSpec {
                model_version_ref: ObjectName::new("digits-v1"),
                container: Container {
                    image: String::new(),
                    args: vec![],
                    env: vec![],
                    resources: None,
                },
                replicas: 1,
                placement: ClusterSelection::default(),
                scope: None,
            },
            status: ModelDeploymentStatus::default(),
            requested_by: None,
            held: true,
            deleting: false,
            abandoned: BTreeSet::new(),
        },
        model_version: None,
        records: BTreeMap::new(),
        rollouts: vec![],
        policy: None,
        members: members.collect(),
        stores: BTreeMap::new(),
        replicas: BTreeMap::new(),
        images: BTreeMap::new(),
        upkeep: BTreeMap::new(),
        refused_copies: BTreeMap::new(),
    }
}

fn judge(cases: &[Case]) -> (Shares, Shares, Permit, Vec<Held>) {
    let of = |revision: fn(&Case) -> Option<&'static str>| {
        let clusters = CLUSTERS.iter().zip(cases);
        Shares::whole(
            &clusters
                .map(|(c, case)| (*c, revision(case)))
                .collect::<Vec<_>>(),
        )
    };
    let (now, wanted) = (of(|case| case.now), of(|case| case.wanted));
    let traffic = Traffic {
        shares: wanted.clone(),
        spread: Spread::OwnRegionFirst,
    };
    let (permit, held) = permit(&world(cases), &now, traffic);
    (now, wanted, permit, held)
}

fn clusters(cases: &[Case]) -> Vec<(ClusterName, &Case)> {
    let clusters = CLUSTERS.iter().zip(cases);
    clusters
        .map(|(name, case)| ((*name).into(), case))
        .collect()
}

proptest! {
    #[test]
    fn traffic_leaves_a_cluster_only_while_it_is_seen_and_another_one_serves(
        cases in prop::collection::vec(case(), CLUSTERS.len())
    ) {
        let (now, _, permit, _) = judge(&cases);
        for (cluster, case) in &clusters(&cases) {
            if !now.takes(cluster) || permit.takes(cluster) {
                continue;
            }
            prop_assert!(case.is_seen && !case.is_known, "{cluster}");
            prop_assert_eq!(permit.way(cluster), Way::Closed);
            let others = clusters(&cases).into_iter();
            let mut left = others.filter(|(other, _)| permit.takes(other) && now.takes(other));
            prop_assert!(left.any(|(_, case)| case.is_seen && case.is_ready && case.is_applied));
        }
    }

    #[test]
    fn what_is_not_seen_stays_and_what_is_not_permitted_is_said(
        cases in prop::collection::vec(case(), CLUSTERS.len())
    ) {
        let (now, wanted, permit, held) = judge(&cases);
        for (cluster, case) in &clusters(&cases) {
            let said = |held: &&Held| match held {
                Held::LastServing(name) | Held::SentTo(name) => name == cluster,
            };
            let times = held.iter().filter(said).count();
            if !case.is_seen {
                prop_assert_eq!(permit.way(cluster), Way::Frozen);
                prop_assert_eq!(permit.share(cluster), now.of(cluster));
                prop_assert_eq!(times, 0);
                continue;
            }
            let share = permit.share(cluster);
            let is_wanted = share == wanted.of(cluster);
            prop_assert_eq!(times, usize::from(!is_wanted), "{}", cluster);
            prop_assert!(is_wanted || share == now.of(cluster));
        }
    }
}

fn aws() -> ClusterName {
    CLUSTERS[0].into()
}

fn well(now: Option<&'static str>, wanted: Option<&'static str>) -> Case {
    Case {
        is_seen: true,
        is_ready: true,
        is_applied: true,
        is_known: false,
        now,
        wanted,
    }
}

#[test]
fn the_last_one_that_serves_keeps_what_it_has() {
    let idle = well(None, None);
    let coming = well(None, Some("two"));
    let (_, _, permit, held) = judge(&[well(Some("one"), None), coming, idle.clone(), idle]);
    assert_eq!(held, [Held::LastServing(aws())]);
    assert!(permit.takes(&aws()) && permit.way(&aws()) == Way::Kept);
}

#[test]
fn a_cluster_stops_only_after_others_have_forgotten_it() {
    let idle = well(None, None);
    let serves = well(Some("one"), Some("one"));
    let mut leaves = well(Some("one"), None);
    leaves.is_known = true;
    let all = [leaves, serves, idle.clone(), idle];
    let (_, _, permit, held) = judge(&all);
    assert_eq!(held, [Held::SentTo(aws())]);
    assert!(permit.takes(&aws()) && permit.way(&aws()) == Way::Closed);
    let mut all = all;
    all[0].is_known = false;
    let (_, _, permit, held) = judge(&all);
    assert!(held.is_empty() && !permit.takes(&aws()));
}
