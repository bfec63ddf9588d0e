//! `mcdeploy version`: this program, and what runs in the hub as far as it can be told.

use serde::Serialize;
use serde_json::Value;

use crate::{
    args::VersionArgs,
    exit::ExitStatus,
    hub::{Hub, HubError},
    output::{ReportFormat, json, yaml},
    printer::Printer,
};

/// The versions.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    api_version: &'static str,
    kind: &'static str,
    client: &'static str,
    /// Absent when the hub does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    hub: Option<HubReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HubReport {
    address: String,
    kubernetes: String,
    /// Served versions of the API group; empty: the CRDs are not installed.
    crds: Vec<String>,
    /// Images of the operator; empty: none is installed, or it may not be looked at.
    operator: Vec<String>,
}

/// Prints the versions. A hub that does not answer is no failure.
pub(crate) async fn version(args: &VersionArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let hub = match Hub::connect(&args.hub).await {
        Ok(hub) => Some(look(&hub).await),
        Err(failure) => {
            printer.warning(failure);
            None
        }
    };
    let report = Report {
        api_version: "cli.mcdeploy.dev/v1alpha1",
        kind: "VersionReport",
        client: env!("CARGO_PKG_VERSION"),
        hub,
    };
    match args.output {
        ReportFormat::Json => printer.data(json(&report)?)?,
        ReportFormat::Yaml => printer.data(yaml(&report)?)?,
        ReportFormat::Table => printer.data(text(&report))?,
    }
    Ok(ExitStatus::Success)
}

async fn look(hub: &Hub) -> HubReport {
    let group = hub
        .get_json(
            "read the API group",
            "/apis/mcdeploy.dev",
            "application/json",
        )
        .await;
    let path = "/apis/apps/v1/namespaces/mcdeploy-system/deployments\
                ?labelSelector=app.kubernetes.io%2Fcomponent%3Doperator";
    let operators = hub
        .get_json("list operators", path, "application/json")
        .await;
    HubReport {
        address: hub.address().to_owned(),
        kubernetes: hub.server_version().to_owned(),
        crds: texts(group, "/versions", |version| &version["version"]),
        operator: texts(operators, "/items", |deployment| {
            &deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        }),
    }
}

fn texts(
    answer: Result<Value, HubError>,
    list: &str,
    pick: impl Fn(&Value) -> &Value,
) -> Vec<String> {
    let answer = answer.unwrap_or_default();
    let items = answer
        .pointer(list)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    items
        .iter()
        .filter_map(|item| pick(item).as_str().map(str::to_owned))
        .collect()
}

fn text(report: &Report) -> String {
    let mut lines = vec![format!("client: {}", report.client)];
    if let Some(hub) = &report.hub {
        let or = |list: &Vec<String>, none: &str| {
            if list.is_empty() {
                none.to_owned()
            } else {
                list.join(", ")
            }
        };
        lines.push(format!(
            "hub: {} (Kubernetes {})",
            hub.address, hub.kubernetes
        ));
        lines.push(format!("CRDs: {}", or(&hub.crds, "not installed")));
        lines.push(format!("operator: {}", or(&hub.operator, "not found")));
    }
    lines.join("\n")
}
