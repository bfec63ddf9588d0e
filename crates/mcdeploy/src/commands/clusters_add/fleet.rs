//! `mcdeploy clusters add -f`: the clusters and stores of an inventory.

use std::{fmt::Debug, io::Read, path::Path};

use kube::{Api, Resource, ResourceExt};
use mcdeploy_api::{API_VERSION, ArtifactStore, MemberCluster, MemberClusterSpec};
use mcdeploy_cluster::MemberRegistration;
use mcdeploy_evaluate::decode;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::register;
use crate::{
    args::ClustersAddArgs,
    exit::{ExitStatus, Failure},
    hub::Hub,
    inventory::{self, Fleet, FleetAccess, FleetCluster, FleetStore},
    output::{ReportFormat, json as to_json, yaml},
    printer::Printer,
    table::Table,
};

/// What was, or would be, done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    api_version: &'static str,
    kind: &'static str,
    dry_run: bool,
    entries: Vec<Entry>,
}

/// One object of the inventory.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    kind: &'static str,
    name: String,
    action: Action,
    detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Action {
    /// Would be applied; the hub was not asked what that changes.
    Apply,
    /// Would be new in the hub.
    Create,
    /// Would change what the hub has.
    Change,
    /// Is in the hub as it is here.
    Unchanged,
    /// Was applied.
    Applied,
    /// Known, and not kept in the hub by this version.
    NotKept,
    /// Could not be applied.
    Failed,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Create => "create",
            Self::Change => "change",
            Self::Unchanged => "unchanged",
            Self::Applied => "applied",
            Self::NotKept => "not kept yet",
            Self::Failed => "FAILED",
        }
    }
}

/// Checks an inventory, and applies its stores and then its clusters.
pub(super) async fn fleet(
    file: &Path,
    args: &ClustersAddArgs,
    printer: &Printer,
) -> anyhow::Result<ExitStatus> {
    let text = read(file)?;
    // What the hub does not need to be asked for is said first.
    let fleet = check(file, &text, None)?;
    let asked = ask(args).await;
    let (hub, known) = match asked {
        Ok(answer) => answer,
        Err(failure) if args.dry_run => {
            printer.warning(format!(
                "the hub was not asked what would change: {failure}"
            ));
            print(args, true, planned(&fleet), printer)?;
            return Ok(ExitStatus::Success);
        }
        Err(failure) => return Err(failure.into()),
    };
    let fleet = check(file, &text, Some(&known))?;
    let entries = would(&hub, &fleet, printer).await;
    if args.dry_run || failed(&entries) {
        let refused = failed(&entries);
        print(args, true, entries, printer)?;
        if refused {
            let text = "the hub refuses entries of the inventory, nothing was applied";
            return Err(Failure::new(ExitStatus::Failed, text).into());
        }
        return Ok(ExitStatus::Success);
    }
    apply(args, &hub, &fleet, printer).await
}

/// The hub, and the stores that it has.
async fn ask(args: &ClustersAddArgs) -> Result<(Hub, Vec<String>), Failure> {
    let hub = Hub::connect(&args.hub).await?;
    let stores: Vec<ArtifactStore> = hub.list(&hub.cluster_scoped()).await?;
    let known = stores.iter().map(ResourceExt::name_any).collect();
    Ok((hub, known))
}

fn failed(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.action == Action::Failed)
}

async fn apply(
    args: &ClustersAddArgs,
    hub: &Hub,
    fleet: &Fleet,
    printer: &Printer,
) -> anyhow::Result<ExitStatus> {
    let mut entries = vec![];
    for store in &fleet.stores {
        let outcome = apply_store(hub, store).await;
        let outcome = outcome.map(|()| Action::Applied);
        entries.push(done(store_entry(store), outcome, printer));
    }
    for cluster in &fleet.clusters {
        let outcome = Box::pin(apply_cluster(args, hub, fleet, cluster)).await;
        let outcome = outcome.map(|()| Action::Applied);
        entries.push(done(cluster_entry(cluster), outcome, printer));
    }
    entries.extend(others(fleet));
    let left_out = failed(&entries);
    print(args, false, entries, printer)?;
    if left_out {
        let text = "not every cluster and store of the inventory is in the hub";
        return Err(Failure::new(ExitStatus::Failed, text)
            .hint("the same command again is safe: what is there already stays as it is")
            .into());
    }
    Ok(ExitStatus::Success)
}

/// What the hub says that applying would do: all rules of its kinds, and nothing kept.
async fn would(hub: &Hub, fleet: &Fleet, printer: &Printer) -> Vec<Entry> {
    let mut entries = vec![];
    for store in &fleet.stores {
        let stores = hub.cluster_scoped::<ArtifactStore>();
        let outcome = would_apply(hub, &stores, &store.name, &store_object(store)).await;
        entries.push(done(store_entry(store), outcome, printer));
    }
    for cluster in &fleet.clusters {
        let outcome = would_apply_cluster(hub, fleet, cluster).await;
        entries.push(done(cluster_entry(cluster), outcome, printer));
    }
    entries.extend(others(fleet));
    entries
}

async fn would_apply_cluster(
    hub: &Hub,
    fleet: &Fleet,
    cluster: &FleetCluster,
) -> Result<Action, Failure> {
    let members = hub.cluster_scoped::<MemberCluster>();
    let known: Option<MemberCluster> = hub.get(&members, &cluster.name).await?;
    match fleet.spec(cluster, known.as_ref().map(|known| &known.spec)) {
        Some(spec) => {
            let object = cluster_object(cluster, &spec);
            would_apply(hub, &members, &cluster.name, &object).await
        }
        // Its token is new each time, and minted only when it is really applied.
        None if known.is_some() => Ok(Action::Change),
        None => Ok(Action::Create),
    }
}

async fn would_apply<K>(
    hub: &Hub,
    api: &Api<K>,
    name: &str,
    object: &Value,
) -> Result<Action, Failure>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
{
    let now = hub.get(api, name).await?;
    let then = hub.check_apply(api, name, object).await?;
    let spec = |object: &K| serde_json::to_value(object).map(|mut value| value["spec"].take());
    Ok(match now {
        None => Action::Create,
        Some(now) if spec(&now).ok() == spec(&then).ok() => Action::Unchanged,
        Some(_) => Action::Change,
    })
}

fn read(file: &Path) -> Result<String, Failure> {
    let wrong = |why: &dyn std::fmt::Display| {
        let text = format!("cannot read the inventory {}: {why}", file.display());
        Failure::new(ExitStatus::Usage, text)
    };
    let mut bytes = vec![];
    let outcome = if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    let bytes = outcome.map_err(|error| wrong(&error))?;
    let text = decode(&bytes).map_err(|why| wrong(&format!("expected text, found {why}")))?;
    Ok(text.into_owned())
}

fn check(file: &Path, text: &str, known_stores: Option<&[String]>) -> Result<Fleet, Failure> {
    inventory::parse(text, known_stores).map_err(|problems| {
        let text = format!(
            "the inventory {} is wrong, nothing was applied:\n  {}",
            file.display(),
            problems.join("\n  ")
        );
        Failure::new(ExitStatus::Usage, text).hint("its schema is docs/fleet-inventory.schema.json")
    })
}

fn planned(fleet: &Fleet) -> Vec<Entry> {
    let stores = fleet.stores.iter().map(store_entry);
    let clusters = fleet.clusters.iter().map(cluster_entry);
    stores.chain(clusters).chain(others(fleet)).collect()
}

fn store_entry(store: &FleetStore) -> Entry {
    let location = &store.location;
    let s3 = location
        .s3
        .as_ref()
        .map(|s3| format!("s3 bucket {}", s3.bucket));
    let azure = location.azure_blob.as_ref();
    let azure = azure.map(|blob| format!("blob container {} at {}", blob.container, blob.endpoint));
    let gcs = location
        .gcs
        .as_ref()
        .map(|gcs| format!("gcs bucket {}", gcs.bucket));
    let place = s3.or(azure).or(gcs).unwrap_or_default();
    Entry {
        kind: "ArtifactStore",
        name: store.name.clone(),
        action: Action::Apply,
        detail: format!(
            "{} {}{}, {place}",
            store.provider,
            store.region,
            law(store.jurisdiction.as_deref())
        ),
    }
}

fn cluster_entry(cluster: &FleetCluster) -> Entry {
    let FleetCluster {
        name,
        provider,
        region,
        jurisdiction,
        artifact_store_ref,
        image_registry_ref,
        access,
    } = cluster;
    let by = match access {
        FleetAccess::Kubeconfig(context) => {
            format!("a token minted by context {}", context.context)
        }
        FleetAccess::Eks(_) | FleetAccess::Gke(_) | FleetAccess::Aks(_) => {
            format!(
                "access by {}, kept and not used by the hub yet",
                access.as_str()
            )
        }
    };
    let law = law(jurisdiction.as_deref());
    let images = image_registry_ref.as_ref();
    let images = images.map_or_else(String::new, |name| format!(", images from {name}"));
    Entry {
        kind: "MemberCluster",
        name: name.clone(),
        action: Action::Apply,
        detail: format!("{provider} {region}{law}, store {artifact_store_ref}{images}, {by}"),
    }
}

fn law(jurisdiction: Option<&str>) -> String {
    jurisdiction.map_or_else(String::new, |law| format!(" ({law})"))
}

/// What the hub has no kind for yet.
fn others(fleet: &Fleet) -> Vec<Entry> {
    let registries = fleet.registries.iter().map(|registry| Entry {
        kind: "Registry",
        name: registry.name.clone(),
        action: Action::NotKept,
        detail: format!(
            "kept where a cluster names it: {} {}, {}, {} repositories",
            registry.provider,
            registry.region,
            registry.prefix,
            registry.repositories.len()
        ),
    });
    let zones = fleet.zones.iter().map(|zone| Entry {
        kind: "Zone",
        name: zone.name.clone(),
        action: Action::NotKept,
        detail: format!(
            "{}, {} ({}), {} name servers",
            zone.provider,
            zone.domain,
            zone.id,
            zone.name_servers.len()
        ),
    });
    registries.chain(zones).collect()
}

async fn apply_store(hub: &Hub, store: &FleetStore) -> Result<(), Failure> {
    let stores = hub.cluster_scoped::<ArtifactStore>();
    let object = store_object(store);
    hub.apply(&stores, &store.name, &object, false).await?;
    Ok(())
}

fn store_object(store: &FleetStore) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "ArtifactStore",
        "metadata": {"name": store.name},
        "spec": store.spec(),
    })
}

fn cluster_object(cluster: &FleetCluster, spec: &MemberClusterSpec) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "MemberCluster",
        "metadata": {"name": cluster.name},
        "spec": spec,
    })
}

async fn apply_cluster(
    args: &ClustersAddArgs,
    hub: &Hub,
    fleet: &Fleet,
    cluster: &FleetCluster,
) -> Result<(), Failure> {
    let FleetAccess::Kubeconfig(context) = &cluster.access else {
        return apply_identity(hub, fleet, cluster).await;
    };
    let members = hub.cluster_scoped::<MemberCluster>();
    let known: Option<MemberCluster> = hub.get(&members, &cluster.name).await?;
    let known = known.map(|known| (known.spec.image_registry, known.spec.node_cache));
    let (registry, node_cache) = known.unwrap_or_default();
    let request = MemberRegistration {
        name: cluster.name.clone(),
        provider: cluster.provider,
        region: cluster.region.clone(),
        jurisdiction: cluster.jurisdiction.clone(),
        artifact_store: cluster.artifact_store_ref.clone(),
        image_registry: fleet.image_registry(cluster, registry.as_ref()),
        node_cache,
        ingress: None,
        server: None,
        token_lifetime: args.token_lifetime.unsigned_abs(),
    };
    register(args, &request, Some(&context.context))
        .await
        .map(|_| ())
}

async fn apply_identity(hub: &Hub, fleet: &Fleet, cluster: &FleetCluster) -> Result<(), Failure> {
    let members = hub.cluster_scoped::<MemberCluster>();
    let known = hub.get(&members, &cluster.name).await?;
    let Some(spec) = fleet.spec(cluster, known.as_ref().map(|known| &known.spec)) else {
        return Ok(());
    };
    let object = cluster_object(cluster, &spec);
    hub.apply(&members, &cluster.name, &object, false).await?;
    Ok(())
}

/// One entry that fails leaves the others to be applied.
fn done(mut entry: Entry, outcome: Result<Action, Failure>, printer: &Printer) -> Entry {
    match outcome {
        Ok(action) => entry.action = action,
        Err(failure) => {
            printer.error(format!("{} {}: {failure}", entry.kind, entry.name));
            entry.action = Action::Failed;
            entry.detail = failure.to_string();
        }
    }
    entry
}

fn print(
    args: &ClustersAddArgs,
    dry_run: bool,
    entries: Vec<Entry>,
    printer: &Printer,
) -> anyhow::Result<()> {
    let report = Report {
        api_version: "cli.mcdeploy.dev/v1alpha1",
        kind: "FleetReport",
        dry_run,
        entries,
    };
    match args.output {
        ReportFormat::Json => printer.data(to_json(&report)?)?,
        ReportFormat::Yaml => printer.data(yaml(&report)?)?,
        ReportFormat::Table => printer.data(table(&report.entries))?,
    }
    Ok(())
}

fn table(entries: &[Entry]) -> String {
    let mut table = Table::new(["KIND", "NAME", "ACTION", "DETAIL"]);
    for entry in entries {
        let Entry {
            kind,
            name,
            action,
            detail,
        } = entry;
        let action = action.as_str().to_owned();
        table.row(vec![
            (*kind).to_owned(),
            name.clone(),
            action,
            detail.clone(),
        ]);
    }
    table.render()
}
