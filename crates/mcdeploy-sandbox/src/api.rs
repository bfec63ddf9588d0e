//! Calls to the clouds' API servers, each with a deadline.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, ServiceAccount};
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

/// Whether the cloud's node is ready.
pub(crate) async fn node_is_ready(client: &Client, cloud: Cloud) -> Result<(), String> {
    let nodes = Api::<Node>::all(client.clone());
    let node = nodes.get(cloud.name()).await;
    let node = node.map_err(|error| host::chain(&error))?;
    let conditions = node.status.and_then(|status| status.conditions);
    let conditions = conditions.unwrap_or_default();
    let ready = conditions.iter().find(|found| found.type_ == "Ready");
    match ready {
        Some(found) if found.status == "True" => Ok(()),
        Some(found) => Err(found.message.clone().unwrap_or_default()),
        None => Err("the node has no Ready condition".into()),
    }
}

/// Whether pods can be made: the first sign that controllers work.
pub(crate) async fn has_default_service_account(client: &Client) -> Result<(), String> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "default");
    let found = accounts.get("default").await;
    found.map(drop).map_err(|error| host::chain(&error))
}
