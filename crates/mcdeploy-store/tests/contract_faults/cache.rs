//! The cache of a node: one read from the store, however many ask, and every byte checked.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use mcdeploy_api::{FetchPlan, Sha256Digest};
use mcdeploy_sandbox::testing::{Fault, Link, SmallDisk};
use mcdeploy_store::{FetchError, NodeCache, Through, fetch_through};

use crate::world::{Cloud, MIB, MODEL, directory, is_read_of_model, one_file, push, token};

const PLENTY: u64 = 1 << 40;
const FILE_BYTES: usize = 10 * MIB;

fn plan(cloud: &Cloud, version: &str, digest: Sha256Digest) -> FetchPlan {
    FetchPlan {
        model: MODEL.to_owned(),
        version: version.to_owned(),
        manifest_digest: digest,
        store: cloud.access.clone(),
        node_cache: None,
    }
}

/// What a pod has: a directory of its own, and the slot of its version.
struct Pod(tempfile::TempDir);

impl Pod {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn fetch(&self, cache: &NodeCache, plan: &FetchPlan) -> Result<Through, FetchError> {
        let seen_at = self.seen_at();
        fetch_through(cache, plan, self.0.path(), &seen_at, &|_| {}, &token()).await
    }

    fn seen_at(&self) -> PathBuf {
        self.0.path().join("seen-at")
    }

    /// What its model server reads once the slot is mounted, as the kubelet does it.
    fn file(&self, root: &Path, plan: &FetchPlan) -> Vec<u8> {
        let slot = root.join(plan.manifest_digest.hex());
        let _ = fs::remove_file(self.seen_at());
        std::os::unix::fs::symlink(slot, self.seen_at()).unwrap();
        fs::read(self.own().join("model.onnx")).unwrap()
    }

    /// `<model>/<version>` in the pod's own directory.
    fn own(&self) -> PathBuf {
        self.0.path().join(MODEL).join("v1")
    }
}

fn file_of(root: &Path, digest: &Sha256Digest) -> PathBuf {
    root.join(digest.hex()).join("files/model.onnx")
}

fn reads(cloud: &Cloud) -> u64 {
    let exchanges = cloud.proxy.exchanges().into_iter();
    let reads = exchanges.filter(|exchange| is_read_of_model(&exchange.request));
    reads.map(|exchange| exchange.received_bytes).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_pod_on_a_node_asks_the_store_nothing() {
    for cloud in Cloud::all().await {
        let digest = one_file(cloud.direct.as_ref(), "v1", FILE_BYTES).await;
        let root = tempfile::tempdir().unwrap();
        let cache = NodeCache::new(root.path(), PLENTY);
        let plan = plan(&cloud, "v1", digest);
        let (first, second) = (Pod::new(), Pod::new());
        let done = first.fetch(&cache, &plan).await.unwrap();
        assert!(done.beside.is_none() && !done.fetched.was_there);
        assert!(cloud.proxy.counts().received_bytes >= FILE_BYTES as u64);

        cloud.proxy.reset_counts();
        // Nor does it need the store.
        cloud.proxy.set_link(Link::Down);
        let done = second.fetch(&cache, &plan).await.unwrap();
        assert!(done.beside.is_none() && done.fetched.was_there);
        let counts = cloud.proxy.counts();
        assert_eq!((counts.requests, counts.received_bytes), (0, 0));
        assert_eq!(
            second.file(root.path(), &plan),
            first.file(root.path(), &plan)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_start_at_once_read_the_store_once() {
    let cloud = Cloud::aws().await;
    let digest = one_file(cloud.direct.as_ref(), "v1", FILE_BYTES).await;
    let root = tempfile::tempdir().unwrap();
    let cache = NodeCache::new(root.path(), PLENTY);
    let plan = plan(&cloud, "v1", digest);
    let pods: Vec<_> = (0..8).map(|_| Pod::new()).collect();
    let fetches = pods.iter().map(|pod| pod.fetch(&cache, &plan));
    let done = futures::future::try_join_all(fetches).await.unwrap();
    let read = done.iter().filter(|done| !done.fetched.was_there).count();
    assert_eq!(read, 1);
    assert!(done.iter().all(|done| done.beside.is_none()));
    assert_eq!(reads(&cloud), FILE_BYTES as u64);
    for pod in &pods {
        assert_eq!(pod.file(root.path(), &plan).len(), FILE_BYTES);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s3_a_copy_that_rotted_in_the_cache_is_replaced_before_it_is_used() {
    let cloud = Cloud::aws().await;
    let digest = one_file(cloud.direct.as_ref(), "v1", FILE_BYTES).await;
    let root = tempfile::tempdir().unwrap();
    let cache = NodeCache::new(root.path(), PLENTY);
    let plan = plan(&cloud, "v1", digest);
    Pod::new().fetch(&cache, &plan).await.unwrap();
    let path = file_of(root.path(), &digest);
    let good = fs::read(&path).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[good[MIB] ^ 1], MIB as u64).unwrap();
    assert_ne!(fs::read(&path).unwrap(), good);

    cloud.proxy.reset_counts();
    let pods = [Pod::new(), Pod::new(), Pod::new()];
    let fetches = pods.iter().map(|pod| pod.fetch(&cache, &plan));
    futures::future::try_join_all(fetches).await.unwrap();
    assert_eq!(reads(&cloud), FILE_BYTES as u64, "once for all of them");
    for pod in &pods {
        assert_eq!(pod.file(root.path(), &plan), good);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_c6_a_full_cache_is_passed_by_and_leaves_room_for_what_fits() {
    let cloud = Cloud::aws().await;
    let digest = one_file(cloud.direct.as_ref(), "v1", FILE_BYTES).await;
    let small = one_file(cloud.direct.as_ref(), "v2", MIB).await;
    let disk = SmallDisk::new(8).unwrap();
    let over_quota = tempfile::tempdir().unwrap();
    for (root, quota) in [(disk.path(), PLENTY), (over_quota.path(), 8 * MIB as u64)] {
        let cache = NodeCache::new(root, quota);
        let wanted = plan(&cloud, "v1", digest);
        let pod = Pod::new();
        // Again: as after a restart of the pod.
        for was_there in [false, true] {
            let done = pod.fetch(&cache, &wanted).await.unwrap();
            assert!(done.beside.unwrap().is_local());
            assert_eq!(done.fetched.was_there, was_there);
            assert_eq!(pod.file(root, &wanted).len(), FILE_BYTES);
        }
        // The kubelet makes no directory that nobody may remove.
        assert!(root.join(digest.hex()).is_dir());
        let versions = cache.versions().await.unwrap();
        assert!(versions.iter().all(|v| !v.whole && v.size_bytes == 0));
        let fits = plan(&cloud, "v2", small);
        cache.hold(&fits, &|_| {}, &token()).await.unwrap();
        assert!(file_of(root, &small).is_file());

        // Room again: the pod's own copy gives way to the cache's.
        if quota < PLENTY {
            let cache = NodeCache::new(root, PLENTY);
            let done = pod.fetch(&cache, &wanted).await.unwrap();
            assert!(done.beside.is_none() && pod.own().is_symlink());
            assert_eq!(pod.file(root, &wanted).len(), FILE_BYTES);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_that_are_read_at_once_fit_together() {
    let cloud = Cloud::aws().await;
    let root = tempfile::tempdir().unwrap();
    let cache = NodeCache::new(root.path(), 15 * MIB as u64);
    let dirs = [("v1", "a"), ("v2", "b")];
    let mut plans = Vec::new();
    for (version, other) in dirs {
        let dir = directory(&[("model.onnx", FILE_BYTES), (other, 1)]);
        let digest = push(cloud.direct.as_ref(), dir.path(), version).await;
        plans.push(plan(&cloud, version, digest));
    }
    let token = token();
    let holds = plans.iter().map(|plan| cache.hold(plan, &|_| {}, &token));
    let mut held = futures::future::join_all(holds).await;
    held.retain(Result::is_err);
    assert!(matches!(held[..], [Err(FetchError::NoRoom { .. })]));
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s1_a_read_that_broke_off_leaves_nothing_and_is_made_again() {
    let cloud = Cloud::aws().await;
    let digest = one_file(cloud.direct.as_ref(), "v1", FILE_BYTES).await;
    let root = tempfile::tempdir().unwrap();
    let cache = NodeCache::new(root.path(), PLENTY);
    let plan = plan(&cloud, "v1", digest);
    let flip = Fault::FlipAnswer { at_byte: 5_000 };
    cloud.proxy.inject_times(1000, flip, is_read_of_model);
    let error = Pod::new().fetch(&cache, &plan).await.unwrap_err();
    assert!(!error.is_local(), "{error}");
    assert!(!root.path().join(digest.hex()).join("files").exists());
    assert!(!root.path().join(digest.hex()).join("partial").exists());
    assert_eq!(cache.versions().await.unwrap()[0].size_bytes, 0);
    cloud.proxy.heal();
    Pod::new().fetch(&cache, &plan).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_longest_ago_comes_first_and_goes_whole() {
    let cloud = Cloud::aws().await;
    let root = tempfile::tempdir().unwrap();
    let cache = NodeCache::new(root.path(), PLENTY);
    let mut plans = Vec::new();
    for (version, length) in [("v1", MIB), ("v2", 2 * MIB), ("v3", 3 * MIB)] {
        let digest = one_file(cloud.direct.as_ref(), version, length).await;
        plans.push(plan(&cloud, version, digest));
        let wanted = plans.last().unwrap();
        cache.hold(wanted, &|_| {}, &token()).await.unwrap();
    }
    // A second time: only the time of use changes.
    let again = cache.hold(&plans[0], &|_| {}, &token()).await;
    assert!(again.unwrap().was_there);
    let order = async || {
        let versions = cache.versions().await.unwrap();
        versions
            .iter()
            .map(|v| v.size_bytes / MIB as u64)
            .collect::<Vec<_>>()
    };
    assert_eq!(order().await, [2, 3, 1]);
    let oldest = plans[1].manifest_digest;
    assert!(cache.evict(&oldest).await.unwrap());
    assert_eq!(order().await, [3, 1]);
    assert!(!root.path().join(oldest.hex()).exists());

    // While it is read, nobody takes it away.
    cloud
        .proxy
        .inject_times(1, Fault::StallAnswer { after_bytes: 9 }, is_read_of_model);
    let token = token();
    let read = cache.hold(&plans[1], &|_| {}, &token);
    let meanwhile = async {
        while !root.path().join(oldest.hex()).join("partial").exists() {
            tokio::task::yield_now().await;
        }
        let freed = cache.evict(&oldest).await.unwrap();
        token.cancel();
        freed
    };
    let (read, freed) = tokio::join!(read, meanwhile);
    assert!(read.is_err() && !freed);
    assert!(cache.evict(&oldest).await.unwrap());
}
