//! `mcdeploy clusters add`: makes a member cluster known to the hub.

mod fleet;

use kube::ResourceExt;
use mcdeploy_api::{ArtifactStore, ErrorClass, MemberCluster, NodeCache};
use mcdeploy_cluster::{
    ClientSettings, ClusterClient, ClusterError, MemberRegistration, RegisterError, Registered,
    register_member,
};
use serde_json::json;

use crate::{
    args::ClustersAddArgs,
    exit::{ExitStatus, Failure, chain},
    hub::{Hub, hub_config, load_config},
    image_registry::chosen,
    names::did_you_mean,
    output::{ReportFormat, json as to_json, yaml},
    printer::Printer,
};

/// Adds one cluster, or those of an inventory.
pub(crate) async fn clusters_add(
    args: &ClustersAddArgs,
    printer: &Printer,
) -> anyhow::Result<ExitStatus> {
    let ClustersAddArgs {
        name,
        provider,
        region,
        store,
        ..
    } = args;
    match (&args.file, name, provider, region, store) {
        (Some(file), ..) => Box::pin(fleet::fleet(file, args, printer)).await,
        (None, Some(name), Some(provider), Some(region), Some(store)) => {
            let request = MemberRegistration {
                name: name.clone(),
                provider: *provider,
                region: region.clone(),
                jurisdiction: None,
                artifact_store: store.clone(),
                image_registry: None,
                node_cache: None,
                ingress: args.ingress.clone(),
                server: args.server.clone(),
                token_lifetime: args.token_lifetime.unsigned_abs(),
            };
            one(args, request, printer).await
        }
        (None, ..) => Err(Failure::new(
            ExitStatus::Usage,
            "name the cluster with its --provider, --region and --store, or an inventory with -f",
        )
        .into()),
    }
}

async fn one(
    args: &ClustersAddArgs,
    mut request: MemberRegistration,
    printer: &Printer,
) -> anyhow::Result<ExitStatus> {
    // Says at once when the hub is away, before the member is asked.
    let hub = Hub::connect(&args.hub).await?;
    check_store(&request, &hub).await?;
    // What an inventory said stays, unless it is said anew.
    let known: Option<MemberCluster> = hub.get(&hub.cluster_scoped(), &request.name).await?;
    let known = known.map(|MemberCluster { spec, .. }| {
        let cache = spec.node_cache;
        (spec.jurisdiction, spec.image_registry, cache)
    });
    let (jurisdiction, registry, cache) = known.unwrap_or_default();
    request.jurisdiction = jurisdiction;
    let wanted = args.node_cache.map(|size| size.0);
    let wanted = wanted.map(|size| NodeCache::of(i64::try_from(size).unwrap_or(i64::MAX)));
    request.node_cache = wanted.or(cache);
    let secret = args.image_registry_secret.as_deref();
    request.image_registry = chosen(args.image_registry.as_ref(), secret, registry);
    let registered = register(args, &request, args.member_context.as_deref()).await?;
    report(args, &request, &registered, printer)?;
    Ok(ExitStatus::Success)
}

/// Mints a token in the member and applies Secret and `MemberCluster` in the hub.
async fn register(
    args: &ClustersAddArgs,
    request: &MemberRegistration,
    context: Option<&str>,
) -> Result<Registered, Failure> {
    let hub = client("the hub", hub_config(&args.hub).await?)?;
    let path = args.member_kubeconfig.as_deref();
    let member = load_config(path, context, "--member-kubeconfig").await?;
    if let (Some(entry), None) = (&member.own_proxy_of, &request.server) {
        return Err(through_a_proxy(&request.name, entry));
    }
    let member = client(&request.name, member.config)?;
    let work = Box::pin(register_member(&hub, &member, request));
    work.await.map_err(|error| failure(&request.name, &error))
}

/// The hub does not go through the proxy of somebody's kubeconfig.
fn through_a_proxy(cluster: &str, entry: &str) -> Failure {
    let text = format!(
        "cannot add cluster {cluster}: clusters[{entry:?}].cluster.proxy-url of its kubeconfig says \
         how this machine reaches it, which is no way for the hub"
    );
    Failure::new(ExitStatus::Usage, text)
        .hint("name the address that the hub reaches with --server; nothing was changed")
}

/// A cluster's store belongs to its own provider, or pods would read across clouds.
async fn check_store(request: &MemberRegistration, hub: &Hub) -> Result<(), Failure> {
    let stores: Vec<ArtifactStore> = hub.list(&hub.cluster_scoped()).await?;
    let names: Vec<String> = stores.iter().map(ResourceExt::name_any).collect();
    let found = stores
        .iter()
        .find(|store| store.name_any() == request.artifact_store);
    match found {
        Some(store) if store.spec.provider != request.provider => Err(Failure::new(
            ExitStatus::Usage,
            format!(
                "ArtifactStore {:?} is in {}, and the cluster in {}: its pods read from a store of its own provider",
                request.artifact_store, store.spec.provider, request.provider
            ),
        )
        .hint("nothing was changed; `mcdeploy get stores` lists them")),
        // It may come after the cluster; the operator says so until then.
        None if names.is_empty() => Ok(()),
        None => Err(Failure::new(
            ExitStatus::NotFound,
            format!(
                "there is no ArtifactStore {}: there are {}",
                did_you_mean(&request.artifact_store, names.iter().map(String::as_str)),
                names.join(", ")
            ),
        )
        .hint("nothing was changed; create the store first")),
        Some(_) => Ok(()),
    }
}

fn client(cluster: &str, config: kube::Config) -> Result<ClusterClient, Failure> {
    ClusterClient::new(cluster, config, ClientSettings::default())
        .map_err(|error| Failure::new(ExitStatus::Usage, chain(&error)))
}

fn failure(name: &str, error: &RegisterError) -> Failure {
    let text = format!("cannot add cluster {name}: {}", chain(error));
    match error {
        RegisterError::MemberChart { .. } | RegisterError::HubChart => {
            Failure::new(ExitStatus::NotFound, text)
        }
        RegisterError::OtherProvider { .. } => Failure::new(ExitStatus::Conflict, text),
        RegisterError::Unchecked { .. } | RegisterError::Unusable { .. } => {
            Failure::new(ExitStatus::Usage, text).hint("nothing was changed, and no token made")
        }
        RegisterError::NotReached { .. } => {
            Failure::new(ExitStatus::Failed, text).hint("nothing was changed in the hub")
        }
        RegisterError::NoToken { .. } => Failure::new(ExitStatus::Failed, text),
        RegisterError::TokenRefused { .. } => Failure::new(ExitStatus::Auth, text)
            .hint("does the member's chart have the version of this program?"),
        RegisterError::Call(ClusterError::AuthRefused { .. }) => {
            Failure::new(ExitStatus::Auth, text)
        }
        RegisterError::Call(error) => match error.class() {
            ErrorClass::NotFound => Failure::new(ExitStatus::NotFound, text),
            ErrorClass::Precondition => Failure::new(ExitStatus::Conflict, text),
            ErrorClass::Transient
            | ErrorClass::Throttled
            | ErrorClass::Permanent
            | ErrorClass::Cancelled
            | ErrorClass::Unknown => Failure::new(ExitStatus::Failed, text)
                .hint("the same command again goes on where this one ended"),
        },
    }
}

fn report(
    args: &ClustersAddArgs,
    request: &MemberRegistration,
    registered: &Registered,
    printer: &Printer,
) -> anyhow::Result<()> {
    let data = json!({
        "apiVersion": "cli.mcdeploy.dev/v1alpha1",
        "kind": "ClusterReport",
        "name": request.name,
        "secret": registered.secret,
        "tokenExpires": registered.token_expires.to_string(),
        "kubernetesVersion": registered.kubernetes_version,
    });
    match args.output {
        ReportFormat::Json => printer.data(to_json(&data)?)?,
        ReportFormat::Yaml => printer.data(yaml(&data)?)?,
        ReportFormat::Table => {
            printer.data(format!(
                "membercluster.mcdeploy.dev/{} applied",
                request.name
            ))?;
            let Registered {
                token_expires,
                kubernetes_version,
                ..
            } = registered;
            printer.notice(format!(
                "Kubernetes {kubernetes_version}; the token ends {token_expires:.0}: run the same again before"
            ));
        }
    }
    Ok(())
}
