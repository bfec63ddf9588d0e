//! TLS for clients, and a certificate that is replaced while they are served.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use mcdeploy_gateway::{Gateway, GatewayError, Options, Source, Tls};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use reqwest::{Certificate, Client};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::world::{Pod, config, input, revision, snapshot};

const SOON: Duration = Duration::from_secs(10);

/// A certificate of its own for `localhost`, and its key.
struct Pair {
    certificate: String,
    key: String,
}

impl Pair {
    fn new() -> Self {
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// Puts the pair into `dir` as a kubelet does: files are links through `..data`, which is
    /// swapped at once.
    fn mount(&self, dir: &Path, generation: &str) {
        fs::create_dir(dir.join(generation)).unwrap();
        let name = |name: &str| dir.join(generation).join(name);
        fs::write(name("tls.crt"), &self.certificate).unwrap();
        fs::write(name("tls.key"), &self.key).unwrap();
        symlink(generation, dir.join("..new")).unwrap();
        fs::rename(dir.join("..new"), dir.join("..data")).unwrap();
        for name in ["tls.crt", "tls.key"] {
            // There from the second time on.
            let _ = symlink(format!("..data/{name}"), dir.join(name));
        }
    }

    /// Believes this certificate only.
    fn client(&self) -> Client {
        let certificate = Certificate::from_pem(self.certificate.as_bytes()).unwrap();
        let client = Client::builder().no_proxy().timeout(SOON);
        client.tls_certs_only([certificate]).build().unwrap()
    }
}

struct Served {
    port: u16,
    admin: String,
    _pod: Pod,
    _gateway: AbortOnDropHandle<()>,
}

fn options(dir: &Path) -> Options {
    let any = "127.0.0.1:0".parse().unwrap();
    let mut config = config("aws");
    config.timings.head = Duration::from_millis(500);
    let tls = Tls {
        listen: any,
        dir: dir.to_owned(),
    };
    Options {
        config,
        listen: any,
        tls: Some(tls),
        admin: any,
        state_dir: None,
    }
}

impl Served {
    async fn start(dir: &Path) -> Self {
        let pod = Pod::start().await;
        let gateway = Gateway::bind(options(dir)).await.unwrap();
        let spec = snapshot("aws", 1, None, vec![revision("aaaaaaaaaa", 100)], vec![]);
        let pods = [pod.link.address()].into();
        let inputs = watch::Sender::new(Some(input(spec, &pods)));
        let source = Source::Channel(inputs.subscribe());
        let port = gateway.tls_address().unwrap().unwrap().port();
        let admin = format!("http://{}", gateway.admin_address().unwrap());
        let run = gateway.run(source, CancellationToken::new());
        Self {
            port,
            admin,
            _pod: pod,
            _gateway: AbortOnDropHandle::new(tokio::spawn(run)),
        }
    }

    async fn infer(&self, client: &Client) -> Result<u16, reqwest::Error> {
        let url = format!("https://localhost:{}/v2/models/digits/infer", self.port);
        let response = client.post(url).body("x").send().await?;
        Ok(response.status().as_u16())
    }

    /// Waits until new connections get the certificate that `client` believes.
    async fn until_believed(&self, client: &Client) {
        let believed = async {
            while self.infer(client).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, believed).await.expect("never believed");
    }
}

#[tokio::test]
async fn a_new_certificate_is_taken_without_a_lost_request() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (Pair::new(), Pair::new());
    old.mount(dir.path(), "..1");
    let served = Arc::new(Served::start(dir.path()).await);
    let client = old.client();
    served.until_believed(&client).await;
    assert!(served.infer(&new.client()).await.is_err());

    // Over one connection that is kept, all the time.
    let (done, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let asking = {
        let (served, done, answered) = (served.clone(), done.clone(), answered.clone());
        tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                assert_eq!(served.infer(&client).await.unwrap(), 200);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    new.mount(dir.path(), "..2");
    served.until_believed(&new.client()).await;
    let before = answered.load(Ordering::Relaxed);
    while answered.load(Ordering::Relaxed) < before + 10 {
        sleep(Duration::from_millis(5)).await;
    }
    done.store(true, Ordering::Relaxed);
    asking.await.unwrap();
    assert!(served.infer(&old.client()).await.is_err(), "still the old");
}

#[tokio::test]
async fn a_certificate_without_its_key_is_told_and_the_old_one_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let old = Pair::new();
    old.mount(dir.path(), "..1");
    let served = Served::start(dir.path()).await;
    served.until_believed(&old.client()).await;
    let other = Pair {
        certificate: Pair::new().certificate,
        key: Pair::new().key,
    };
    other.mount(dir.path(), "..2");
    let refused = async {
        let client = Client::builder().no_proxy().build().unwrap();
        loop {
            let metrics = client.get(format!("{}/metrics", served.admin)).send();
            let text = metrics.await.unwrap().text().await.unwrap();
            if !text.contains("certificate_failures_total 0") {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, refused).await.expect("never told");
    assert_eq!(served.infer(&old.client()).await.unwrap(), 200);
}

#[tokio::test]
async fn without_a_usable_certificate_a_gateway_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::new();
    let told = async || {
        let refused = Gateway::bind(options(dir.path())).await.unwrap_err();
        let GatewayError::Certificate(why) = refused else {
            panic!("{refused:?}");
        };
        why.to_string()
    };
    assert!(told().await.ends_with("tls.crt"), "names the file");
    fs::write(dir.path().join("tls.crt"), "not PEM").unwrap();
    assert!(
        told()
            .await
            .ends_with("tls.crt holds no certificate in PEM form")
    );
    fs::write(dir.path().join("tls.crt"), &pair.certificate).unwrap();
    fs::write(dir.path().join("tls.key"), "not PEM").unwrap();
    assert!(
        told()
            .await
            .ends_with("tls.key holds no private key in PEM form")
    );
    fs::write(dir.path().join("tls.key"), Pair::new().key).unwrap();
    assert!(told().await.ends_with("tls.crt with its key"));
}

#[tokio::test]
async fn a_client_that_never_greets_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    Pair::new().mount(dir.path(), "..1");
    let served = Served::start(dir.path()).await;
    let mut silent = TcpStream::connect(("127.0.0.1", served.port))
        .await
        .unwrap();
    let mut byte = [0];
    let read = timeout(SOON, silent.read(&mut byte)).await;
    assert!(matches!(read, Ok(Ok(0) | Err(_))), "{read:?}");
}
