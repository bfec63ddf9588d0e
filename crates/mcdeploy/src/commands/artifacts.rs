//! `mcdeploy artifacts …`: versions in stores, with or without a hub.

mod cp;
mod digest;
mod gc;
mod ls;
mod plan;
mod pricing;
mod replicate;
mod scrub;
mod verify;

pub(crate) use cp::cp;
pub(crate) use gc::gc;
pub(crate) use ls::ls;
pub(crate) use plan::plan;
pub(crate) use replicate::replicate;
pub(crate) use scrub::scrub;
pub(crate) use verify::verify;

use mcdeploy_api::ErrorClass;
use mcdeploy_store::StoreError;
use serde_json::Value;

use crate::{
    args::ProjectArgs,
    exit::{ExitStatus, Failure, chain},
    names::VersionRef,
    output::{ReportFormat, bytes, json, yaml},
    printer::Printer,
    settings,
};

/// Bytes for people.
fn size(count: u64) -> String {
    bytes(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Model and version, the model from the project file when it was not said.
fn names(version: &VersionRef, project: &ProjectArgs) -> Result<(String, String), Failure> {
    let found = match version.model {
        Some(_) => None,
        None => settings::find_project(project)?,
    };
    let (model, _) = settings::model(version, found)?;
    Ok((model.to_string(), version.version.to_string()))
}

/// What a store did not do, with the exit code that says why.
fn store_failure(what: &str, error: &StoreError) -> Failure {
    let text = format!("cannot {what}: {}", chain(error));
    let status = match error.class() {
        ErrorClass::NotFound => ExitStatus::NotFound,
        ErrorClass::Precondition => ExitStatus::Conflict,
        ErrorClass::Cancelled => ExitStatus::Interrupted,
        ErrorClass::Transient
        | ErrorClass::Throttled
        | ErrorClass::Permanent
        | ErrorClass::Unknown => ExitStatus::Failed,
    };
    Failure::new(status, text)
}

/// Prints a report in the format that was asked for.
fn print(
    format: ReportFormat,
    printer: &Printer,
    data: &Value,
    table: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    match format {
        ReportFormat::Json => printer.data(json(data)?)?,
        ReportFormat::Yaml => printer.data(yaml(data)?)?,
        ReportFormat::Table => printer.data(table())?,
    }
    Ok(())
}
