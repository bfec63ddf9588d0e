//! S1, S3, S5: the wire and the source misbehave while bytes are on their way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mcdeploy_api::{ErrorClass, ReplicaState};
use mcdeploy_sandbox::testing::Fault;
use mcdeploy_store::{TransferOptions, open_directory};
use tokio::{sync::Notify, time::Instant};

use crate::world::{
    Cloud, MIB, is_part, is_read_of_model, one_file, options, random_bytes, replicate, token,
};

fn answer(status: u16, retry_after: Option<u64>) -> Fault {
    Fault::Answer {
        status,
        retry_after,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s1_throttled_stores_get_their_parts_later() {
    let clouds = Cloud::all().await;
    let root = tempfile::tempdir().unwrap();
    let source = open_directory(root.path()).unwrap();
    let digest = one_file(source.as_ref(), "v1", 50 * MIB).await;
    for cloud in &clouds {
        let count = AtomicU64::new(0);
        cloud.proxy.inject(move |request| {
            let n = count.fetch_add(u64::from(is_part(request)), Ordering::Relaxed);
            let is_hit = is_part(request) && n < 6;
            let faults = [answer(503, None), answer(429, Some(1)), answer(500, None)];
            is_hit.then(|| faults[usize::try_from(n % 3).unwrap()])
        });
    }
    let targets: Vec<_> = clouds.iter().map(|cloud| cloud.store.as_ref()).collect();
    let options = TransferOptions {
        hold_back: Duration::from_mins(1),
        ..options()
    };
    let done = replicate(source.as_ref(), &targets, ("v1", &digest), &options).await;
    for (target, cloud) in done.unwrap().targets.into_iter().zip(&clouds) {
        assert!(target.repeats >= 6, "{target:?}");
        assert!(target.outcome.unwrap());
        assert_eq!(cloud.verified("v1", &digest).await, ReplicaState::Verified);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s1_a_day_of_retry_after_does_not_hold_a_run() {
    let cloud = Cloud::aws().await;
    let root = tempfile::tempdir().unwrap();
    let source = open_directory(root.path()).unwrap();
    let digest = one_file(source.as_ref(), "v1", 20 * MIB).await;
    cloud
        .proxy
        .inject_times(1, answer(503, Some(86_400)), is_part);
    let start = Instant::now();
    let targets = [cloud.store.as_ref()];
    let done = replicate(source.as_ref(), &targets, ("v1", &digest), &options()).await;
    let target = done.unwrap().targets.pop().unwrap();
    assert!(target.outcome.unwrap());
    let took = start.elapsed();
    assert!(
        took > Duration::from_secs(9) && took < Duration::from_secs(30),
        "{took:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s1_resets_and_stalls_cost_a_part_and_not_the_run() {
    let [aws, azure, gcp] = Cloud::all().await;
    let digest = one_file(aws.direct.as_ref(), "v1", 50 * MIB).await;
    let cut = 3 * MIB as u64;
    for target in [&azure, &gcp] {
        target
            .proxy
            .inject_times(2, Fault::ResetRequest { after_bytes: cut }, is_part);
    }
    let mut n = 0;
    aws.proxy.inject(move |request| {
        n += u32::from(is_read_of_model(request));
        match (is_read_of_model(request), n) {
            (true, 1) => Some(Fault::ResetAnswer { after_bytes: cut }),
            (true, 2) => Some(Fault::StallAnswer { after_bytes: cut }),
            (true, 3) => Some(Fault::LoseAnswer),
            _ => None,
        }
    });
    let targets = [azure.store.as_ref(), gcp.store.as_ref()];
    let start = Instant::now();
    let done = replicate(aws.store.as_ref(), &targets, ("v1", &digest), &options()).await;
    for target in done.unwrap().targets {
        assert!(target.outcome.unwrap());
    }
    assert!(
        start.elapsed() < Duration::from_secs(40),
        "{:?}",
        start.elapsed()
    );
    for target in [&azure, &gcp] {
        assert_eq!(target.verified("v1", &digest).await, ReplicaState::Verified);
        let sent = target.proxy.counts().sent_bytes;
        assert!(sent < 70 * MIB as u64, "{sent}");
    }
}

/// Twelve seeded flips on the way to each store, and as many on the way from the source.
#[tokio::test(flavor = "multi_thread")]
async fn fault_s3_bits_flipped_in_flight_never_become_visible() {
    let clouds = Cloud::all().await;
    let root = tempfile::tempdir().unwrap();
    let local = open_directory(root.path()).unwrap();
    for seed in 0..12_u64 {
        let version = format!("to-{seed}");
        let at_byte = seed * 1_398_101;
        let digest = one_file(local.as_ref(), &version, 17 * MIB).await;
        for cloud in &clouds {
            cloud
                .proxy
                .inject_times(1, Fault::FlipRequest { at_byte }, is_part);
        }
        let targets: Vec<_> = clouds.iter().map(|cloud| cloud.store.as_ref()).collect();
        let done = replicate(local.as_ref(), &targets, (&version, &digest), &options()).await;
        for (target, cloud) in done.unwrap().targets.into_iter().zip(&clouds) {
            assert!(target.outcome.unwrap(), "{version}");
            assert_eq!(
                cloud.verified(&version, &digest).await,
                ReplicaState::Verified
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s3_bits_flipped_on_the_way_from_the_source_are_read_again() {
    let aws = Cloud::aws().await;
    let root = tempfile::tempdir().unwrap();
    let target = open_directory(root.path()).unwrap();
    for (seed, size) in (0..12_u64).zip([17 * MIB, 5 * MIB].into_iter().cycle()) {
        let version = format!("from-{seed}");
        let digest = one_file(aws.direct.as_ref(), &version, size).await;
        let at_byte = seed * 300_000;
        aws.proxy
            .inject_times(1, Fault::FlipAnswer { at_byte }, is_read_of_model);
        let targets = [target.as_ref()];
        let done = replicate(
            aws.store.as_ref(),
            &targets,
            (&version, &digest),
            &options(),
        )
        .await;
        assert!(
            done.unwrap().targets.pop().unwrap().outcome.unwrap(),
            "{version}"
        );
        let state = crate::world::state(target.as_ref(), &version, &digest).await;
        assert_eq!(state, ReplicaState::Verified);
    }
    // A wire that always flips: a typed error, and nothing to see.
    let digest = one_file(aws.direct.as_ref(), "always", 17 * MIB).await;
    aws.proxy
        .inject_times(u64::MAX, Fault::FlipAnswer { at_byte: 7 }, is_read_of_model);
    let targets = [target.as_ref()];
    let done = replicate(
        aws.store.as_ref(),
        &targets,
        ("always", &digest),
        &options(),
    )
    .await;
    let error = done.unwrap().targets.pop().unwrap().outcome.unwrap_err();
    assert!(error.is_checksum_mismatch(), "{error}");
    let state = crate::world::state(target.as_ref(), "always", &digest).await;
    assert_eq!(state, ReplicaState::Missing);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_s5_a_source_that_changes_while_it_is_read_is_a_typed_error() {
    let [aws, azure, gcp] = Cloud::all().await;
    for (source, target) in [(&aws, &azure), (&azure, &gcp), (&gcp, &aws)] {
        let version = format!("from-{}", source.store.name());
        let digest = one_file(source.direct.as_ref(), &version, 100 * MIB).await;
        let begun = Arc::new(Notify::new());
        let (seen, mut n) = (begun.clone(), 0);
        source.proxy.inject(move |request| {
            if !is_read_of_model(request) {
                return None;
            }
            n += 1;
            seen.notify_one();
            (n > 2).then_some(Fault::Delay(Duration::from_millis(700)))
        });
        let targets = [target.store.as_ref()];
        let options = options();
        let work = replicate(
            source.store.as_ref(),
            &targets,
            (&version, &digest),
            &options,
        );
        let change = async {
            begun.notified().await;
            let file = crate::world::key(&format!("digits/{version}/model.onnx"));
            let object = source.direct.head(&file, &token()).await.unwrap();
            source.direct.delete(&object, &token()).await.unwrap();
            crate::writers::create(source.direct.as_ref(), &file, &random_bytes(100 * MIB, 99))
                .await
                .unwrap();
        };
        let (done, ()) = tokio::join!(work, change);
        let error = done.unwrap().targets.pop().unwrap().outcome.unwrap_err();
        assert!(
            matches!(
                error.class(),
                ErrorClass::Precondition | ErrorClass::NotFound
            ),
            "{version}: {error}"
        );
        let text = error.to_string();
        assert!(
            text.contains(source.store.name()) && text.contains("model.onnx"),
            "{text}"
        );
        assert_ne!(
            target.verified(&version, &digest).await,
            ReplicaState::Verified
        );
    }
}
