//! `mcdeploy artifacts verify`: every copy against one digest, from metadata.

use std::sync::Arc;

use futures::future::join_all;
use kube::Api;
use mcdeploy_api::{ModelVersion, ReplicaState, Sha256Digest, names::model_version_name};
use mcdeploy_store::{ReplicaReport, Store, StoreError, find_manifest, verify_replica};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{names, print, size, store_failure};
use crate::{
    args::VerifyArgs,
    environment::Environment,
    exit::{ExitStatus, Failure, chain},
    printer::Printer,
    settings,
    stores::{Named, Stores},
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
    let endpoint = args.store.endpoint.as_deref();
    let (stores, named) =
        Stores::find(&args.stores, &args.store.hub, endpoint, environment).await?;
    let mut open = vec![];
    for named in &named {
        open.push((named, stores.open(named).await?));
    }
    let digest = match args.digest {
        Some(digest) => digest,
        None => match of_hub(args, &stores, &model, &version).await? {
            Some(digest) => digest,
            None => of_stores(&open, &model, &version, cancel).await?,
        },
    };
    let looks = open.iter().map(async |(named, store)| Row {
        store: named.name.clone(),
        outcome: verify_replica(store.as_ref(), &model, &version, &digest, cancel).await,
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
    for row in &rows {
        if let Ok(report) = &row.outcome
            && report.read_files > 0
        {
            let (store, files) = (&row.store, report.read_files);
            printer.notice(format!(
                "{store}: {files} files were read, because the store has no checksum of them"
            ));
        }
    }
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

async fn of_hub(
    args: &VerifyArgs,
    stores: &Stores<'_>,
    model: &str,
    version: &str,
) -> Result<Option<Sha256Digest>, Failure> {
    let Some(hub) = stores.hub() else {
        return Ok(None);
    };
    let found = settings::find_project(&args.project)?;
    let namespace = settings::namespace(&args.project, found.as_ref(), hub);
    let versions: Api<ModelVersion> = hub.namespaced(&namespace);
    let object = hub
        .get(&versions, &model_version_name(model, version))
        .await?;
    Ok(object.map(|object| object.spec.manifest_digest))
}

/// The digest of the first store that has a manifest of the version.
async fn of_stores(
    open: &[(&Named, Arc<dyn Store>)],
    model: &str,
    version: &str,
    cancel: &CancellationToken,
) -> Result<Sha256Digest, Failure> {
    let mut first_error = None;
    for (named, store) in open {
        match find_manifest(store.as_ref(), model, version, cancel).await {
            Ok(Some((_, digest))) => return Ok(digest),
            Ok(None) => {}
            Err(error) => {
                let what = format!("read the manifest of {model} {version} in {}", named.name);
                first_error.get_or_insert(store_failure(&what, &error));
            }
        }
    }
    let names: Vec<&str> = open.iter().map(|(named, _)| named.name.as_str()).collect();
    let text = format!("{model} {version} has no manifest in {}", names.join(", "));
    Err(first_error.unwrap_or_else(|| {
        Failure::new(ExitStatus::NotFound, text)
            .hint("`mcdeploy artifacts ls STORE` lists the versions that are there")
    }))
}

fn item(row: &Row) -> Value {
    match &row.outcome {
        Ok(report) => json!({
            "store": row.store,
            "state": report.state,
            "verifiedBytes": report.verified_bytes,
            "readFiles": report.read_files,
            "message": report.message,
        }),
        Err(error) => json!({
            "store": row.store,
            "state": ReplicaState::Unknown,
            "verifiedBytes": 0,
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
