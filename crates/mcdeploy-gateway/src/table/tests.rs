use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::{
    config::{HealthConfig, RetryConfig},
    health::Outcome,
    rng::Rng,
};

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
        budget: Arc::new(Budget::new(
            &RetryConfig::default(),
            tokio::time::Instant::now(),
        )),
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
        let pick = route.choose(&ask, &Tried::none(&ask, 2, 2), &mut rng);
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
fn a_region_of_weight_0_serves_what_no_other_can() {
    // Here and one of the others stand by; the one with a weight is lost.
    let lost = route(
        Some(0),
        &[place(100, UP, 0)],
        &[place(1, DOWN, 0), place(0, UP, 0)],
    );
    assert_shares(&lost, ANY, &[("r0", 100)]);
    let no_pods = route(
        Some(0),
        &[place(100, DOWN, 0)],
        &[place(1, DOWN, 0), place(0, UP, 0)],
    );
    assert_shares(&no_pods, ANY, &[("c1", 100)]);
    // The one with a weight is this one.
    let regions = [place(0, UP, 0), place(0, UP, 0)];
    let here = route(Some(100), &[place(100, UP, 0)], &regions);
    assert_shares(&here, ANY, &[("r0", 100)]);
    let dead = route(Some(100), &[place(100, DOWN, 0)], &regions);
    assert_shares(&dead, ANY, &[("c0", 50), ("c1", 50)]);
}

#[test]
fn a_region_gives_away_what_its_healthy_pods_cannot_carry() {
    let pods = |out: usize| [vec![true; out], vec![false; 10 - out]].concat();
    let of = |out, local_weight, weight| {
        let local = [place(100, &pods(out), 0)];
        route(local_weight, &local, &[place(weight, UP, 0)])
    };
    assert_shares(&of(2, None, 1), ANY, &[("r0", 100)]);
    assert_shares(&of(5, None, 1), ANY, &[("r0", 70), ("c0", 30)]);
    assert_shares(&of(9, None, 1), ANY, &[("r0", 14), ("c0", 86)]);
    assert_shares(&of(5, Some(1), 0), ANY, &[("r0", 70), ("c0", 30)]);
    assert_shares(&of(5, Some(1), 1), ANY, &[("r0", 35), ("c0", 65)]);
}

#[test]
fn the_last_pods_are_not_left_alone_with_everything() {
    let pods = [vec![true; 9], vec![false]].concat();
    let alone = route(None, &[place(100, &pods, 0)], &[]);
    assert!(alone.panics());
    let last = alone.revisions[0].pods[9].key().clone();
    let to_last = |route: &Route| {
        let mut rng = Rng::new(1);
        let picks = (0..1000).map(|_| route.choose(&ANY, &Tried::none(&ANY, 2, 2), &mut rng));
        picks
            .filter(|p| *p.as_ref().unwrap().upstream().key() == last)
            .count()
    };
    assert!((50..200).contains(&to_last(&alone)), "{}", to_last(&alone));
    // Where checks found that nothing listens, load is no explanation.
    for pod in &alone.revisions[0].pods[..9] {
        pod.set_refuses(true);
    }
    assert_eq!(to_last(&alone), 1000);
    let half = route(None, &[place(100, &[true, false], 0)], &[]);
    assert!(!half.panics());
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
    let picks = (0..1000).map(|_| {
        route
            .choose(&ANY, &Tried::none(&ANY, 2, 2), &mut rng)
            .unwrap()
    });
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
        let mut history = Tried::none(&ask, local_left, remote_left);
        if !all.is_empty() {
            history.upstreams = tried.iter().map(|i| i.get(&all).key().clone()).collect();
        }
        let untried = |u: &Upstream| !history.upstreams.contains(u.key());

        // Everyone who may answer by the rules, written down a second time.
        let may_stay = local_left > 0;
        let here: Vec<_> = pods()
            .filter(|(r, p)| may_stay && untried(p) && id.as_ref().map_or(r.weight > 0, |id| r.revision == *id))
            .map(|(_, p)| p)
            .collect();
        let known_here = id.as_ref().is_some_and(|id| route.revisions.iter().any(|r| r.revision == *id));
        let listed = |id: &String| route.regions.iter().any(|r| r.revisions.contains(id));
        let away: Vec<_> = route.regions.iter()
            .filter(|r| !crossed && remote_left > 0 && untried(&r.upstream))
            .filter(|r| match &id {
                None => true,
                Some(id) => r.revisions.contains(id) || !known_here && !listed(id),
            })
            .map(|r| &r.upstream)
            .collect();
        let open: Vec<_> = here.iter().chain(&away).copied().collect();
        let is_healthy = open.iter().any(|u| u.is_usable());
        let few = |pods: &[&Arc<Upstream>], percent: usize| {
            let healthy = pods.iter().filter(|p| p.is_usable()).count();
            healthy * 100 < pods.len() * percent
        };
        let here_untouched: Vec<_> = pods()
            .filter(|(r, _)| id.as_ref().map_or(r.weight > 0, |id| r.revision == *id))
            .map(|(_, p)| p)
            .collect();
        let panics = !crossed && few(&here_untouched, 50);

        if let Ok(pick) = route.choose(&ask, &history, &mut Rng::new(seed)) {
            let upstream = pick.upstream();
            prop_assert!(open.iter().any(|u| u.key() == upstream.key()), "{pick:?}");
            prop_assert!(upstream.is_usable() || !is_healthy || panics, "{pick:?}");
            prop_assert!(upstream.is_usable() || history.upstreams.is_empty() || panics);
            let away = upstream.key().region().is_some();
            let healthy_here = here.iter().any(|p| p.is_usable());
            let carries_all = !few(&here_untouched, 71);
            prop_assert!(!(away && healthy_here && carries_all && local_weight.is_none()), "left for nothing");
        } else {
            prop_assert!(!is_healthy, "somebody healthy was not found");
            prop_assert!(open.is_empty() || crossed || !history.upstreams.is_empty());
        }
    }
}
