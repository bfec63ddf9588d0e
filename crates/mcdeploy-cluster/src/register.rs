//! Makes a member cluster known to the hub: what `mcdeploy clusters add` does.

use std::time::Duration;

use k8s_openapi::{
    ByteString,
    api::{
        authentication::v1::{TokenRequest, TokenRequestSpec},
        core::v1::{Namespace, Secret, ServiceAccount},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    jiff::Timestamp,
};
use mcdeploy_api::{
    ClusterAccess, ClusterIngress, ErrorClass, ImageRegistry, MemberCluster, MemberClusterSpec,
    NodeCache, ObjectName, Provider, RoutingSnapshot, SecretKeyRef, names,
};

use crate::{
    ClusterClient, ClusterError, Endpoint, Force, KubeconfigRefused, parse_kubeconfig,
    token_kubeconfig,
};

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberRegistration {
    /// Name of the `MemberCluster`, as `member.cluster` of the chart has it.
    pub name: String,
    /// Its provider.
    pub provider: Provider,
    /// Region, in the provider's own spelling.
    pub region: String,
    /// Country of the region (ISO 3166), or `EU`, if it is said.
    pub jurisdiction: Option<String>,
    /// Name of the `ArtifactStore` that its pods read from.
    pub artifact_store: String,
    /// The registry that its pods pull from, if it has one of its own.
    pub image_registry: Option<ImageRegistry>,
    /// The cache of its nodes, if they have one.
    pub node_cache: Option<NodeCache>,
    /// `host:port` of the gateway, when its Service's own address does not do.
    pub ingress: Option<String>,
    /// Address of the member's API server as the hub reaches it, when it is not the one
    /// that `member` uses.
    pub server: Option<String>,
    /// How long the token should hold; the member's API server may cut it.
    pub token_lifetime: Duration,
}

impl MemberRegistration {
    /// A year, as far as the API server allows.
    pub const TOKEN_LIFETIME: Duration = Duration::from_hours(365 * 24);
}

/// What was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    /// Name of the Secret in the hub.
    pub secret: String,
    /// When the token ends. Run the same again before.
    pub token_expires: Timestamp,
    /// Version of the member's API server.
    pub kubernetes_version: String,
}

/// Why a member could not be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The chart is not in the member.
    #[error(
        "cluster {cluster} has no ServiceAccount mcdeploy-hub in mcdeploy-system; install the \
         charts there first: helm install mcdeploy-crds charts/mcdeploy-crds, then helm install \
         mcdeploy charts/mcdeploy --namespace mcdeploy-system --create-namespace \
         --set member.enabled=true --set member.cluster={cluster}"
    )]
    MemberChart {
        /// The member.
        cluster: String,
    },
    /// The chart is not in the hub.
    #[error(
        "the hub has no namespace mcdeploy-system; install the charts there first: helm install \
         mcdeploy-crds charts/mcdeploy-crds, then helm install mcdeploy charts/mcdeploy \
         --namespace mcdeploy-system --create-namespace --set hub.enabled=true"
    )]
    HubChart,
    /// Another cluster has the name.
    #[error(
        "cluster {cluster} is already known with provider {known}; a cluster of {asked} needs \
         another name"
    )]
    OtherProvider {
        /// The name.
        cluster: String,
        /// Provider of the cluster that has it.
        known: Provider,
        /// Provider that was asked for.
        asked: Provider,
    },
    /// The hub could not check that it talks to the member.
    #[error(
        "the kubeconfig for cluster {cluster} has insecure-skip-tls-verify: the hub sends a token \
         there, and only to a server that it can check; put the server's CA into \
         certificate-authority-data of its cluster entry (and the name in its certificate into \
         tls-server-name, if it is another than in its address)"
    )]
    Unchecked {
        /// The member.
        cluster: String,
    },
    /// The hub would refuse the kubeconfig that is made for it.
    #[error("the hub cannot use cluster {cluster} as its kubeconfig has it: {why}")]
    Unusable {
        /// The member.
        cluster: String,
        /// What is not allowed in it.
        why: KubeconfigRefused,
    },
    /// The member does not answer where the hub will ask it.
    #[error(
        "cluster {cluster} is not reached at {server}, where the hub will ask it: {why}; name \
         the address for the hub with --server"
    )]
    NotReached {
        /// The member.
        cluster: String,
        /// Where.
        server: String,
        /// What came of it.
        why: Box<ClusterError>,
    },
    /// The API server answered without a token.
    #[error("cluster {cluster} made no token for ServiceAccount mcdeploy-hub")]
    NoToken {
        /// The member.
        cluster: String,
    },
    /// The minted token does not do what the hub needs.
    #[error("the token minted in cluster {cluster} does not work: {why}")]
    TokenRefused {
        /// The member.
        cluster: String,
        /// What it was refused.
        why: Box<ClusterError>,
    },
    /// A call failed.
    #[error(transparent)]
    Call(#[from] ClusterError),
}

impl RegisterError {
    /// What a caller may do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::MemberChart { .. }
            | Self::HubChart
            | Self::OtherProvider { .. }
            | Self::Unchecked { .. }
            | Self::Unusable { .. }
            | Self::NoToken { .. } => ErrorClass::Permanent,
            Self::TokenRefused { why, .. } | Self::NotReached { why, .. } => why.class(),
            Self::Call(error) => error.class(),
        }
    }
}

/// Makes a member known to the hub. Idempotent; running it again renews the token.
///
/// In the member nothing is made but a token of the chart's `ServiceAccount`. In the hub:
/// the Secret `cluster-<name>` with a kubeconfig (address, CA and token, nothing else)
/// and the `MemberCluster`. What the hub could not use is refused before a token is made, and
/// the token is tried before anything is written.
///
/// # Errors
/// `Permanent` when a chart is not installed, the name is another cluster's, the member's
/// server is not checked, or the token is refused; else as the calls. After an error the hub's `MemberCluster` is as
/// before.
pub async fn register_member(
    hub: &ClusterClient,
    member: &ClusterClient,
    request: &MemberRegistration,
) -> Result<Registered, RegisterError> {
    let system = names::SYSTEM_NAMESPACE;
    let name = &request.name;
    let endpoint = endpoint(member, request).map_err(|error| *error)?;
    if hub.get::<Namespace>(None, system).await?.is_none() {
        return Err(RegisterError::HubChart);
    }
    let known: Option<MemberCluster> = hub.get(None, name).await?;
    if let Some(known) = known.filter(|known| known.spec.provider != request.provider) {
        return Err(RegisterError::OtherProvider {
            cluster: name.clone(),
            known: known.spec.provider,
            asked: request.provider,
        });
    }
    let (token, token_expires) = mint_token(member, request).await?;
    let kubeconfig = token_kubeconfig(name, &endpoint, &token);
    let kubernetes_version = try_token(name, &endpoint, &kubeconfig).await?;
    let secret = secret(name, kubeconfig);
    hub.apply(&secret, names::FIELD_MANAGER_CLI, Force::Yes)
        .await?;
    let cluster = member_cluster(request);
    hub.apply(&cluster, names::FIELD_MANAGER_CLI, Force::Yes)
        .await?;
    Ok(Registered {
        secret: names::cluster_secret_name(name),
        token_expires,
        kubernetes_version,
    })
}

/// Where the hub will ask the member. What it could not use is said before anything is made.
fn endpoint<'a>(
    member: &'a ClusterClient,
    request: &'a MemberRegistration,
) -> Result<Endpoint<'a>, Box<RegisterError>> {
    let cluster = || request.name.clone();
    if member.is_unchecked() {
        return Err(Box::new(RegisterError::Unchecked { cluster: cluster() }));
    }
    let endpoint = Endpoint {
        server: request.server.as_deref().unwrap_or(member.server()),
        ca_pem: member.ca_pem(),
        tls_server_name: member.tls_server_name(),
    };
    let draft = token_kubeconfig(&request.name, &endpoint, "to be made");
    parse_kubeconfig(&draft).map_err(|why| {
        let cluster = cluster();
        Box::new(RegisterError::Unusable { cluster, why })
    })?;
    Ok(endpoint)
}

async fn mint_token(
    member: &ClusterClient,
    request: &MemberRegistration,
) -> Result<(String, Timestamp), RegisterError> {
    let (system, account) = (names::SYSTEM_NAMESPACE, names::HUB_SERVICE_ACCOUNT);
    let cluster = || request.name.clone();
    let found: Option<ServiceAccount> = member.get(Some(system), account).await?;
    if found.is_none() {
        return Err(RegisterError::MemberChart { cluster: cluster() });
    }
    let seconds = i64::try_from(request.token_lifetime.as_secs()).unwrap_or(i64::MAX);
    let body = TokenRequest {
        spec: Some(TokenRequestSpec {
            expiration_seconds: Some(seconds),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let made: TokenRequest = member
        .create_subresource::<ServiceAccount, _, _>(system, account, "token", &body)
        .await?;
    let no_token = || RegisterError::NoToken { cluster: cluster() };
    let status = made.status.ok_or_else(no_token)?;
    let token = status.token.filter(|token| !token.is_empty());
    let expires = status.expiration_timestamp.ok_or_else(no_token)?;
    Ok((token.ok_or_else(no_token)?, expires.0))
}

/// Asks the member, as the hub will, for its version and for a kind that the hub reads.
async fn try_token(
    cluster: &str,
    endpoint: &Endpoint<'_>,
    kubeconfig: &str,
) -> Result<String, RegisterError> {
    let refused = |why: ClusterError| {
        let is_no_answer = matches!(
            why,
            ClusterError::Connect { .. }
                | ClusterError::Untrusted { .. }
                | ClusterError::NoAnswer { .. }
        );
        let (cluster, why) = (cluster.to_owned(), Box::new(why));
        if is_no_answer {
            let server = endpoint.server.to_owned();
            return RegisterError::NotReached {
                cluster,
                server,
                why,
            };
        }
        RegisterError::TokenRefused { cluster, why }
    };
    let client = ClusterClient::from_kubeconfig(cluster, kubeconfig).map_err(refused)?;
    let version = client.api_server_version().await.map_err(refused)?;
    let snapshots = client.list::<RoutingSnapshot>(None, "").await;
    snapshots.map_err(refused)?;
    Ok(version)
}

fn secret(cluster: &str, kubeconfig: String) -> Secret {
    let managed = (
        names::LABEL_MANAGED_BY.to_owned(),
        names::MANAGED_BY.to_owned(),
    );
    let value = (
        names::KUBECONFIG_KEY.to_owned(),
        ByteString(kubeconfig.into_bytes()),
    );
    Secret {
        metadata: ObjectMeta {
            name: Some(names::cluster_secret_name(cluster)),
            namespace: Some(names::SYSTEM_NAMESPACE.to_owned()),
            labels: Some([managed].into()),
            ..ObjectMeta::default()
        },
        data: Some([value].into()),
        ..Secret::default()
    }
}

fn member_cluster(request: &MemberRegistration) -> MemberCluster {
    let access = ClusterAccess::by_kubeconfig(SecretKeyRef {
        name: names::cluster_secret_name(&request.name),
        key: names::KUBECONFIG_KEY.to_owned(),
    });
    let spec = MemberClusterSpec {
        provider: request.provider,
        region: request.region.clone(),
        jurisdiction: request.jurisdiction.clone(),
        access,
        artifact_store_ref: ObjectName::new(&request.artifact_store),
        image_registry: request.image_registry.clone(),
        node_cache: request.node_cache.clone(),
        ingress: request
            .ingress
            .clone()
            .map(|address| ClusterIngress { address }),
    };
    MemberCluster::new(&request.name, spec)
}
