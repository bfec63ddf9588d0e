//! `mcdeploy artifacts replicate`: copies a version through this machine.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mcdeploy_api::ErrorClass;
use mcdeploy_plan::transfer::{Bill, Fee, NanoUsd, PriceBook, Request, Share, Tree, plan};
use mcdeploy_store::{
    Progress, PublishError, Replicated, Replication, Store, TargetOutcome, TransferError,
    TransferOptions, replicate_version,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    names,
    pricing::{Subject, price_book, refused, rules, sites, subject, this_machine},
    print, size,
};
use crate::{
    args::ReplicateArgs,
    commands::{progress::Display, push::adopted},
    environment::Environment,
    exit::{ExitStatus, Failure, chain},
    printer::Printer,
    stores::{Named, Stores},
    table::Table,
};

/// How long a source that is still receiving may stand still.
const PATIENCE: Duration = Duration::from_mins(10);

/// Prices the copies, and makes them when that keeps to the rules.
pub(crate) async fn replicate(
    args: &ReplicateArgs,
    environment: &Environment,
    printer: &Printer,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitStatus> {
    let book = price_book(args.rules.prices.as_deref())?;
    let wanted: Vec<_> = args.from.iter().chain(&args.to).cloned().collect();
    let (stores, mut holders) = Stores::of(&wanted, &args.store, environment).await?;
    let targets = holders.split_off(args.from.len());
    let version = names(&args.version, &args.project)?;
    let follow = args.follow.then_some(PATIENCE);
    let subject = subject(version, &stores, (&holders, follow), cancel).await?;
    let mut open = vec![];
    for target in &targets {
        open.push(stores.open(target).await?);
    }
    let (source, tree) = price(args, &book, &subject, (&holders, &targets))?;
    let Subject { model, version, .. } = &subject;
    printer.notice(format!(
        "copying {model} {version}, {}, from {} to {} stores: {}",
        size(subject.size_bytes),
        subject.sources[source].location(),
        open.len(),
        shown(&tree.bill)
    ));
    let options = TransferOptions {
        buffer_bytes: args.memory.0,
        follow,
        ..TransferOptions::default()
    };
    let prices = shares(&tree, &targets, &open, subject.size_bytes);
    let display = Display::new(printer, args.output).priced(prices);
    let work = copy(&subject, source, &open, &options, &display, cancel);
    let copied = Box::pin(work).await.map_err(|error| failure(&error))?;
    let data = report(&subject, &tree.bill, &copied);
    print(args.output, printer, &data, || table(&copied))?;
    for target in copied.targets.iter().filter(|t| !t.adopted.is_empty()) {
        printer.notice(format!("{}: {}", target.store, adopted(&target.adopted)));
    }
    end(&copied)
}

/// Which holder is read, and what all copies together cost.
fn price(
    args: &ReplicateArgs,
    book: &PriceBook,
    subject: &Subject,
    (holders, targets): (&[Named], &[Named]),
) -> Result<(usize, Tree), Failure> {
    let request = Request {
        size_bytes: subject.size_bytes,
        largest_file_bytes: subject.largest_file_bytes,
        // The bytes go through this machine whatever is cheapest, so that no target waits
        // for another one: only holders are read.
        holders: sites(holders),
        targets: sites(targets),
        places: vec![this_machine(args.here.as_ref())],
        ..rules(&args.rules, book)?
    };
    let tree = plan(&request, book).map_err(|refusal| refused(&refusal))?;
    Ok((read_from(&tree, holders), tree))
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

/// What each target costs, by its name in progress: its own way, and its part of the reading.
fn shares(
    tree: &Tree,
    targets: &[Named],
    open: &[Arc<dyn Store>],
    size_bytes: u64,
) -> BTreeMap<String, Share> {
    let mut shares = BTreeMap::new();
    for transfer in &tree.transfers {
        let count = u64::try_from(transfer.writes.len()).unwrap_or(u64::MAX);
        for write in &transfer.writes {
            let (Fee::Known { usd: read, .. }, Fee::Known { usd: own, .. }) =
                (&transfer.read.fee, &write.leg.fee)
            else {
                continue;
            };
            let usd = own.plus(NanoUsd(read.0 / count.max(1)));
            let mut named = targets.iter().zip(open);
            if let Some((_, store)) = named.find(|(named, _)| named.name == write.target) {
                shares.insert(store.name().to_owned(), Share::new(usd, size_bytes));
            }
        }
    }
    shares
}

async fn copy(
    subject: &Subject,
    source: usize,
    targets: &[Arc<dyn Store>],
    options: &TransferOptions,
    display: &Display<'_>,
    cancel: &CancellationToken,
) -> Result<Replicated, TransferError> {
    let targets: Vec<&dyn Store> = targets.iter().map(AsRef::as_ref).collect();
    let request = Replication {
        source: subject.sources[source].as_ref(),
        targets: &targets,
        model: &subject.model,
        version: &subject.version,
        digest: &subject.digest,
    };
    let show = |progress: &Progress| display.show(progress);
    let outcome = replicate_version(&request, options, &show, cancel).await;
    display.end();
    outcome
}

fn report(subject: &Subject, bill: &Bill, copied: &Replicated) -> Value {
    let item = |target: &TargetOutcome| {
        let (state, message) = state(target);
        json!({
            "store": target.store,
            "state": state,
            "sentBytes": target.sent_bytes,
            "resumedBytes": target.resumed_bytes,
            "copiedBytes": target.copied_bytes,
            "repeatedRequests": target.repeats,
            "adopted": target.adopted,
            "message": message,
        })
    };
    json!({
        "apiVersion": "cli.mcdeploy.dev/v1alpha1",
        "kind": "ArtifactReplication",
        "model": subject.model,
        "version": subject.version,
        "manifestDigest": subject.digest,
        "sizeBytes": subject.size_bytes,
        "price": bill,
        "targets": copied.targets.iter().map(item).collect::<Vec<_>>(),
    })
}

fn state(target: &TargetOutcome) -> (&'static str, String) {
    match &target.outcome {
        Ok(true) => ("Copied", String::new()),
        Ok(false) => ("Unchanged", String::new()),
        Err(error) if error.class() == ErrorClass::Cancelled => ("Interrupted", String::new()),
        Err(error) => ("Failed", chain(error)),
    }
}

fn table(copied: &Replicated) -> String {
    let mut table = Table::new(["STORE", "STATE", "SENT", "RESUMED", "COPIED", "MESSAGE"]);
    for target in &copied.targets {
        let (state, message) = state(target);
        table.row(vec![
            target.store.clone(),
            state.to_owned(),
            size(target.sent_bytes),
            size(target.resumed_bytes),
            size(target.copied_bytes),
            message,
        ]);
    }
    table.render()
}

/// The exit code is that of the first target that failed.
fn end(copied: &Replicated) -> anyhow::Result<ExitStatus> {
    let mut errors = copied.targets.iter();
    match errors.find_map(|target| target.outcome.as_ref().err()) {
        None => Ok(ExitStatus::Success),
        Some(first) => Err(explained(first.class(), chain(first), is_conflict(first)).into()),
    }
}

fn is_conflict(error: &PublishError) -> bool {
    error.is_conflict()
}

fn failure(error: &TransferError) -> Failure {
    let conflict = matches!(error, TransferError::Publish(error) if is_conflict(error));
    explained(error.class(), chain(error), conflict)
}

fn explained(class: ErrorClass, text: String, is_conflict: bool) -> Failure {
    match class {
        ErrorClass::Cancelled => Failure::new(ExitStatus::Interrupted, "interrupted")
            .hint("no half version is visible; the same command again goes on"),
        ErrorClass::Precondition if is_conflict => Failure::new(ExitStatus::Conflict, text),
        ErrorClass::NotFound => Failure::new(ExitStatus::NotFound, text),
        ErrorClass::Transient | ErrorClass::Throttled | ErrorClass::Unknown => {
            Failure::new(ExitStatus::Failed, text)
                .hint("the same command again goes on where this one ended")
        }
        ErrorClass::Precondition | ErrorClass::Permanent => Failure::new(ExitStatus::Failed, text),
    }
}
