//! `mcdeploy status`: what serves where, and why.

use std::{pin::pin, time::Duration};

use futures::StreamExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kube::{Api, ResourceExt};
use mcdeploy_api::{Condition, ConditionType, ModelDeployment, ModelRollout};
use serde::Serialize;

use crate::{
    args::StatusArgs,
    exit::{ExitStatus, Failure},
    hub::{self, Hub},
    names::did_you_mean,
    output::{ReportFormat, bytes, json, yaml},
    printer::Printer,
    request::describe,
    rollout_verdict::{self, Row, View, condition},
    settings,
    table::Table,
};

/// At most five looks a second while watching.
const QUIET: Duration = Duration::from_millis(200);

/// Everything that `status` shows.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    api_version: &'static str,
    kind: &'static str,
    deployments: Vec<DeploymentReport>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeploymentReport {
    name: String,
    namespace: String,
    /// Name of the `ModelVersion` that is wanted.
    model_version: String,
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_revision: Option<String>,
    placement: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<String>,
    ready: bool,
    mixed_revisions: bool,
    /// Whether the operator has seen the current spec.
    observed: bool,
    conditions: Vec<Condition>,
    clusters: Vec<Row>,
}

/// Shows the status once, or again at every change.
pub(crate) async fn status(args: &StatusArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let found = settings::find_project(&args.project)?;
    let hub = Hub::connect(&args.hub).await?;
    let namespace = settings::namespace(&args.project, found.as_ref(), &hub);
    let of_file = || found.as_ref().map(|found| found.project.model.to_string());
    // `-n` without a name asks for the namespace, not for the project's model.
    let of_file = || {
        if args.project.namespace.is_some() {
            None
        } else {
            of_file()
        }
    };
    let name = args.name.clone().or_else(of_file);
    if args.watch {
        return watch(args, &hub, &namespace, name.as_deref(), printer).await;
    }
    let report = look(&hub, &namespace, name.as_deref()).await?;
    print(&report, args.output, printer)?;
    let ready = report.deployments.iter().all(|deployment| deployment.ready);
    Ok(if ready {
        ExitStatus::Success
    } else {
        ExitStatus::Failed
    })
}

async fn look(hub: &Hub, namespace: &str, name: Option<&str>) -> Result<Report, Failure> {
    let deployments: Api<ModelDeployment> = hub.namespaced(namespace);
    let rollouts: Api<ModelRollout> = hub.namespaced(namespace);
    let (mut deployments, rollouts) =
        tokio::try_join!(hub.list(&deployments), hub.list(&rollouts))?;
    if let Some(name) = name {
        let known: Vec<String> = deployments.iter().map(ResourceExt::name_any).collect();
        deployments.retain(|deployment| deployment.name_any() == name);
        if deployments.is_empty() {
            return Err(unknown(name, namespace, &known));
        }
    }
    Ok(report(&deployments, &rollouts))
}

fn unknown(name: &str, namespace: &str, known: &[String]) -> Failure {
    let meant = did_you_mean(name, known.iter().map(String::as_str));
    let known = if known.is_empty() {
        "nothing is deployed there yet".to_owned()
    } else {
        format!("there are {}", known.join(", "))
    };
    let text = format!("there is no model deployment {meant} in namespace {namespace:?}: {known}");
    Failure::new(ExitStatus::NotFound, text)
        .hint("deploy it with `mcdeploy rollout --model VERSION --clouds CLOUDS`")
}

fn report(deployments: &[ModelDeployment], rollouts: &[ModelRollout]) -> Report {
    let one = |deployment: &ModelDeployment| {
        let status = deployment.status.clone().unwrap_or_default();
        let newest = status.rollout.as_deref();
        let rollout = rollouts
            .iter()
            .find(|rollout| Some(rollout.name_any().as_str()) == newest);
        let holds = |kind| condition(&status.conditions, kind).is_some_and(|c| c.status == "True");
        let generation = deployment.metadata.generation;
        DeploymentReport {
            name: deployment.name_any(),
            namespace: deployment.namespace().unwrap_or_default(),
            model_version: deployment.spec.model_version_ref.name.clone(),
            image: deployment.spec.container.image.clone(),
            target_revision: status.target_revision.clone(),
            placement: describe(&deployment.spec.placement),
            scope: deployment.spec.scope.as_ref().map(describe),
            rollout: status.rollout.clone(),
            ready: holds(ConditionType::Ready) && status.observed_generation == generation,
            mixed_revisions: holds(ConditionType::MixedRevisions),
            observed: status.observed_generation == generation,
            clusters: rollout_verdict::rows(View {
                generation: generation.unwrap_or(0),
                deployment: Some(deployment),
                rollout,
            }),
            conditions: status.conditions,
        }
    };
    Report {
        api_version: "cli.mcdeploy.dev/v1alpha1",
        kind: "StatusReport",
        deployments: deployments.iter().map(one).collect(),
    }
}

fn print(report: &Report, format: ReportFormat, printer: &Printer) -> anyhow::Result<()> {
    match format {
        ReportFormat::Json => printer.data(json(report)?)?,
        ReportFormat::Yaml => printer.data(yaml(report)?)?,
        ReportFormat::Table if report.deployments.is_empty() => {
            printer.notice("nothing is deployed in this namespace");
        }
        ReportFormat::Table => printer.data(text(report))?,
    }
    Ok(())
}

fn text(report: &Report) -> String {
    let blocks: Vec<String> = report.deployments.iter().map(block).collect();
    blocks.join("\n\n")
}

fn block(deployment: &DeploymentReport) -> String {
    let mut lines = vec![format!(
        "{}/{}: {}, placed on {}",
        deployment.namespace, deployment.name, deployment.model_version, deployment.placement
    )];
    if let Some(scope) = &deployment.scope {
        lines.push(format!("  scope of the newest rollout: {scope}"));
    }
    if !deployment.observed {
        lines.push("  the operator has not seen the newest spec yet".to_owned());
    }
    for condition in &deployment.conditions {
        let Condition {
            type_,
            status,
            reason,
            message,
            ..
        } = condition;
        let message = if message.is_empty() {
            String::new()
        } else {
            format!(": {message}")
        };
        lines.push(format!("  {type_}={status} ({reason}){message}"));
    }
    if !deployment.clusters.is_empty() {
        lines.push(table(&deployment.clusters));
    }
    lines.join("\n")
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new([
        "CLUSTER",
        "PROVIDER",
        "VERSION",
        "REVISION",
        "READY",
        "WEIGHT",
        "ARTIFACT",
        "REACHABLE",
        "REASON",
        "MESSAGE",
    ]);
    for row in rows {
        let mut cells = vec![row.cluster.clone()];
        match &row.status {
            Some(status) => cells.extend([
                status.provider.clone(),
                status.version.clone().unwrap_or_default(),
                status.revision.clone().unwrap_or_default(),
                format!("{}/{}", status.ready_replicas, status.desired_replicas),
                status.weight.to_string(),
                bytes(status.artifact_bytes),
                status.reachable.clone(),
            ]),
            None => cells.extend(std::iter::repeat_n(String::new(), 7)),
        }
        cells.extend([row.reason.clone(), row.message.clone()]);
        table.row(cells);
    }
    let text = table.render();
    let indented: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    indented.join("\n")
}

async fn watch(
    args: &StatusArgs,
    hub: &Hub,
    namespace: &str,
    name: Option<&str>,
    printer: &Printer,
) -> anyhow::Result<ExitStatus> {
    let mut screen = Screen::new(args.output, printer);
    let mut deployments = pin!(hub::changes(&hub.namespaced::<ModelDeployment>(namespace)));
    let mut rollouts = pin!(hub::changes(&hub.namespaced::<ModelRollout>(namespace)));
    loop {
        match look(hub, namespace, name).await {
            Ok(report) => screen.show(report)?,
            // A deployment that is not there yet, or a hub that is away, may come.
            Err(failure) => screen.note(&failure.to_string()),
        }
        tokio::time::sleep(QUIET).await;
        tokio::select! {
            _ = deployments.next() => {}
            _ = rollouts.next() => {}
        }
    }
}

/// One place on a terminal that is drawn again; elsewhere one text per change.
struct Screen<'a> {
    printer: &'a Printer,
    format: ReportFormat,
    bar: Option<ProgressBar>,
    last: Option<Report>,
    last_note: String,
}

impl<'a> Screen<'a> {
    fn new(format: ReportFormat, printer: &'a Printer) -> Self {
        let draws = format == ReportFormat::Table && printer.is_stdout_live();
        let bar = draws.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout_with_hz(5));
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            printer,
            format,
            bar,
            last: None,
            last_note: String::new(),
        }
    }

    fn show(&mut self, report: Report) -> anyhow::Result<()> {
        self.last_note.clear();
        if self.last.as_ref() == Some(&report) {
            return Ok(());
        }
        match (&self.bar, self.format) {
            (Some(bar), _) => {
                bar.set_message(text(&report));
                bar.tick();
            }
            (None, ReportFormat::Json) => self.printer.data(serde_json::to_string(&report)?)?,
            (None, ReportFormat::Yaml) => self.printer.data(format!("---\n{}", yaml(&report)?))?,
            (None, ReportFormat::Table) => self.printer.data(format!("{}\n", text(&report)))?,
        }
        self.last = Some(report);
        Ok(())
    }

    fn note(&mut self, note: &str) {
        if self.last_note == note {
            return;
        }
        note.clone_into(&mut self.last_note);
        match &self.bar {
            Some(bar) => {
                let last = self.last.as_ref().map(text).unwrap_or_default();
                bar.set_message(format!("{last}\n{note}"));
                bar.tick();
            }
            None => self.printer.notice(note),
        }
        self.last = None;
    }
}

#[cfg(test)]
mod tests;
