//! What a transfer under way has cost until now.

use std::collections::BTreeSet;

use super::{Location, NanoUsd, PriceBook};

/// One target's share of a transfer: its own way, and its part of the reading that all of
/// the transfer's targets share. By list prices, with free allowances used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    usd: NanoUsd,
    total_bytes: u64,
}

impl Share {
    /// None: a price on the way is not known.
    pub fn of(
        book: &PriceBook,
        (source, place, target): (&Location, &Location, &Location),
        targets: usize,
        total_bytes: u64,
    ) -> Option<Self> {
        let no_offers = BTreeSet::new();
        let price = |from, to| {
            let charge = &book.price(from, to, &no_offers)?.charge;
            Some(charge.cost(charge.free_bytes(), total_bytes))
        };
        let read = price(source, place)?.0 / u64::try_from(targets.max(1)).unwrap_or(u64::MAX);
        Some(Self {
            usd: NanoUsd(read).plus(price(place, target)?),
            total_bytes,
        })
    }

    /// Of a leg that is priced already.
    pub fn new(usd: NanoUsd, total_bytes: u64) -> Self {
        Self { usd, total_bytes }
    }

    /// Of so many bytes.
    pub fn so_far(self, bytes: u64) -> NanoUsd {
        let part = u128::from(self.usd.0) * u128::from(bytes.min(self.total_bytes));
        let part = part.checked_div(u128::from(self.total_bytes)).unwrap_or(0);
        NanoUsd(u64::try_from(part).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use mcdeploy_api::Provider;

    use super::*;

    fn at(provider: Provider, region: &str) -> Location {
        Location {
            provider,
            region: region.to_owned(),
        }
    }

    #[test]
    fn a_share_grows_with_its_bytes_and_an_unknown_price_is_none() {
        let book = PriceBook::builtin().unwrap();
        let aws = at(Provider::Aws, "us-east-1");
        let gcp = at(Provider::Gcp, "europe-west4");
        let gigabytes = 10_u64.pow(11);
        let share = Share::of(&book, (&aws, &aws, &gcp), 2, gigabytes).unwrap();
        let all = share.so_far(gigabytes);
        assert!(all > NanoUsd(5_000_000_000), "{all}");
        assert_eq!(share.so_far(gigabytes / 2), NanoUsd(all.0 / 2));
        assert_eq!(share.so_far(gigabytes * 2), all);
        assert_eq!(share.so_far(0), NanoUsd(0));
        // From elsewhere the reading is paid for too, half of it by each of two targets.
        let far = Share::of(&book, (&gcp, &aws, &gcp), 2, gigabytes).unwrap();
        assert!(far.so_far(gigabytes) > all);
        let nowhere = at(Provider::Onprem, "moon");
        let unknown = Share::of(&book, (&aws, &nowhere, &gcp), 1, 0);
        assert_eq!(
            unknown.is_none(),
            book.price(&nowhere, &gcp, &BTreeSet::new()).is_none()
        );
    }
}
