//! What every priced command needs: the price book, the rules, and what is to be copied.

use std::{path::Path, sync::Arc, time::Duration};

use mcdeploy_api::{Provider, Sha256Digest};
use mcdeploy_evaluate::decode;
use mcdeploy_plan::transfer::{Location, PriceBook, Refusal, Request, Site};
use mcdeploy_store::{Store, await_manifest, find_manifest};
use tokio_util::sync::CancellationToken;

use super::store_failure;
use crate::{
    args::RuleArgs,
    exit::{ExitStatus, Failure, chain},
    names::did_you_mean,
    stores::{Named, Stores},
};

/// A version as the stores have it that are copied from.
pub(super) struct Subject {
    pub(super) model: String,
    pub(super) version: String,
    pub(super) digest: Sha256Digest,
    pub(super) size_bytes: u64,
    pub(super) largest_file_bytes: u64,
    /// One per holder, in their order.
    pub(super) sources: Vec<Arc<dyn Store>>,
}

/// The built-in prices, behind the user's own.
pub(super) fn price_book(user: Option<&Path>) -> Result<PriceBook, Failure> {
    let unusable = |what: &str, why: String| {
        Failure::new(ExitStatus::Usage, format!("cannot use {what}: {why}"))
            .hint("a price file has the shape of crates/mcdeploy-plan/data/transfer-prices.json")
    };
    let builtin = PriceBook::builtin();
    let builtin = builtin.map_err(|error| unusable("the built-in prices", chain(&error)))?;
    let Some(path) = user else {
        return Ok(builtin);
    };
    let what = format!("the price file {}", path.display());
    let bytes = std::fs::read(path).map_err(|error| unusable(&what, error.to_string()))?;
    let text =
        decode(&bytes).map_err(|why| unusable(&what, format!("expected text, found {why}")))?;
    let own = PriceBook::from_json(text.as_bytes());
    let own = own.map_err(|error| unusable(&what, chain(&error)))?;
    Ok(builtin.overridden_by(own))
}

/// A request that holds the rules, and nothing else yet.
pub(super) fn rules(args: &RuleArgs, book: &PriceBook) -> Result<Request, Failure> {
    let known = book.offers();
    if let Some(unknown) = args.offer.iter().find(|o| !known.contains(o.as_str())) {
        let meant = did_you_mean(unknown, known.iter().copied());
        let all: Vec<_> = known.iter().copied().collect();
        let text = format!(
            "no price depends on an offer {meant}: there are {}",
            all.join(", ")
        );
        return Err(Failure::new(ExitStatus::Usage, text));
    }
    let allowed = &args.jurisdiction;
    Ok(Request {
        size_bytes: 0,
        largest_file_bytes: 0,
        holders: vec![],
        targets: vec![],
        places: vec![],
        allowed_jurisdictions: (!allowed.is_empty())
            .then(|| allowed.iter().map(|word| word.to_uppercase()).collect()),
        budget: args.max_cost,
        used_bytes: args.used_bytes(),
        offers: args.offer.iter().cloned().collect(),
    })
}

/// Reads the version's manifest in every holder. All must have the same. One that is still
/// receiving it is waited for, where `follow` says how long.
pub(super) async fn subject(
    (model, version): (String, String),
    stores: &Stores<'_>,
    (holders, follow): (&[Named], Option<Duration>),
    cancel: &CancellationToken,
) -> Result<Subject, Failure> {
    let mut found = None;
    let mut sources = vec![];
    for holder in holders {
        let store = stores.open(holder).await?;
        let what = format!("read the manifest of {model} {version} in {}", holder.name);
        let manifest = match follow {
            None => find_manifest(store.as_ref(), &model, &version, cancel).await,
            Some(patience) => {
                await_manifest(store.as_ref(), &model, &version, patience, cancel).await
            }
        };
        let manifest = manifest.map_err(|error| store_failure(&what, &error))?;
        let Some((manifest, digest)) = manifest else {
            let text = format!("{model} {version} has no manifest in {}", holder.name);
            return Err(Failure::new(ExitStatus::NotFound, text)
                .hint("--from names stores that have the whole version; --follow waits for one"));
        };
        let (_, first, at) = found.get_or_insert((manifest, digest, &holder.name));
        if *first != digest {
            let name = &holder.name;
            let text = format!("{model} {version} is {first} in {at} and {digest} in {name}");
            return Err(Failure::new(ExitStatus::Conflict, text)
                .hint("name only the store that has the right one with --from"));
        }
        sources.push(store);
    }
    let Some((manifest, digest, _)) = found else {
        return Err(Failure::new(
            ExitStatus::Usage,
            "no store to copy from is named",
        ));
    };
    let sizes = manifest.files.iter().map(|file| file.size_bytes);
    Ok(Subject {
        size_bytes: manifest.size_bytes(),
        largest_file_bytes: sizes.max().unwrap_or(0),
        model,
        version,
        digest,
        sources,
    })
}

/// Where this program runs; one's own line, unless it was said.
pub(super) fn this_machine(here: Option<&Location>) -> Site {
    let own = || Location {
        provider: Provider::Onprem,
        region: "here".to_owned(),
    };
    Site {
        name: "this machine".to_owned(),
        location: here.cloned().unwrap_or_else(own),
        jurisdiction: None,
    }
}

/// The sites of stores.
pub(super) fn sites(named: &[Named]) -> Vec<Site> {
    named.iter().map(|named| named.site.clone()).collect()
}

/// A refusal with what to do next.
pub(super) fn refused(refusal: &Refusal) -> Failure {
    let failure = Failure::new(ExitStatus::Failed, format!("no plan: {refusal}"));
    match refusal {
        Refusal::NoHolder | Refusal::NoPlace => failure,
        Refusal::Residency { .. } => failure.hint(
            "leave it out, allow its jurisdiction, or say where it is: `jurisdiction` of the object, ?jurisdiction= of a URL",
        ),
        Refusal::TooLarge { .. } => failure.hint("split the file, or leave that store out"),
        Refusal::OverBudget { .. } => {
            failure.hint("nothing was spent; raise --max-cost, or copy to fewer stores")
        }
        Refusal::UnknownPrice { .. } => {
            failure.hint("nothing was spent; give that price with --prices, or drop --max-cost")
        }
    }
}
