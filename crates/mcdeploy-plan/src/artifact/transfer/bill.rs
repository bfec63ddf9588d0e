//! What transfers cost, leg by leg, in the order in which they run.

use std::collections::{BTreeMap, BTreeSet};

use mcdeploy_api::Provider;
use serde::Serialize;

use super::{Charge, Location, NanoUsd, PriceBook};

/// One reading of a store, and every store that is written from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Transfer {
    /// Store that is read.
    pub source: String,
    /// Place that the transfer runs at.
    pub place: String,
    /// From the source to the place.
    pub read: Leg,
    /// One entry per target, sorted by name.
    pub writes: Vec<Write>,
    /// Transfers that must end before this one, counted along its way: 0 for a source
    /// that has the version already.
    pub depth: u32,
}

/// One store that a transfer fills.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    /// The store.
    pub target: String,
    /// From the place to the store.
    pub leg: Leg,
}

impl Transfer {
    /// The reading, then each writing.
    pub fn legs(&self) -> impl Iterator<Item = &Leg> {
        std::iter::once(&self.read).chain(self.writes.iter().map(|write| &write.leg))
    }
}

/// Bytes on one edge, and what they cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leg {
    /// Where they come from.
    pub from: Location,
    /// Where they go.
    pub to: Location,
    /// How many.
    pub size_bytes: u64,
    /// What they cost.
    pub fee: Fee,
    /// What the edge carries, in bytes per second, where the data file knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
}

/// The price of a leg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Fee {
    /// By an entry of the price file.
    #[serde(rename_all = "camelCase")]
    Known {
        /// How much.
        usd: NanoUsd,
        /// The entry's name.
        entry: String,
    },
    /// The price file has no entry for this edge. It may cost anything.
    Unknown,
}

/// A sum over legs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bill {
    /// Sum of the known prices.
    pub usd: NanoUsd,
    /// Legs whose price is not known, and not in the sum.
    pub unknown_legs: u32,
}

impl Bill {
    pub(super) fn of<'a>(legs: impl IntoIterator<Item = &'a Leg>) -> Self {
        legs.into_iter()
            .fold(Self::default(), |sum, leg| match &leg.fee {
                Fee::Known { usd, entry: _ } => Self {
                    usd: sum.usd.plus(*usd),
                    ..sum
                },
                Fee::Unknown => Self {
                    unknown_legs: sum.unknown_legs + 1,
                    ..sum
                },
            })
    }
}

/// Prices legs one after the other, because volume makes later ones cheaper.
#[derive(Clone)]
pub(super) struct Meter<'a> {
    pub(super) book: &'a PriceBook,
    pub(super) offers: &'a BTreeSet<String>,
    pub(super) size_bytes: u64,
    /// Bytes since the month began, by provider. One that is not named has used its
    /// free allowance up: a plan must not promise what may be gone.
    pub(super) used_bytes: BTreeMap<Provider, u64>,
}

impl Meter<'_> {
    /// The price of a leg, without adding it to what was used.
    pub(super) fn look(&self, from: &Location, to: &Location) -> Leg {
        let entry = self.book.price(from, to, self.offers);
        let used = |charge: &Charge| {
            let known = self.used_bytes.get(&from.provider).copied();
            known.unwrap_or_else(|| charge.free_bytes())
        };
        Leg {
            from: from.clone(),
            to: to.clone(),
            size_bytes: self.size_bytes,
            fee: entry.map_or(Fee::Unknown, |entry| Fee::Known {
                usd: entry.charge.cost(used(&entry.charge), self.size_bytes),
                entry: entry.id.clone(),
            }),
            bytes_per_second: entry.and_then(|entry| match entry.charge {
                Charge::FlatRate { bytes_per_second } => bytes_per_second,
                Charge::PerGb { .. } | Charge::Free => None,
            }),
        }
    }

    /// The price of a leg that is taken.
    pub(super) fn take(&mut self, from: &Location, to: &Location) -> Leg {
        let leg = self.look(from, to);
        let entry = self.book.price(from, to, self.offers);
        if let Some(entry) = entry.filter(|entry| entry.charge.is_tiered()) {
            let free = entry.charge.free_bytes();
            let used = self.used_bytes.entry(from.provider).or_insert(free);
            *used = used.saturating_add(self.size_bytes);
        }
        leg
    }
}
