//! The proxy in front of a real store server, asked by a plain HTTP client.

use std::time::Duration;

use mcdeploy_sandbox::testing::{Counts, FakeGcs, Fault, Link, Proxy};

const MIB: usize = 1024 * 1024;

struct World {
    _server: FakeGcs,
    proxy: Proxy,
    url: String,
    http: reqwest::Client,
}

/// A proxy before a server that has one object of 1 MiB, `a`.
async fn world() -> World {
    let server = FakeGcs::start().await.unwrap();
    let (proxy, access) = Proxy::in_front_of(&server.access()).await.unwrap();
    let url = access.spec.location.gcs.unwrap().endpoint.unwrap();
    let http = reqwest::Client::builder()
        .read_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    let world = World {
        _server: server,
        proxy,
        url,
        http,
    };
    assert_eq!(world.put(vec![7; MIB]).await.unwrap(), 200);
    world
}

impl World {
    async fn put(&self, body: Vec<u8>) -> Result<u16, reqwest::Error> {
        let url = format!(
            "{}/upload/storage/v1/b/models/o?uploadType=media&name=a",
            self.url
        );
        let answer = self.http.post(url).body(body).send().await?;
        let status = answer.status().as_u16();
        // Read to its end, else the connection is not used again.
        answer.bytes().await?;
        Ok(status)
    }

    async fn get(&self) -> Result<(u16, Vec<u8>), reqwest::Error> {
        let url = format!("{}/storage/v1/b/models/o/a?alt=media", self.url);
        let answer = self.http.get(url).send().await?;
        Ok((answer.status().as_u16(), answer.bytes().await?.to_vec()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_pass_unchanged_and_are_counted_each_way() {
    let world = world().await;
    for _ in 0..3 {
        assert!(world.get().await.unwrap() == (200, vec![7; MIB]));
    }
    let counts = world.proxy.counts();
    assert_eq!(counts.requests, 4);
    assert!((1..=4).contains(&counts.connections));
    assert_eq!(counts.sent_bytes, MIB as u64);
    assert!(
        counts.received_bytes >= 3 * MIB as u64 && counts.received_bytes < 3 * MIB as u64 + 10_000
    );
    let last = world.proxy.exchanges().pop().unwrap();
    assert_eq!((last.request.method.as_str(), last.status), ("GET", 200));
    assert_eq!(last.received_bytes, MIB as u64);
    world.proxy.reset_counts();
    assert_eq!(world.proxy.counts(), Counts::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_does_what_it_says_once_and_then_heals() {
    let world = world().await;
    let half = MIB as u64 / 2;
    let is_get = |request: &mcdeploy_sandbox::testing::ProxyRequest| request.method == "GET";
    world.proxy.inject_times(
        1,
        Fault::Answer {
            status: 503,
            retry_after: Some(86_400),
        },
        is_get,
    );
    assert_eq!(world.get().await.unwrap().0, 503);
    for fault in [
        Fault::ResetAnswer { after_bytes: half },
        Fault::StallAnswer { after_bytes: half },
        Fault::LoseAnswer,
    ] {
        world.proxy.inject_times(1, fault, is_get);
        assert!(world.get().await.is_err(), "{fault:?}");
        assert_eq!(world.get().await.unwrap().0, 200, "{fault:?}");
    }
    world
        .proxy
        .inject_times(1, Fault::FlipAnswer { at_byte: half }, is_get);
    let flipped = world.get().await.unwrap().1;
    let other: Vec<_> = (0..MIB).filter(|at| flipped[*at] != 7).collect();
    assert_eq!(other, [MIB / 2]);
    world
        .proxy
        .inject_times(1, Fault::FlipRequest { at_byte: 3 }, |_| true);
    assert_eq!(world.put(vec![9; MIB]).await.unwrap(), 200);
    let there = world.get().await.unwrap().1;
    assert_eq!((there[2], there[3]), (9, 9 ^ 0x20));
    for fault in [
        Fault::ResetRequest { after_bytes: half },
        Fault::StallRequest { after_bytes: half },
    ] {
        world.proxy.inject_times(1, fault, |_| true);
        assert!(world.put(vec![1; MIB]).await.is_err(), "{fault:?}");
        assert!(world.get().await.unwrap().1 == there, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_goes_down_falls_silent_and_comes_back() {
    let world = world().await;
    for link in [Link::Down, Link::Silent] {
        world.proxy.set_link(link);
        assert!(world.get().await.is_err(), "{link:?}");
        world.proxy.heal();
        assert_eq!(world.get().await.unwrap().0, 200, "{link:?}");
    }
    world.proxy.set_bandwidth(Some(4 * MIB as u64));
    world.proxy.set_latency(Duration::from_millis(50));
    let start = tokio::time::Instant::now();
    world.get().await.unwrap();
    let took = start.elapsed();
    assert!(
        took > Duration::from_millis(290) && took < Duration::from_secs(2),
        "{took:?}"
    );
}
