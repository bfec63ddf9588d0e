//! A revision's pods where nodes have a cache.
//!
//! The claim is mounted whole, and to be written, by the init container alone. The server
//! sees the slot of its version and nothing else, and cannot write it. Where the server
//! looks, in the pod's own volume, the init container leaves a link to the slot, or a copy
//! of the version when the cache has no room: that is not known before it runs.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Container, PersistentVolumeClaimVolumeSource, PodSpec, Volume, VolumeMount},
};
use mcdeploy_api::{CachePlan, NodeCache, names};

use crate::{RevisionInput, pod::mount};

/// Volume with the node's cache.
const CACHE: &str = "node-cache";

/// How a node's cache is used, for what fetches into it.
pub fn cache_plan(cache: &NodeCache) -> CachePlan {
    CachePlan {
        quota_bytes: u64::try_from(cache.size_bytes).unwrap_or(0),
    }
}

/// Lets the pods of a rendered revision use the cache of the input, if it has one.
pub(crate) fn use_cache(deployment: &mut Deployment, input: &RevisionInput) {
    let Some(cache) = &input.cache else {
        return;
    };
    let Some(pod) = &mut deployment.spec.template.spec else {
        return;
    };
    if let Some(security) = &mut pod.security_context {
        // A cache full of files is not walked for each pod.
        security.fs_group_change_policy = Some("OnRootMismatch".to_owned());
    }
    let claim = PersistentVolumeClaimVolumeSource {
        claim_name: cache.claim_name.clone(),
        read_only: None,
    };
    pod.volumes.get_or_insert_default().push(Volume {
        name: CACHE.to_owned(),
        persistent_volume_claim: Some(claim),
        ..Volume::default()
    });
    mount_in(pod, names::FETCH_CONTAINER, |fetch| {
        let args = ["--cache", names::CACHE_DIR].map(str::to_owned);
        fetch.args.get_or_insert_default().extend(args);
        mount(CACHE, names::CACHE_DIR, false)
    });
    // The kubelet looks for the slot when the server starts: the init container made it.
    let slot = input.fetch.manifest_digest.hex();
    mount_in(pod, names::SERVER_CONTAINER, |_| VolumeMount {
        sub_path: Some(slot),
        ..mount(CACHE, names::CACHED_DIR, true)
    });
}

fn mount_in(pod: &mut PodSpec, name: &str, mount: impl FnOnce(&mut Container) -> VolumeMount) {
    let init = pod.init_containers.iter_mut().flatten();
    let mut containers = init.chain(&mut pod.containers);
    if let Some(container) = containers.find(|container| container.name == name) {
        let mount = mount(container);
        container.volume_mounts.get_or_insert_default().push(mount);
    }
}
