//! `mcdeploy artifacts gc`: frees what unfinished uploads left behind; with `--versions` or
//! `--remove` instead versions that nothing needs.

mod references;
mod versions;

use std::time::Duration;

use mcdeploy_store::{StoreError, Swept, sweep};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{print, size};
use crate::{
    args::GcArgs,
    environment::Environment,
    exit::{ExitStatus, chain},
    output::ReportFormat,
    printer::Printer,
    stores::Stores,
    table::Table,
};

/// One store's answer.
struct Row {
    store: String,
    outcome: Result<Swept, StoreError>,
}

/// Sweeps every store that is named, or says what that would free.
pub(crate) async fn gc(
    args: &GcArgs,
    environment: &Environment,
    printer: &Printer,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitStatus> {
    if args.versions || !args.remove.is_empty() {
        return Box::pin(versions::versions(args, environment, printer, cancel)).await;
    }
    let (stores, named) = Stores::of(&args.stores, &args.store, environment).await?;
    let age = Duration::from_secs(args.older_than.as_secs().unsigned_abs());
    let mut rows = vec![];
    for (store, open) in stores.open_all(&named).await? {
        let outcome = sweep(open.as_ref(), age, !args.yes, cancel).await;
        rows.push(Row { store, outcome });
    }
    let data = json!({
        "apiVersion": "cli.mcdeploy.dev/v1alpha1",
        "kind": "ArtifactSweep",
        "dryRun": !args.yes,
        "stores": rows.iter().map(item).collect::<Vec<_>>(),
    });
    print(args.output, printer, &data, || table(&rows))?;
    let mut status = ExitStatus::Success;
    for error in rows.iter().filter_map(|row| row.outcome.as_ref().err()) {
        printer.error(chain(error));
        status = ExitStatus::Failed;
    }
    if !args.yes && args.output == ReportFormat::Table {
        printer.notice("nothing was freed: say --yes to do it");
    }
    Ok(status)
}

fn item(row: &Row) -> Value {
    match &row.outcome {
        Ok(swept) => json!({
            "store": row.store,
            "uploads": swept.uploads,
            "partObjects": swept.part_objects,
            "claims": swept.claims,
            "leases": swept.leases,
            "bytes": swept.bytes,
        }),
        Err(error) => json!({"store": row.store, "message": chain(error)}),
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new(["STORE", "UPLOADS", "PARTS", "CLAIMS", "LEASES", "BYTES"]);
    for row in rows {
        let cells = match &row.outcome {
            Ok(swept) => vec![
                row.store.clone(),
                swept.uploads.len().to_string(),
                swept.part_objects.len().to_string(),
                swept.claims.len().to_string(),
                swept.leases.len().to_string(),
                size(swept.bytes),
            ],
            Err(_) => vec![row.store.clone(), "unknown".to_owned()],
        };
        table.row(cells);
    }
    table.render()
}
