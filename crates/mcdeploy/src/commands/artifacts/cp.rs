//! `mcdeploy artifacts cp`: objects and directories between any two stores.

use std::sync::Arc;

use mcdeploy_api::ErrorClass;
use mcdeploy_store::{
    CopiedObject, CopyError, CopyOutcome, CopyRequest, Progress, Store, copy_objects,
    open_directory_below,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{print, size, store_failure};
use crate::{
    args::CpArgs,
    commands::progress::Display,
    environment::Environment,
    exit::{ExitStatus, Failure, chain},
    object_url::ObjectUrl,
    printer::Printer,
    store_ref::StoreRef,
    stores::Stores,
    table::Table,
};

/// Things that were skipped and are named in one line.
const SHOWN: usize = 5;

/// Copies, and says what came of each object.
pub(crate) async fn cp(
    args: &CpArgs,
    environment: &Environment,
    printer: &Printer,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitStatus> {
    let source = open(&args.source, args, environment).await?;
    let target = open(&args.target, args, environment).await?;
    let request = CopyRequest {
        source: source.as_ref(),
        from: &args.source.path,
        target: target.as_ref(),
        to: &args.target.path,
        dry_run: args.dry_run,
    };
    let display = Display::new(printer, args.output);
    let show = |progress: &Progress| display.show(progress);
    let copied = copy_objects(&request, &show, cancel).await;
    display.end();
    let copied = copied.map_err(|error| failure(&error))?;
    let data = json!({
        "apiVersion": "cli.mcdeploy.dev/v1alpha1",
        "kind": "ArtifactCopy",
        "source": args.source.to_string(),
        "target": args.target.to_string(),
        "dryRun": args.dry_run,
        "objects": copied.iter().map(item).collect::<Vec<_>>(),
    });
    print(args.output, printer, &data, || table(&copied))?;
    remark(&copied, printer);
    match whole_failure(&copied) {
        None => Ok(ExitStatus::Success),
        Some(failure) => Err(failure.into()),
    }
}

/// What did not go through, with a count. Only where every failure is a conflict is the
/// whole one.
fn whole_failure(copied: &[CopiedObject]) -> Option<Failure> {
    let errors = copied
        .iter()
        .filter_map(|object| object.outcome.as_ref().err());
    let errors: Vec<&CopyError> = errors.collect();
    let worst = errors
        .iter()
        .find(|error| error.class() != ErrorClass::Precondition)
        .or(errors.first())?;
    let is_meant =
        |object: &&CopiedObject| !matches!(object.outcome, Ok(CopyOutcome::Skipped { .. }));
    let meant = copied.iter().filter(is_meant).count();
    if meant == 1 || worst.class() == ErrorClass::Cancelled {
        return Some(failure(worst));
    }
    let count = errors.len();
    let told = format!("{count} of {meant} objects were not copied; one of them: ");
    Some(failure(worst).after(&told))
}

async fn open(
    url: &ObjectUrl,
    args: &CpArgs,
    environment: &Environment,
) -> Result<Arc<dyn Store>, Failure> {
    let Some(store) = &url.store else {
        let open = open_directory_below("/", &url.path);
        return open.map_err(|error| store_failure("open /", &error));
    };
    let wanted = [StoreRef::Url(store.clone())];
    let (stores, named) = Stores::of(&wanted, &args.store, environment).await?;
    let mut open = stores.open_all(&named).await?;
    let found = open.pop().map(|(_, store)| store);
    found.ok_or_else(|| Failure::new(ExitStatus::Usage, format!("{url} names no store")))
}

fn item(object: &CopiedObject) -> Value {
    let (state, message) = state(&object.outcome);
    json!({
        "from": object.from,
        "to": object.to,
        "sizeBytes": object.size_bytes,
        "state": state,
        "readTwice": is_read_twice(object),
        "message": message,
    })
}

fn is_read_twice(object: &CopiedObject) -> bool {
    matches!(object.outcome, Ok(CopyOutcome::Copied { read_twice: true }))
}

fn state(outcome: &Result<CopyOutcome, CopyError>) -> (&'static str, String) {
    match outcome {
        Ok(CopyOutcome::Copied { .. }) => ("Copied", String::new()),
        Ok(CopyOutcome::Unchanged) => ("Unchanged", String::new()),
        Ok(CopyOutcome::Absent) => ("WouldCopy", String::new()),
        Ok(CopyOutcome::Skipped { what }) => ("Skipped", format!("it is {what}")),
        Err(error @ CopyError::Conflict { .. }) => ("Conflict", chain(error)),
        Err(error) if error.class() == ErrorClass::Cancelled => ("Interrupted", String::new()),
        Err(error) => ("Failed", chain(error)),
    }
}

fn table(copied: &[CopiedObject]) -> String {
    let mut table = Table::new(["OBJECT", "TO", "SIZE", "STATE", "MESSAGE"]);
    for object in copied {
        let (state, message) = state(&object.outcome);
        table.row(vec![
            object.from.clone(),
            object.to.clone(),
            size(object.size_bytes),
            state.to_owned(),
            message,
        ]);
    }
    table.render()
}

fn remark(copied: &[CopiedObject], printer: &Printer) {
    let skipped = copied.iter().filter_map(|object| match object.outcome {
        Ok(CopyOutcome::Skipped { what }) => Some(format!("{} ({what})", object.from)),
        Ok(_) | Err(_) => None,
    });
    let skipped: Vec<String> = skipped.collect();
    if !skipped.is_empty() {
        let more = if skipped.len() > SHOWN { ", …" } else { "" };
        let shown: Vec<&str> = skipped.iter().take(SHOWN).map(String::as_str).collect();
        let (count, shown) = (skipped.len(), shown.join(", "));
        printer.notice(format!("{count} skipped, being no objects: {shown}{more}"));
    }
    let twice = copied.iter().filter(|object| is_read_twice(object));
    let (count, bytes) = twice.fold((0, 0), |(n, b), object| (n + 1, b + object.size_bytes));
    if count > 0 {
        printer.notice(format!(
            "{count} objects, {}, were read twice: their store has not every checksum",
            size(bytes)
        ));
    }
}

fn failure(error: &CopyError) -> Failure {
    let text = chain(error);
    match error.class() {
        ErrorClass::Cancelled => Failure::new(ExitStatus::Interrupted, "interrupted")
            .hint("no half object is visible; the same command again does what is missing"),
        ErrorClass::NotFound => Failure::new(ExitStatus::NotFound, text),
        ErrorClass::Precondition => Failure::new(ExitStatus::Conflict, text),
        ErrorClass::Transient | ErrorClass::Throttled | ErrorClass::Unknown => {
            Failure::new(ExitStatus::Failed, text)
                .hint("the same command again does what is missing")
        }
        ErrorClass::Permanent => Failure::new(ExitStatus::Failed, text),
    }
}
