//! `mcdeploy artifacts scrub`: reads a share of the files, and repairs what rotted.

use std::sync::Arc;

use mcdeploy_api::Sha256Digest;
use mcdeploy_store::{
    Finding, Replication, ScrubReport, Store, StoreError, TransferOptions, repair_replica,
    scrub_replica,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{digest::Wanted, names, print, size};
use crate::{
    args::ScrubArgs,
    clock,
    environment::Environment,
    exit::{ExitStatus, Failure, chain},
    printer::Printer,
    stores::Stores,
    table::Table,
};

const SECONDS_A_DAY: i64 = 24 * 60 * 60;

/// One store's answer.
struct Row {
    store: String,
    open: Arc<dyn Store>,
    outcome: Result<ScrubReport, StoreError>,
    is_repaired: bool,
}

impl Row {
    fn findings(&self) -> &[Finding] {
        self.outcome.as_ref().map_or(&[], |report| &report.findings)
    }

    fn is_good(&self) -> bool {
        self.outcome.is_ok() && (self.findings().is_empty() || self.is_repaired)
    }
}

/// Scrubs a version in every store that is named.
pub(crate) async fn scrub(
    args: &ScrubArgs,
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
    let day = || u64::try_from(clock::now().as_second() / SECONDS_A_DAY).unwrap_or(0);
    let share = (
        f64::from(args.percent) / 100.0,
        args.seed.unwrap_or_else(day),
    );
    let mut rows = vec![];
    for (store, open) in open {
        let name = (model.as_str(), version.as_str());
        let outcome = scrub_replica(open.as_ref(), name, &digest, share, cancel).await;
        rows.push(Row {
            store,
            open,
            outcome,
            is_repaired: false,
        });
    }
    if args.repair {
        repair(&mut rows, (&model, &version), &digest, printer, cancel).await?;
    }
    let data = json!({
        "apiVersion": "cli.mcdeploy.dev/v1alpha1",
        "kind": "ArtifactScrub",
        "model": model,
        "version": version,
        "manifestDigest": digest,
        "percent": args.percent,
        "seed": share.1,
        "stores": rows.iter().map(item).collect::<Vec<_>>(),
    });
    print(args.output, printer, &data, || table(&rows))?;
    if rows.iter().all(Row::is_good) {
        return Ok(ExitStatus::Success);
    }
    if !args.repair && rows.iter().any(|row| !row.findings().is_empty()) {
        printer.hint("--repair replaces wrong files by those of a whole copy");
    }
    Ok(ExitStatus::Failed)
}

/// Repairs each store with findings from the first one without any.
async fn repair(
    rows: &mut [Row],
    (model, version): (&str, &str),
    digest: &Sha256Digest,
    printer: &Printer,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    if rows.iter().all(|row| row.findings().is_empty()) {
        return Ok(());
    }
    let whole = |row: &&Row| row.outcome.is_ok() && row.findings().is_empty();
    let source = rows.iter().find(whole).map(|row| row.open.clone());
    let source = source.ok_or_else(|| {
        let text = format!("no named store has a whole copy of {model} {version} to repair from");
        Failure::new(ExitStatus::Failed, text).hint("name one more store; nothing was changed")
    })?;
    let options = TransferOptions::default();
    for row in rows.iter_mut().filter(|row| !row.findings().is_empty()) {
        let request = Replication {
            source: source.as_ref(),
            targets: &[row.open.as_ref()],
            model,
            version,
            digest,
        };
        let repaired = repair_replica(&request, row.findings(), &options, &|_| {}, cancel).await;
        let repaired = repaired.map_err(|error| {
            let text = format!(
                "cannot repair {model} {version} in {}: {}",
                row.store,
                chain(&error)
            );
            Failure::new(ExitStatus::Failed, text)
        })?;
        let (store, sent) = (&row.store, size(repaired.sent_bytes));
        for key in &repaired.quarantined {
            printer.notice(format!("{store}: wrong bytes are kept as {key}"));
        }
        printer.notice(format!("{store}: repaired, {sent} sent"));
        row.is_repaired = true;
    }
    Ok(())
}

fn item(row: &Row) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "file": finding.file,
            "rot": format!("{:?}", finding.rot),
            "expected": finding.expected,
            "actual": finding.actual,
        })
    };
    match &row.outcome {
        Ok(report) => json!({
            "store": row.store,
            "files": report.files,
            "readFiles": report.read_files,
            "readBytes": report.read_bytes,
            "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
            "isRepaired": row.is_repaired,
        }),
        Err(error) => json!({"store": row.store, "message": chain(error)}),
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new(["STORE", "STATE", "READ", "BYTES", "MESSAGE"]);
    for row in rows {
        let (state, read, bytes) = match &row.outcome {
            Ok(report) => (
                match (report.findings.is_empty(), row.is_repaired) {
                    (true, _) => "good",
                    (false, true) => "repaired",
                    (false, false) => "wrong",
                },
                format!("{}/{}", report.read_files, report.files),
                size(report.read_bytes),
            ),
            Err(_) => ("unknown", String::new(), String::new()),
        };
        let error = row.outcome.as_ref().err().map(|error| chain(error));
        table.row(vec![
            row.store.clone(),
            state.to_owned(),
            read,
            bytes,
            error.unwrap_or_else(|| first(row.findings())),
        ]);
    }
    table.render()
}

fn first(findings: &[Finding]) -> String {
    let Some(finding) = findings.first() else {
        return String::new();
    };
    let Finding {
        file,
        expected,
        actual,
        rot: _,
    } = finding;
    let more = match findings.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    format!("{file}: expected {expected}, actual {actual}{more}")
}
