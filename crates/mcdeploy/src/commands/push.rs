//! `mcdeploy push`: hashes and uploads a version, then tells the hub about it. A store by
//! URL needs no hub, and none is told.

mod source;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use kube::{Api, ResourceExt};
use mcdeploy_api::{
    API_VERSION, ArtifactStore, ConditionType, ErrorClass, ModelDeployment, ModelVersion,
    ModelVersionSpec, ObjectName, Sha256Digest, names::model_version_name,
};
use mcdeploy_store::{ObjectKey, Progress, PublishError, PushError, Pushed, Store, VersionName};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{interrupted, progress::Display};
use crate::{
    args::PushArgs,
    environment::Environment,
    exit::{ExitStatus, Failure, chain},
    hub::{Hub, HubError},
    names::VersionRef,
    output::{ReportFormat, bytes, json as to_json, yaml},
    printer::Printer,
    project::Found,
    rollout_verdict::condition,
    settings,
    store_ref::StoreRef,
    stores::{self, Stores},
};

/// What is pushed, and where to.
struct Target {
    model: String,
    version: String,
    store: Arc<dyn Store>,
    store_name: String,
    /// None for a store by URL.
    told: Option<Told>,
}

/// The hub that is told, and what it knows.
struct Told {
    hub: Hub,
    namespace: String,
    known: Option<ModelVersion>,
    /// The command that brings the version out.
    next: String,
}

/// Uploads a version and applies its `ModelVersion`.
pub(crate) async fn push(
    args: &PushArgs,
    environment: &Environment,
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
    let dir = match &args.from {
        Some(_) => None,
        None => Some(local_directory(args, found.as_ref(), version)?),
    };
    let (model, version) = (model.to_string(), version.version.to_string());
    let prepare = prepare(args, environment, found.as_ref(), (model, version));
    let prepared = cancel.run_until_cancelled(Box::pin(prepare)).await;
    let target = prepared.ok_or_else(interrupted)??;
    let pushed = match (&args.from, dir) {
        (Some(from), _) => {
            let mirrors = found.map(|found| found.project.registry_mirrors);
            let mirrors = mirrors.unwrap_or_default();
            let fetched = source::fetch(from, &mirrors, environment, printer, cancel).await?;
            let pushed = upload(&target, &fetched.dir, args.output, printer, cancel).await?;
            fetched.forget();
            pushed
        }
        (None, dir) => {
            let dir = dir.unwrap_or_default();
            let left_out = mcdeploy_store::left_out(&dir);
            if !left_out.is_empty() {
                let left_out = left_out.join(", ");
                printer.notice(format!("left out, being no part of a model: {left_out}"));
            }
            upload(&target, &dir, args.output, printer, cancel).await?
        }
    };
    if let Some(told) = &target.told {
        apply(&target, told, &pushed).await?;
    }
    report(args.output, &target, &pushed, printer)?;
    Ok(ExitStatus::Success)
}

async fn prepare(
    args: &PushArgs,
    environment: &Environment,
    found: Option<&Found>,
    (model, version): (String, String),
) -> Result<Target, Failure> {
    let of_file = || found.and_then(|found| found.project.store.clone());
    let wanted = args.store.clone().or_else(of_file);
    if let Some(store @ StoreRef::Url(_)) = wanted {
        let wanted = [store];
        let (stores, named) = Stores::find(&wanted, &args.hub, None, environment).await?;
        let [named] = &named[..] else {
            return Err(stores::unknown("", &[]));
        };
        return Ok(Target {
            model,
            version,
            store: stores.open(named).await?,
            store_name: named.name.clone(),
            told: None,
        });
    }
    let hub = Hub::connect(&args.hub).await?;
    let namespace = settings::namespace(&args.project, found, &hub);
    let versions: Api<ModelVersion> = hub.namespaced(&namespace);
    let known = hub
        .get(&versions, &model_version_name(&model, &version))
        .await?;
    let deployments: Api<ModelDeployment> = hub.namespaced(&namespace);
    let is_deployed = hub.get(&deployments, &model).await?.is_some();
    let next = rollout_command(&model, &version, found.is_some(), is_deployed);
    let wanted = match &wanted {
        Some(StoreRef::Hub(name)) => Some(name.as_str()),
        Some(StoreRef::Url(_)) | None => None,
    };
    let chosen = choose_store(&hub, wanted).await?;
    let access = stores::access(&hub, &chosen).await?;
    let store = mcdeploy_store::open(&access).await.map_err(|error| {
        let name = &access.name;
        let text = format!("cannot open ArtifactStore {name:?}: {}", chain(&error));
        Failure::new(ExitStatus::Failed, text)
    })?;
    Ok(Target {
        model,
        version,
        store,
        store_name: chosen.name_any(),
        told: Some(Told {
            hub,
            namespace,
            known,
            next,
        }),
    })
}

/// What brings a pushed version out: with the model where no project file says it, and with
/// the clouds where it is not decided yet.
fn rollout_command(model: &str, version: &str, has_project: bool, is_deployed: bool) -> String {
    let model = if has_project {
        String::new()
    } else {
        format!("{model}:")
    };
    let clouds = if is_deployed {
        ""
    } else {
        " --clouds CLOUD,…"
    };
    format!("mcdeploy rollout --model {model}{version}{clouds}")
}

fn local_directory(
    args: &PushArgs,
    found: Option<&Found>,
    version: &VersionRef,
) -> Result<PathBuf, Failure> {
    let dir = settings::models_dir(args.dir.as_deref(), found)?;
    let dir = dir.join(version.version.as_str());
    if dir.is_dir() {
        return Ok(dir);
    }
    Err(no_directory(&dir))
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
    let all: Vec<ArtifactStore> = hub.list(&hub.cluster_scoped()).await?;
    chosen(&all, wanted)
}

/// The store that is wanted, else the first that is Ready, in the order of `all`.
fn chosen(all: &[ArtifactStore], wanted: Option<&str>) -> Result<ArtifactStore, Failure> {
    let names: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
    let is_ready = |store: &&ArtifactStore| {
        let conditions = store
            .status
            .as_ref()
            .map(|status| status.conditions.as_slice());
        condition(conditions.unwrap_or_default(), ConditionType::Ready)
            .is_some_and(|ready| ready.status == "True")
    };
    if let Some(wanted) = wanted {
        let chosen = all.iter().find(|store| store.name_any() == wanted);
        return chosen.cloned().ok_or_else(|| stores::unknown(wanted, all));
    }
    let first = all.iter().find(is_ready).cloned();
    first.ok_or_else(|| {
        Failure::new(
            ExitStatus::NotFound,
            format!("no ArtifactStore is Ready: {}", stores::list(&names)),
        )
        .hint("name one with --store, or see why with `mcdeploy get stores -o wide`")
    })
}

/// A digest that the hub has for this version under other bytes is told before the
/// first byte is sent.
async fn upload(
    target: &Target,
    dir: &Path,
    report: ReportFormat,
    printer: &Printer,
    cancel: &CancellationToken,
) -> anyhow::Result<Pushed> {
    let (model, version) = (target.model.as_str(), target.version.as_str());
    let display = Display::new(printer, report);
    let show = |progress: &Progress| display.show(progress);
    let known = target.told.as_ref().and_then(|told| told.known.as_ref());
    if let Some(known) = known {
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
        target.store_name,
        target.store.location()
    ));
    let work =
        mcdeploy_store::push_version(target.store.as_ref(), dir, model, version, &show, cancel);
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

async fn apply(target: &Target, told: &Told, pushed: &Pushed) -> Result<(), Failure> {
    let Target { model, version, .. } = target;
    let Told {
        hub,
        namespace,
        known,
        next: _,
    } = told;
    let name = model_version_name(model, version);
    // The object keeps the store of its first push: the operator knows the others.
    let first = known.as_ref().map(|known| known.spec.store_ref.clone());
    let spec = ModelVersionSpec {
        model: model.clone(),
        version: version.clone(),
        manifest_digest: pushed.manifest_digest,
        size_bytes: i64::try_from(pushed.size_bytes).unwrap_or(i64::MAX),
        store_ref: first.unwrap_or_else(|| ObjectName::new(target.store_name.as_str())),
    };
    let object = json!({
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    });
    let versions: Api<ModelVersion> = hub.namespaced(namespace);
    match hub.apply(&versions, &name, &object, false).await {
        Ok(_) => Ok(()),
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
    printer: &Printer,
) -> anyhow::Result<()> {
    let verb = if pushed.is_new { "pushed" } else { "unchanged" };
    let data = json!({
        "apiVersion": "cli.mcdeploy.dev/v1alpha1",
        "kind": "PushReport",
        "model": target.model,
        "version": target.version,
        "namespace": target.told.as_ref().map(|told| &told.namespace),
        "store": target.store_name,
        "manifestDigest": pushed.manifest_digest,
        "sizeBytes": pushed.size_bytes,
        "files": pushed.files,
        "isNew": pushed.is_new,
        "adopted": pushed.adopted,
    });
    match format {
        ReportFormat::Json => printer.data(to_json(&data)?)?,
        ReportFormat::Yaml => printer.data(yaml(&data)?)?,
        ReportFormat::Table => people(target, pushed, verb, printer)?,
    }
    Ok(())
}

fn people(target: &Target, pushed: &Pushed, verb: &str, printer: &Printer) -> std::io::Result<()> {
    let Target { model, version, .. } = target;
    let size = bytes(i64::try_from(pushed.size_bytes).unwrap_or(i64::MAX));
    let (files, digest) = (pushed.files, pushed.manifest_digest);
    if target.told.is_some() {
        let name = model_version_name(model, version);
        printer.data(format!("modelversion.mcdeploy.dev/{name} {verb}"))?;
    } else {
        let store = &target.store_name;
        printer.data(format!("{model} {version} {verb} to {store}"))?;
    }
    printer.notice(format!("{files} files, {size}, {digest}"));
    if !pushed.adopted.is_empty() {
        printer.notice(adopted(&pushed.adopted));
    }
    if let Some(told) = &target.told {
        printer.notice(format!("next: {}", told.next));
    }
    Ok(())
}

/// Files of somebody else that belong to the version now.
pub(crate) fn adopted(files: &[ObjectKey]) -> String {
    let named: Vec<_> = files.iter().take(5).map(ObjectKey::as_str).collect();
    let more = if files.len() > named.len() {
        ", …"
    } else {
        ""
    };
    let was = if files.len() == 1 {
        "1 file was".to_owned()
    } else {
        format!("{} files were", files.len())
    };
    let named = named.join(", ");
    format!("{was} there already with the same bytes, written by somebody else: {named}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(name: &str, ready: Option<&str>) -> ArtifactStore {
        let conditions: Vec<_> = ready
            .map(|status| {
                json!({
                    "type": "Ready", "status": status, "reason": "AsDesired", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                })
            })
            .into_iter()
            .collect();
        serde_json::from_value(json!({
            "apiVersion": API_VERSION, "kind": "ArtifactStore", "metadata": { "name": name },
            "spec": {
                "provider": "aws", "region": "us-east-1", "location": { "s3": { "bucket": "models" } },
                "auth": { "anonymous": {} },
            },
            "status": { "conditions": conditions },
        }))
        .unwrap()
    }

    #[test]
    fn the_next_command_can_be_typed_as_it_is_said() {
        let next = |project, deployed| rollout_command("digits", "v3", project, deployed);
        assert_eq!(next(true, true), "mcdeploy rollout --model v3");
        assert_eq!(next(false, true), "mcdeploy rollout --model digits:v3");
        let first = "mcdeploy rollout --model v3 --clouds CLOUD,…";
        assert_eq!(next(true, false), first);
    }

    #[test]
    fn the_store_is_the_one_wanted_else_the_first_that_is_ready() {
        let all = [
            store("aws", Some("False")),
            store("azure", None),
            store("edge", Some("True")),
            store("gcp", Some("True")),
        ];
        let name = |wanted| chosen(&all, wanted).map(|store| store.name_any());
        assert_eq!(name(None).unwrap(), "edge");
        assert_eq!(name(Some("gcp")).unwrap(), "gcp");
        assert_eq!(name(Some("aws")).unwrap(), "aws", "ready or not");
        let unknown = name(Some("gpc")).unwrap_err().to_string();
        assert!(unknown.contains("gpc"), "{unknown}");
        let none = chosen(&all[..2], None).unwrap_err().to_string();
        assert!(none.contains("no ArtifactStore is Ready"), "{none}");
        assert!(none.contains("aws") && none.contains("azure"), "{none}");
    }
}
