//! Calls to the clouds' API servers, each with a deadline.

use std::time::Duration;

use k8s_openapi::{
    api::core::v1::{Node, NodeCondition, ServiceAccount},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::{Cloud, SandboxError, host, paths};

/// YAML of a kubeconfig of a cloud's administrator.
pub(crate) fn kubeconfig(cloud: Cloud) -> Result<String, SandboxError> {
    let text = host::read(&paths::kubeconfig(cloud))?;
    text.ok_or(SandboxError::NotRunning)
}

/// A client of a cloud's administrator.
pub(crate) async fn client(cloud: Cloud) -> Result<Client, SandboxError> {
    let text = kubeconfig(cloud)?;
    let read = |source| SandboxError::Kubeconfig { cloud, source };
    let parsed = Kubeconfig::from_yaml(&text).map_err(read)?;
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(parsed, &options)
        .await
        .map_err(read)?;
    // It is on this machine, whatever the environment says of others.
    config.proxy_url = None;
    config.connect_timeout = Some(Duration::from_secs(2));
    config.read_timeout = Some(Duration::from_secs(30));
    config.write_timeout = Some(Duration::from_secs(10));
    Client::try_from(config).map_err(|source| SandboxError::Api {
        cloud,
        what: "make a client".into(),
        source: Box::new(source),
    })
}

/// Whether the API server is ready.
pub(crate) async fn is_ready(client: &Client) -> Result<(), String> {
    let request = http::Request::get("/readyz").body(Vec::new());
    let request = request.map_err(|error| host::chain(&error))?;
    let answer = client.request_text(request).await;
    answer.map(drop).map_err(|error| host::chain(&error))
}

/// What the kubelet last said about its node; `None` before its first word.
async fn node_word(client: &Client, cloud: Cloud) -> Result<Option<NodeCondition>, kube::Error> {
    let nodes = Api::<Node>::all(client.clone());
    let node = nodes.get_opt(cloud.name()).await?;
    let conditions = node.and_then(|node| node.status?.conditions);
    let mut conditions = conditions.unwrap_or_default().into_iter();
    Ok(conditions.find(|found| found.type_ == "Ready"))
}

/// When the kubelet last spoke. A kubelet that was killed is believed for a while, so
/// what its successor says is told apart by this.
pub(crate) async fn node_heartbeat(client: &Client, cloud: Cloud) -> Option<Time> {
    let word = node_word(client, cloud).await.ok().flatten();
    word.and_then(|word| word.last_heartbeat_time)
}

/// Whether the cloud's node is ready, by a word that is not the one of `old`.
pub(crate) async fn node_is_ready(
    client: &Client,
    cloud: Cloud,
    old: Option<&Time>,
) -> Result<(), String> {
    let word = node_word(client, cloud).await;
    match word.map_err(|error| host::chain(&error))? {
        None => Err("the node has no Ready condition".into()),
        Some(word) if old.is_some() && word.last_heartbeat_time.as_ref() == old => {
            Err("the new kubelet has not spoken yet".into())
        }
        Some(word) if word.status == "True" => Ok(()),
        Some(word) => Err(word.message.unwrap_or_default()),
    }
}

/// Whether pods can be made: the first sign that controllers work.
pub(crate) async fn has_default_service_account(client: &Client) -> Result<(), String> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "default");
    let found = accounts.get("default").await;
    found.map(drop).map_err(|error| host::chain(&error))
}
