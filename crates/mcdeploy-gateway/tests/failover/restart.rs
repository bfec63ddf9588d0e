//! A gateway that starts while the API server is down.

use std::{collections::BTreeSet, time::Duration};

use mcdeploy_gateway::{Input, Source};
use mcdeploy_sandbox::testing::SmallDisk;
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

/// Waits until the gateway's metrics say so.
async fn until_metrics(admin: std::net::SocketAddr, line: &str) {
    let url = format!("http://{admin}/metrics");
    let client = Clients::new().kept().clone();
    let said = timeout(Duration::from_secs(10), async {
        loop {
            let text = client.get(&url).send().await.unwrap().text().await.unwrap();
            if text.lines().any(|found| found == line) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(said.await.is_ok(), "{line}");
}

#[tokio::test]
async fn fault_c6_on_a_full_disk_it_serves_on_says_so_and_keeps_the_copy_later() {
    let pod = Pod::start().await;
    let disk = SmallDisk::new(1).unwrap();
    let filler = disk.path().join("filler");
    let _full = std::fs::write(&filler, vec![0; 2 << 20]).unwrap_err();

    let spec = snapshot("aws", 1, None, vec![revision("aaaaaaaaaa", 100)], vec![]);
    let news = input(spec, &BTreeSet::from([pod.link.address()]));
    let running = gateway(config("aws"), Some(disk.path())).await;
    let (address, admin) = (running.address().unwrap(), running.admin_address().unwrap());
    let inputs = watch::Sender::new(Some(news));
    let cancel = CancellationToken::new();
    let running = tokio::spawn(running.run(Source::Channel(inputs.subscribe()), cancel.clone()));
    until_metrics(admin, "mcdeploy_gateway_copy_stale 1").await;
    let client = Clients::new().kept().clone();
    assert_eq!(infer(&client, address).await.unwrap(), "aws");

    // Nothing new comes; what was not written is tried again.
    std::fs::remove_file(filler).unwrap();
    until_metrics(admin, "mcdeploy_gateway_copy_stale 0").await;
    cancel.cancel();
    running.await.unwrap();
    assert_eq!(first_answer(disk.path(), None).await.unwrap(), "aws");
}
