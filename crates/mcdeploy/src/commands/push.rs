//! `mcdeploy push`: hashes and uploads a version, then tells the hub about it.

use std::{path::Path, sync::Mutex};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kube::{Api, ResourceExt};
use mcdeploy_api::{
    API_VERSION, ArtifactStore, ConditionType, ErrorClass, ModelVersion, ModelVersionSpec,
    ObjectName, SecretValues, Sha256Digest, StoreAccess,
    names::{SYSTEM_NAMESPACE, model_version_name},
};
use mcdeploy_store::{Progress, PublishError, PushError, Pushed, Step, VersionName};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::interrupted;
use crate::{
    args::PushArgs,
    exit::{ExitStatus, Failure, chain},
    hub::{Hub, HubError},
    names::did_you_mean,
    output::{ReportFormat, bytes, json as to_json, yaml},
    printer::Printer,
    settings,
    wait::condition,
};

/// What is pushed, and where to.
struct Target {
    hub: Hub,
    namespace: String,
    model: String,
    version: String,
    store: ArtifactStore,
    known: Option<ModelVersion>,
}

/// Uploads a version and applies its `ModelVersion`.
pub(crate) async fn push(
    args: &PushArgs,
    printer: &Printer,
    cancel: &CancellationToken,
) -> anyhow::Result<ExitStatus> {
    let found = settings::find_project(&args.project)?;
    let version = args.version().ok_or_else(|| {
        Failure::new(
            ExitStatus::Usage,
            "which version? write `mcdeploy push VERSION`",
        )
    })?;
    let (model, found) = settings::model(version, found)?;
    let dir = settings::models_dir(args.dir.as_deref(), found.as_ref())?;
    let dir = dir.join(version.version.as_str());
    if !dir.is_dir() {
        return Err(no_directory(&dir).into());
    }
    let prepare = async {
        let hub = Hub::connect(&args.hub).await?;
        let namespace = settings::namespace(&args.project, found.as_ref(), &hub);
        let wanted = args.store.clone();
        let wanted = wanted.or_else(|| found.as_ref()?.project.store.clone());
        let versions: Api<ModelVersion> = hub.namespaced(&namespace);
        let name = model_version_name(model.as_str(), version.version.as_str());
        Ok::<_, Failure>(Target {
            store: choose_store(&hub, wanted.as_deref()).await?,
            known: hub.get(&versions, &name).await?,
            model: model.to_string(),
            version: version.version.to_string(),
            namespace,
            hub,
        })
    };
    let prepared = cancel.run_until_cancelled(Box::pin(prepare)).await;
    let target = prepared.ok_or_else(interrupted)??;
    let pushed = upload(&target, &dir, printer, cancel).await?;
    let object = apply(&target, &pushed).await?;
    report(args.output, &target, &pushed, &object, printer)?;
    Ok(ExitStatus::Success)
}

fn no_directory(dir: &Path) -> Failure {
    let parent = dir.parent().unwrap_or(dir);
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let text = format!("there is no directory {}", dir.display());
    let there = if names.is_empty() {
        format!(
            "put the version's files there, or name another place with --dir; {} has no directory of a version",
            parent.display()
        )
    } else {
        format!("{} has {}", parent.display(), names.join(", "))
    };
    Failure::new(ExitStatus::NotFound, text).hint(there)
}

async fn choose_store(hub: &Hub, wanted: Option<&str>) -> Result<ArtifactStore, Failure> {
    let stores: Vec<ArtifactStore> = hub.list(&hub.cluster_scoped()).await?;
    let names: Vec<String> = stores.iter().map(ResourceExt::name_any).collect();
    let known = if names.is_empty() {
        "there are none yet".to_owned()
    } else {
        format!("there are {}", names.join(", "))
    };
    let is_ready = |store: &&ArtifactStore| {
        let conditions = store
            .status
            .as_ref()
            .map(|status| status.conditions.as_slice());
        condition(conditions.unwrap_or_default(), ConditionType::Ready)
            .is_some_and(|ready| ready.status == "True")
    };
    if let Some(wanted) = wanted {
        let meant = did_you_mean(wanted, names.iter().map(String::as_str));
        let chosen = stores.into_iter().find(|store| store.name_any() == wanted);
        return chosen.ok_or_else(|| {
            Failure::new(
                ExitStatus::NotFound,
                format!("there is no ArtifactStore {meant}: {known}"),
            )
            .hint("nothing was uploaded; `mcdeploy get stores` lists them")
        });
    }
    let first = stores.iter().find(is_ready).cloned();
    first.ok_or_else(|| {
        Failure::new(
            ExitStatus::NotFound,
            format!("no ArtifactStore is Ready: {known}"),
        )
        .hint("name one with --store, or see why with `mcdeploy get stores -o wide`")
    })
}

/// The store with its credentials, which the operator's namespace holds.
async fn access(target: &Target) -> Result<StoreAccess, Failure> {
    let spec = target.store.spec.clone();
    let name = target.store.name_any();
    let Some(reference) = &spec.auth.secret_ref else {
        return Ok(StoreAccess {
            name,
            spec,
            secret: SecretValues::default(),
        });
    };
    let secret = target.hub.system_secret(&reference.name).await?.ok_or_else(|| {
        let secret = &reference.name;
        let text = format!(
            "ArtifactStore {name:?} names the Secret {SYSTEM_NAMESPACE}/{secret}, which does not exist"
        );
        Failure::new(ExitStatus::Auth, text).hint("create it with the store's credentials")
    })?;
    let values = secret.data.unwrap_or_default().into_iter();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let secret = values.map(|(key, value)| (key, text(value.0))).collect();
    Ok(StoreAccess {
        name,
        spec,
        secret: SecretValues(secret),
    })
}

/// A digest that the hub has for this version under other bytes is told before the
/// first byte is sent.
async fn upload(
    target: &Target,
    dir: &Path,
    printer: &Printer,
    cancel: &CancellationToken,
) -> anyhow::Result<Pushed> {
    let access = access(target).await?;
    let store = mcdeploy_store::open(&access).await.map_err(|error| {
        let text = format!(
            "cannot open ArtifactStore {:?}: {}",
            access.name,
            chain(&error)
        );
        Failure::new(ExitStatus::Failed, text)
    })?;
    let (model, version) = (target.model.as_str(), target.version.as_str());
    let display = Display::new(printer);
    let show = |progress: &Progress| display.show(progress);
    if let Some(known) = &target.known {
        let name = VersionName::new(model, version)?;
        let manifest = mcdeploy_store::manifest_of(dir, &name, &show, cancel).await;
        let manifest = manifest.map_err(|error| failure(target, &error))?;
        if manifest.digest() != known.spec.manifest_digest {
            return Err(conflict(target, &known.spec.manifest_digest, &manifest.digest()).into());
        }
    }
    printer.notice(format!(
        "pushing {model} {version} from {} to {} ({})",
        dir.display(),
        access.name,
        store.location()
    ));
    let work = mcdeploy_store::push_version(store.as_ref(), dir, model, version, &show, cancel);
    let result = Box::pin(work).await;
    display.end();
    Ok(result.map_err(|error| failure(target, &error))?)
}

fn conflict(target: &Target, existing: &Sha256Digest, offered: &Sha256Digest) -> Failure {
    let Target { model, version, .. } = target;
    let text = format!(
        "{model} {version} exists already with other bytes: it has {existing}, these files have {offered}"
    );
    Failure::new(ExitStatus::Conflict, text)
        .hint("a version never changes: push the new bytes under a new version")
}

fn failure(target: &Target, error: &PushError) -> Failure {
    if let PushError::Publish(PublishError::Conflict {
        existing,
        offered,
        unfinished: None,
        ..
    }) = error
    {
        return conflict(target, existing, offered);
    }
    let Target { model, version, .. } = target;
    let text = format!("cannot push {model} {version}: {}", chain(error));
    match error.class() {
        ErrorClass::Cancelled => Failure::new(ExitStatus::Interrupted, "interrupted").hint(
            "the version is not visible yet; the same push again goes on where this one ended",
        ),
        ErrorClass::Precondition => Failure::new(ExitStatus::Conflict, text),
        ErrorClass::NotFound => Failure::new(ExitStatus::NotFound, text),
        ErrorClass::Transient | ErrorClass::Throttled | ErrorClass::Unknown => {
            Failure::new(ExitStatus::Failed, text)
                .hint("the same push again goes on where this one ended")
        }
        ErrorClass::Permanent => Failure::new(ExitStatus::Failed, text),
    }
}

async fn apply(target: &Target, pushed: &Pushed) -> Result<ModelVersion, Failure> {
    let Target {
        model,
        version,
        namespace,
        ..
    } = target;
    let name = model_version_name(model, version);
    // The object keeps the store of its first push: the operator knows the others.
    let first = target
        .known
        .as_ref()
        .map(|known| known.spec.store_ref.clone());
    let spec = ModelVersionSpec {
        model: model.clone(),
        version: version.clone(),
        manifest_digest: pushed.manifest_digest,
        size_bytes: i64::try_from(pushed.size_bytes).unwrap_or(i64::MAX),
        store_ref: first.unwrap_or_else(|| ObjectName::new(target.store.name_any())),
    };
    let object = json!({
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    });
    let versions: Api<ModelVersion> = target.hub.namespaced(namespace);
    match target.hub.apply(&versions, &name, &object, false).await {
        Ok(applied) => Ok(applied),
        // Somebody was first between the look and the write: the hub names both digests.
        Err(HubError::Refused { what, why }) if why.contains("manifestDigest is immutable") => Err(
            Failure::new(ExitStatus::Conflict, format!("cannot {what}: {why}")),
        ),
        Err(error) => Err(error.into()),
    }
}

fn report(
    format: ReportFormat,
    target: &Target,
    pushed: &Pushed,
    object: &ModelVersion,
    printer: &Printer,
) -> anyhow::Result<()> {
    let verb = if pushed.is_new { "pushed" } else { "unchanged" };
    let data = json!({
        "apiVersion": "cli.mcdeploy.dev/v1alpha1",
        "kind": "PushReport",
        "model": target.model,
        "version": target.version,
        "namespace": target.namespace,
        "store": target.store.name_any(),
        "manifestDigest": pushed.manifest_digest,
        "sizeBytes": pushed.size_bytes,
        "files": pushed.files,
        "isNew": pushed.is_new,
    });
    match format {
        ReportFormat::Json => printer.data(to_json(&data)?)?,
        ReportFormat::Yaml => printer.data(yaml(&data)?)?,
        ReportFormat::Table => {
            printer.data(format!(
                "modelversion.mcdeploy.dev/{} {verb}",
                object.name_any()
            ))?;
            let size = bytes(i64::try_from(pushed.size_bytes).unwrap_or(i64::MAX));
            let (files, digest) = (pushed.files, pushed.manifest_digest);
            printer.notice(format!("{files} files, {size}, {digest}"));
            printer.notice(format!("next: mcdeploy rollout --model {}", target.version));
        }
    }
    Ok(())
}

/// A bar on a terminal, one line per step elsewhere.
struct Display<'a> {
    printer: &'a Printer,
    bar: Option<ProgressBar>,
    last_step: Mutex<Option<Step>>,
}

impl<'a> Display<'a> {
    fn new(printer: &'a Printer) -> Self {
        let bar = printer.is_live().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
            let template = "{msg:>8} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Self {
            printer,
            bar,
            last_step: Mutex::new(None),
        }
    }

    fn show(&self, progress: &Progress) {
        let word = match progress.step {
            Step::Hash => "hashing",
            Step::Copy => "copying",
            Step::Fetch => "reading",
        };
        if let Some(bar) = &self.bar {
            bar.set_length(progress.total_bytes);
            bar.set_position(progress.done_bytes);
            bar.set_message(word);
            return;
        }
        let Ok(mut last) = self.last_step.lock() else {
            return;
        };
        if *last != Some(progress.step) {
            *last = Some(progress.step);
            let total = i64::try_from(progress.total_bytes).unwrap_or(i64::MAX);
            self.printer.notice(format!("{word} {}", bytes(total)));
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
