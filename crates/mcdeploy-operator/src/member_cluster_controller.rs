//! `MemberCluster`: can it be seen, where is its gateway. Observe > status.
//!
//! On lost contact it writes `Reachable=Unknown` here, and nothing anywhere else.

use std::{sync::Arc, time::Duration};

use mcdeploy_api::{
    ArtifactStore, ConditionStatus, ConditionType, ErrorClass, MemberCluster, MemberClusterSpec,
    MemberClusterStatus, Reason, Sha256Digest, check_jurisdiction, names, names::is_object_name,
    set_condition,
};
use mcdeploy_cluster::{ClientSettings, ClusterClient, ClusterError, Unseen, parse_kubeconfig};

use crate::{classified::Classified, clock, context::Context, members::Reach, secrets, watches};

/// Why a look at a `MemberCluster` failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Hub(#[from] ClusterError),
}

impl Classified for Error {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Hub(error) => error.class(),
        }
    }
}

/// What a look at the cluster gave.
struct Look {
    version: String,
    gateway: Option<String>,
}

pub(crate) async fn reconcile(ctx: &Arc<Context>, name: &str) -> Result<Option<Duration>, Error> {
    let hub = &ctx.hub;
    let Some(member) = hub.get::<MemberCluster>(None, name).await? else {
        ctx.members.remove(name);
        ctx.wake_deployments();
        return Ok(None);
    };
    let (look, refused) = match client(ctx, &member, name).await? {
        Ok(client) => (observe(&client, &member).await, false),
        Err(unseen) => {
            let news = ctx.members.put_refused(name, unseen.clone());
            (Err(unseen), news)
        }
    };
    let reach = match &look {
        Ok(_) => Reach::Seen,
        Err(unseen) => Reach::Lost(unseen.clone()),
    };
    let seen = look.is_ok();
    let store = &member.spec.artifact_store_ref.name;
    // A name that cannot be one is that of no store.
    let store = if is_object_name(store) {
        hub.get::<ArtifactStore>(None, store).await?
    } else {
        None
    };
    let before = member.status.clone().unwrap_or_default();
    let after = status(&member, &before, &look, store.as_ref());
    let news = ctx.members.set_reach(name, reach) || refused;
    if news {
        tracing::info!(
            cluster.name = name,
            seen,
            "a member cluster's reach changed"
        );
    }
    let moved = before.gateway_address != after.gateway_address;
    if after != before {
        let manager = names::FIELD_MANAGER_OPERATOR;
        hub.patch_status::<MemberCluster>(None, name, &after, manager, None)
            .await?;
    }
    if news || moved {
        ctx.wake_deployments();
    }
    let (seen_now, all) = ctx.members.count();
    ctx.metrics
        .members_seen
        .set(i64::try_from(seen_now).unwrap_or(0));
    ctx.metrics.members.set(i64::try_from(all).unwrap_or(0));
    let pace = &ctx.settings.pace;
    Ok(Some(if seen {
        pace.member_seen
    } else {
        pace.member_lost
    }))
}

/// A client by the credentials that are in the Secret now.
async fn client(
    ctx: &Arc<Context>,
    member: &MemberCluster,
    name: &str,
) -> Result<Result<ClusterClient, Unseen>, Error> {
    let namespace = &ctx.settings.namespace;
    let Some(reference) = &member.spec.access.kubeconfig_secret_ref else {
        return Ok(Err(not_supported(member, name)));
    };
    let refused = |message: String| Unseen {
        reason: Reason::KubeconfigRefused,
        message,
    };
    let secret = match secrets::read(&ctx.hub, namespace, &reference.name).await? {
        Ok(secret) => secret,
        Err(why) => {
            return Ok(Err(refused(format!(
                "spec.access.kubeconfigSecretRef: {why}"
            ))));
        }
    };
    let data = secret.and_then(|secret| secret.data).unwrap_or_default();
    let Some(text) = data.get(&reference.key) else {
        let what = format!("key {:?} of Secret {:?}", reference.key, reference.name);
        return Ok(Err(refused(format!(
            "{what} is not in namespace {namespace:?}"
        ))));
    };
    let version = Sha256Digest::of(&text.0).short(16);
    if let Some(client) = ctx.members.client_of_version(name, &version) {
        return Ok(Ok(client));
    }
    let text = String::from_utf8_lossy(&text.0).into_owned();
    let settings = ClientSettings {
        deadline: ctx.settings.pace.member_deadline,
        ..ClientSettings::default()
    };
    let made = match parse_kubeconfig(&text) {
        Ok(config) => ClusterClient::new(name, config, settings),
        Err(why) => Err(ClusterError::Kubeconfig {
            cluster: name.to_owned(),
            why,
        }),
    };
    let client = match made {
        Ok(client) => client.with_fence(Arc::clone(&ctx.fence)),
        Err(error) => return Ok(Err(Unseen::from(&error))),
    };
    let watching = ctx.members.put(name, version, client.clone(), &ctx.cancel);
    let watch = watches::member(Arc::clone(ctx), name.to_owned(), client.clone(), watching);
    tokio::spawn(watch);
    Ok(Ok(client))
}

/// Identities of clouds are kept, and not used yet.
fn not_supported(member: &MemberCluster, name: &str) -> Unseen {
    let MemberClusterSpec {
        provider,
        region,
        artifact_store_ref,
        access,
        ..
    } = &member.spec;
    Unseen {
        reason: Reason::AccessNotSupported,
        message: format!(
            "spec.access.{} is kept, and this version reaches clusters by kubeconfigSecretRef only: with a kubeconfig of the cluster run `mcdeploy clusters add {name} --provider {provider} --region {region} --store {} --member-kubeconfig FILE`",
            access.kind(),
            artifact_store_ref.name
        ),
    }
}

async fn observe(client: &ClusterClient, member: &MemberCluster) -> Result<Look, Unseen> {
    let version = client.api_server_version().await;
    let version = version.map_err(|error| Unseen::from(&error))?;
    let gateway = match &member.spec.ingress {
        Some(ingress) => Some(ingress.address.clone()),
        None => client
            .gateway_address()
            .await
            .map_err(|error| Unseen::from(&error))?,
    };
    Ok(Look { version, gateway })
}

fn status(
    member: &MemberCluster,
    before: &MemberClusterStatus,
    look: &Result<Look, Unseen>,
    store: Option<&ArtifactStore>,
) -> MemberClusterStatus {
    let mut status = before.clone();
    let generation = member.metadata.generation;
    status.observed_generation = generation;
    let mut set = |kind, state, reason, message: String| {
        let list = &mut status.conditions;
        set_condition(list, kind, state, reason, message, generation, clock::now());
    };
    match look {
        Err(unseen) => {
            // What was last known stays: gateways may well go on.
            let (reason, message) = (unseen.reason, unseen.message.clone());
            let unknown = ConditionStatus::Unknown;
            set(ConditionType::Reachable, unknown, reason, message.clone());
            // Waiting does not help where the spec itself cannot be used.
            let ready = if reason == Reason::AccessNotSupported {
                ConditionStatus::False
            } else {
                unknown
            };
            set(ConditionType::Ready, ready, reason, message);
        }
        Ok(look) => {
            let message = "the API server answers".to_owned();
            let (yes, reason) = (ConditionStatus::True, Reason::AsDesired);
            set(ConditionType::Reachable, yes, reason, message);
            let (state, reason, message) = ready(member, look, store);
            set(ConditionType::Ready, state, reason, message);
            status.kubernetes_version = Some(look.version.clone());
            status.gateway_address.clone_from(&look.gateway);
        }
    }
    status
}

fn ready(
    member: &MemberCluster,
    look: &Look,
    store: Option<&ArtifactStore>,
) -> (ConditionStatus, Reason, String) {
    let no = |reason, message| (ConditionStatus::False, reason, message);
    let name = &member.spec.artifact_store_ref.name;
    let provider = member.spec.provider;
    if let Some(jurisdiction) = &member.spec.jurisdiction
        && let Err(why) = check_jurisdiction(provider, &member.spec.region, jurisdiction)
    {
        return no(Reason::Invalid, format!("spec.jurisdiction: {why}"));
    }
    match (store, &look.gateway) {
        (None, _) => {
            let message = format!("ArtifactStore {name:?} does not exist");
            no(Reason::StoreNotFound, message)
        }
        (Some(store), _) if store.spec.provider != provider => {
            let other = store.spec.provider;
            let message = format!("ArtifactStore {name:?} belongs to {other}, not {provider}");
            no(Reason::Invalid, message)
        }
        (Some(_), None) => {
            let message = format!(
                "Service {}/{} has no address yet",
                names::SYSTEM_NAMESPACE,
                names::GATEWAY_SERVICE
            );
            no(Reason::GatewayNotFound, message)
        }
        (Some(_), Some(gateway)) => {
            let message = format!("gateway at {gateway}");
            (ConditionStatus::True, Reason::AsDesired, message)
        }
    }
}
