//! How the hub is reached: through a proxy or not, by which kubeconfig, with which
//! program's credentials. An API server without our kinds answers well enough.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use mcdeploy_cluster::{Endpoint, parse_kubeconfig, token_kubeconfig};
use mcdeploy_sandbox::testing::TestApiServer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::{Ran, command};

/// Answer of a hub that was reached, and has no kinds of ours.
const REACHED: (i32, &str) = (5, "mcdeploy is not installed in the hub at");

/// A proxy that knows `CONNECT`, and only one place.
struct Proxy {
    address: String,
    /// First lines and authorisation of what it was asked.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap().to_string(),
            asked: Arc::default(),
        };
        let (asked, to) = (proxy.asked.clone(), to.to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, to.clone(), asked.clone()));
            }
        });
        proxy
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut asked)
    }
}

async fn carry(mut client: TcpStream, to: String, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let is_asked = |line: &&str| line.starts_with("connect ") || line.starts_with("proxy-auth");
    let lines: Vec<&str> = head.lines().filter(is_asked).collect();
    let told = lines.join(" | ");
    asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(told);
    let mut server = TcpStream::connect(to).await.unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

fn get_stores(dir: &Path, environment: &[(&str, &str)]) -> Ran {
    let mut command = command(dir, &["get", "stores"]);
    command.envs(environment.iter().copied());
    Ran::of(command.output().unwrap())
}

/// Writes a kubeconfig of the server by this address.
fn kubeconfig(dir: &Path, server: &TestApiServer, address: &str) {
    let at = Endpoint {
        server: address,
        ca_pem: server.certificate_authority(),
        tls_server_name: None,
    };
    let text = token_kubeconfig("hub", &at, server.token());
    std::fs::write(dir.join("kubeconfig"), text).unwrap();
}

/// `host:port` where the server is.
fn place(server: &TestApiServer) -> String {
    let config = parse_kubeconfig(server.kubeconfig()).unwrap();
    config.cluster_url.authority().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_elsewhere_is_reached_through_the_proxy_unless_no_proxy_covers_it() {
    let server = TestApiServer::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(&place(&server)).await;
    let with_password = format!("http://me:hunter2@{}", proxy.address);
    let (code, says) = REACHED;

    // The name is in the server's certificate, and only the proxy knows where it is.
    kubeconfig(dir.path(), &server, "https://kubernetes:6443");
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        let ran = get_stores(dir.path(), &[(variable, &with_password)]);
        ran.check(code, says)
            .check(code, &format!("through the proxy {}", proxy.address));
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
        let asked = proxy.asked();
        assert!(asked[0].starts_with("connect kubernetes:6443"), "{asked:?}");
        assert!(asked[0].contains("basic bwu6ahvudgvymg=="), "{asked:?}");
    }
    for covered in ["kubernetes", "a.test,kubernetes:6443,", "*"] {
        let environment = [("HTTPS_PROXY", &*with_password), ("NO_PROXY", covered)];
        let ran = get_stores(dir.path(), &environment);
        ran.check(1, "does not answer");
        assert_eq!(proxy.asked(), [""; 0], "{covered}");
    }
    let socks = [("HTTPS_PROXY", "socks5://me:hunter2@proxy.test")];
    let ran = get_stores(dir.path(), &socks);
    ran.check(2, "HTTPS_PROXY").check(2, "socks5://");
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);

    // This machine's own addresses need no proxy, as for kubectl.
    kubeconfig(dir.path(), &server, &format!("https://{}", place(&server)));
    let nobody = [
        ("HTTPS_PROXY", "http://127.0.0.1:1"),
        ("NO_PROXY", "a.test"),
    ];
    get_stores(dir.path(), &nobody).check(code, says);

    a_kubeconfig_or_program_that_is_not_there_is_named(dir.path());
}

/// The kubeconfig in the directory is the server's.
fn a_kubeconfig_or_program_that_is_not_there_is_named(dir: &Path) {
    let (code, says) = REACHED;
    let (there, absent) = (dir.join("kubeconfig"), dir.join("absent"));
    let list = format!("{}::{}", absent.display(), there.display());
    get_stores(dir, &[("KUBECONFIG", &list)]).check(code, says);
    let none = absent.display().to_string();
    get_stores(dir, &[("KUBECONFIG", &none)]).check(2, &format!("KUBECONFIG names {none}"));

    let exec = "
current-context: c
clusters: [{name: k, cluster: {server: 'https://kubernetes:6443'}}]
contexts: [{name: c, context: {cluster: k, user: u}}]
users:
- name: u
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: no-such-auth
      installHint: |
        Install it from example.com.
      interactiveMode: Never
";
    std::fs::write(&there, exec).unwrap();
    let ran = get_stores(dir, &[]);
    ran.check(2, "\"no-such-auth\"")
        .check(2, "Install it from example.com.");
}
