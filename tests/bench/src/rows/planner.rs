//! R8: what the planner's trees cost against the star, and how long it thinks.

use std::collections::{BTreeMap, BTreeSet};

use mcdeploy_api::Provider;
use mcdeploy_plan::transfer::{Location, PriceBook, Request, Site, plan};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng, seq::SliceRandom as _};
use serde_json::json;

use crate::{
    clock,
    report::{Row, median},
};

const TOPOLOGIES: usize = 1000;
const REGIONS: [(Provider, [&str; 5]); 3] = [
    (
        Provider::Aws,
        [
            "us-east-1",
            "us-west-2",
            "eu-west-1",
            "eu-central-1",
            "us-east-2",
        ],
    ),
    (
        Provider::Azure,
        [
            "eastus",
            "westus2",
            "westeurope",
            "northeurope",
            "centralus",
        ],
    ),
    (
        Provider::Gcp,
        [
            "us-east1",
            "us-central1",
            "europe-west4",
            "europe-west1",
            "us-west1",
        ],
    ),
];

/// Plans for seeded fleets of three providers with one to four regions each.
pub(crate) fn measure() -> anyhow::Result<Row> {
    let book = PriceBook::builtin()?;
    let mut random = SmallRng::seed_from_u64(8);
    let mut ratios = vec![];
    for _ in 0..TOPOLOGIES {
        let request = request(fleet(&mut random), &mut random);
        let tree = plan(&request, &book)?;
        ratios.push(nanos(tree.bill.usd.0) / nanos(tree.star.usd.0));
    }
    let plan_ms = plan_ms(&book)?;
    let ratio = median(ratios);
    Ok(Row {
        ratio: Some(crate::report::round(ratio)),
        ..Row::new(
            (
                "R8",
                "median price of a plan, by that of the star",
                "<= 0.75, and at most 10 ms for 20 stores",
            ),
            ratio,
            Some(1.0),
            ratio <= 0.75 && plan_ms <= 10.0,
            json!({
                "topologies": TOPOLOGIES,
                "medianMsAt20StoresAnd3PlacesBesideNone": plan_ms,
                "bruteForce": "a property test of mcdeploy-plan holds it for up to 6 stores",
            }),
        )
    })
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of prices")]
fn nanos(usd: u64) -> f64 {
    usd as f64
}

fn site(provider: Provider, region: &str) -> Site {
    Site {
        name: format!("{provider}-{region}"),
        location: Location {
            provider,
            region: region.to_owned(),
        },
        jurisdiction: None,
    }
}

fn fleet(random: &mut SmallRng) -> Vec<Site> {
    let mut sites = vec![];
    for (provider, mut regions) in REGIONS {
        regions.shuffle(random);
        let count = random.random_range(1..=4);
        sites.extend(regions[..count].iter().map(|region| site(provider, region)));
    }
    sites
}

fn request(mut sites: Vec<Site>, random: &mut SmallRng) -> Request {
    let places = sites.clone();
    let holder = sites.swap_remove(random.random_range(0..sites.len()));
    Request {
        size_bytes: 1 << 30,
        largest_file_bytes: 1 << 30,
        holders: vec![holder],
        targets: sites,
        places,
        allowed_jurisdictions: None,
        budget: None,
        used_bytes: BTreeMap::new(),
        offers: BTreeSet::new(),
    }
}

/// Twenty stores, a place beside each, and three places beside none: the hub, a laptop,
/// a cluster of one's own.
fn plan_ms(book: &PriceBook) -> anyhow::Result<f64> {
    let regions = REGIONS.iter().flat_map(|(p, rs)| rs.map(|r| site(*p, r)));
    let more = [
        "ap-northeast-1",
        "ap-south-1",
        "sa-east-1",
        "ca-central-1",
        "eu-west-3",
    ];
    let sites: Vec<Site> = regions
        .chain(more.map(|r| site(Provider::Aws, r)))
        .collect();
    let mut request = request(sites, &mut SmallRng::seed_from_u64(1));
    let apart = ["hub", "laptop", "lab"].map(|name| site(Provider::Onprem, name));
    request.places.extend(apart);
    let mut times = vec![];
    for _ in 0..20 {
        let start = clock::now();
        let tree = plan(&request, book)?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
        anyhow::ensure!(tree.is_exact, "the plan is not exact");
    }
    Ok(median(times))
}
