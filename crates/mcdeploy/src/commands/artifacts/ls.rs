//! `mcdeploy artifacts ls`: the versions in stores, and whether they are whole.

use mcdeploy_store::{StoredState, StoredVersion, list_versions};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{print, size};
use crate::{
    args::LsArgs,
    environment::Environment,
    exit::{ExitStatus, chain},
    names::ModelName,
    output::ReportFormat,
    printer::Printer,
    stores::Stores,
    table::Table,
};

/// Lists them. A store that does not answer hides none of the others.
pub(crate) async fn ls(
    args: &LsArgs,
    environment: &Environment,
    printer: &Printer,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitStatus> {
    let (stores, named) = Stores::of(&args.stores, &args.store, environment).await?;
    let model = args.model.as_ref().map(ModelName::as_str);
    let mut status = ExitStatus::Success;
    let mut found: Vec<(String, StoredVersion)> = vec![];
    for named in &named {
        let store = stores.open(named).await?;
        match list_versions(store.as_ref(), model, cancel).await {
            Ok(versions) => found.extend(versions.into_iter().map(|v| (named.name.clone(), v))),
            Err(error) => {
                printer.error(chain(&error));
                status = ExitStatus::Failed;
            }
        }
    }
    let data = json!({
        "apiVersion": "cli.mcdeploy.dev/v1alpha1",
        "kind": "ArtifactList",
        "items": found.iter().map(item).collect::<Vec<_>>(),
    });
    if found.is_empty() && args.output == ReportFormat::Table {
        printer.notice("no versions");
        return Ok(status);
    }
    print(args.output, printer, &data, || table(&found))?;
    Ok(status)
}

fn item((store, version): &(String, StoredVersion)) -> Value {
    let mut item = json!(version);
    if let Some(fields) = item.as_object_mut() {
        fields.insert("store".to_owned(), json!(store));
    }
    item
}

fn table(found: &[(String, StoredVersion)]) -> String {
    let mut table = Table::new([
        "STORE", "MODEL", "VERSION", "STATE", "FILES", "BYTES", "DIGEST", "MESSAGE",
    ]);
    for (store, version) in found {
        let state = match version.state {
            StoredState::Whole => "whole",
            StoredState::Unfinished => "unfinished",
            StoredState::Damaged => "damaged",
        };
        let digest = version.manifest_digest.map(|digest| digest.short(12));
        table.row(vec![
            store.clone(),
            version.model.clone(),
            version.version.clone(),
            state.to_owned(),
            version.files.to_string(),
            size(version.size_bytes),
            digest.unwrap_or_default(),
            version.message.clone(),
        ]);
    }
    table.render()
}
