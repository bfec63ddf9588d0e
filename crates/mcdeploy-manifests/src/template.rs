//! What was rendered for a revision once, so that a later version of mcdeploy that
//! would render it otherwise restarts no pod of it.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use mcdeploy_api::{ArtifactStoreSpec, Provider, names};
use serde::{Deserialize, Serialize};

use crate::{
    RevisionInput, RevisionObjects, node_cache::use_cache, render_revision, revision::fetch_secret,
};

/// The rendered objects of one revision, without what differs from cluster to cluster:
/// the number of pods, the Secret with the credentials of a store, the registry that the
/// server's image is pulled from, and the cache of the nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionTemplate {
    /// What the gateway finds the model servers by.
    service: Service,
    /// The model servers, where the store's credentials are in the Secret.
    plain: Deployment,
    /// The model servers, where they are around the pod.
    ambient: Deployment,
    /// The same in Azure, which wants to be asked.
    ambient_azure: Deployment,
    /// Their init container knows the cache of a node.
    #[serde(default)]
    node_cache: bool,
}

impl RevisionTemplate {
    /// Renders what is kept. Of `input` neither the pods' number nor the store matters.
    pub fn render(input: &RevisionInput) -> Self {
        let with = |provider: Provider, ambient: bool| {
            let mut input = input.clone();
            input.cache = None;
            input.fetch.store.spec = as_if(&input.fetch.store.spec, provider, ambient);
            let mut objects = render_revision(&input);
            objects.deployment.spec.replicas = None;
            objects
        };
        let RevisionObjects {
            service,
            fetch_secret: _,
            deployment,
        } = with(Provider::Onprem, false);
        Self {
            service,
            plain: deployment,
            ambient: with(Provider::Onprem, true).deployment,
            ambient_azure: with(Provider::Azure, true).deployment,
            node_cache: true,
        }
    }

    /// The objects of the revision for one cluster.
    pub fn objects(&self, input: &RevisionInput) -> RevisionObjects {
        let store = &input.fetch.store.spec;
        let server = match (&store.auth.ambient, store.provider) {
            (None, _) => &self.plain,
            (Some(_), Provider::Azure) => &self.ambient_azure,
            (Some(_), Provider::Aws | Provider::Gcp | Provider::Onprem) => &self.ambient,
        };
        let mut deployment = server.clone();
        deployment.spec.replicas = Some(input.replicas);
        pull_from(&mut deployment, &input.container.image);
        let cache = input.cache.as_ref().filter(|_| self.node_cache);
        if cache.is_some() {
            use_cache(&mut deployment, input);
        }
        RevisionObjects {
            service: self.service.clone(),
            fetch_secret: fetch_secret(input, cache),
            deployment,
        }
    }
}

/// The same image by digest, by the name that it has for this cluster.
fn pull_from(deployment: &mut Deployment, image: &str) {
    let pod = deployment.spec.template.spec.as_mut();
    let mut containers = pod.into_iter().flat_map(|pod| &mut pod.containers);
    if let Some(server) = containers.find(|one| one.name == names::SERVER_CONTAINER) {
        server.image = Some(image.to_owned());
    }
}

/// The spec of some store that is used in this way: only that goes into a pod.
fn as_if(spec: &ArtifactStoreSpec, provider: Provider, ambient: bool) -> ArtifactStoreSpec {
    let mut spec = spec.clone();
    spec.provider = provider;
    spec.auth.ambient = ambient.then_some(mcdeploy_api::Empty {});
    spec
}
