//! `mcdeploy artifacts plan`: the cheapest tree of transfers, priced edge by edge.

use mcdeploy_plan::transfer::{
    Bill, Fee, Leg, PriceBook, Request, Site, Transfer, Tree, plan as plan_tree,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    names,
    pricing::{price_book, refused, rules, sites, subject, this_machine},
    print, size,
};
use crate::{
    args::PlanArgs,
    environment::Environment,
    exit::{ExitStatus, Failure},
    printer::Printer,
    stores::{Named, Stores},
    table::Table,
};

/// What a plan is for: a version, or only a size.
struct Extent {
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
    let (stores, mut holders) = Stores::of(&wanted, &args.store, environment).await?;
    let targets = holders.split_off(args.from.len());
    let extent = extent(args, &stores, &holders, cancel).await?;
    let request = Request {
        size_bytes: extent.size_bytes,
        largest_file_bytes: extent.largest_file_bytes,
        holders: sites(&holders),
        targets: sites(&targets),
        places: places(args, &stores).await?,
        ..rules(&args.rules, &book)?
    };
    let tree = plan_tree(&request, &book).map_err(|refusal| refused(&refusal))?;
    let data = report(&extent, &tree, &book);
    print(args.output, printer, &data, || table(&extent, &tree))?;
    remark(&tree, printer);
    Ok(ExitStatus::Success)
}

async fn extent(
    args: &PlanArgs,
    stores: &Stores<'_>,
    holders: &[Named],
    cancel: &CancellationToken,
) -> Result<Extent, Failure> {
    let Some(version) = &args.version else {
        let size_bytes = args.size.map_or(0, |bytes| bytes.0);
        return Ok(Extent {
            title: size(size_bytes),
            size_bytes,
            largest_file_bytes: 0,
        });
    };
    let version = names(version, &args.project)?;
    let subject = subject(version, stores, (holders, None), cancel).await?;
    Ok(Extent {
        title: format!("{} {}", subject.model, subject.version),
        size_bytes: subject.size_bytes,
        largest_file_bytes: subject.largest_file_bytes,
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
        places.push(this_machine(None));
    }
    Ok(places)
}

fn report(extent: &Extent, tree: &Tree, book: &PriceBook) -> Value {
    json!({
        "apiVersion": "cli.mcdeploy.dev/v1alpha1",
        "kind": "ArtifactPlan",
        "subject": extent.title,
        "sizeBytes": extent.size_bytes,
        "pricesDated": book.dated,
        "plan": tree,
    })
}

fn table(extent: &Extent, tree: &Tree) -> String {
    if tree.transfers.is_empty() {
        return format!("{}: nothing to copy", extent.title);
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
