//! `mcdeploy rollout`: checks the request, pins the image, applies, and waits.

mod follow;

use kube::Api;
use mcdeploy_api::{ClusterSelection, Container, ModelDeployment, ModelVersion, TrafficPolicy};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::interrupted;
use crate::{
    args::RolloutArgs,
    clock,
    environment::Environment,
    exit::{ExitStatus, Failure},
    hub::{Hub, HubError},
    image::{self, Mirrors, PinnedImage},
    output::{ReportFormat, json, yaml},
    printer::Printer,
    project::{ContainerSection, Found},
    request::{self, Request, Resolved, World},
    rollout_verdict::Row,
    settings,
};

/// How often a rollout is resolved anew when the deployment changes meanwhile.
const APPLY_TRIES: u32 = 5;

/// What the arguments, the environment and the project file ask for.
struct Settings {
    request: Request,
    image: Option<String>,
    container: ContainerSection,
    mirrors: Mirrors,
}

/// Applies a rollout and waits for its end.
pub(crate) async fn rollout(
    args: &RolloutArgs,
    environment: &Environment,
    printer: &Printer,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitStatus> {
    let found = settings::find_project(&args.project)?;
    let (model, found) = settings::model(&args.model, found)?;
    let ask = async {
        let hub = Hub::connect(&args.hub).await?;
        let settings = settings_of(args, model.as_str(), found.as_ref(), &hub)?;
        let resolved = resolve(&hub, &settings.request).await?;
        let pinned = match &settings.image {
            Some(image) => Some(image::pin(image, &settings.mirrors).await?),
            None => None,
        };
        announce(&resolved, &settings.request, pinned.as_ref(), printer);
        anyhow::Ok((hub, settings, pinned))
    };
    let asked = cancel.run_until_cancelled(Box::pin(ask)).await;
    let (hub, settings, pinned) = asked.ok_or_else(interrupted)??;
    let by = format!("{} {:.0}", environment.user_at_host, clock::now());
    // From here on an interruption would leave open what was applied: it is short.
    let (resolved, deployment) = apply(&hub, &settings, pinned.as_ref(), &by).await?;
    let asked = Asked {
        hub: &hub,
        request: &settings.request,
        resolved: &resolved,
        generation: deployment.metadata.generation.unwrap_or(0),
        image: deployment.spec.container.image.clone(),
        hub_flags: args.hub.given(),
    };
    if args.no_wait {
        let report = asked.report("Asked", "not waited for", vec![]);
        print_report(args.output, &report, printer)?;
        printer.notice(format!("come back with: {}", asked.come_back()));
        return Ok(ExitStatus::Success);
    }
    let end = follow::follow(&asked, args.timeout, printer, cancel).await?;
    print_report(args.output, &end.report, printer)?;
    match end.failure {
        Some(failure) => Err(failure.into()),
        None => Ok(ExitStatus::Success),
    }
}

/// A rollout that the hub has taken.
struct Asked<'a> {
    hub: &'a Hub,
    request: &'a Request,
    resolved: &'a Resolved,
    /// Generation of the deployment that asks for it.
    generation: i64,
    image: String,
    /// How the hub was named, to come back with.
    hub_flags: Vec<(&'static str, String)>,
}

/// The end of a rollout, as data.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    api_version: &'static str,
    kind: &'static str,
    /// Name of the `ModelRollout`.
    rollout: String,
    deployment: String,
    namespace: String,
    version: String,
    manifest_digest: String,
    image: String,
    /// `Asked`, `Complete`, `Incomplete`, `Refused`, `Superseded`, `TimedOut`, `Detached`.
    outcome: String,
    message: String,
    clusters: Vec<Row>,
}

impl Asked<'_> {
    fn rollout_name(&self) -> String {
        format!("{}-{}", self.request.model, self.generation)
    }

    fn deployments(&self) -> Api<ModelDeployment> {
        self.hub.namespaced(&self.request.namespace)
    }

    fn come_back(&self) -> String {
        let hub = self
            .hub_flags
            .iter()
            .map(|(flag, value)| format!(" {flag} {value}"));
        format!(
            "mcdeploy status {} -n {} -w{}",
            self.request.model,
            self.request.namespace,
            hub.collect::<String>()
        )
    }

    fn report(&self, outcome: &str, message: &str, clusters: Vec<Row>) -> Report {
        Report {
            api_version: "cli.mcdeploy.dev/v1alpha1",
            kind: "RolloutReport",
            rollout: self.rollout_name(),
            deployment: self.request.model.clone(),
            namespace: self.request.namespace.clone(),
            version: self.request.version.clone(),
            manifest_digest: self.resolved.manifest_digest.to_string(),
            image: self.image.clone(),
            outcome: outcome.to_owned(),
            message: message.to_owned(),
            clusters,
        }
    }
}

fn settings_of(
    args: &RolloutArgs,
    model: &str,
    found: Option<&Found>,
    hub: &Hub,
) -> Result<Settings, Failure> {
    let project = found.map(|found| &found.project);
    let mut mirrors = project
        .map(|p| p.registry_mirrors.clone())
        .unwrap_or_default();
    for text in &args.registry_mirror {
        let (registry, mirror) = image::parse_mirror(text)?;
        mirrors.insert(registry, mirror);
    }
    let image = args
        .image
        .clone()
        .or_else(|| Some(project?.image.clone()?.0));
    let trimmed = args.clusters.iter().map(|name| name.trim().to_owned());
    Ok(Settings {
        request: Request {
            model: model.to_owned(),
            version: args.model.version.as_str().to_owned(),
            namespace: settings::namespace(&args.project, found, hub),
            selection: ClusterSelection {
                providers: args.clouds.clone(),
                clusters: trimmed.filter(|name| !name.is_empty()).collect(),
            },
            has_image: image.is_some(),
            replicas: project
                .and_then(|project| project.replicas)
                .map(|replicas| replicas.0),
            repeatable: project.is_none_or(|project| project.repeatable),
            weights: found.map(Found::weights).unwrap_or_default(),
        },
        image,
        container: project
            .map(|project| project.container.clone())
            .unwrap_or_default(),
        mirrors,
    })
}

async fn resolve(hub: &Hub, request: &Request) -> Result<Resolved, Failure> {
    let deployments: Api<ModelDeployment> = hub.namespaced(&request.namespace);
    let versions: Api<ModelVersion> = hub.namespaced(&request.namespace);
    let policies: Api<TrafficPolicy> = hub.namespaced(&request.namespace);
    let members = hub.cluster_scoped();
    let (members, versions, deployment, policies) = tokio::try_join!(
        hub.list(&members),
        hub.list(&versions),
        hub.get(&deployments, &request.model),
        hub.list(&policies),
    )?;
    let world = World {
        members,
        versions,
        deployment,
        policies,
    };
    Ok(request::resolve(request.clone(), &world)?)
}

fn announce(
    resolved: &Resolved,
    request: &Request,
    pinned: Option<&PinnedImage>,
    printer: &Printer,
) {
    if let Some(pinned) = pinned {
        match &pinned.resolved_from {
            Some(tag) => printer.notice(format!("image {tag} is {}", pinned.reference)),
            None => printer.notice(format!("image {}", pinned.reference)),
        }
    }
    let digest = resolved.manifest_digest.short(12);
    let verb = if resolved.creates {
        "new deployment"
    } else {
        "rollout"
    };
    let waves: Vec<String> = resolved.waves.iter().map(|wave| wave.join("+")).collect();
    let kept = match resolved.untouched.as_slice() {
        [] => String::new(),
        untouched => format!("; left as they are: {}", untouched.join(", ")),
    };
    printer.notice(format!(
        "{verb} of {} {} (sha256:{digest}…) in namespace {}: {}{kept}",
        request.model,
        request.version,
        request.namespace,
        waves.join(", then "),
    ));
}

/// Applies the policy, if one is asked for, and then the deployment. A deployment that
/// changed meanwhile is read, and the request checked against it, once more.
async fn apply(
    hub: &Hub,
    settings: &Settings,
    pinned: Option<&PinnedImage>,
    by: &str,
) -> Result<(Resolved, ModelDeployment), Failure> {
    let container = pinned.map(|pinned| Container {
        image: pinned.reference.clone(),
        args: settings.container.args.clone(),
        env: settings.container.env.clone(),
        resources: settings.container.resources.clone().map(Into::into),
    });
    let namespace = &settings.request.namespace;
    let deployments: Api<ModelDeployment> = hub.namespaced(namespace);
    let policies: Api<TrafficPolicy> = hub.namespaced(namespace);
    let mut tries = 0;
    loop {
        tries += 1;
        let resolved = resolve(hub, &settings.request).await?;
        let object = resolved.deployment(container.as_ref(), by);
        let model = &settings.request.model;
        if let Some((name, policy)) = resolved.traffic_policy() {
            // A rollout that is refused must not leave new weights behind.
            match hub.check_apply(&deployments, model, &object).await {
                Err(HubError::Changed { .. }) if tries < APPLY_TRIES => continue,
                outcome => drop(outcome?),
            }
            // The operator made the default one; these fields are the user's to set.
            hub.apply(&policies, name, &policy, true).await?;
        }
        match hub.apply(&deployments, model, &object, false).await {
            Ok(deployment) => return Ok((resolved, deployment)),
            Err(HubError::Changed { .. }) if tries < APPLY_TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn print_report(format: ReportFormat, report: &Report, printer: &Printer) -> anyhow::Result<()> {
    match format {
        ReportFormat::Table => {
            let Report {
                rollout,
                outcome,
                message,
                ..
            } = report;
            printer.data(format!(
                "modelrollout.mcdeploy.dev/{rollout} {outcome}: {message}"
            ))?;
        }
        ReportFormat::Json => printer.data(json(report)?)?,
        ReportFormat::Yaml => printer.data(yaml(report)?)?,
    }
    Ok(())
}
