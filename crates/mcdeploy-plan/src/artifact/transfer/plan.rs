//! From stores and places to the cheapest tree of transfers, or a typed refusal.
//!
//! Vertices are the stores, and those places that are beside no store: a place beside a
//! store adds nothing to the price, because that store must be filled anyway and can be
//! read there for nothing. Which of the other places the tree goes through is tried out,
//! set by set; with a set fixed, the cheapest tree is an arborescence. That is exact, and
//! grows with the number of stores only as the arborescence does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::{Add, Sub},
};

use mcdeploy_api::{Provider, jurisdictions};
use serde::Serialize;

use super::{
    Bill, Fee, Leg, Location, NanoUsd, PriceBook, Transfer, Write,
    arborescence::{Edge, arborescence},
    bill::Meter,
};

/// Places beside no store of which every set is tried. With more, sets grow one by one.
const EXACT_PLACES: usize = 6;

/// A store, or a place that can run a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub location: Location,
    /// Whose law holds there, beside what the table of regions says.
    pub jurisdiction: Option<String>,
}

/// What is to be planned.
#[derive(Clone, Debug)]
pub struct Request {
    /// Sum of all files, in bytes.
    pub size_bytes: u64,
    /// Largest file, in bytes.
    pub largest_file_bytes: u64,
    /// Stores that have a verified copy.
    pub holders: Vec<Site>,
    /// Stores that must get one; those that are holders too are left out.
    pub targets: Vec<Site>,
    /// Places that can run a transfer: member clusters, the hub, this machine.
    pub places: Vec<Site>,
    /// Jurisdictions (`US`, `EU`) that bytes may be in; none allows all. A region in the
    /// Netherlands is in `NL` and in `EU`: one of them is enough.
    pub allowed_jurisdictions: Option<BTreeSet<String>>,
    /// Most that may be spent.
    pub budget: Option<NanoUsd>,
    /// Bytes that left each provider for the internet since the month began. One that is
    /// not named counts as having used its free allowance up.
    pub used_bytes: BTreeMap<Provider, u64>,
    /// What the user has that changes prices; see `PriceEntry::requires`.
    pub offers: BTreeSet<String>,
}

/// A plan: every target is filled once, from a store that has the version by then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[must_use]
pub struct Tree {
    /// In an order in which they can run.
    pub transfers: Vec<Transfer>,
    /// What they cost together.
    pub bill: Bill,
    /// What it costs to fill every target by itself from the one best holder.
    pub star: Bill,
    /// Whether no cheaper tree exists. False with many places beside no store.
    pub is_exact: bool,
}

/// What bytes would pass through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Its part in the plan.
    pub role: HopRole,
    /// Its name.
    pub name: String,
    /// Its jurisdictions, most exact first; empty when none is known.
    pub jurisdictions: Vec<String>,
}

/// Part of a hop in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopRole {
    /// A store that has the version.
    Holder,
    /// A store that must get it.
    Target,
    /// A place that would run a transfer.
    Place,
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            HopRole::Holder => "source store",
            HopRole::Target => "target store",
            HopRole::Place => "place",
        };
        let Self {
            name,
            jurisdictions,
            ..
        } = self;
        if jurisdictions.is_empty() {
            return write!(f, "{role} {name:?} is in a jurisdiction that is not known");
        }
        write!(f, "{role} {name:?} is in {}", jurisdictions.join(" and "))
    }
}

/// Why there is no plan. Nothing was spent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing to copy from.
    #[error("no store has a verified copy to copy from")]
    NoHolder,
    /// Nothing to run a transfer.
    #[error("there is no place that can run a transfer")]
    NoPlace,
    /// The version's rule keeps bytes out of a hop that every way goes through.
    #[error("{hop}, and the version may be in {} only", list(allowed))]
    Residency {
        /// The hop.
        hop: Hop,
        /// Jurisdictions that are allowed.
        allowed: BTreeSet<String>,
    },
    /// A file is larger than a target's provider takes.
    #[error(
        "target store {target:?} takes objects of up to {limit_bytes} bytes, and a file has {file_bytes}"
    )]
    TooLarge {
        /// The target.
        target: String,
        /// The file's length in bytes.
        file_bytes: u64,
        /// The provider's limit in bytes.
        limit_bytes: u64,
    },
    /// The cheapest plan costs more than may be spent.
    #[error("the cheapest way costs {}, and at most {budget} may be spent", tree.bill.usd)]
    OverBudget {
        /// What would have been done.
        tree: Box<Tree>,
        /// What may be spent.
        budget: NanoUsd,
    },
    /// A budget was set, and the cheapest plan has a leg whose price is not known.
    #[error("the price from {from} to {to} is not known, so that no budget can be kept")]
    UnknownPrice {
        /// Where the leg begins.
        from: Location,
        /// Where it ends.
        to: Location,
    },
}

fn list(words: &BTreeSet<String>) -> String {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    words.join(", ")
}

/// The cheapest tree of transfers that fills every target.
///
/// Equal requests give equal trees. Legs without a known price are used only when
/// nothing priced reaches a target, and as few as possible.
///
/// # Errors
/// See [`Refusal`].
pub fn plan(request: &Request, book: &PriceBook) -> Result<Tree, Refusal> {
    let world = Allowed::of(request, book)?;
    let meter = Meter {
        book,
        offers: &request.offers,
        size_bytes: request.size_bytes,
        used_bytes: request.used_bytes.clone(),
    };
    let graph = Graph::new(&world, &meter);
    let (routes, is_exact) = graph.cheapest().ok_or(Refusal::NoPlace)?;
    let transfers = graph.transfers(&routes, meter.clone());
    let tree = Tree {
        bill: Bill::of(transfers.iter().flat_map(Transfer::legs)),
        star: graph.star(&meter),
        transfers,
        is_exact,
    };
    within_budget(tree, request.budget)
}

fn within_budget(tree: Tree, budget: Option<NanoUsd>) -> Result<Tree, Refusal> {
    let Some(budget) = budget else {
        return Ok(tree);
    };
    let unknown = {
        let mut legs = tree.transfers.iter().flat_map(Transfer::legs);
        legs.find(|leg| leg.fee == Fee::Unknown).cloned()
    };
    if let Some(Leg { from, to, .. }) = unknown {
        return Err(Refusal::UnknownPrice { from, to });
    }
    if tree.bill.usd > budget {
        let tree = Box::new(tree);
        return Err(Refusal::OverBudget { tree, budget });
    }
    Ok(tree)
}

/// What bytes may pass through.
struct Allowed<'a> {
    holders: Vec<&'a Site>,
    targets: Vec<&'a Site>,
    places: Vec<&'a Site>,
}

impl<'a> Allowed<'a> {
    fn of(request: &'a Request, book: &PriceBook) -> Result<Self, Refusal> {
        let is_held = |site: &Site| request.holders.iter().any(|held| held.name == site.name);
        let mut targets: Vec<_> = request.targets.iter().filter(|t| !is_held(t)).collect();
        targets.sort_by_key(|site| &site.name);
        targets.dedup_by_key(|site| &site.name);
        let refuse = |site: &Site, role| forbidden(request, site, role);
        if let Some(refusal) = targets.iter().find_map(|t| refuse(t, HopRole::Target)) {
            return Err(refusal);
        }
        if let Some(refusal) = targets.iter().find_map(|t| too_large(request, book, t)) {
            return Err(refusal);
        }
        let some_of = |sites: &'a [Site], role, none: Refusal| {
            let allowed: Vec<_> = sites.iter().filter(|s| refuse(s, role).is_none()).collect();
            let first = sites.first().and_then(|site| refuse(site, role));
            if allowed.is_empty() && !targets.is_empty() {
                return Err(first.unwrap_or(none));
            }
            Ok(allowed)
        };
        let mut holders = some_of(&request.holders, HopRole::Holder, Refusal::NoHolder)?;
        holders.sort_by_key(|site| &site.name);
        let mut places = some_of(&request.places, HopRole::Place, Refusal::NoPlace)?;
        // Places at one location cost the same: the first that was named stands for all.
        let mut seen = BTreeSet::new();
        places.retain(|place| seen.insert(&place.location));
        Ok(Self {
            holders,
            targets,
            places,
        })
    }
}

fn forbidden(request: &Request, site: &Site, role: HopRole) -> Option<Refusal> {
    let allowed = request.allowed_jurisdictions.as_ref()?;
    let Location { provider, region } = &site.location;
    let mut at = jurisdictions(*provider, region).to_vec();
    at.extend(site.jurisdiction.clone().filter(|own| !at.contains(own)));
    if at.iter().any(|word| allowed.contains(word)) {
        return None;
    }
    Some(Refusal::Residency {
        hop: Hop {
            role,
            name: site.name.clone(),
            jurisdictions: at,
        },
        allowed: allowed.clone(),
    })
}

fn too_large(request: &Request, book: &PriceBook, target: &Site) -> Option<Refusal> {
    let limit = book.limit(target.location.provider)?;
    (request.largest_file_bytes > limit.max_object_bytes).then(|| Refusal::TooLarge {
        target: target.name.clone(),
        file_bytes: request.largest_file_bytes,
        limit_bytes: limit.max_object_bytes,
    })
}

/// Cost of an edge, most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Weight {
    unknown_legs: i64,
    nanos: i128,
    /// Settles equal prices: straight from a holder, at the source's own place.
    detour: i64,
}

impl Weight {
    fn of(legs: &[&Leg], detour: i64) -> Self {
        let start = Self {
            unknown_legs: 0,
            nanos: 0,
            detour,
        };
        legs.iter().fold(start, |sum, leg| match &leg.fee {
            Fee::Known { usd, entry: _ } => Self {
                nanos: sum.nanos + i128::from(usd.0),
                ..sum
            },
            Fee::Unknown => Self {
                unknown_legs: sum.unknown_legs + 1,
                ..sum
            },
        })
    }
}

impl Add for Weight {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            unknown_legs: self.unknown_legs + other.unknown_legs,
            nanos: self.nanos + other.nanos,
            detour: self.detour + other.detour,
        }
    }
}

impl Sub for Weight {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self {
            unknown_legs: self.unknown_legs - other.unknown_legs,
            nanos: self.nanos - other.nanos,
            detour: self.detour - other.detour,
        }
    }
}

/// How a target is filled: from this store, at this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    store: usize,
    place: usize,
    target: usize,
}

/// What an edge of the search means.
#[derive(Clone, Copy)]
enum Meaning {
    Root,
    Fill(Route),
    Read { store: usize },
    Write { place: usize, target: usize },
}

struct Graph<'a> {
    /// Holders, then targets.
    stores: Vec<&'a Site>,
    holders: usize,
    places: Vec<&'a Site>,
    /// From each store to each place.
    reads: Vec<Vec<Leg>>,
    /// From each place to each store.
    writes: Vec<Vec<Leg>>,
}

impl<'a> Graph<'a> {
    fn new(world: &Allowed<'a>, meter: &Meter<'_>) -> Self {
        let Allowed {
            holders,
            targets,
            places,
        } = world;
        let stores: Vec<&Site> = holders.iter().chain(targets).copied().collect();
        let legs = |from: &[&Site], to: &[&Site]| {
            let row = |a: &Site| {
                let legs = to.iter().map(|b| meter.look(&a.location, &b.location));
                legs.collect::<Vec<_>>()
            };
            from.iter().map(|a| row(a)).collect::<Vec<_>>()
        };
        Self {
            reads: legs(&stores, places),
            writes: legs(places, &stores),
            holders: holders.len(),
            places: places.clone(),
            stores,
        }
    }

    /// The routes of the cheapest tree, and whether it is certain that it is one.
    fn cheapest(&self) -> Option<(Vec<Route>, bool)> {
        let apart: Vec<usize> = (0..self.places.len())
            .filter(|&place| !self.is_beside_a_store(place))
            .collect();
        if apart.len() <= EXACT_PLACES {
            let sets = 0..1_u32 << apart.len();
            let best = sets.filter_map(|set| {
                let through = apart.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1);
                self.tree(&through.map(|(_, &place)| place).collect::<Vec<_>>())
            });
            // The smallest set comes first, and stays when a larger one costs the same.
            return Some((best.min_by_key(|(weight, _)| *weight)?.1, true));
        }
        let mut set = vec![];
        let (mut weight, mut routes) = self.tree(&set)?;
        loop {
            let with = |&place: &usize| {
                let more: Vec<_> = set.iter().copied().chain([place]).collect();
                Some((self.tree(&more)?, place))
            };
            let left = apart.iter().filter(|place| !set.contains(place));
            let next = left
                .filter_map(with)
                .min_by_key(|((w, _), place)| (*w, *place));
            match next {
                Some(((better, found), place)) if better < weight => {
                    (weight, routes) = (better, found);
                    set.push(place);
                }
                Some(_) | None => return Some((routes, false)),
            }
        }
    }

    /// Whether some store can be read and written at the place for nothing.
    fn is_beside_a_store(&self, place: usize) -> bool {
        let is_free = |leg: &Leg| Weight::of(&[leg], 0) == Weight::of(&[], 0);
        (0..self.stores.len())
            .any(|store| is_free(&self.reads[store][place]) && is_free(&self.writes[place][store]))
    }

    /// The cheapest tree that goes through every place of `through`.
    fn tree(&self, through: &[usize]) -> Option<(Weight, Vec<Route>)> {
        let root = self.stores.len() + through.len();
        let (edges, meanings) = self.edges(through, root);
        let entries = arborescence(root + 1, root, &edges)?;
        let mut total = Weight::of(&[], 0);
        let mut read_by = BTreeMap::new();
        for index in entries.iter().flatten() {
            total = total + edges[*index].cost;
            if let Meaning::Read { store } = meanings[*index] {
                read_by.insert(through[edges[*index].to - self.stores.len()], store);
            }
        }
        let route = |index: &usize| match meanings[*index] {
            Meaning::Root | Meaning::Read { .. } => None,
            Meaning::Fill(route) => Some(route),
            Meaning::Write { place, target } => Some(Route {
                store: *read_by.get(&place)?,
                place,
                target,
            }),
        };
        let mut routes: Vec<_> = entries.iter().flatten().filter_map(route).collect();
        routes.sort();
        Some((total, routes))
    }

    fn edges(&self, through: &[usize], root: usize) -> (Vec<Edge<Weight>>, Vec<Meaning>) {
        let (mut edges, mut meanings) = (vec![], vec![]);
        let mut add = |from, to, cost, meaning| {
            edges.push(Edge { from, to, cost });
            meanings.push(meaning);
        };
        for holder in 0..self.holders {
            add(root, holder, Weight::of(&[], 0), Meaning::Root);
        }
        for store in 0..self.stores.len() {
            for target in self.holders..self.stores.len() {
                if let Some((cost, place)) = self.cheapest_place(store, target) {
                    let route = Route {
                        store,
                        place,
                        target,
                    };
                    add(store, target, cost, Meaning::Fill(route));
                }
            }
        }
        for (index, &place) in through.iter().enumerate() {
            let vertex = self.stores.len() + index;
            for store in 0..self.stores.len() {
                let cost = Weight::of(&[&self.reads[store][place]], 2 + self.relay(store));
                add(store, vertex, cost, Meaning::Read { store });
            }
            for target in self.holders..self.stores.len() {
                let cost = Weight::of(&[&self.writes[place][target]], 0);
                add(vertex, target, cost, Meaning::Write { place, target });
            }
        }
        (edges, meanings)
    }

    /// A detour through a store that has to be filled first.
    fn relay(&self, store: usize) -> i64 {
        if store < self.holders { 0 } else { 4 }
    }

    fn cheapest_place(&self, store: usize, target: usize) -> Option<(Weight, usize)> {
        if store == target {
            return None;
        }
        let weight = |place: usize| {
            let at = &self.places[place].location;
            let beside = [store, target].map(|end| *at == self.stores[end].location);
            let detour = match beside {
                [true, _] => 0,
                [false, true] => 1,
                [false, false] => 2,
            };
            let legs = [&self.reads[store][place], &self.writes[place][target]];
            Weight::of(&legs, detour + self.relay(store))
        };
        let all = (0..self.places.len()).map(|place| (weight(place), place));
        all.min()
    }

    /// Routes as transfers, each after the one that fills its source, and priced so.
    fn transfers(&self, routes: &[Route], mut meter: Meter<'_>) -> Vec<Transfer> {
        let mut depths: BTreeMap<usize, u32> = (0..self.holders).map(|h| (h, 0)).collect();
        let mut groups: BTreeMap<(u32, usize, usize), Vec<usize>> = BTreeMap::new();
        let mut waiting: Vec<Route> = routes.to_vec();
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|route| {
                let Some(&depth) = depths.get(&route.store) else {
                    return true;
                };
                depths.insert(route.target, depth + 1);
                let group = groups.entry((depth, route.store, route.place));
                group.or_default().push(route.target);
                false
            });
            // A tree always lets one more in; this only makes the loop's end certain.
            if waiting.len() == before {
                break;
            }
        }
        let mut transfer = |((depth, store, place), targets): ((u32, usize, usize), Vec<usize>)| {
            let (source, place) = (self.stores[store], self.places[place]);
            let read = meter.take(&source.location, &place.location);
            let write = |target: &usize| Write {
                target: self.stores[*target].name.clone(),
                leg: meter.take(&place.location, &self.stores[*target].location),
            };
            Transfer {
                source: source.name.clone(),
                place: place.name.clone(),
                read,
                writes: targets.iter().map(write).collect(),
                depth,
            }
        };
        groups.into_iter().map(&mut transfer).collect()
    }

    /// Each target by itself from one holder, read anew each time: the best holder's bill.
    fn star(&self, meter: &Meter<'_>) -> Bill {
        let of = |holder: usize| {
            let mut meter = meter.clone();
            let targets = self.holders..self.stores.len();
            let legs = targets.filter_map(|target| {
                let (_, place) = self.cheapest_place(holder, target)?;
                let [from, at, to] = [self.stores[holder], self.places[place], self.stores[target]]
                    .map(|site| &site.location);
                Some([meter.take(from, at), meter.take(at, to)])
            });
            Bill::of(&legs.flatten().collect::<Vec<_>>())
        };
        let bills = (0..self.holders).map(of);
        let cheapest = bills.min_by_key(|bill| (bill.unknown_legs, bill.usd));
        cheapest.unwrap_or_default()
    }
}
