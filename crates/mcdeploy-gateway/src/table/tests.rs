use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::{config::HealthConfig, health::Outcome, rng::Rng};

/// A place as a test describes it.
#[derive(Clone, Debug)]
struct Place {
    weight: u64,
    /// Per pod (a region has one): whether it is ejected.
    ejected: Vec<bool>,
    /// Index of the revision that a region lists.
    lists: usize,
}

fn upstream(key: UpstreamKey, ejected: bool) -> Arc<Upstream> {
    let upstream = Upstream::new(key);
    for _ in 0..if ejected { 2 } else { 0 } {
        upstream.on_request(Outcome::Nobody, &HealthConfig::default());
    }
    assert_eq!(upstream.is_usable(), !ejected);
    upstream
}

fn address(a: usize, b: usize) -> SocketAddr {
    format!("10.0.{a}.{b}:8080").parse().unwrap()
}

fn route(local_weight: Option<u64>, local: &[Place], regions: &[Place]) -> Route {
    let revision = |i: usize, place: &Place| LocalRevision {
        revision: format!("r{i}"),
        version: format!("v{i}"),
        weight: place.weight,
        pods: (0..place.ejected.len())
            .map(|j| {
                let key = UpstreamKey::Pod {
                    model: "m".to_owned(),
                    revision: format!("r{i}"),
                    address: address(i, j),
                };
                upstream(key, place.ejected[j])
            })
            .collect(),
    };
    let region = |i: usize, place: &Place| Region {
        upstream: upstream(
            UpstreamKey::Region {
                model: "m".to_owned(),
                cluster: format!("c{i}"),
                address: address(100, i).to_string(),
            },
            place.ejected[0],
        ),
        weight: place.weight,
        revisions: vec![format!("r{}", place.lists)],
    };
    Route {
        repeatable: true,
        local_weight,
        revisions: local
            .iter()
            .enumerate()
            .map(|(i, p)| revision(i, p))
            .collect(),
        regions: regions
            .iter()
            .enumerate()
            .map(|(i, p)| region(i, p))
            .collect(),
    }
}

fn place(weight: u64, ejected: &[bool], lists: usize) -> Place {
    Place {
        weight,
        ejected: ejected.to_vec(),
        lists,
    }
}

fn name(pick: &Result<Pick, Nowhere>) -> String {
    match pick {
        Ok(Pick::Pod { revision, .. }) => revision.clone(),
        Ok(Pick::Region { upstream }) => upstream.key().region().unwrap().to_owned(),
        Err(nowhere) => format!("{nowhere:?}"),
    }
}

/// Share of each answer over many draws, in percent.
fn shares(route: &Route, ask: Ask<'_>) -> BTreeMap<String, u32> {
    let mut rng = Rng::new(7);
    let mut counts = BTreeMap::new();
    for _ in 0..10_000 {
        let pick = route.choose(&ask, &Tried::none(2, 2), &mut rng);
        *counts.entry(name(&pick)).or_default() += 1;
    }
    for n in counts.values_mut() {
        *n = (*n + 50) / 100;
    }
    counts
}

fn assert_shares(route: &Route, ask: Ask<'_>, expected: &[(&str, u32)]) {
    let shares = shares(route, ask);
    assert_eq!(shares.len(), expected.len(), "{shares:?}");
    for (name, percent) in expected {
        let share = shares.get(*name).copied().unwrap_or(0);
        assert!(share.abs_diff(*percent) <= 2, "{name}: {shares:?}");
    }
}

const UP: &[bool] = &[false, false, false];
const DOWN: &[bool] = &[true, true, true];
const ANY: Ask<'static> = Ask {
    version: None,
    crossed: false,
};
const CROSSED: Ask<'static> = Ask {
    version: None,
    crossed: true,
};

fn version(version: &str) -> Ask<'_> {
    Ask {
        version: Some(version),
        crossed: false,
    }
}

#[test]
fn this_region_first_and_its_revisions_by_weight() {
    let local = [place(75, UP, 0), place(25, UP, 0), place(0, UP, 0)];
    let regions = [place(1, UP, 0), place(1, UP, 1)];
    let route = route(None, &local, &regions);
    assert_shares(&route, ANY, &[("r0", 75), ("r1", 25)]);
    assert_shares(&route, CROSSED, &[("r0", 75), ("r1", 25)]);
}

#[test]
fn a_local_weight_shares_with_other_regions() {
    let regions = [place(2, UP, 0), place(1, UP, 9), place(0, UP, 0)];
    let shared = route(Some(1), &[place(100, UP, 0)], &regions);
    assert_shares(&shared, ANY, &[("r0", 25), ("c0", 50), ("c1", 25)]);
    // The gateway that sent a request on has drawn already.
    assert_shares(&shared, CROSSED, &[("r0", 100)]);
    let drained = route(Some(0), &[place(100, UP, 0)], &regions);
    assert_shares(&drained, ANY, &[("c0", 67), ("c1", 33)]);
    assert_shares(&drained, CROSSED, &[("r0", 100)]);
}

#[test]
fn a_weightless_revision_is_reached_by_its_path_only() {
    let local = [place(100, UP, 0), place(0, UP, 0)];
    let route = route(Some(0), &local, &[place(1, UP, 1)]);
    assert_shares(&route, version("r1"), &[("r1", 100)]);
    assert_shares(&route, version("v1"), &[("r1", 100)]);
    assert_shares(&route, version("v0"), &[("r0", 100)]);
    assert_shares(&route, ANY, &[("c0", 100)]);
}

#[test]
fn who_leaves_the_region_prefers_the_same_revision() {
    let local = [place(50, DOWN, 0), place(50, DOWN, 0)];
    let regions = [place(1, UP, 0), place(1, UP, 1), place(1, UP, 1)];
    let same = route(None, &local, &regions);
    assert_shares(&same, ANY, &[("c0", 50), ("c1", 25), ("c2", 25)]);
    assert_shares(&same, version("r1"), &[("c1", 50), ("c2", 50)]);
    // Another revision is better than none, unless it was asked for by id.
    let other = route(None, &local, &[place(1, UP, 7)]);
    assert_shares(&other, ANY, &[("c0", 100)]);
    // Nobody healthy serves it: its ejected pods are asked all the same.
    assert_shares(&other, version("r1"), &[("r1", 100)]);
}

#[test]
fn a_revision_without_pods_gives_its_share_to_its_neighbour() {
    let local = [place(50, &[], 0), place(50, UP, 0)];
    assert_shares(&route(None, &local, &[]), ANY, &[("r1", 100)]);
}

#[test]
fn nowhere_says_why() {
    let route = route(None, &[place(0, UP, 0)], &[]);
    assert_shares(&route, ANY, &[("NoWeight", 100)]);
    assert_shares(&route, version("nope"), &[("UnknownVersion", 100)]);
    assert_shares(
        &self::route(None, &[place(1, &[], 0)], &[]),
        ANY,
        &[("NoneHealthy", 100)],
    );
    let dead = self::route(None, &[place(1, DOWN, 0)], &[place(1, UP, 0)]);
    assert_shares(&dead, CROSSED, &[("NoneHealthy", 100)]);
}

#[test]
fn a_version_that_is_unknown_here_may_be_known_elsewhere() {
    let route = route(
        None,
        &[place(1, UP, 0)],
        &[place(1, UP, 5), place(1, UP, 6)],
    );
    assert_shares(&route, version("r5"), &[("c0", 100)]);
    assert_shares(&route, version("v9"), &[("c0", 50), ("c1", 50)]);
}

#[test]
fn the_pod_with_fewer_requests_is_preferred() {
    let route = route(None, &[place(1, &[false, false], 0)], &[]);
    let busy = &route.revisions[0].pods[0];
    let _requests: Vec<_> = (0..5).map(|_| busy.enter()).collect();
    let mut rng = Rng::new(1);
    let picks = (0..1000).map(|_| route.choose(&ANY, &Tried::none(2, 2), &mut rng).unwrap());
    let to_busy = picks.filter(|p| p.upstream().key() == busy.key()).count();
    // Only when both draws fall on it.
    assert!((200..300).contains(&to_busy), "{to_busy}");
}

fn places(pods: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Place>> {
    let one = (
        0..4_u64,
        prop::collection::vec(any::<bool>(), pods),
        0..3_usize,
    );
    let one = one.prop_map(|(weight, ejected, lists)| place(weight, &ejected, lists));
    prop::collection::vec(one, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_the_state_a_pick_is_allowed_and_the_best_there_is(
        local in places(0..4),
        regions in places(1..2),
        local_weight in prop::option::of(0..3_u64),
        asked in prop::option::of(0..4_usize),
        crossed in any::<bool>(),
        tried in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        (local_left, remote_left) in (0..3_u32, 0..3_u32),
        seed in any::<u64>(),
    ) {
        let route = route(local_weight, &local, &regions);
        let id = asked.map(|i| format!("r{i}"));
        let ask = Ask { version: id.as_deref(), crossed };
        let pods = || route.revisions.iter().flat_map(|r| r.pods.iter().map(move |p| (r, p)));
        let all: Vec<_> = pods().map(|(_, p)| p).chain(route.regions.iter().map(|r| &r.upstream)).collect();
        let mut history = Tried::none(local_left, remote_left);
        if !all.is_empty() {
            history.upstreams = tried.iter().map(|i| i.get(&all).key().clone()).collect();
        }
        let untried = |u: &Upstream| !history.upstreams.contains(u.key());

        // Everyone who may answer by the rules, written down a second time.
        let may_stay = local_left > 0 && (crossed || asked.is_some() || local_weight != Some(0));
        let here: Vec<_> = pods()
            .filter(|(r, p)| may_stay && untried(p) && id.as_ref().map_or(r.weight > 0, |id| r.revision == *id))
            .map(|(_, p)| p)
            .collect();
        let known_here = id.as_ref().is_some_and(|id| route.revisions.iter().any(|r| r.revision == *id));
        let listed = |id: &String| route.regions.iter().any(|r| r.revisions.contains(id));
        let away: Vec<_> = route.regions.iter()
            .filter(|r| !crossed && remote_left > 0 && untried(&r.upstream))
            .filter(|r| match &id {
                None => local_weight.is_none() || r.weight > 0,
                Some(id) => r.revisions.contains(id) || !known_here && !listed(id),
            })
            .map(|r| &r.upstream)
            .collect();
        let open: Vec<_> = here.iter().chain(&away).copied().collect();
        let is_healthy = open.iter().any(|u| u.is_usable());

        if let Ok(pick) = route.choose(&ask, &history, &mut Rng::new(seed)) {
            let upstream = pick.upstream();
            prop_assert!(open.iter().any(|u| u.key() == upstream.key()), "{pick:?}");
            prop_assert!(upstream.is_usable() || !is_healthy, "{pick:?}");
            prop_assert!(upstream.is_usable() || history.upstreams.is_empty());
            let away = upstream.key().region().is_some();
            let healthy_here = here.iter().any(|p| p.is_usable());
            prop_assert!(!(away && healthy_here && local_weight.is_none()), "left for nothing");
        } else {
            prop_assert!(!is_healthy, "somebody healthy was not found");
            prop_assert!(open.is_empty() || crossed || !history.upstreams.is_empty());
        }
    }
}
