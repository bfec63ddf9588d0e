//! Against brute force, against the prices' own arithmetic, and against rules.

use std::collections::{BTreeMap, BTreeSet};

use mcdeploy_api::Provider;
use proptest::prelude::*;
use serde_json::json;

use super::{bill::Meter, *};

const GIB: u64 = 1 << 30;

fn at(provider: Provider, region: &str) -> Location {
    Location {
        provider,
        region: region.to_owned(),
    }
}

fn site(name: &str, provider: Provider, region: &str) -> Site {
    Site {
        name: name.to_owned(),
        location: at(provider, region),
        jurisdiction: None,
    }
}

/// One holder, and a place beside every store.
fn beside(holder: Site, targets: Vec<Site>) -> Request {
    let place = |store: &Site| Site {
        name: format!("place-{}", store.name),
        ..store.clone()
    };
    Request {
        size_bytes: GIB,
        largest_file_bytes: GIB,
        places: [&holder].into_iter().chain(&targets).map(place).collect(),
        holders: vec![holder],
        targets,
        allowed_jurisdictions: None,
        budget: None,
        used_bytes: BTreeMap::new(),
        offers: BTreeSet::new(),
    }
}

fn five_stores() -> Request {
    let targets = vec![
        site("aws-eu", Provider::Aws, "eu-west-1"),
        site("azure-us", Provider::Azure, "eastus"),
        site("azure-eu", Provider::Azure, "westeurope"),
        site("gcp-us", Provider::Gcp, "us-east1"),
        site("gcp-eu", Provider::Gcp, "europe-west4"),
    ];
    beside(site("aws-us", Provider::Aws, "us-east-1"), targets)
}

fn builtin() -> PriceBook {
    PriceBook::builtin().unwrap()
}

fn shown(tree: &Tree) -> Vec<String> {
    let lines = tree.transfers.iter().map(|t| {
        let targets: Vec<_> = t.writes.iter().map(|w| w.target.as_str()).collect();
        format!("{} at {} to {}", t.source, t.place, targets.join(" "))
    });
    lines.collect()
}

#[test]
fn each_provider_is_entered_once_and_is_cheaper_than_the_star() {
    let mut request = five_stores();
    let tree = plan(&request, &builtin()).unwrap();
    assert_eq!(
        shown(&tree),
        [
            "aws-us at place-aws-us to aws-eu azure-eu gcp-eu",
            "azure-eu at place-azure-eu to azure-us",
            "gcp-eu at place-gcp-eu to gcp-us",
        ]
    );
    assert!(tree.is_exact);
    assert_eq!(tree.star.usd, "0.38".parse().unwrap());
    assert!(tree.bill.usd < "0.31".parse().unwrap(), "{}", tree.bill.usd);
    let again = plan(&request, &builtin()).unwrap();
    assert_eq!(tree, again);
    request.offers = BTreeSet::from(["aws-interconnect-multicloud".to_owned()]);
    let linked = plan(&request, &builtin()).unwrap();
    assert!(linked.bill.usd < tree.bill.usd);
    let flat = linked.transfers.iter().flat_map(Transfer::legs);
    assert!(
        flat.into_iter()
            .any(|leg| leg.bytes_per_second == Some(62_500_000))
    );
}

#[test]
fn one_reading_feeds_every_target_of_a_place_beside_no_store() {
    let targets = vec![
        site("b", Provider::Azure, "eastus"),
        site("c", Provider::Gcp, "us-east1"),
    ];
    let mut request = beside(site("a", Provider::Aws, "us-east-1"), targets);
    request.places = vec![site("here", Provider::Onprem, "desk")];
    let tree = plan(&request, &builtin()).unwrap();
    assert_eq!(shown(&tree), ["a at here to b c"]);
    assert_eq!(tree.bill.usd, "0.09".parse().unwrap());
    assert_eq!(tree.star.usd, "0.18".parse().unwrap());
}

#[test]
fn volume_of_the_month_lowers_the_price_and_the_free_allowance_is_not_promised() {
    let mut request = five_stores();
    request.targets.truncate(2);
    request.targets.remove(0);
    let cost = |request: &Request| plan(request, &builtin()).unwrap().bill.usd;
    assert_eq!(cost(&request), "0.09".parse().unwrap());
    request.used_bytes.insert(Provider::Aws, 0);
    assert_eq!(cost(&request), NanoUsd(0));
    request.used_bytes.insert(Provider::Aws, 20 * 1024 * GIB);
    assert_eq!(cost(&request), "0.085".parse().unwrap());
    // Half in one tier, half in the next.
    request
        .used_bytes
        .insert(Provider::Aws, 10 * 1024 * GIB - GIB / 2);
    assert_eq!(cost(&request), "0.0875".parse().unwrap());
}

#[test]
fn a_forbidden_hop_is_named_and_a_longer_way_around_it_is_taken() {
    let mut request = five_stores();
    request.allowed_jurisdictions = Some(BTreeSet::from(["EU".to_owned()]));
    let refused = plan(&request, &builtin()).unwrap_err().to_string();
    assert_eq!(
        refused,
        r#"target store "azure-us" is in US, and the version may be in EU only"#
    );
    request
        .targets
        .retain(|target| target.name.ends_with("-eu"));
    let refused = plan(&request, &builtin()).unwrap_err().to_string();
    assert!(
        refused.starts_with(r#"source store "aws-us" is in US"#),
        "{refused}"
    );
    request
        .holders
        .push(site("eu", Provider::Aws, "eu-central-1"));
    let tree = plan(&request, &builtin()).unwrap();
    for transfer in &tree.transfers {
        assert!(transfer.place.ends_with("-eu"), "{}", transfer.place);
    }
    request.places.retain(|place| !place.name.ends_with("-eu"));
    let refused = plan(&request, &builtin()).unwrap_err().to_string();
    assert!(refused.starts_with("place \"place-aws-us\""), "{refused}");
    request.targets[0].location.region = "eu-new-9".to_owned();
    let refused = plan(&request, &builtin()).unwrap_err().to_string();
    assert!(
        refused.contains("a jurisdiction that is not known"),
        "{refused}"
    );
}

#[test]
fn a_plan_over_the_budget_is_refused_with_both_sums() {
    let mut request = five_stores();
    let cost = plan(&request, &builtin()).unwrap().bill.usd;
    request.budget = Some(cost);
    assert_eq!(plan(&request, &builtin()).unwrap().bill.usd, cost);
    request.budget = Some(NanoUsd(cost.0 - 1));
    let refused = plan(&request, &builtin()).unwrap_err();
    assert!(matches!(refused, Refusal::OverBudget { ref tree, .. } if tree.bill.usd == cost));
    request.targets = vec![site("new", Provider::Azure, "moonbase")];
    request.holders = vec![site("g", Provider::Gcp, "asia-northeast1")];
    request.places = vec![site("p", Provider::Gcp, "asia-northeast1")];
    let refused = plan(&request, &builtin()).unwrap_err().to_string();
    assert!(refused.contains("is not known"), "{refused}");
}

#[test]
fn an_unknown_price_is_used_only_when_nothing_priced_reaches() {
    let mut request = five_stores();
    // From Google's Asia to other clouds the file has no price.
    request.holders = vec![site("tokyo", Provider::Gcp, "asia-northeast1")];
    request.places = vec![site("p", Provider::Gcp, "asia-northeast1")];
    request.targets = vec![site("osaka", Provider::Gcp, "asia-northeast3")];
    assert_eq!(plan(&request, &builtin()).unwrap().bill.unknown_legs, 0);
    request.targets = vec![site("b", Provider::Azure, "eastus")];
    let tree = plan(&request, &builtin()).unwrap();
    assert_eq!(
        tree.bill,
        Bill {
            usd: NanoUsd(0),
            unknown_legs: 1
        }
    );
    request.targets.push(site("c", Provider::Gcp, "us-east1"));
    request.places.push(site("q", Provider::Gcp, "us-east1"));
    let tree = plan(&request, &builtin()).unwrap();
    assert_eq!(tree.bill.unknown_legs, 0, "{:?}", shown(&tree));
}

#[test]
fn a_file_that_a_target_cannot_hold_and_a_world_without_source_or_place_are_refused() {
    let mut request = five_stores();
    request.largest_file_bytes = 6 << 40;
    let refused = plan(&request, &builtin()).unwrap_err();
    assert!(matches!(refused, Refusal::TooLarge { ref target, .. } if target.starts_with("gcp")));
    let mut request = five_stores();
    request.places.clear();
    assert_eq!(plan(&request, &builtin()).unwrap_err(), Refusal::NoPlace);
    request.holders.clear();
    assert_eq!(plan(&request, &builtin()).unwrap_err(), Refusal::NoHolder);
    request.targets.clear();
    assert!(plan(&request, &builtin()).unwrap().transfers.is_empty());
}

#[test]
fn entries_of_the_user_come_first_and_bad_files_are_refused() {
    let entry = |change: serde_json::Value| {
        let mut entry = json!({
            "id": "mine", "from": {"provider": "aws"}, "charge": "free",
            "source": "our contract", "seen": "2026-11",
        });
        let fields = entry.as_object_mut().unwrap();
        fields.extend(change.as_object().unwrap().clone());
        json!({"dated": "2026-11-23", "entries": [entry]})
    };
    let read = |book: &serde_json::Value| PriceBook::from_json(book.to_string().as_bytes());
    let book = builtin().overridden_by(read(&entry(json!({}))).unwrap());
    assert_eq!(
        plan(&five_stores(), &book).unwrap().bill.usd,
        "0".parse().unwrap()
    );
    for bad in [
        json!({"source": ""}),
        json!({"charge": {"perGb": {"gigabyteBytes": 0, "tiers": [{"usd": "1"}]}}}),
        json!({"charge": {"perGb": {"gigabyteBytes": 1, "tiers": []}}}),
        json!({"charge": {"perGb": {"gigabyteBytes": 1, "tiers": [{"upToGb": 1, "usd": "1"}]}}}),
        json!({"charge": {"perGb": {"gigabyteBytes": 1, "tiers": [{"usd": 0.5}]}}}),
        json!({"from": {"provider": "ibm"}}),
        json!({"typo": 1}),
    ] {
        assert!(read(&entry(bad.clone())).is_err(), "{bad}");
    }
}

#[test]
fn every_listed_region_has_a_price_within_its_provider() {
    let book = builtin();
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../../data/transfer-prices.json")).unwrap();
    let regions: Vec<Location> = file["regions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| serde_json::from_value(json!({"provider": r["provider"], "region": r["region"]})))
        .collect::<Result<_, _>>()
        .unwrap();
    for from in &regions {
        for to in regions.iter().filter(|to| to.provider == from.provider) {
            let entry = book.price(from, to, &BTreeSet::new());
            let entry = entry.unwrap_or_else(|| panic!("{from} to {to}"));
            assert_eq!(entry.charge == Charge::Free, from == to, "{from} to {to}");
        }
    }
}

/// Prices between `n` locations: `None` is unknown.
fn book_of(prices: &[Vec<Option<u8>>]) -> PriceBook {
    let mut entries = vec![];
    for (from, row) in prices.iter().enumerate() {
        for (to, price) in row.iter().enumerate() {
            let Some(cents) = price else { continue };
            entries.push(json!({
                "id": format!("{from}-{to}"),
                "from": {"provider": "aws", "regions": [format!("r{from}")]},
                "to": {"regions": [format!("r{to}")]},
                "charge": {"perGb": {"gigabyteBytes": GIB, "tiers": [{"usd": format!("0.{cents:02}")}]}},
                "source": "test", "seen": "2026",
            }));
        }
    }
    let book = json!({"dated": "2026", "entries": entries});
    PriceBook::from_json(book.to_string().as_bytes()).unwrap()
}

#[derive(Clone, Debug)]
struct Case {
    prices: Vec<Vec<Option<u8>>>,
    stores: Vec<usize>,
    holders: usize,
    places: Vec<usize>,
}

fn case() -> impl Strategy<Value = Case> {
    // Few different prices make equal sums, and zero on the diagonal places beside stores.
    let price = prop_oneof![1 => Just(None), 2 => Just(Some(0)), 6 => (0..12u8).prop_map(Some)];
    let row = prop::collection::vec(price, 6);
    (
        prop::collection::vec(row, 6),
        any::<bool>(),
        2..=6usize,
        1..=2usize,
        1..=3usize,
    )
        .prop_flat_map(|(mut prices, free_at_home, stores, holders, places)| {
            if free_at_home {
                for (at, row) in prices.iter_mut().enumerate() {
                    row[at] = Some(0);
                }
            }
            // Brute force over six stores takes few places only.
            let places = if stores == 6 { places.min(2) } else { places };
            let location = || 0..6usize;
            (
                Just(prices),
                prop::collection::vec(location(), stores),
                prop::collection::vec(location(), places),
            )
                .prop_map(move |(prices, stores, places)| Case {
                    holders: holders.min(stores.len() - 1),
                    prices,
                    stores,
                    places,
                })
        })
}

fn request_of(case: &Case) -> Request {
    let sites = |prefix: &str, locations: &[usize]| {
        let named = locations.iter().enumerate();
        let made =
            named.map(|(i, l)| site(&format!("{prefix}{i}"), Provider::Aws, &format!("r{l}")));
        made.collect::<Vec<_>>()
    };
    let mut holders = sites("s", &case.stores);
    let targets = holders.split_off(case.holders);
    Request {
        holders,
        targets,
        places: sites("p", &case.places),
        ..five_stores()
    }
}

/// The cheapest of all ways to choose a source and a place for every target.
fn brute_force(request: &Request, book: &PriceBook) -> (u32, u64) {
    let offers = BTreeSet::new();
    let meter = Meter {
        book,
        offers: &offers,
        size_bytes: request.size_bytes,
        used_bytes: BTreeMap::new(),
    };
    let stores: Vec<&Site> = request.holders.iter().chain(&request.targets).collect();
    let cost = |from: &Site, to: &Site| match meter.look(&from.location, &to.location).fee {
        Fee::Known { usd, .. } => (0, usd.0),
        Fee::Unknown => (1, 0),
    };
    let (holders, places) = (request.holders.len(), request.places.len());
    let ways = stores.len() * places;
    let count = ways.pow(u32::try_from(request.targets.len()).unwrap());
    let reads: Vec<Vec<_>> = stores
        .iter()
        .map(|s| request.places.iter().map(|p| cost(s, p)).collect())
        .collect();
    let writes: Vec<Vec<_>> = request
        .places
        .iter()
        .map(|p| stores.iter().map(|s| cost(p, s)).collect())
        .collect();
    let mut best = (u32::MAX, u64::MAX);
    for number in 0..count {
        let mut rest = number;
        let mut choice = [(0, 0); 6];
        let mut read = [false; 18];
        let mut sum = (0, 0);
        for target in holders..stores.len() {
            let (store, place) = (rest % ways / places, rest % places);
            rest /= ways;
            choice[target] = (store, place);
            let write = writes[place][target];
            sum = (sum.0 + write.0, sum.1 + write.1);
            if !std::mem::replace(&mut read[store * places + place], true) {
                let read = reads[store][place];
                sum = (sum.0 + read.0, sum.1 + read.1);
            }
        }
        let is_rooted = |mut store: usize| {
            (0..stores.len()).any(|_| {
                let rooted = store < holders;
                store = choice[store].0;
                rooted
            })
        };
        if sum < best && (holders..stores.len()).all(is_rooted) {
            best = sum;
        }
    }
    best
}

fn check_is_a_tree(request: &Request, tree: &Tree) {
    let mut filled: BTreeSet<&str> = request.holders.iter().map(|h| h.name.as_str()).collect();
    let mut reads = BTreeSet::new();
    for transfer in &tree.transfers {
        assert!(filled.contains(transfer.source.as_str()), "{tree:?}");
        assert!(
            reads.insert((&transfer.source, &transfer.place)),
            "{tree:?}"
        );
        for write in &transfer.writes {
            assert!(filled.insert(&write.target), "{tree:?}");
        }
    }
    assert_eq!(filled.len(), request.holders.len() + request.targets.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_choice_of_sources_and_places_is_cheaper(case in case()) {
        let (request, book) = (request_of(&case), book_of(&case.prices));
        let tree = plan(&request, &book).unwrap();
        check_is_a_tree(&request, &tree);
        prop_assert!(tree.is_exact);
        let found = (tree.bill.unknown_legs, tree.bill.usd.0);
        prop_assert_eq!(found, brute_force(&request, &book), "{:?}", shown(&tree));
        prop_assert!(found <= (tree.star.unknown_legs, tree.star.usd.0));
        let mut turned = request.clone();
        turned.targets.reverse();
        turned.holders.reverse();
        prop_assert_eq!(plan(&turned, &book).unwrap(), tree);
    }

    #[test]
    fn many_places_still_give_a_tree_that_is_no_worse_than_the_star(
        mut case in case(), more in prop::collection::vec(0..6usize, 7..10)
    ) {
        case.places.extend(more);
        let (request, book) = (request_of(&case), book_of(&case.prices));
        let tree = plan(&request, &book).unwrap();
        check_is_a_tree(&request, &tree);
        prop_assert!(
            (tree.bill.unknown_legs, tree.bill.usd) <= (tree.star.unknown_legs, tree.star.usd)
        );
    }
}
