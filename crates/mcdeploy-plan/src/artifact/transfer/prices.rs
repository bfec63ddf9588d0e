//! The price of an edge, from a dated data file.
//!
//! The file that comes along is `data/transfer-prices.json`; a file of the same shape
//! given by the user comes before it. The first entry that matches holds. An edge
//! without one has no known price.

use std::{collections::BTreeSet, fmt};

use mcdeploy_api::Provider;
use serde::{Deserialize, Serialize};

use super::NanoUsd;

const BUILTIN: &str = include_str!("../../../data/transfer-prices.json");

/// Where bytes are: a provider's region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Location {
    /// Provider whose network it is.
    pub provider: Provider,
    /// Region, in the provider's own spelling.
    pub region: String,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.region)
    }
}

/// Part of the world within which providers charge alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// North America.
    Na,
    /// Europe.
    Eu,
    /// Asia.
    Asia,
    /// Australia and New Zealand.
    Oceania,
    /// South America.
    Sa,
    /// Africa.
    Africa,
}

/// What is known of a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegionEntry {
    /// The provider.
    pub provider: Provider,
    /// The region.
    pub region: String,
    /// Where it is, for prices.
    pub area: Area,
}

/// One price, with where it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceEntry {
    /// Name of the entry, unique in its file.
    pub id: String,
    from: From,
    #[serde(default)]
    to: To,
    /// What the user must have for it, such as a link that was ordered. The entry holds
    /// only for requests that name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires: Option<String>,
    /// How it is paid.
    pub charge: Charge,
    /// Where the price was seen.
    pub source: String,
    /// When: a year, a month or a day.
    pub seen: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct From {
    provider: Provider,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    areas: Vec<Area>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    regions: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct To {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    relation: Option<Relation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider: Option<Provider>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    areas: Vec<Area>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    regions: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Relation {
    SameRegion,
    /// Same provider and area.
    SameArea,
    /// Any other provider: the open internet.
    OtherProvider,
}

/// How bytes are paid for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Charge {
    /// By volume; later volume of the month may be cheaper.
    #[serde(rename_all = "camelCase")]
    PerGb {
        /// What the provider calls a gigabyte, in bytes.
        gigabyte_bytes: u64,
        /// Prices by volume since the month began, the last one without an end.
        tiers: Vec<Tier>,
    },
    /// By time: moving more costs nothing more.
    #[serde(rename_all = "camelCase")]
    FlatRate {
        /// What the line carries, in bytes per second; none when it is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes_per_second: Option<u64>,
    },
    /// Not at all.
    Free,
}

/// One step of a price by volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tier {
    /// Volume since the month began at which the tier ends, in gigabytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    up_to_gb: Option<u64>,
    /// Price of a gigabyte.
    usd: NanoUsd,
}

/// Largest object that a provider's stores take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limit {
    /// The provider.
    pub provider: Provider,
    /// Length in bytes.
    pub max_object_bytes: u64,
    /// Where it was seen.
    pub source: String,
    /// When.
    pub seen: String,
}

/// Prices, limits and regions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceBook {
    /// When the file was put together.
    pub dated: String,
    /// What its reader should know.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// In order of preference.
    #[serde(default)]
    entries: Vec<PriceEntry>,
    #[serde(default)]
    limits: Vec<Limit>,
    #[serde(default)]
    regions: Vec<RegionEntry>,
}

/// A price file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriceBookError {
    /// Not JSON of the expected shape.
    #[error("parse the price file")]
    Parse(#[from] serde_json::Error),
    /// An entry that makes no sense.
    #[error("price entry {id:?}: {why}")]
    Entry {
        /// Which.
        id: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl PriceBook {
    /// The prices that come along.
    ///
    /// # Errors
    /// None for a released build: a test reads the file.
    pub fn builtin() -> Result<Self, PriceBookError> {
        Self::from_json(BUILTIN.as_bytes())
    }

    /// Reads a price file.
    ///
    /// # Errors
    /// Other JSON, or an entry without tiers, source or a unique name.
    pub fn from_json(bytes: &[u8]) -> Result<Self, PriceBookError> {
        let book: Self = serde_json::from_slice(bytes)?;
        let mut seen = BTreeSet::new();
        for entry in &book.entries {
            let why = match entry.fault() {
                None if seen.insert(&entry.id) => continue,
                None => "the name is there twice",
                Some(why) => why,
            };
            return Err(PriceBookError::Entry {
                id: entry.id.clone(),
                why,
            });
        }
        Ok(book)
    }

    /// This book with `user`'s entries, limits and regions before its own.
    #[must_use]
    pub fn overridden_by(self, user: Self) -> Self {
        fn before<T>(mut first: Vec<T>, second: Vec<T>) -> Vec<T> {
            first.extend(second);
            first
        }
        Self {
            dated: self.dated,
            note: self.note,
            entries: before(user.entries, self.entries),
            limits: before(user.limits, self.limits),
            regions: before(user.regions, self.regions),
        }
    }

    /// What is known of a region.
    pub fn region(&self, at: &Location) -> Option<&RegionEntry> {
        let mut regions = self.regions.iter();
        regions.find(|known| known.provider == at.provider && known.region == at.region)
    }

    /// Largest object at a provider.
    pub fn limit(&self, provider: Provider) -> Option<&Limit> {
        self.limits.iter().find(|limit| limit.provider == provider)
    }

    /// What users may have that changes prices; see [`PriceEntry::requires`].
    pub fn offers(&self) -> BTreeSet<&str> {
        let offers = self.entries.iter().filter_map(|e| e.requires.as_deref());
        offers.collect()
    }

    /// The price of bytes that go from one place to another, for a user who has `offers`.
    pub fn price(
        &self,
        from: &Location,
        to: &Location,
        offers: &BTreeSet<String>,
    ) -> Option<&PriceEntry> {
        let area = |at| self.region(at).map(|region| region.area);
        let areas = (area(from), area(to));
        self.entries.iter().find(|entry| {
            let has = entry.requires.as_ref().is_none_or(|o| offers.contains(o));
            has && entry.from.holds(from, areas.0) && entry.to.holds(from, to, areas)
        })
    }
}

impl PriceEntry {
    fn fault(&self) -> Option<&'static str> {
        if self.source.is_empty() || self.seen.is_empty() {
            return Some("it does not say where and when it was seen");
        }
        let Charge::PerGb {
            gigabyte_bytes,
            tiers,
        } = &self.charge
        else {
            return None;
        };
        let ends: Vec<u64> = tiers.iter().filter_map(|tier| tier.up_to_gb).collect();
        let is_last_open = tiers.last().is_some_and(|tier| tier.up_to_gb.is_none());
        if *gigabyte_bytes == 0 {
            Some("a gigabyte has bytes")
        } else if !is_last_open || ends.len() + 1 != tiers.len() {
            Some("the last tier, and no other, is without upToGb")
        } else if !ends.is_sorted_by(|a, b| a < b) {
            Some("tiers must rise")
        } else {
            None
        }
    }
}

impl From {
    fn holds(&self, from: &Location, area: Option<Area>) -> bool {
        self.provider == from.provider
            && listed(&self.areas, area.as_ref())
            && listed(&self.regions, Some(&from.region))
    }
}

impl To {
    fn holds(&self, from: &Location, to: &Location, areas: (Option<Area>, Option<Area>)) -> bool {
        let is_own = from.provider == to.provider;
        let related = match self.relation {
            None => true,
            Some(Relation::SameRegion) => from == to,
            Some(Relation::SameArea) => is_own && areas.0.is_some() && areas.0 == areas.1,
            Some(Relation::OtherProvider) => !is_own,
        };
        related
            && self.provider.is_none_or(|provider| provider == to.provider)
            && listed(&self.areas, areas.1.as_ref())
            && listed(&self.regions, Some(&to.region))
    }
}

/// An empty list holds for everything.
fn listed<T: PartialEq>(list: &[T], value: Option<&T>) -> bool {
    list.is_empty() || value.is_some_and(|value| list.contains(value))
}

impl Charge {
    /// Price of `bytes` more, after `used` bytes of this month, rounded up.
    pub fn cost(&self, used: u64, bytes: u64) -> NanoUsd {
        match self {
            Self::FlatRate { .. } | Self::Free => NanoUsd(0),
            Self::PerGb {
                gigabyte_bytes,
                tiers,
            } => {
                let unit = u128::from(*gigabyte_bytes);
                let (mut at, end) = (u128::from(used), u128::from(used) + u128::from(bytes));
                let mut total: u128 = 0;
                for tier in tiers {
                    let until = tier
                        .up_to_gb
                        .map_or(end, |gb| end.min(u128::from(gb) * unit));
                    total += until.saturating_sub(at) * u128::from(tier.usd.0);
                    at = at.max(until);
                }
                NanoUsd(u64::try_from(total.div_ceil(unit)).unwrap_or(u64::MAX))
            }
        }
    }

    /// Volume after which the free allowance of a month is used up, in bytes.
    pub fn free_bytes(&self) -> u64 {
        match self {
            Self::FlatRate { .. } | Self::Free => 0,
            Self::PerGb {
                gigabyte_bytes,
                tiers,
            } => {
                let free = tiers.iter().take_while(|tier| tier.usd == NanoUsd(0));
                let end = free.filter_map(|tier| tier.up_to_gb).last();
                end.unwrap_or(0).saturating_mul(*gigabyte_bytes)
            }
        }
    }

    /// Whether the price depends on what else was moved in the month.
    pub fn is_tiered(&self) -> bool {
        match self {
            Self::FlatRate { .. } | Self::Free => false,
            Self::PerGb { tiers, .. } => tiers.len() > 1,
        }
    }
}
