//! Certificates, tokens and kubeconfigs of one cloud. Made once, all together.

use std::{net::IpAddr, path::PathBuf};

use crate::{
    Cloud, SandboxError,
    cloud::KUBERNETES_SERVICE,
    host, kubeconfig, paths,
    pki::{self, Authority},
};

/// Users of the API server: file name, user, group.
const USERS: [(&str, &str, &str); 4] = [
    ("admin", "admin", "system:masters"),
    // These two act for every controller, so they may do everything.
    (
        "controller-manager",
        "system:kube-controller-manager",
        "system:masters",
    ),
    ("scheduler", "system:kube-scheduler", "system:masters"),
    ("proxy", "system:kube-proxy", "system:masters"),
];

/// Makes them unless they are there.
pub(super) fn ensure(cloud: Cloud) -> Result<(), SandboxError> {
    let complete = path(cloud, "complete");
    if complete.exists() {
        return Ok(());
    }
    let authority = Authority::generate(&format!("mcdeploy-sandbox-{cloud}"))?;
    let put = |name: &str, text: &str| host::write(&path(cloud, name), text);
    put("ca.crt", authority.certificate())?;
    let node = IpAddr::from(cloud.address());
    let loopback = IpAddr::from([127, 0, 0, 1]);
    let service = IpAddr::from(KUBERNETES_SERVICE);
    let names = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
    ];
    let server = authority.server("kube-apiserver", &names, &[node, loopback, service])?;
    put("apiserver.crt", &server.certificate)?;
    put("apiserver.key", &server.key)?;
    let kubelet = authority.server(cloud.name(), &[cloud.name()], &[node, loopback])?;
    put("kubelet.crt", &kubelet.certificate)?;
    put("kubelet.key", &kubelet.key)?;
    let client = authority.client("kube-apiserver", "system:masters")?;
    put("kubelet-client.crt", &client.certificate)?;
    put("kubelet-client.key", &client.key)?;
    let (signing, verifying) = pki::token_signing_keys()?;
    put("tokens.key", &signing)?;
    put("tokens.pub", &verifying)?;
    put("store.secret", &pki::random_word()?)?;
    let node_user = format!("system:node:{cloud}");
    let users = USERS
        .into_iter()
        .chain([("kubelet", &*node_user, "system:nodes")]);
    let mut tokens = Vec::new();
    for (file, user, group) in users {
        let token = pki::random_word()?;
        tokens.push(format!("{token},{user},{file},\"{group}\"\n"));
        let url = cloud.api_url();
        let text = kubeconfig::with_token(cloud.name(), &url, authority.certificate(), &token);
        put(&format!("{file}.kubeconfig"), &text)?;
    }
    put("tokens.csv", &tokens.concat())?;
    put("complete", "")
}

/// Path of one file.
pub(super) fn path(cloud: Cloud, name: &str) -> PathBuf {
    paths::cloud(cloud).join("pki").join(name)
}

/// The secret of the cloud's object store.
pub(super) fn store_secret(cloud: Cloud) -> Result<String, SandboxError> {
    let secret = host::read(&path(cloud, "store.secret"))?;
    secret.ok_or(SandboxError::NotRunning)
}
