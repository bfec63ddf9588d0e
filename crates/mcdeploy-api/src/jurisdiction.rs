//! Whose law holds in which region.

use std::{collections::BTreeMap, sync::LazyLock};

use crate::Provider;

/// The one table of regions, which the Terraform modules check their input with too:
/// per provider and region its country (ISO 3166), then `EU` where that is part of it.
const TABLE: &str = include_str!("../../../terraform/modules/regions.json");

type Regions = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// A table that does not parse knows no region; a test says that it does.
static REGIONS: LazyLock<Regions> =
    LazyLock::new(|| serde_json::from_str(TABLE).unwrap_or_default());

/// A jurisdiction that is not the region's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongJurisdiction {
    /// It is no word for a jurisdiction.
    #[error(
        "jurisdiction {given:?} is none: expected the two capital letters of a country (ISO 3166), or EU"
    )]
    Malformed {
        /// What was given.
        given: String,
    },
    /// The region is elsewhere.
    #[error(
        "jurisdiction {given:?} contradicts region {region:?} of {provider}: expected {expected}"
    )]
    Contradicts {
        /// What was given.
        given: String,
        /// The region.
        region: String,
        /// Its provider.
        provider: Provider,
        /// What would fit, most exact first.
        expected: String,
    },
}

/// Whose law holds in a region, most exact first; empty for one that is not in the table.
pub fn jurisdictions(provider: Provider, region: &str) -> &'static [String] {
    let regions = REGIONS.get(provider.as_str());
    regions
        .and_then(|regions| regions.get(region))
        .map_or(&[], Vec::as_slice)
}

/// Checks a jurisdiction against the region that it is said of. A region that is not in
/// the table, such as one of one's own or a new one, contradicts nothing.
///
/// # Errors
/// What is wrong, with what would fit.
pub fn check_jurisdiction(
    provider: Provider,
    region: &str,
    jurisdiction: &str,
) -> Result<(), WrongJurisdiction> {
    let given = jurisdiction.to_owned();
    if given.len() != 2 || !given.chars().all(|c| c.is_ascii_uppercase()) {
        return Err(WrongJurisdiction::Malformed { given });
    }
    let fitting = jurisdictions(provider, region);
    if fitting.is_empty() || fitting.contains(&given) {
        return Ok(());
    }
    Err(WrongJurisdiction::Contradicts {
        given,
        region: region.to_owned(),
        provider,
        expected: fitting.join(" or "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(provider: Provider, region: &str, jurisdiction: &str) -> Option<String> {
        let checked = check_jurisdiction(provider, region, jurisdiction);
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn the_table_has_every_cloud() {
        let counts = ["aws", "azure", "gcp"].map(|cloud| REGIONS[cloud].len());
        assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
    }

    #[test]
    fn a_jurisdiction_is_that_of_the_region_or_a_wider_one() {
        assert_eq!(problem(Provider::Gcp, "europe-west4", "NL"), None);
        assert_eq!(problem(Provider::Gcp, "europe-west4", "EU"), None);
        assert_eq!(
            problem(Provider::Aws, "eu-west-1", "US").unwrap(),
            "jurisdiction \"US\" contradicts region \"eu-west-1\" of aws: expected IE or EU"
        );
        let malformed = problem(Provider::Onprem, "garage", "Germany").unwrap();
        assert!(malformed.contains("two capital letters"), "{malformed}");
    }

    #[test]
    fn a_region_that_is_not_known_contradicts_nothing() {
        assert_eq!(problem(Provider::Onprem, "garage", "DE"), None);
        assert_eq!(problem(Provider::Aws, "moon-1", "US"), None);
    }
}
