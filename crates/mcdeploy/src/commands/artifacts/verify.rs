//! `mcdeploy artifacts verify`: every copy against one digest, from metadata.

use futures::future::join_all;
use mcdeploy_api::ReplicaState;
use mcdeploy_store::{ReplicaReport, StoreError, verify_replica, verify_replica_fully};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{digest::Wanted, names, print, size};
use crate::{
    args::VerifyArgs,
    environment::Environment,
    exit::{ExitStatus, chain},
    printer::Printer,
    stores::Stores,
    table::Table,
};

/// One store's answer.
struct Row {
    store: String,
    outcome: Result<ReplicaReport, StoreError>,
}

/// Verifies a version in every store that is named.
pub(crate) async fn verify(
    args: &VerifyArgs,
    environment: &Environment,
    printer: &Printer,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitStatus> {
    let (model, version) = names(&args.version, &args.project)?;
    let (stores, named) = Stores::of(&args.stores, &args.store, environment).await?;
    let open = stores.open_all(&named).await?;
    let wanted = Wanted {
        digest: args.digest,
        project: &args.project,
        model: &model,
        version: &version,
    };
    let digest = wanted.digest(&stores, &open, cancel).await?;
    let looks = open.iter().map(async |(name, store)| Row {
        store: name.clone(),
        outcome: if args.full {
            verify_replica_fully(store.as_ref(), &model, &version, &digest, cancel).await
        } else {
            verify_replica(store.as_ref(), &model, &version, &digest, cancel).await
        },
    });
    let rows = join_all(looks).await;
    let data = json!({
        "apiVersion": "cli.mcdeploy.dev/v1alpha1",
        "kind": "ArtifactVerification",
        "model": model,
        "version": version,
        "manifestDigest": digest,
        "stores": rows.iter().map(item).collect::<Vec<_>>(),
    });
    print(args.output, printer, &data, || table(&rows))?;
    remark(&rows, printer);
    let is_good = |row: &Row| {
        let report = row.outcome.as_ref();
        report.is_ok_and(|report| report.state == ReplicaState::Verified)
    };
    if rows.iter().all(is_good) {
        Ok(ExitStatus::Success)
    } else {
        Ok(ExitStatus::Failed)
    }
}

/// Says how files were proved, where it was not by the store's checksums of them.
fn remark(rows: &[Row], printer: &Printer) {
    for Row { store, outcome } in rows {
        let Ok(report) = outcome else { continue };
        let (noted, read) = (report.receipt_files, report.read_files);
        if noted > 0 {
            printer.notice(format!(
                "{store}: {noted} files were not written since they were proved; --full asks again"
            ));
        }
        if read > 0 {
            printer.notice(format!(
                "{store}: {read} files were read, because the store has no checksum of them"
            ));
        }
    }
}

fn item(row: &Row) -> Value {
    match &row.outcome {
        Ok(report) => json!({
            "store": row.store,
            "state": report.state,
            "verifiedBytes": report.verified_bytes,
            "receiptFiles": report.receipt_files,
            "readFiles": report.read_files,
            "message": report.message,
        }),
        Err(error) => json!({
            "store": row.store,
            "state": ReplicaState::Unknown,
            "verifiedBytes": 0,
            "receiptFiles": 0,
            "readFiles": 0,
            "message": chain(error),
        }),
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new(["STORE", "STATE", "VERIFIED", "MESSAGE"]);
    for row in rows {
        let (state, verified, message) = match &row.outcome {
            Ok(report) => (
                format!("{:?}", report.state),
                size(report.verified_bytes),
                report.message.clone(),
            ),
            Err(error) => (
                format!("{:?}", ReplicaState::Unknown),
                String::new(),
                chain(error),
            ),
        };
        table.row(vec![row.store.clone(), state, verified, message]);
    }
    table.render()
}
