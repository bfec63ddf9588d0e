//! `mcdeploy artifacts plan`: the cheapest tree of transfers, priced edge by edge.

use std::path::Path;

use mcdeploy_api::Provider;
use mcdeploy_plan::transfer::{
    Bill, Fee, Leg, Location, PriceBook, Refusal, Request, Site, Transfer, Tree, plan as plan_tree,
};
use mcdeploy_store::find_manifest;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{names, print, size, store_failure};
use crate::{
    args::{PlanArgs, RuleArgs},
    environment::Environment,
    exit::{ExitStatus, Failure, chain},
    names::did_you_mean,
    printer::Printer,
    stores::{Named, Stores},
    table::Table,
};

/// What is to be copied.
struct Subject {
    /// For people: `digits v3`, or only a size.
    title: String,
    size_bytes: u64,
    largest_file_bytes: u64,
}

/// Plans, prints, and copies nothing.
pub(crate) async fn plan(
    args: &PlanArgs,
    environment: &Environment,
    printer: &Printer,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitStatus> {
    let book = price_book(args.rules.prices.as_deref())?;
    let wanted: Vec<_> = args.from.iter().chain(&args.to).cloned().collect();
    let endpoint = args.store.endpoint.as_deref();
    let (stores, mut holders) =
        Stores::find(&wanted, &args.store.hub, endpoint, environment).await?;
    let targets = holders.split_off(args.from.len());
    let subject = subject(args, &stores, &holders, cancel).await?;
    let sites = |named: &[Named]| named.iter().map(|n| n.site.clone()).collect::<Vec<_>>();
    let request = Request {
        size_bytes: subject.size_bytes,
        largest_file_bytes: subject.largest_file_bytes,
        holders: sites(&holders),
        targets: sites(&targets),
        places: places(args, &stores).await?,
        ..rules(&args.rules, &book)?
    };
    let tree = plan_tree(&request, &book).map_err(|refusal| refused(&refusal))?;
    let data = report(&subject, &tree, &book);
    print(args.output, printer, &data, || table(&subject, &tree))?;
    remark(&tree, printer);
    Ok(ExitStatus::Success)
}

/// The built-in prices, behind the user's own.
fn price_book(user: Option<&Path>) -> Result<PriceBook, Failure> {
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
    let own = PriceBook::from_json(&bytes).map_err(|error| unusable(&what, chain(&error)))?;
    Ok(builtin.overridden_by(own))
}

/// A request that holds the rules, and nothing else yet.
fn rules(args: &RuleArgs, book: &PriceBook) -> Result<Request, Failure> {
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
        allowed_jurisdictions: (!allowed.is_empty()).then(|| allowed.iter().cloned().collect()),
        budget: args.max_cost,
        used_bytes: args.used_bytes(),
        offers: args.offer.iter().cloned().collect(),
    })
}

async fn subject(
    args: &PlanArgs,
    stores: &Stores<'_>,
    holders: &[Named],
    cancel: &CancellationToken,
) -> Result<Subject, Failure> {
    let Some(version) = &args.version else {
        let size_bytes = args.size.map_or(0, |bytes| bytes.0);
        return Ok(Subject {
            title: size(size_bytes),
            size_bytes,
            largest_file_bytes: 0,
        });
    };
    let (model, version) = names(version, &args.project)?;
    let mut found = None;
    for holder in holders {
        let store = stores.open(holder).await?;
        let what = format!("read the manifest of {model} {version} in {}", holder.name);
        let manifest = find_manifest(store.as_ref(), &model, &version, cancel).await;
        let manifest = manifest.map_err(|error| store_failure(&what, &error))?;
        let Some((manifest, digest)) = manifest else {
            let text = format!("{model} {version} has no manifest in {}", holder.name);
            return Err(Failure::new(ExitStatus::NotFound, text)
                .hint("--from names stores that have the whole version"));
        };
        let (_, first, at) = found.get_or_insert((manifest, digest, &holder.name));
        if *first != digest {
            let name = &holder.name;
            let text = format!("{model} {version} is {first} in {at} and {digest} in {name}");
            return Err(Failure::new(ExitStatus::Conflict, text)
                .hint("name only the store that has the right one with --from"));
        }
    }
    let files = found.iter().flat_map(|(manifest, _, _)| &manifest.files);
    Ok(Subject {
        size_bytes: found.as_ref().map_or(0, |(m, _, _)| m.size_bytes()),
        largest_file_bytes: files.map(|file| file.size_bytes).max().unwrap_or(0),
        title: format!("{model} {version}"),
    })
}

async fn places(args: &PlanArgs, stores: &Stores<'_>) -> Result<Vec<Site>, Failure> {
    let named = args.place.iter().map(|location| Site {
        name: location.to_string(),
        location: location.clone(),
        jurisdiction: None,
    });
    let mut places: Vec<Site> = named.collect();
    if places.is_empty() {
        places = stores.places().await?;
    }
    if places.is_empty() {
        places.push(this_machine());
    }
    Ok(places)
}

fn this_machine() -> Site {
    Site {
        name: "this machine".to_owned(),
        location: Location {
            provider: Provider::Onprem,
            region: "here".to_owned(),
        },
        jurisdiction: None,
    }
}

fn refused(refusal: &Refusal) -> Failure {
    let failure = Failure::new(ExitStatus::Failed, format!("no plan: {refusal}"));
    match refusal {
        Refusal::NoHolder | Refusal::NoPlace => failure,
        Refusal::Residency { .. } => failure.hint(
            "leave it out, allow its jurisdiction, or say with ?jurisdiction= or --prices where it is",
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

fn report(subject: &Subject, tree: &Tree, book: &PriceBook) -> Value {
    json!({
        "apiVersion": "cli.mcdeploy.dev/v1alpha1",
        "kind": "ArtifactPlan",
        "subject": subject.title,
        "sizeBytes": subject.size_bytes,
        "pricesDated": book.dated,
        "plan": tree,
    })
}

fn table(subject: &Subject, tree: &Tree) -> String {
    if tree.transfers.is_empty() {
        return format!("{}: nothing to copy", subject.title);
    }
    let mut table = Table::new(["LEG", "RUNS AT", "BYTES", "COST", "PRICED BY"]);
    for transfer in &tree.transfers {
        for cells in rows(transfer) {
            table.row(cells);
        }
    }
    let line = |name: &str, bill: &Bill| {
        let unknown = match bill.unknown_legs {
            0 => String::new(),
            legs => format!(" and {legs} legs of unknown price"),
        };
        format!("{name} {}{unknown}", bill.usd)
    };
    let (bill, star) = (line("total", &tree.bill), line("naive star", &tree.star));
    let unknown = tree.bill.unknown_legs + tree.star.unknown_legs;
    let star_usd = u128::from(tree.star.usd.0);
    let saved = star_usd.saturating_sub(tree.bill.usd.0.into()) * 100;
    let saved = match saved.checked_div(star_usd) {
        Some(percent @ 1..) if unknown == 0 => format!(" ({percent} % saved)"),
        Some(_) | None => String::new(),
    };
    format!("{}\n\n{bill}, {star}{saved}", table.render())
}

fn rows(transfer: &Transfer) -> Vec<Vec<String>> {
    let indent = "  ".repeat(transfer.depth as usize * 2);
    let row = |name: String, place: &str, leg: &Leg| {
        let (cost, entry) = match &leg.fee {
            Fee::Known { usd, entry } => (usd.to_string(), entry.clone()),
            Fee::Unknown => ("unknown".to_owned(), "no entry".to_owned()),
        };
        vec![name, place.to_owned(), size(leg.size_bytes), cost, entry]
    };
    let read = format!("{indent}read {}", transfer.source);
    let mut rows = vec![row(read, &transfer.place, &transfer.read)];
    for write in &transfer.writes {
        let name = format!("{indent}  write {}", write.target);
        rows.push(row(name, &transfer.place, &write.leg));
    }
    rows
}

fn remark(tree: &Tree, printer: &Printer) {
    for leg in tree.transfers.iter().flat_map(Transfer::legs) {
        if leg.fee == Fee::Unknown {
            printer.warning(format!(
                "the price from {} to {} is not known; --prices can say it",
                leg.from, leg.to
            ));
        }
        if let Some(rate) = leg.bytes_per_second.filter(|rate| *rate > 0) {
            let seconds = leg.size_bytes.div_ceil(rate);
            printer.notice(format!(
                "from {} to {}: a line of {} a second, so at least {seconds} s",
                leg.from,
                leg.to,
                size(rate)
            ));
        }
    }
    if !tree.is_exact {
        printer.notice("many places are beside no store: a cheaper way may exist");
    }
}
