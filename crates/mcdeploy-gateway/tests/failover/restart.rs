//! A gateway that starts while the API server is down.

use std::{collections::BTreeSet, time::Duration};

use mcdeploy_gateway::{Input, Source};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    load::{Clients, infer},
    world::{Pod, config, gateway, input, revision, snapshot},
};

/// Runs a gateway on `dir` until its first good answer; what it says without one.
async fn first_answer(dir: &std::path::Path, news: Option<Input>) -> Result<String, String> {
    let gateway = gateway(config("aws"), Some(dir)).await;
    let address = gateway.address().unwrap();
    let inputs = watch::Sender::new(news);
    let cancel = CancellationToken::new();
    let running = tokio::spawn(gateway.run(Source::Channel(inputs.subscribe()), cancel.clone()));
    let client = Clients::new().kept().clone();
    let answered = timeout(Duration::from_secs(2), async {
        loop {
            if let Ok(cluster) = infer(&client, address).await {
                return cluster;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    let answer = match answered.await {
        Ok(cluster) => Ok(cluster),
        Err(_) => infer(&client, address).await,
    };
    // The copy is written before a table is of use to anybody who waits for it.
    sleep(Duration::from_millis(100)).await;
    cancel.cancel();
    running.await.unwrap();
    answer
}

#[tokio::test]
async fn a_restarted_gateway_serves_by_its_copy_alone() {
    let pod = Pod::start().await;
    let dir = tempfile::tempdir().unwrap();
    let error = first_answer(dir.path(), None).await.unwrap_err();
    assert!(
        error.contains("503") && error.contains("NotReady"),
        "{error}"
    );

    let spec = snapshot("aws", 1, None, vec![revision("aaaaaaaaaa", 100)], vec![]);
    let news = input(spec, &BTreeSet::from([pod.link.address()]));
    assert_eq!(first_answer(dir.path(), Some(news)).await.unwrap(), "aws");
    assert_eq!(first_answer(dir.path(), None).await.unwrap(), "aws");

    std::fs::write(dir.path().join("routing.json"), b"{").unwrap();
    let error = first_answer(dir.path(), None).await.unwrap_err();
    assert!(
        error.contains("NotReady"),
        "a torn copy is no copy: {error}"
    );
}

#[tokio::test]
async fn the_copy_counts_as_applied_when_epochs_are_compared() {
    let pod = Pod::start().await;
    let dir = tempfile::tempdir().unwrap();
    let pods = BTreeSet::from([pod.link.address()]);
    let at = |seq, weight| {
        let spec = snapshot(
            "aws",
            seq,
            None,
            vec![revision("aaaaaaaaaa", weight)],
            vec![],
        );
        Some(input(spec, &pods))
    };
    assert_eq!(first_answer(dir.path(), at(5, 100)).await.unwrap(), "aws");
    // Weight 0 would be an error; epoch 4 must not be taken after 5.
    assert_eq!(first_answer(dir.path(), at(4, 0)).await.unwrap(), "aws");
    assert!(first_answer(dir.path(), at(6, 0)).await.is_err());
}
