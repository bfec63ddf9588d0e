//! `mcdeploy artifacts replicate`: copies a version through this machine.

use std::sync::Arc;

use mcdeploy_api::ErrorClass;
use mcdeploy_plan::transfer::{Bill, PriceBook, Request, Tree, plan};
use mcdeploy_store::{Progress, PublishError, Store, TransferError, Transferred, copy_version};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    names,
    pricing::{Subject, price_book, refused, rules, sites, subject, this_machine},
    print, size,
};
use crate::{
    args::ReplicateArgs,
    commands::progress::Display,
    environment::Environment,
    exit::{ExitStatus, Failure, chain},
    printer::Printer,
    stores::{Named, Stores},
    table::Table,
};

/// One target's outcome.
struct Row {
    store: String,
    outcome: Result<Transferred, TransferError>,
}

/// Prices the copies, and makes them when that keeps to the rules.
pub(crate) async fn replicate(
    args: &ReplicateArgs,
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
    let version = names(&args.version, &args.project)?;
    let subject = subject(version, &stores, &holders, cancel).await?;
    let mut open = vec![];
    for target in &targets {
        open.push((target.name.clone(), stores.open(target).await?));
    }
    let (source, bill) = price(args, &book, &subject, (&holders, &targets))?;
    let Subject { model, version, .. } = &subject;
    printer.notice(format!(
        "copying {model} {version}, {}, from {} to {} stores: {}",
        size(subject.size_bytes),
        subject.sources[source].location(),
        open.len(),
        shown(&bill)
    ));
    let mut rows = vec![];
    for (store, target) in open {
        let outcome = copy(&subject, source, &target, printer, cancel).await;
        rows.push(Row { store, outcome });
    }
    let data = report(&subject, &bill, &rows);
    print(args.output, printer, &data, || table(&rows))?;
    end(&rows)
}

/// Which holder is read, and what all copies together cost.
fn price(
    args: &ReplicateArgs,
    book: &PriceBook,
    subject: &Subject,
    (holders, targets): (&[Named], &[Named]),
) -> Result<(usize, Bill), Failure> {
    let request = Request {
        size_bytes: subject.size_bytes,
        largest_file_bytes: subject.largest_file_bytes,
        holders: sites(holders),
        targets: sites(targets),
        places: vec![this_machine(args.here.as_ref())],
        ..rules(&args.rules, book)?
    };
    // Each target is read for by itself, which is what the star costs.
    let unlimited = Request {
        budget: None,
        ..request.clone()
    };
    let tree = plan(&unlimited, book).map_err(|refusal| refused(&refusal))?;
    if let Some(budget) = request.budget
        && (tree.star.usd > budget || tree.star.unknown_legs > 0)
    {
        let text = format!(
            "no copy was made: it costs {}, and at most {budget} may be spent",
            shown(&tree.star)
        );
        return Err(Failure::new(ExitStatus::Failed, text)
            .hint("raise --max-cost, copy to fewer stores, or see `mcdeploy artifacts plan`"));
    }
    Ok((read_from(&tree, holders), tree.star))
}

fn read_from(tree: &Tree, holders: &[Named]) -> usize {
    let first = tree.transfers.first();
    let named = first.and_then(|t| holders.iter().position(|holder| holder.name == t.source));
    named.unwrap_or(0)
}

fn shown(bill: &Bill) -> String {
    match bill.unknown_legs {
        0 => bill.usd.to_string(),
        legs => format!("{} and {legs} legs of unknown price", bill.usd),
    }
}

async fn copy(
    subject: &Subject,
    source: usize,
    target: &Arc<dyn Store>,
    printer: &Printer,
    cancel: &CancellationToken,
) -> Result<Transferred, TransferError> {
    let Subject {
        model,
        version,
        digest,
        sources,
        ..
    } = subject;
    let display = Display::new(printer);
    let show = |progress: &Progress| display.show(progress);
    let stores = (sources[source].as_ref(), target.as_ref());
    let work = copy_version(stores, model, version, digest, &show, cancel);
    let outcome = Box::pin(work).await;
    display.end();
    outcome
}

fn report(subject: &Subject, bill: &Bill, rows: &[Row]) -> Value {
    let item = |row: &Row| {
        let (state, message) = state(row);
        json!({"store": row.store, "state": state, "message": message})
    };
    json!({
        "apiVersion": "cli.mcdeploy.dev/v1alpha1",
        "kind": "ArtifactReplication",
        "model": subject.model,
        "version": subject.version,
        "manifestDigest": subject.digest,
        "sizeBytes": subject.size_bytes,
        "price": bill,
        "targets": rows.iter().map(item).collect::<Vec<_>>(),
    })
}

fn state(row: &Row) -> (&'static str, String) {
    match &row.outcome {
        Ok(done) if done.is_new => ("Copied", String::new()),
        Ok(_) => ("Unchanged", String::new()),
        Err(error) if error.class() == ErrorClass::Cancelled => ("Interrupted", String::new()),
        Err(error) => ("Failed", chain(error)),
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new(["STORE", "STATE", "FILES", "BYTES", "MESSAGE"]);
    for row in rows {
        let (state, message) = state(row);
        let (files, bytes) = match &row.outcome {
            Ok(done) => (done.files.to_string(), size(done.size_bytes)),
            Err(_) => (String::new(), String::new()),
        };
        table.row(vec![
            row.store.clone(),
            state.to_owned(),
            files,
            bytes,
            message,
        ]);
    }
    table.render()
}

fn end(rows: &[Row]) -> anyhow::Result<ExitStatus> {
    let mut errors = rows.iter().filter_map(|row| row.outcome.as_ref().err());
    let Some(first) = errors.next() else {
        return Ok(ExitStatus::Success);
    };
    let conflict = matches!(first, TransferError::Publish(PublishError::Conflict { .. }));
    let failure = match first.class() {
        ErrorClass::Cancelled => Failure::new(ExitStatus::Interrupted, "interrupted")
            .hint("no half version is visible; the same command again goes on"),
        ErrorClass::Precondition if conflict => Failure::new(ExitStatus::Conflict, chain(first)),
        ErrorClass::NotFound => Failure::new(ExitStatus::NotFound, chain(first)),
        ErrorClass::Transient | ErrorClass::Throttled | ErrorClass::Unknown => {
            Failure::new(ExitStatus::Failed, chain(first))
                .hint("the same command again goes on where this one ended")
        }
        ErrorClass::Precondition | ErrorClass::Permanent => {
            Failure::new(ExitStatus::Failed, chain(first))
        }
    };
    Err(failure.into())
}
